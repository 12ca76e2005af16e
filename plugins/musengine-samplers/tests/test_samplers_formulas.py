"""Every sampler against its formula: thresholds and logits exactly, and draws by counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampler_toys import (
    MELODY,
    MERGED,
    ONSETS,
    ROLL,
    NoteByNote,
    Told,
    chain,
    logits_of,
    make,
    sampler,
)
from torch import Tensor

from musengine.api import Draw, History, Layout, PieceRandom, Proposal
from musengine.testing.strategies import few

probability = st.floats(0.01, 0.99)


def history(layout: Layout, pieces: int) -> History:
    shape = (pieces, 0, *layout.step_shape)
    return History(layout, torch.zeros(shape, dtype=torch.uint8), 0)


def thresholds(kind: str, numbers: list[float], **options: float) -> list[float]:
    """What a fresh sampler makes of thresholds, in double precision."""
    tensor = torch.tensor(numbers, dtype=torch.float64)[None, :, None]
    shaping = sampler(kind, MERGED, **options)
    shaping.begin(history(MERGED, 1), PieceRandom([0], torch.device("cpu")))
    return shaping.thresholds(tensor, history(MERGED, 1))[0, :, 0].tolist()


def shaped(kind: str, probabilities: list[float], **options: float) -> list[float]:
    """The probabilities that a sampler leaves of the tokens'."""
    logits = torch.tensor(probabilities, dtype=torch.float64).log()[None]
    shaping = sampler(kind, MELODY, **options)
    shaping.begin(history(MELODY, 1), PieceRandom([0], torch.device("cpu")))
    return shaping.logits(logits, history(MELODY, 1)).softmax(dim=1)[0].tolist()


def within(count: int, draws: int, p: float) -> bool:
    """Whether a count of draws is what a probability leads to.

    The count of independent draws has the standard deviation sqrt(n p (1 - p)); beyond four of
    them it lies once in 16,000 times.
    """
    return abs(count - draws * p) <= 4 * math.sqrt(draws * p * (1 - p)) + 1e-9


def test_threshold_is_the_larger_of_number_and_setting():
    assert thresholds("threshold", [0.0, 0.05, 0.1, 0.7, 1.0]) == [0.1, 0.1, 0.1, 0.7, 1.0]
    assert thresholds("threshold", [0.0, 0.2], threshold=0.0) == [0.0, 0.2]


def test_a_probability_at_the_threshold_is_never_drawn_one_above_as_it_is():
    # Probabilities 0.05, 0.1 and 0.25: the first two are at most 0.1.
    logits = torch.logit(torch.tensor([0.05, 0.1, 0.25] + [0.9] * 9))[:, None]
    pieces = make(Told(MERGED, logits), chain(MERGED, ("threshold", {"threshold": 0.1})), 2000)
    counts = pieces[0][..., 0].sum(axis=0)
    assert counts[:2].tolist() == [0, 0]
    assert within(counts[2], 2000, 0.25)
    assert within(counts[3:].sum(), 9 * 2000, 0.9)


@few(50)
@given(number=probability, p=probability, temperature=st.floats(0.2, 5.0))
def test_temperature_on_a_grid_divides_the_logit(number: float, p: float, temperature: float):
    # u < σ(logit(p) / T) must be the same as threshold < p, unless it is a tie.
    drawn = number < 1 / (1 + ((1 - p) / p) ** (1 / temperature))
    (threshold,) = thresholds("temperature", [number], temperature=temperature)
    assert (threshold < p) == drawn or threshold == pytest.approx(p, abs=1e-9)


def test_thresholds_of_0_and_1_stay_so_that_what_is_forced_or_forbidden_stays():
    for kind in ("temperature", "tempered", "adaptive"):
        assert thresholds(kind, [0.0, 1.0]) == [0.0, 1.0]


def test_temperature_on_tokens_divides_the_logits():
    # Powers of 2: [1/2, 1/4, 1/4] squared is [4, 1, 1] / 16, so [2/3, 1/6, 1/6].
    assert shaped("temperature", [0.5, 0.25, 0.25], temperature=0.5) == pytest.approx(
        [2 / 3, 1 / 6, 1 / 6]
    )
    assert shaped("temperature", [0.5, 0.25, 0.25]) == pytest.approx([0.5, 0.25, 0.25])


def test_tempered_on_tokens_is_the_power_renormalised():
    # Sigma 0: every piece has the power mu. [1/2, 1/4, 1/4] to the power 3 is [8, 1, 1] / 64.
    assert shaped("tempered", [0.5, 0.25, 0.25], mu=3.0, sigma=0.0) == pytest.approx(
        [0.8, 0.1, 0.1]
    )


