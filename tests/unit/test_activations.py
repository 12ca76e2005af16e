"""What goes on inside a model: as much of a piece as fits is recorded."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from musengine.api import Batch, Model, ModelConfig, Recorded, Tokens
from musengine.generation import activations
from musengine.testing import batch_of


class Counting(Model[ModelConfig]):
    """Says of every step eight numbers of four bytes: the step's token."""

    def record(self, batch: Batch) -> Mapping[str, Recorded]:
        assert not self.training
        values = batch.targets.float()[..., None].expand(-1, -1, 8).contiguous()
        return {"tokens": Recorded(values, ("piece", "step", "unit"))}


@pytest.mark.parametrize(("largest", "steps"), [(2**28, 12), (32 * 10 + 31, 10), (5, 1)])
def test_a_piece_is_recorded_as_far_as_the_bound_reaches(
    largest: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "LARGEST", largest)
    model = Counting(ModelConfig(), Tokens(size=20)).train()
    # The second row is longer, but only the first is looked at.
    found = activations.record(model, batch_of(range(1, 13), range(19)), prompt_steps=11)
    assert found.steps.tolist() == list(range(1, 13))[:steps]
    assert found.prompt_steps == min(11, steps)
    values, axes = found.arrays["tokens"]
    assert axes == ("step", "unit")
    assert torch.equal(torch.tensor(values[:, 0]), torch.arange(1, steps + 1).float())
    assert model.training
