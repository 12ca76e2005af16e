from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers import beats, piano_roll
from musengine.builtin.configs import FrequenciesConfig
from musengine.builtin.models.frequencies import Frequencies
from musengine.builtin.samplers import Bernoulli, Categorical, Greedy
from musengine.config.quantities import Length
from musengine.data.batching import collate
from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.generation.engine import AT_ONCE, GenerationPlan, generate, piece_seeds
from musengine.generation.sampler_chain import Chain
from musengine.interfaces.batching import Row
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece
from musengine.interfaces.model import Model, Proposal
from musengine.interfaces.sampler import (
    Draw,
    GridSampler,
    History,
    Limits,
    PieceRandom,
    Sampler,
    TokenSampler,
)
from musengine.plugins.configs import ModelConfig, NoSettings

CPU = torch.device("cpu")
GRID = Grid(lowest=60, pitches=4, channels=("sound",), step=beats("1/4"))
TOKENS = Tokens(size=3)


class Counting(Model[ModelConfig]):
    """A model whose context is its logits; it counts how often it is asked."""

    asked = 0

    def propose(self, context: Tensor, draw: Draw) -> Proposal:
        self.asked += 1
        return super().propose(context, draw)


class Square(GridSampler[NoSettings]):
    """f(p) = p², so that f⁻¹(u) is the root of u."""

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        return thresholds.sqrt()


class Half(GridSampler[NoSettings]):
    """f(p) = p / 2, so that f⁻¹(u) = 2 u; what no probability reaches is 1."""

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        return (2 * thresholds).clamp(max=1.0)


class Double(TokenSampler[NoSettings]):
    """Doubles the logits: half the temperature."""

    def logits(self, logits: Tensor, history: History) -> Tensor:
        return 2 * logits


class FavourFirst(TokenSampler[NoSettings]):
    """Adds one to the first token's logit."""

    def logits(self, logits: Tensor, history: History) -> Tensor:
        return logits + torch.tensor([1.0, 0.0, 0.0])


def chain_of(samplers: Sequence[Sampler], layout: Layout, seeds: Sequence[int]) -> Chain:
    chain = Chain(samplers, layout)
    chain.begin(past(layout, len(seeds)), PieceRandom(list(seeds), CPU))
    return chain


def past(layout: Layout, pieces: int) -> History:
    return History(layout, torch.zeros(pieces, 0, *layout.step_shape), 0)


def made(samplers: Sequence[type[Sampler]], layout: Layout) -> list[Sampler]:
    return [sampler(NoSettings(), layout) for sampler in samplers]


def choices(
    samplers: Sequence[Sampler], layout: Layout, logits: Tensor, seeds: Sequence[int], steps: int
) -> Tensor:
    """Steps (steps, pieces, ...) drawn from the same logits at each step."""
    chain = chain_of(samplers, layout, seeds)
    model = Counting(ModelConfig(), layout)
    expanded = logits.expand(len(seeds), *logits.shape)
    history = past(layout, len(seeds))
    return torch.stack([chain.choose(model, expanded, history).choice for _ in range(steps)])


