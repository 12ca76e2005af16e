from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from helpers import beats
from musengine.builtin.samplers import Bernoulli, Categorical, Greedy
from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.generation.sampler_chain import Chain
from musengine.interfaces.model import Model
from musengine.interfaces.sampler import GridDraw, History, PieceRandom, Sampler
from musengine.plugins.configs import ModelConfig, NoSettings

CPU = torch.device("cpu")
FIRST_SEED = 1000


def grid(pitches: int, *channels: str) -> Grid:
    return Grid(lowest=60, pitches=pitches, channels=channels or ("sound",), step=beats("1/4"))


def drawn(
    sampler: type[Sampler],
    logits: Tensor,
    layout: Layout,
    *,
    pieces: int,
    steps: int,
) -> Tensor:
    """Draw steps (steps, pieces, ...) of some pieces, all from the same logits at each step."""
    random = PieceRandom(list(range(FIRST_SEED, FIRST_SEED + pieces)), CPU)
    history = History(layout, torch.zeros(pieces, 0, *layout.step_shape), 0)
    chain = Chain([sampler(NoSettings(), layout)], layout)
    chain.begin(history, random)
    model: Model = Model(ModelConfig(), layout)
    expanded = logits.expand(pieces, *logits.shape)
    return torch.stack([chain.choose(model, expanded, history).choice for _ in range(steps)])


def agrees(counted: Tensor, probability: Tensor, draws: int) -> None:
    """Every count lies within four standard deviations of what its probability makes likely."""
    deviation = (draws * probability * (1 - probability)).sqrt()
    assert ((counted - draws * probability).abs() <= 4 * deviation).all()


class TestBernoulli:
    def test_every_note_sounds_as_often_as_its_probability(self):
        p = torch.tensor([[0.0], [0.02], [0.3], [0.5], [0.77], [0.99], [1.0]])
        choice = drawn(Bernoulli, torch.logit(p), grid(7), pieces=100, steps=200)
        assert choice.dtype == torch.uint8
        assert choice.shape == (200, 100, 7, 1)
        agrees(choice.double().sum(dim=(0, 1)), p.double(), 20_000)

    def test_notes_steps_and_pieces_are_independent(self):
        choice = drawn(Bernoulli, torch.zeros(2, 1), grid(2), pieces=100, steps=201)
        notes = choice[..., 0].double()
        pairs = {
            "two notes": notes[..., 0] * notes[..., 1],
            "two steps": notes[:-1, :, 0] * notes[1:, :, 0],
            "two pieces": notes[:, :-1, 0] * notes[:, 1:, 0],
        }
        for both in pairs.values():
            agrees(both.sum(), torch.tensor(0.25).double(), both.numel())

    def test_a_step_is_drawn_by_comparing_probabilities_with_the_pieces_numbers(self):
        p = torch.tensor([[0.2], [0.5], [0.9]])
        choice = drawn(Bernoulli, torch.logit(p), grid(3), pieces=4, steps=100)
        numbers = PieceRandom(list(range(FIRST_SEED, FIRST_SEED + 4)), CPU)
        expected = torch.stack([numbers.uniform((3, 1)) < p for _ in range(100)])
        assert torch.equal(choice.bool(), expected)

    def test_an_onset_is_drawn_only_where_its_note_sounds(self):
        # P(sound) = 0.4, P(onset | sound) = 0.7.
        p = torch.tensor([[0.4, 0.7]])
        layout = grid(1, "sound", "onset")
        choice = drawn(Bernoulli, torch.logit(p), layout, pieces=100, steps=200)
        sound, onset = choice[..., 0, 0].double(), choice[..., 0, 1].double()
        assert (onset <= sound).all()
        agrees(sound.sum(), torch.tensor(0.4).double(), 20_000)
        agrees(onset.sum(), torch.tensor(0.4 * 0.7).double(), 20_000)
        certain = torch.full((1, 2), math.inf)
        certain[0, 0] = -math.inf
        assert not drawn(Bernoulli, certain, layout, pieces=2, steps=5).any()


class TestCategorical:
    def test_every_token_comes_as_often_as_its_softmax(self):
        logits = torch.tensor([2.0, 0.0, -1.0, 1.0, -math.inf, 0.5])
        choice = drawn(Categorical, logits, Tokens(size=6), pieces=100, steps=200)
        assert choice.dtype == torch.int64
        assert choice.shape == (200, 100)
        counted = torch.bincount(choice.flatten(), minlength=6).double()
        assert counted[4] == 0
        agrees(counted, logits.double().softmax(dim=0), 20_000)

    def test_steps_and_pieces_are_independent(self):
        choice = drawn(Categorical, torch.zeros(3), Tokens(size=3), pieces=100, steps=201)
        for same in (choice[:-1] == choice[1:], choice[:, :-1] == choice[:, 1:]):
            agrees(same.double().sum(), torch.tensor(1 / 3).double(), same.numel())


