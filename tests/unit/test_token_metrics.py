"""Likelihood, accuracy and perplexity on tokens, by hand, from one reading of the pieces."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers import beats, encoded_piece, piano_roll, refused
from musengine.builtin.metrics.accuracy import Accuracy, Perplexity
from musengine.builtin.metrics.likelihood import NegativeLogLikelihood
from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.evaluation.likelihood import predictions, score_pieces
from musengine.interfaces.metric import Evidence
from musengine.interfaces.model import Batch, Model, Output
from musengine.plugins.configs import ModelConfig, NoSettings

TOKENS = Tokens(size=3)
LN2 = math.log(2)


class Constant(Model[Any]):
    """Says the same of every step: token 0 comes half of the time, 1 and 2 a quarter each."""

    def __init__(self, layout: Layout = TOKENS, *, logits: bool = True) -> None:
        super().__init__(ModelConfig(), layout)
        self.shares = nn.Parameter(torch.tensor([0.5, 0.25, 0.25]))
        self.gives_logits = logits
        self.asked = 0

    def forward(self, batch: Batch) -> Output:
        self.asked += 1
        if isinstance(self.layout, Grid):
            return Output(logits=torch.ones(batch.targets.shape), targets=batch.targets)
        said = self.shares.log().expand(*batch.targets.shape, 3)
        if not self.gives_logits:
            nll: Tensor = -said.gather(-1, batch.targets.long()[..., None])[..., 0]
            return Output(nll=nll, mask=batch.mask)
        return Output(logits=said, targets=batch.targets, mask=batch.mask)


def evidence(model: Model[Any], *pieces: list[int] | np.ndarray) -> Evidence:
    # No metric of these looks at the encoder.
    part = [encoded_piece(piece, str(n)) for n, piece in enumerate(pieces)]
    return Evidence(model, piano_roll(), part, "valid")


def test_by_hand() -> None:
    # Six steps in two pieces of unlike length, padded in one batch. Token 0 is said and comes four
    # times; NLL is 4 ln 2 + 2 ln 4 = 8 ln 2, so the perplexity 2^(8/6).
    told = evidence(Constant(), [0, 0, 1, 0], [2, 0])
    assert Accuracy(NoSettings()).measure(told) == {"accuracy": pytest.approx(4 / 6)}
    assert Perplexity(NoSettings()).measure(told) == {"perplexity": pytest.approx(2 ** (8 / 6))}


def test_the_model_reads_a_part_once_for_all_of_them() -> None:
    model = Constant()
    told = evidence(model, [0, 0, 1, 0], [2, 0])
    figures: dict[str, Any] = {}
    for metric in (NegativeLogLikelihood, Accuracy, Perplexity):
        figures |= metric(NoSettings()).measure(told)
    # Both pieces fit into one batch.
    assert model.asked == 1
    # Of another part it knows nothing yet.
    other = evidence(model, [1])
    assert NegativeLogLikelihood(NoSettings()).measure(other)["nll"] == pytest.approx(math.log(4))
    assert model.asked == 2
    # The figures are those of a reading for the likelihood alone.
    assert figures["nll"] == score_pieces(model, told.part).mean == pytest.approx(4 / 3 * LN2)
    assert figures["nll_per_piece"] == pytest.approx({"0": 1.25 * LN2, "1": 1.5 * LN2})
    assert figures["accuracy"] == pytest.approx(4 / 6)
    assert figures["perplexity"] == math.exp(figures["nll"])
    # The encoder's six steps of a sixteenth are a beat and a half.
    assert figures["nats_per_beat"] == pytest.approx(8 * LN2 / 1.5)


def test_a_metric_of_ones_own_shares_what_was_read() -> None:
    model = Constant()
    told = evidence(model, [0, 1, 0])
    assert Accuracy(NoSettings()).measure(told) == {"accuracy": pytest.approx(2 / 3)}
    said = told.once(predictions)
    assert said.nll is not None
    assert said.right is not None
    assert said.nll.pieces[0] == pytest.approx(np.array([1, 2, 1]) * LN2)
    assert said.right.pieces[0].tolist() == [1, 0, 1]
    assert model.asked == 1
    # So does work of its own.
    names: list[str] = []

    def work(evidence: Evidence) -> int:
        names.append(evidence.part_name)
        return len(evidence.part)

    assert (told.once(work), told.once(work), names) == (1, 1, ["valid"])


def test_they_are_of_tokens_and_of_pieces() -> None:
    grid = Grid(lowest=60, pitches=3, step=beats("1"))
    step = np.zeros((1, 3, 1), np.uint8)
    for metric in (Accuracy(NoSettings()), Perplexity(NoSettings())):
        assert metric.measure(evidence(Constant())) == {}
    assert Perplexity(NoSettings()).measure(evidence(Constant(grid), step)) == {}
    figures = Accuracy(NoSettings()).measure(evidence(Constant(grid), step))
    assert figures == {"frame_accuracy": 0.0}


def test_a_model_that_only_tells_its_likelihood_has_a_perplexity_and_no_accuracy() -> None:
    told = evidence(Constant(logits=False), [0, 1])
    assert Perplexity(NoSettings()).measure(told) == {"perplexity": pytest.approx(2**1.5)}
    with refused("likelihood-missing", "accuracy"):
        Accuracy(NoSettings()).measure(told)


def test_a_model_that_tells_nothing_is_one_line() -> None:
    class Silent(Constant):
        def forward(self, batch: Batch) -> Output:
            return Output(loss=torch.zeros(()), mask=batch.mask)

    for metric in (NegativeLogLikelihood, Perplexity):
        with refused("likelihood-missing", "nll"):
            metric(NoSettings()).measure(evidence(Silent(), [0]))


def test_a_hopeless_model_still_has_a_number() -> None:
    model = Constant()
    with torch.no_grad():
        model.shares.copy_(torch.tensor([1.0, 0.0, 0.0]))
    figures = Perplexity(NoSettings()).measure(evidence(model, [1]))
    assert figures["perplexity"] == pytest.approx(torch.tensor(700.0, dtype=torch.float64).exp())