class TestReshaping:
    @pytest.mark.parametrize(
        ("samplers", "reshaped"),
        [
            ([Square, Half], lambda p: p**2 / 2),
            ([Half, Square], lambda p: (p / 2) ** 2),
            ([Half, Bernoulli, Half], lambda p: p / 4),
            ([Square, Square], lambda p: p**4),
        ],
    )
    def test_a_chain_of_grids_reshapes_first_to_last(self, samplers, reshaped):
        p = torch.tensor([[0.2], [0.5], [0.8], [0.97]], dtype=torch.float64)
        seeds = range(100)
        found = choices(made(samplers, GRID), GRID, torch.logit(p), seeds, 100)
        # Drawn by the same numbers as u < f(p); none of them may lie at the very border.
        numbers = PieceRandom(list(seeds), CPU)
        u = torch.stack([numbers.uniform((4, 1)) for _ in range(100)]).double()
        clear = (u - reshaped(p)).abs() > 1e-5
        assert torch.equal(found.bool()[clear], (u < reshaped(p))[clear])
        assert clear.double().mean() > 0.999

    @pytest.mark.parametrize(
        ("samplers", "shaped"),
        [
            # (x0, x1, x2) doubled, then one added to the first; and the other way round.
            ([Double, FavourFirst], [2 * 0.0 + 1, 2 * 0.5, 2 * -0.5]),
            ([FavourFirst, Double], [2 * (0.0 + 1), 2 * 0.5, 2 * -0.5]),
        ],
    )
    def test_a_chain_of_tokens_reshapes_first_to_last(self, samplers, shaped):
        logits = torch.tensor([0.0, 0.5, -0.5])
        found = choices(made(samplers, TOKENS), TOKENS, logits, range(100), 100)
        counted = torch.bincount(found.flatten(), minlength=3).double()
        p = torch.tensor(shaped).double().softmax(dim=0)
        assert ((counted - 10_000 * p).abs() <= 4 * (10_000 * p * (1 - p)).sqrt()).all()

    def test_the_likeliest_of_a_reshaped_draw(self):
        # What is squared and halved is never likelier than a half: nothing sounds at all.
        p = torch.tensor([[0.2], [0.5], [0.8], [1.0]])
        found = choices(made([Greedy, Square], GRID), GRID, torch.logit(p), [1, 2], 3)
        # f is 1 above a half and 0 elsewhere, and squares of 0 and 1 are 0 and 1.
        assert (found == torch.tensor([[0], [0], [1], [1]])).all()


class SendBack(GridSampler[NoSettings]):
    """Sends chosen pieces back, however often they come."""

    def __init__(self, pieces: Sequence[int], most: int) -> None:
        super().__init__(NoSettings(), GRID)
        self.pieces, self.max_redraws = list(pieces), most
        self.reviewed: list[Tensor] = []
        self.observed: list[Tensor] = []

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        return thresholds

    def review(self, proposal: Proposal, history: History) -> Tensor | None:
        self.reviewed.append(proposal.choice.clone())
        again_N = torch.zeros(len(proposal.choice), dtype=torch.bool)
        again_N[self.pieces] = True
        return again_N

    def observe(self, choice: Tensor) -> None:
        self.observed.append(choice.clone())


EVEN = torch.zeros(4, 1)
"""Logits of four notes, each as likely as not."""