class TestGreedy:
    def test_a_note_sounds_where_it_is_likelier_than_not(self):
        p = torch.tensor([[0.0], [0.49], [0.5], [0.51], [1.0]])
        choice = drawn(Greedy, torch.logit(p), grid(5), pieces=3, steps=4)
        assert (choice == torch.tensor([[0], [0], [0], [1], [1]])).all()

    def test_the_likeliest_token_is_chosen_and_the_first_of_equals(self):
        layout = Tokens(size=4)
        for logits, best in [([0.0, 1.0, 3.0, 2.0], 2), ([0.0, 5.0, 5.0, 1.0], 1)]:
            choice = drawn(Greedy, torch.tensor(logits), layout, pieces=3, steps=70)
            assert (choice == best).all()

    def test_chance_does_not_matter_at_its_ends(self):
        # A number of exactly nought, which chance gives once in sixteen millions, makes Gumbel
        # noise of minus infinity; a token with all the probability is chosen all the same.
        class Nought(PieceRandom):
            def uniform(self, shape: tuple[int, ...]) -> Tensor:
                return torch.zeros((1, *shape))

        layout = Tokens(size=4)
        history = History(layout, torch.zeros(1, 0), 0)
        for sampler, logits in [
            (Greedy, torch.tensor([[0.0, 1.0, 3.0, 2.0]])),
            (Categorical, torch.tensor([[-math.inf, -math.inf, 0.0, -math.inf]])),
        ]:
            chain = Chain([sampler(NoSettings(), layout)], layout)
            chain.begin(history, Nought([1], CPU))
            choice = chain.choose(Model(ModelConfig(), layout), logits, history).choice
            assert choice.tolist() == [2]


class TestPieceRandom:
    def test_a_piece_has_its_own_numbers_whoever_is_beside_it(self):
        together = PieceRandom([5, 6, 7], CPU)
        alone = PieceRandom([7], CPU)
        for _ in range(200):  # more than are drawn ahead at once
            assert torch.equal(together.uniform((3, 2))[2], alone.uniform((3, 2))[0])
        assert torch.equal(
            together.redraw(torch.tensor([2, 0]), (4,))[0],
            alone.redraw(torch.tensor([0]), (4,))[0],
        )

    def test_a_redraw_takes_nothing_from_the_numbers_to_come(self):
        plain, redrawing = PieceRandom([1, 2], CPU), PieceRandom([1, 2], CPU)
        for _ in range(100):
            redrawing.redraw(torch.tensor([1]), (3,))
            assert torch.equal(plain.uniform((3,)), redrawing.uniform((3,)))
        # Nor does the redraw of one piece from that of another.
        assert torch.equal(
            plain.redraw(torch.tensor([0]), (3,)), redrawing.redraw(torch.tensor([0]), (3,))
        )

    def test_numbers_are_new_each_time(self):
        random = PieceRandom([1], CPU)
        seen = [random.uniform((2,)) for _ in range(70)]
        seen += [random.redraw(torch.tensor([0]), (2,)) for _ in range(3)]
        assert len({tuple(numbers.flatten().tolist()) for numbers in seen}) == 73
        assert all((numbers >= 0).all() and (numbers < 1).all() for numbers in seen)

    def test_numbers_for_a_purpose_of_their_own(self):
        plain, used = PieceRandom([1, 2], CPU), PieceRandom([1, 2], CPU)
        once, again = used.apart("tempo"), PieceRandom([9, 2], CPU).apart("tempo")
        own = once.uniform((3,))
        # The same for the same piece and purpose, other ones for another, and nothing is taken.
        assert torch.equal(own[1], again.uniform((3,))[1])
        assert not torch.equal(own, used.apart("swing").uniform((3,)))
        assert torch.equal(plain.uniform((3,)), used.uniform((3,)))


def test_a_grid_draw_is_a_comparison_of_logits():
    thresholds = torch.tensor([[[0.5], [-1.0], [math.inf], [-math.inf]]])
    draw = GridDraw(thresholds, grid(4))
    assert draw(torch.tensor([[[0.5], [-0.5], [99.0], [-99.0]]])).flatten().tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_logits_of_any_precision_are_drawn_from(dtype):
    p = torch.tensor([[0.25], [0.75]], dtype=torch.float64)
    choice = drawn(Bernoulli, torch.logit(p).to(dtype), grid(2), pieces=50, steps=40)
    agrees(choice.double().sum(dim=(0, 1)), p, 2000)
    tokens = drawn(Categorical, p[:, 0].log().to(dtype), Tokens(size=2), pieces=50, steps=40)
    agrees(torch.bincount(tokens.flatten(), minlength=2).double(), p[:, 0], 2000)


def test_greedy_leaves_forbidden_what_another_sampler_forbade() -> None:
    layout = Grid(lowest=60, pitches=2, step=beats("1/4"))
    greedy = Greedy(NoSettings(), layout)
    history = History(layout, torch.zeros(1, 0, 2, 1), 0)
    # A threshold of 1 says that the element must stay 0, however probable it is.
    thresholds = torch.tensor([[[1.0], [0.2]]])
    assert greedy.thresholds(thresholds, history).tolist() == [[[1.0], [0.5]]]