@few(50)
@given(number=probability, p=probability, power=st.floats(0.2, 5.0))
def test_tempered_on_a_grid_is_the_power_renormalised(number: float, p: float, power: float):
    # p^A / (p^A + (1 - p)^A), as for tokens, the two choices being 1 and 0.
    drawn = number < p**power / (p**power + (1 - p) ** power)
    (threshold,) = thresholds("tempered", [number], mu=power, sigma=0.0)
    assert (threshold < p) == drawn or threshold == pytest.approx(p, abs=1e-6)


def powers(mu: float, sigma: float, seeds: range, layout: Layout = MERGED) -> Tensor:
    tempered = sampler("tempered", layout, mu=mu, sigma=sigma)
    tempered.begin(history(layout, len(seeds)), PieceRandom(list(seeds), torch.device("cpu")))
    return tempered.power_N.double()


def test_powers_are_normal():
    drawn = powers(2.0, 0.25, range(4000))
    # The mean of n draws has the standard deviation sigma / sqrt(n), their standard deviation has
    # sigma / sqrt(2 n); 8 sigma above 0, none is drawn again.
    assert abs(drawn.mean() - 2.0) < 4 * 0.25 / math.sqrt(4000)
    assert abs(drawn.std() - 0.25) < 4 * 0.25 / math.sqrt(8000)
    # And the shape: a share of Φ(1) lies below mu + sigma.
    assert within(int((drawn < 2.25).sum()), 4000, 0.841345)


def test_a_power_at_or_below_0_is_drawn_again():
    drawn = powers(0.1, 1.0, range(4000))
    assert (drawn > 0).all()
    # Normal given that it is above 0: P(A < 1 | A > 0) with a = Φ(-0.1) = 0.460172 and
    # Φ(0.9) = 0.815940: (0.815940 - 0.460172) / (1 - 0.460172) = 0.659045.
    assert within(int((drawn < 1).sum()), 4000, 0.659045)


def test_the_smallest_number_still_gives_a_power():
    class Zeros(PieceRandom):
        def apart(self, purpose: str) -> PieceRandom:
            return self

        def redraw(self, pieces: Tensor, shape: tuple[int, ...]) -> Tensor:
            return torch.zeros(len(pieces), *shape)

    for mu, sigma in ((1.5, 0.0), (20.0, 1.0)):
        tempered = sampler("tempered", MERGED, mu=mu, sigma=sigma)
        tempered.begin(history(MERGED, 1), Zeros([0], torch.device("cpu")))
        assert mu - 15 * sigma <= float(tempered.power_N[0]) <= mu


def test_a_piece_keeps_its_power_and_leaves_the_other_numbers_alone():
    many, alone = powers(1.0, 0.5, range(10)), powers(1.0, 0.5, range(7, 8))
    assert many[7] == alone[0]
    assert len(set(many.tolist())) == 10
    # With the power 1 the draw is the plain one, from the same numbers.
    model = Told(MERGED, logits_of(MERGED, 0.0))
    plain = make(model, chain(MERGED, "bernoulli"), 20)
    tempered = make(model, chain(MERGED, ("tempered", {"mu": 1.0, "sigma": 0.0})), 20)
    assert np.array_equal(plain[0], tempered[0])
    # Nor does it take the numbers of redraws: half the steps have fewer than six of twelve notes.
    guard = ("notes-at-once", {"at_least": 6})
    drawn_again = make(model, chain(MERGED, guard), 20)
    both = make(model, chain(MERGED, ("tempered", {"mu": 1.0, "sigma": 0.0}), guard), 20)
    assert np.array_equal(drawn_again[0], both[0])


@pytest.mark.parametrize(("power", "p"), [(0.5, 0.3), (2.0, 0.3)])
def test_tempered_draws_by_the_formula(power: float, p: float):
    logit = math.log(p / (1 - p))
    drawn = make(
        Told(MERGED, logits_of(MERGED, logit)),
        chain(MERGED, ("tempered", {"mu": power, "sigma": 0.0})),
        1000,
    )
    expected = p**power / (p**power + (1 - p) ** power)
    assert within(int(drawn[0].sum()), 12 * 1000, expected)


class Adaptive:
    """The rule of the biaxial net's generation, written out for one piece."""

    def __init__(self, start: float) -> None:
        self.c = start

    def after(self, sounding: int) -> float:
        if sounding < 2:
            self.c = min(1.0, self.c) - 0.02
        else:
            self.c += (1.0 - self.c) * 0.3
        self.c = max(self.c, 0.02)
        return self.c