class TestRedrawing:
    @pytest.mark.parametrize("most", [0, 1, 3])
    def test_a_step_is_drawn_again_so_often_at_most(self, most):
        sampler = SendBack([1], most)
        chain = chain_of([sampler], GRID, [7, 8, 9])
        model = Counting(ModelConfig(), GRID)
        proposal = chain.choose(model, EVEN.expand(3, 4, 1), past(GRID, 3))
        assert model.asked == 1 + most
        # It is told once what was chosen in the end.
        assert len(sampler.observed) == 1
        assert torch.equal(sampler.observed[0], proposal.choice)

    def test_only_pieces_sent_back_are_drawn_again(self):
        plain = choices(made([Bernoulli], GRID), GRID, EVEN, [7, 8, 9], 40)
        sampler = SendBack([1], 3)
        again = choices([sampler], GRID, EVEN, [7, 8, 9], 40)
        assert torch.equal(plain[:, [0, 2]], again[:, [0, 2]])
        assert not torch.equal(plain[:, 1], again[:, 1])
        # Every step starts from the numbers it would have had without any redraw.
        first = torch.stack(sampler.reviewed[:: len(sampler.reviewed) // 40])
        assert torch.equal(first, plain)

    def test_a_redraw_has_fresh_numbers_each_time(self):
        sampler = SendBack([0], 6)
        layout = Grid(lowest=0, pitches=64, channels=("sound",), step=beats("1/4"))
        chain = Chain([sampler], layout)
        history = past(layout, 1)
        chain.begin(history, PieceRandom([3], CPU))
        chain.choose(Counting(ModelConfig(), layout), torch.zeros(1, 64, 1), history)
        assert len({tuple(choice.flatten().tolist()) for choice in sampler.reviewed}) >= 7

    def test_a_piece_is_redrawn_alike_whoever_is_beside_it(self):
        together = choices([SendBack([0, 2], 2)], GRID, EVEN, [7, 8, 9], 30)
        alone = choices([SendBack([0], 2)], GRID, EVEN, [9], 30)
        assert torch.equal(together[:, 2], alone[:, 0])

    def test_each_sampler_has_its_own_patience(self):
        hasty, patient = SendBack([0], 1), SendBack([1], 3)
        chain = chain_of([hasty, patient], GRID, [7, 8])
        model = Counting(ModelConfig(), GRID)
        last = chain.choose(model, EVEN.expand(2, 4, 1), past(GRID, 2))
        assert model.asked == 1 + 3
        # Piece 0 was drawn again once; what came then has stayed.
        seen = torch.stack(patient.reviewed)
        assert (seen[1:4, 0] == seen[1, 0]).all()
        assert torch.equal(last.choice[0], seen[1, 0])

    def test_the_logits_kept_belong_to_the_choice_kept(self):
        class Other(Counting):
            def propose(self, context: Tensor, draw: Draw) -> Proposal:
                # Another opinion each time it is asked, as after other notes of the same step.
                return super().propose(context + self.asked, draw)

        chain = chain_of([SendBack([1], 2)], GRID, [7, 8])
        proposal = chain.choose(Other(ModelConfig(), GRID), EVEN.expand(2, 4, 1), past(GRID, 2))
        assert proposal.logits[:, 0, 0].tolist() == [0.0, 2.0]

    def test_well_content_samplers_ask_for_nothing(self):
        chain = chain_of([SendBack([], 4), *made([Bernoulli], GRID)], GRID, [7])
        model = Counting(ModelConfig(), GRID)
        chain.choose(model, EVEN.expand(1, 4, 1), past(GRID, 1))
        assert model.asked == 1


class Limiting(GridSampler[NoSettings], TokenSampler[NoSettings]):
    """Forbids and forces what it is told to."""

    def __init__(self, layout: Layout, forbidden: Tensor, forced: Tensor | None = None) -> None:
        super().__init__(NoSettings(), layout)
        self.forbidden, self.forced = forbidden, forced

    def limit(self, limits: Limits, history: History) -> Limits:
        limits = limits.forbid(self.forbidden)
        return limits if self.forced is None else limits.force(self.forced)

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        return thresholds

    def logits(self, logits: Tensor, history: History) -> Tensor:
        return logits


class TestLimits:
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_forbidden_notes_are_silent_and_forced_ones_sound(self, place):
        forbidden = torch.tensor([[True], [True], [False], [False]])
        forced = torch.tensor([[False], [True], [True], [False]])
        samplers = made([Square, Greedy], GRID)
        samplers.insert(place, Limiting(GRID, forbidden, forced))
        # Against certainty: the model is sure of the first two and rules the third out.
        logits = torch.tensor([[math.inf], [math.inf], [-math.inf], [3.0]])
        found = choices(samplers, GRID, logits, [1, 2], 5)
        # What is forbidden and forced stays silent.
        assert (found == torch.tensor([[0], [0], [1], [1]])).all()

    def test_forbidden_tokens_leave_the_others_their_proportions(self):
        limiting = Limiting(TOKENS, torch.tensor([False, True, False]))
        logits = torch.tensor([1.0, 9.0, 0.0])
        found = choices([*made([Categorical], TOKENS), limiting], TOKENS, logits, range(100), 100)
        counted = torch.bincount(found.flatten(), minlength=3).double()
        assert counted[1] == 0
        p = torch.tensor([1.0, 0.0]).double().softmax(dim=0)
        assert ((counted[[0, 2]] - 10_000 * p).abs() <= 4 * (10_000 * p * (1 - p)).sqrt()).all()

    def test_the_likeliest_token_allowed_is_chosen(self):
        limiting = Limiting(TOKENS, torch.tensor([False, True, False]))
        logits = torch.tensor([1.0, 9.0, 0.0])
        found = choices([*made([Greedy], TOKENS), limiting], TOKENS, logits, [1], 20)
        assert (found == 0).all()

    def test_tokens_are_never_all_forbidden(self):
        first = Limiting(TOKENS, torch.tensor([True, False, False]))
        rest = Limiting(TOKENS, torch.tensor([False, True, True]))
        found = choices([first, rest], TOKENS, torch.zeros(3), range(20), 20)
        # The first sampler's word counts; the second's would leave nothing.
        assert set(found.flatten().tolist()) == {1, 2}


class TestGenerating:
    """Whole pieces from a real model: frequencies of notes given the step before."""

    def encoder(self):
        return piano_roll(lowest=60, highest=65, step=beats("1/4"), notes="onsets")

    def model(self, layout: Layout) -> Frequencies:
        model = Frequencies(FrequenciesConfig(given="last"), layout)
        sound = np.random.default_rng(3).integers(0, 2, (60, 6, 1), dtype=np.uint8)
        roll = np.concatenate([sound, sound & (np.arange(60) % 2 == 0)[:, None, None]], axis=-1)
        piece = EncodedPiece("a", Encoded(steps=roll.astype(np.uint8)), "a")
        model.fit([collate([Row(0, 0, 60)], [piece])])
        return model

    def pieces(self, numbers: Sequence[int], *, steps: int = 150) -> dict[int, np.ndarray]:
        """Generate pieces with the seeds and prompts of these numbers, side by side."""
        encoder = self.encoder()
        seeds = piece_seeds(11, 220)
        # Prompt of three lengths, so that pieces are made in several groups.
        prompts = [np.ones((n % 3, 6, 2), dtype=np.uint8) for n in range(220)]
        plan = GenerationPlan(
            prompts=[Encoded(steps=prompts[n]) for n in numbers],
            first=[0] * len(numbers),
            seeds=[seeds[n] for n in numbers],
            length=Length(steps, "steps"),
            settings=[DecodeSettings()] * len(numbers),
        )
        samplers = made([Bernoulli], encoder.layout)
        made_pieces = generate(self.model(encoder.layout), encoder, samplers, plan, device=CPU)
        return dict(zip(numbers, (piece.steps for piece in made_pieces), strict=True))

    def test_a_piece_is_the_same_whether_one_or_ten_are_made(self):
        ten = self.pieces(range(10))
        for number in (0, 4, 9):
            (alone,) = self.pieces([number]).values()
            assert np.array_equal(alone, ten[number])
        assert len({piece.tobytes() for piece in ten.values()}) == 10
        backwards = self.pieces([9, 3, 0])
        assert all(np.array_equal(backwards[n], ten[n]) for n in (9, 3, 0))

    def test_a_piece_is_the_same_though_not_all_fit_side_by_side(self):
        # Pieces with numbers divisible by three have prompts of one length; these are more
        # than are made at once.
        numbers = range(0, 3 * (AT_ONCE + 6), 3)
        many = self.pieces(numbers, steps=5)
        for number in (numbers[0], numbers[-1]):
            (alone,) = self.pieces([number], steps=5).values()
            assert np.array_equal(many[number], alone)

    def test_what_is_generated_is_a_valid_roll(self):
        for piece in self.pieces(range(3)).values():
            assert piece.shape == (150, 6, 2)
            assert set(np.unique(piece)) == {0, 1}
            assert (piece[..., 1] <= piece[..., 0]).all()

    def test_seeds_are_the_same_however_many_there_are(self):
        seeds = piece_seeds(5, 100)
        assert piece_seeds(5, 3) == seeds[:3]
        assert len({*seeds, *piece_seeds(6, 100)}) == 200
        assert all(0 <= seed < 2**63 for seed in seeds)
