"""The loop over the notes draws what reading the finished notes would give."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from musengine.api import LSTMStack
from musengine_biaxial.note_loop import draw_along


@pytest.mark.parametrize("candidate", ["tanh", "linear"])
@pytest.mark.parametrize("peepholes", [False, True])
def test_drawing_along_a_sequence_equals_reading_what_was_drawn(
    candidate: str, peepholes: bool
) -> None:
    torch.manual_seed(6)
    stack = LSTMStack(3 + 2, [6, 5], candidate=candidate, peepholes=peepholes, start="trained")  # type: ignore[arg-type]
    output = nn.Linear(5, 2)
    for parameter in (*stack.double().parameters(), *output.double().parameters()):
        nn.init.normal_(parameter)
    x = torch.randn(4, 20, 3, dtype=torch.float64)
    thresholds = torch.randn(4, 20, 2, dtype=torch.float64)
    bits, logits = draw_along(stack, output, x, thresholds)
    assert bits.dtype == torch.uint8
    below = torch.cat([torch.zeros_like(bits[:, :1]), bits[:, :-1]], dim=1)
    read = output(stack(torch.cat([x, below.double()], dim=2)).last)
    torch.testing.assert_close(logits, read, atol=1e-12, rtol=0)
    first = read[..., 0] > thresholds[..., 0]
    second = first & (read[..., 1] > thresholds[..., 1])
    assert torch.equal(bits.bool(), torch.stack([first, second], dim=-1))
    # Both kinds of bit are drawn, and the second is held back somewhere.
    assert 0 < second.sum() < first.sum() < first.numel()
    assert (~first & (read[..., 1] > thresholds[..., 1])).any()


def test_drawing_along_has_no_use_for_skip_inputs() -> None:
    stack = LSTMStack(3, [4, 4], skip_inputs=True)
    with pytest.raises(ValueError, match="skip"):
        draw_along(stack, nn.Linear(4, 1), torch.zeros(1, 2, 2), torch.zeros(1, 2, 1))
