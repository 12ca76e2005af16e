"""A step that redraws leave at fault is settled within limits, and only that step."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from helpers import beats
from musengine.encoding.layouts import Grid
from musengine.generation.sampler_chain import Chain
from musengine.interfaces.model import Model, Proposal
from musengine.interfaces.sampler import Draw, GridSampler, History, Limits, PieceRandom, Sampler
from musengine.plugins.configs import ModelConfig, NoSettings

GRID = Grid(lowest=60, pitches=4, step=beats("1/4"))
NOTHING = torch.zeros(4, 1, dtype=torch.bool)


class Counting(Model[ModelConfig]):
    """A model whose context is its logits; it counts how often it is asked."""

    asked = 0

    def propose(self, context: Tensor, draw: Draw) -> Proposal:
        self.asked += 1
        return super().propose(context, draw)


class Plain(GridSampler[NoSettings]):
    """The draw as it is."""

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        return thresholds


class Wanting(Plain):
    """Sends back steps without one note, and insists on it or gives in."""

    forces = True

    def __init__(self, row: int, *, insisting: bool = True, redraws: int = 4) -> None:
        super().__init__(NoSettings(), GRID)
        self.row, self.insisting, self.max_redraws = row, insisting, redraws
        self.given: list[Limits] = []

    def review(self, proposal: Proposal, history: History) -> Tensor | None:
        return proposal.choice[:, self.row, 0] == 0

    def insist(self, limits: Limits, proposal: Proposal, history: History) -> Limits | None:
        self.given.append(limits)
        mask = NOTHING.clone()
        mask[self.row] = True
        return limits.force(mask) if self.insisting else None


class Refusing(Plain):
    """Sends back steps with one note, and then forbids it."""

    def __init__(self, row: int) -> None:
        super().__init__(NoSettings(), GRID)
        self.row = row

    def review(self, proposal: Proposal, history: History) -> Tensor | None:
        return proposal.choice[:, self.row, 0] == 1

    def insist(self, limits: Limits, proposal: Proposal, history: History) -> Limits | None:
        mask = NOTHING.clone()
        mask[self.row] = True
        return limits.forbid(mask)


def step(
    samplers: Sequence[Sampler], sound: Sequence[float], pieces: int = 1
) -> tuple[list[list[int]], int]:
    """One step of a model with these logits; returns the notes and how often it was asked."""
    chain = Chain(samplers, GRID)
    history = History(GRID, torch.zeros(pieces, 0, 4, 1, dtype=torch.uint8), 0)
    chain.begin(history, PieceRandom(list(range(pieces)), torch.device("cpu")))
    model = Counting(ModelConfig(), GRID)
    logits = torch.tensor(sound)[None, :, None].expand(pieces, 4, 1)
    return chain.choose(model, logits, history).choice[..., 0].tolist(), model.asked


@pytest.mark.parametrize("silent", [-40.0, -torch.inf])
def test_after_the_last_redraw_a_step_is_settled(silent: float):
    notes, asked = step([Wanting(2)], [40.0, silent, silent, silent])
    assert notes == [[1, 0, 1, 0]]
    assert asked == 1 + 4 + 1


def test_without_redraws_it_is_settled_at_once():
    notes, asked = step([Wanting(2, redraws=0)], [40.0, -40.0, -40.0, -40.0])
    assert (notes, asked) == ([[1, 0, 1, 0]], 2)


def test_a_sampler_that_does_not_insist_lets_the_step_stand():
    notes, asked = step([Wanting(2, insisting=False)], [40.0, -40.0, -40.0, -40.0])
    assert (notes, asked) == ([[1, 0, 0, 0]], 5)


def test_a_step_that_is_well_is_not_settled():
    wanting = Wanting(0)
    assert step([wanting], [40.0, -40.0, -40.0, -40.0]) == ([[1, 0, 0, 0]], 1)
    assert wanting.given == []


@pytest.mark.parametrize("forcing_first", [True, False])
def test_what_only_forbids_is_asked_first_and_wins(forcing_first: bool):
    samplers: list[Sampler] = [Wanting(1), Refusing(0), Refusing(1)]
    wanting = samplers[0]
    if not forcing_first:
        samplers.reverse()
    notes, _ = step(samplers, [40.0, -40.0, -40.0, 40.0])
    assert notes == [[0, 0, 0, 1]]
    assert isinstance(wanting, Wanting)
    assert wanting.given[0].forbidden[0, :, 0].tolist() == [True, True, False, False]


def test_other_pieces_keep_their_step_and_the_settled_one_its_numbers():
    # Note 3 is drawn with probability 1/2. Pieces that drew it stay as they were; the others get
    # it, and the rest of their notes from the numbers they had.
    plain, _ = step([Plain(NoSettings(), GRID)], [0.0] * 4, pieces=40)
    settled, asked = step([Wanting(3, redraws=0)], [0.0] * 4, pieces=40)
    assert asked == 2
    assert settled == [[*notes[:3], 1] for notes in plain]
    assert 5 < sum(notes[3] for notes in plain) < 35