@few(50)
@given(st.lists(st.integers(0, 4), max_size=80), st.sampled_from([1.0, 1.5, 0.4]))
def test_adaptive_follows_the_rule(counts: list[int], start: float):
    rule, made = Adaptive(start), sampler("adaptive", ONSETS, start=start)
    made.begin(history(ONSETS, 2), PieceRandom([0, 1], torch.device("cpu")))
    numbers = torch.full((2, 12, 2), 0.3, dtype=torch.float64)
    second = Adaptive(start)
    for count in counts:
        # The first piece follows the list; in the second, two notes always sound.
        choice = torch.zeros(2, 12, 2, dtype=torch.uint8)
        choice[0, :count, 0] = 1
        choice[1, :2, 0] = 1
        made.observe(choice)
        c, other = rule.after(count), second.after(2)
        mapped = made.thresholds(numbers, history(ONSETS, 2))
        assert mapped[0, :, 0].tolist() == pytest.approx([0.3 ** (1 / c)] * 12, rel=1e-3)
        assert mapped[1, :, 0].tolist() == pytest.approx([0.3 ** (1 / other)] * 12, rel=1e-3)
        assert mapped[..., 1].tolist() == numbers[..., 1].tolist()


def test_adaptive_draws_with_the_probability_to_the_power_c():
    # Too few notes in every step: "fewest" is beyond all pitches. So after t steps
    # c = 1 - 0.1 t, not below 0.2: from the 9th step on p ** 0.2.
    p = 1e-3
    options = {"fewest": 100, "lowered_by": 0.1, "least": 0.2}
    model = Told(MERGED, logits_of(MERGED, math.log(p / (1 - p))))
    pieces = make(model, chain(MERGED, ("adaptive", options)), 20, count=200)
    sound = np.stack(pieces)[..., 0]
    for t in (0, 4, 9, 15):
        expected = p ** max(1 - 0.1 * t, 0.2)
        assert within(int(sound[:, t].sum()), 200 * 12, expected), t


def test_adaptive_ends_long_silences():
    # p = 0.0005 for 12 notes: plainly 1 step in 167 has a note.
    model = Told(MERGED, logits_of(MERGED, -7.6))
    plain = make(model, chain(MERGED, "bernoulli"), 300, count=4)
    helped = make(model, chain(MERGED, "adaptive"), 300, count=4)
    assert np.mean([piece.any(axis=(1, 2)).mean() for piece in plain]) < 0.02
    assert np.mean([piece.any(axis=(1, 2)).mean() for piece in helped]) > 0.2


LADDER = [0.4, 0.3, 0.15, 0.1, 0.05]


def test_top_k_keeps_the_k_likeliest_tokens():
    assert shaped("top-k", LADDER, k=2) == pytest.approx([4 / 7, 3 / 7, 0, 0, 0])
    assert shaped("top-k", LADDER[::-1], k=1) == [0, 0, 0, 0, 1]
    assert shaped("top-k", LADDER, k=50) == pytest.approx(LADDER)
    # Among equals, exactly k.
    assert sorted(shaped("top-k", [0.2] * 5, k=2)) == pytest.approx([0, 0, 0, 0.5, 0.5])


def test_nucleus_keeps_the_fewest_that_reach_p():
    # 0.4 + 0.3 = 0.7 < 0.8 <= 0.85: the first three.
    assert shaped("nucleus", LADDER, p=0.8) == pytest.approx([8 / 17, 6 / 17, 3 / 17, 0, 0])
    assert shaped("nucleus", LADDER[::-1], p=0.8)[:2] == [0, 0]
    assert shaped("nucleus", LADDER, p=0.1) == [1, 0, 0, 0, 0]
    assert shaped("nucleus", LADDER, p=1.0) == pytest.approx(LADDER)


def test_min_p_keeps_what_has_a_share_of_the_highest():
    # A quarter of 0.4 is 0.1: tokens at 0.1 and above, the bound itself as exact as its logarithm.
    assert shaped("min-p", LADDER, p=0.2499) == pytest.approx([8 / 19, 6 / 19, 3 / 19, 2 / 19, 0])
    assert shaped("min-p", LADDER, p=0.2501) == pytest.approx([8 / 17, 6 / 17, 3 / 17, 0, 0])
    assert shaped("min-p", LADDER, p=1.0) == [1, 0, 0, 0, 0]


