"""Accuracy and perplexity on tokens, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers import encoded_piece, piano_roll
from musengine.builtin.accuracy import Accuracy, Perplexity
from musengine.components.metrics import Evidence
from musengine.components.models import Batch, Model, Output
from musengine.declarations import ModelConfig, NoSettings
from musengine.errors import UserError
from musengine.layouts import Grid, Layout, Tokens
from musengine.quantities import GridStep

TOKENS = Tokens(size=3)


class Constant(Model[Any]):
    """Says the same of every step: token 0 comes half of the time, 1 and 2 a quarter each."""

    def __init__(self, layout: Layout = TOKENS, *, logits: bool = True) -> None:
        super().__init__(ModelConfig(), layout)
        self.shares = nn.Parameter(torch.tensor([0.5, 0.25, 0.25]))
        self.gives_logits = logits

    def forward(self, batch: Batch) -> Output:
        said = self.shares.log().expand(*batch.targets.shape, 3)
        if not self.gives_logits:
            nll: Tensor = -said.gather(-1, batch.targets.long()[..., None])[..., 0]
            return Output(nll=nll, mask=batch.mask)
        return Output(logits=said, targets=batch.targets, mask=batch.mask)


def evidence(model: Model[Any], *pieces: list[int]) -> Evidence:
    # No metric of these looks at the encoder.
    part = [encoded_piece(piece, str(n)) for n, piece in enumerate(pieces)]
    return Evidence(model, piano_roll(), part, "valid")


def test_by_hand() -> None:
    # Six steps in two pieces of unlike length, padded in one batch. Token 0 is said and comes four
    # times; NLL is 4 ln 2 + 2 ln 4 = 8 ln 2, so the perplexity 2^(8/6).
    told = evidence(Constant(), [0, 0, 1, 0], [2, 0])
    assert Accuracy(NoSettings()).measure(told) == {"accuracy": pytest.approx(4 / 6)}
    assert Perplexity(NoSettings()).measure(told) == {"perplexity": pytest.approx(2 ** (8 / 6))}


def test_they_are_of_tokens_and_of_pieces() -> None:
    grid = Grid(lowest=60, pitches=3, step=GridStep.from_toml("1 beat", None))  # type: ignore[arg-type]
    for metric in (Accuracy(NoSettings()), Perplexity(NoSettings())):
        assert metric.measure(evidence(Constant())) == {}
    assert Perplexity(NoSettings()).measure(evidence(Constant(grid), [0])) == {}
    assert set(Accuracy(NoSettings()).measure(evidence(Constant(grid), [0]))) == {"frame_accuracy"}


def test_a_model_that_only_tells_its_likelihood_has_a_perplexity_and_no_accuracy() -> None:
    told = evidence(Constant(logits=False), [0, 1])
    assert Perplexity(NoSettings()).measure(told) == {"perplexity": pytest.approx(2**1.5)}
    with pytest.raises(UserError, match="accuracy: the model does not say"):
        Accuracy(NoSettings()).measure(told)


def test_a_hopeless_model_still_has_a_number() -> None:
    model = Constant()
    with torch.no_grad():
        model.shares.copy_(torch.tensor([1.0, 0.0, 0.0]))
    figures = Perplexity(NoSettings()).measure(evidence(model, [1]))
    assert figures["perplexity"] == pytest.approx(torch.tensor(700.0, dtype=torch.float64).exp())