@few(50)
@given(
    logits=st.lists(st.floats(-8, 8), min_size=2, max_size=20),
    k=st.integers(1, 8),
    p=st.floats(0.01, 0.99),
)
def test_what_is_left_out_is_the_least_likely(logits: list[float], k: int, p: float):
    raw = torch.tensor([logits], dtype=torch.float64)
    softmax = raw.softmax(dim=1)
    for kind, options in (("top-k", {"k": k}), ("nucleus", {"p": p}), ("min-p", {"p": p})):
        left = ~sampler(kind, MELODY, **options).logits(raw, history(MELODY, 1)).isneginf()
        assert left.any()
        if not left.all():
            assert raw[left].min() >= raw[~left].max()
        if kind == "top-k":
            assert left.sum() == min(k, len(logits))
        if kind == "nucleus":
            # Enough, and without the least likely of them not enough.
            assert softmax[left].sum() >= p - 1e-9
            assert softmax[left].sum() - softmax[left].min() <= p + 1e-9


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("top-k", {"k": 2}, [4 / 7, 3 / 7, 0, 0, 0]),
        ("nucleus", {"p": 0.8}, [8 / 17, 6 / 17, 3 / 17, 0, 0]),
        ("min-p", {"p": 0.2}, [8 / 19, 6 / 19, 3 / 19, 2 / 19, 0]),
        ("temperature", {"temperature": 0.5}, [p * p / 0.285 for p in LADDER]),
        ("tempered", {"mu": 2.0, "sigma": 0.0}, [p * p / 0.285 for p in LADDER]),
    ],
)
def test_tokens_are_drawn_by_the_formula(kind: str, options: dict, expected: list[float]):
    # 0.285 is the sum of the squares of 0.4, 0.3, 0.15, 0.1 and 0.05.
    logits = torch.full((13,), -torch.inf)
    logits[:5] = torch.tensor(LADDER).log()
    (piece,) = make(Told(MELODY, logits), chain(MELODY, (kind, options)), 4000)
    for token, share in enumerate(expected):
        assert within(int((piece == token).sum()), 4000, share), token


@pytest.mark.slow
def test_top_k_of_notes_draws_each_of_them_with_its_probability():
    # Twelve notes of 1/3 to 2/3, not in order; the 3 likeliest are drawn as they are.
    ranked = [5, 2, 9, 0, 7, 11, 3, 1, 10, 4, 8, 6]
    probabilities = torch.tensor([(12 - ranked.index(row)) / 36 + 1 / 3 for row in range(12)])
    model = Told(MERGED, torch.logit(probabilities)[:, None])
    (piece,) = make(model, chain(MERGED, ("top-k", {"k": 3})), 3000)
    counts = piece[..., 0].sum(axis=0)
    assert {row for row in range(12) if counts[row]} == {5, 2, 9}
    for row in (5, 2, 9):
        assert within(counts[row], 3000, float(probabilities[row]))
    # Independent still: 5 and 2 together as often as the product says.
    together = int((piece[:, 5, 0] & piece[:, 2, 0]).sum())
    assert within(together, 3000, float(probabilities[5] * probabilities[2]))


def test_top_k_of_notes_asks_the_model_once_more_at_the_most():
    class Counting(Told):
        asked = 0

        def propose(self, context: Tensor, draw: Draw) -> Proposal:
            self.asked += 1
            return super().propose(context, draw)

    model = Counting(MERGED, logits_of(MERGED, 0.0))
    make(model, chain(MERGED, ("top-k", {"k": 2})), 50)
    assert 50 < model.asked <= 100


@pytest.mark.parametrize("layout", [MERGED, ONSETS])
def test_top_k_of_notes_that_depend_on_each_other(layout):
    pieces = make(
        NoteByNote(layout, logits_of(layout, 0.0)), chain(layout, ("top-k", {"k": 2})), 60, count=5
    )
    counts = np.stack(pieces)[..., 0].sum(axis=2)
    assert counts.max() == 2
    assert counts.min() < 2


def test_on_a_grid_top_k_counts_what_is_not_forbidden():
    # The likeliest three are out of C major: C#, D# and F#; the next are C, D and E.
    order = [1, 3, 6, 0, 2, 4, 5, 7, 8, 9, 10, 11]
    sound = [40.0 - order.index(row) for row in range(12)]
    samplers = chain(MERGED, ("top-k", {"k": 3}), "scale")
    (piece,) = make(Told(MERGED, logits_of(MERGED, sound)), samplers, 3)
    assert (np.flatnonzero(piece[0, :, 0]).tolist()) == [0, 2, 4]


def test_numbers_drawn_for_a_piece_do_not_depend_on_the_chain():
    # A text roll drawn through samplers that change nothing is the plain one.
    model = Told(ROLL, torch.zeros(13))
    neutral = [("temperature", {}), ("nucleus", {"p": 1.0}), ("top-k", {"k": 13})]
    plain = make(model, chain(ROLL, "categorical"), 200)
    assert np.array_equal(plain[0], make(model, chain(ROLL, *neutral), 200)[0])
