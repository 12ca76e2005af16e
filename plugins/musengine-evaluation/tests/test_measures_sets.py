"""Sets of pieces against each other, and means with their intervals: values worked out by hand."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.api import Score
from musengine.testing import score_of
from musengine.testing.strategies import few
from musengine_evaluation.features.set_distance import (
    Comparison,
    compare,
    compare_tables,
    densities,
    distances,
    kernel_density,
    overlap_and_divergence,
)
from musengine_evaluation.features.summary import HISTOGRAMS, SCALARS, table
from musengine_evaluation.interval import Interval, mean_and_interval


def normal(count: int, mean: float = 0.0) -> np.ndarray:
    """So many quantiles of a normal distribution of standard deviation 1."""
    quantile = NormalDist(mean).inv_cdf
    return np.array([quantile((i + 0.5) / count) for i in range(count)])


def direct(values: np.ndarray, points: np.ndarray, bandwidth: float) -> np.ndarray:
    """A kernel density as the definition has it."""
    away = (points[:, None] - values[None, :]) / bandwidth
    return np.exp(-0.5 * away**2).mean(axis=1) / (bandwidth * math.sqrt(2 * math.pi))


# Distances


def test_distances_of_three_pieces_by_hand() -> None:
    reference = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]])
    generated = np.array([[0.0, 0.0], [6.0, 8.0]])
    found = compare(generated, reference)
    # 0-1: 5, 0-2: 4, 1-2: 3.
    assert found.reference.tolist() == [5, 4, 3]
    assert found.generated.tolist() == [10]
    # From (6, 8): 10, 5, and √(36 + 16).
    assert found.between.tolist() == [0, 5, 4, 10, 5, math.sqrt(52)]
    figures = found.figures()
    assert figures["reference_mean"] == 4
    assert figures["reference_std"] == pytest.approx(math.sqrt(2 / 3))
    assert figures["generated_mean"] == 10
    assert figures["generated_std"] == 0
    assert figures["between_mean"] == pytest.approx((24 + math.sqrt(52)) / 6)


def test_equal_rows_have_no_distance_at_all() -> None:
    rows = np.random.default_rng(0).random((5, 144))
    assert np.diagonal(distances(rows, rows)).tolist() == [0] * 5


def test_pieces_in_which_the_figure_is_undefined_are_left_out() -> None:
    reference = np.array([[1.0], [np.nan], [2.0], [4.0]])
    found = compare(np.array([[np.nan], [3.0]]), reference)
    assert found.reference.tolist() == [1, 3, 2]
    assert found.between.tolist() == [2, 1, 1]
    # One undefined number of several is enough.
    half = compare(np.zeros((1, 2)), np.array([[3.0, 4.0], [np.nan, 0.0]]))
    assert half.between.tolist() == [5]


# Densities


def test_density_of_two_values_by_hand() -> None:
    # Half-way between 0 and 2 with bandwidth 1, two normal densities of 0.2419707 each, halved
    # and added; at 0, (0.3989423 + 0.0539910) / 2.
    grid = np.linspace(-8, 10, 18 * 512 + 1)
    found = kernel_density(np.array([0.0, 2.0]), grid, 1.0)
    assert found[9 * 512] == pytest.approx(0.2419707, abs=1e-6)
    assert found[8 * 512] == pytest.approx(0.2264667, abs=1e-6)
    # Values off the points of the grid are shared out between two of them.
    off = kernel_density(np.array([0.0007, 2.0011]), grid, 1.0)
    assert np.abs(off - direct(np.array([0.0007, 2.0011]), grid, 1.0)).max() < 1e-6


@given(
    values=st.lists(st.floats(0, 100), min_size=1, max_size=30),
    spacings=st.floats(5, 60),
)
@few(60)
def test_density_equals_the_sum_of_its_definition(values: list[float], spacings: float) -> None:
    grid = np.linspace(-200, 300, 4001)
    bandwidth = spacings * 0.125
    wanted = direct(np.array(values), grid, bandwidth)
    found = kernel_density(np.array(values), grid, bandwidth)
    assert np.abs(found - wanted).max() < 0.005 * wanted.max()
    assert found.min() >= 0


def test_bandwidths_follow_scotts_rule() -> None:
    # 1 to 5: standard deviation √2.5, times 5 to the power of -1/5. Ten numbers, each 5 from their
    # mean: √(250 / 9), times 10 to the power of -1/5.
    first, second = np.arange(1.0, 6.0), np.array([0.0, 10.0] * 5)
    grid, of_first, of_second = densities(first, second)
    assert np.allclose(of_first, direct(first, grid, math.sqrt(2.5) * 5**-0.2), atol=1e-5)
    assert np.allclose(of_second, direct(second, grid, math.sqrt(250 / 9) * 10**-0.2), atol=1e-5)
    spacing = grid[1] - grid[0]
    assert of_first.sum() * spacing == pytest.approx(1, abs=1e-4)
    assert of_second.sum() * spacing == pytest.approx(1, abs=1e-4)


def test_overlap_and_divergence_of_two_normal_densities() -> None:
    # Smoothing widens a variance of 1 to 1 + h², h = 20000^(-1/5): s = 1.0095. Then the overlap
    # of means 1 apart is 2 Φ(-1 / 2s), the divergence 1 / 2s².
    count = 20000
    wide = math.sqrt(1 + count**-0.4)
    overlap, divergence = overlap_and_divergence(normal(count), normal(count, 1.0))
    assert overlap == pytest.approx(2 * NormalDist().cdf(-0.5 / wide), abs=2e-3)
    assert divergence == pytest.approx(0.5 / wide**2, abs=5e-3)


# Sets


def test_two_halves_of_one_set_are_alike() -> None:
    drawn = np.random.default_rng(3).normal(size=(120, 4))
    found = compare(drawn[:60], drawn[60:])
    assert found.overlap > 0.9
    assert found.divergence < 0.05


def test_a_set_is_like_itself() -> None:
    drawn = np.random.default_rng(4).normal(size=(80, 4))
    found = compare(drawn, drawn)
    # The distances between hold each piece's own, 0, the distances within do not.
    assert 0.95 < found.overlap < 1
    assert found.divergence < 0.05


def test_sets_far_from_each_other_do_not_overlap() -> None:
    drawn = np.random.default_rng(5).normal(size=(60, 4))
    found = compare(drawn[:30] + 50, drawn[30:])
    assert found.overlap < 1e-6
    assert 15 < found.divergence <= math.log(1e12)


def test_a_set_of_copies_differs_from_a_varied_one() -> None:
    drawn = np.random.default_rng(6).normal(size=(40, 3))
    copies = np.repeat(drawn[:1], 20, axis=0)
    found = compare(drawn, copies)
    # All distances within the copies are 0, those between are not.
    assert found.overlap < 0.1
    assert found.figures()["reference_mean"] == 0


def test_all_pieces_equal() -> None:
    same = np.full((4, 1), 7.0)
    found = compare(same[:2], same)
    assert (found.overlap, found.divergence) == (pytest.approx(1), pytest.approx(0))
    # Both sets of equal pieces, but not the same ones: distances 0 within, 2 between.
    apart = compare(same + 2, same)
    assert apart.overlap < 1e-6
    assert apart.divergence > 15


@pytest.mark.parametrize(("value", "next_to_it"), [(0.3, 0.1 + 0.2), (1e16, 1e16 + 2)])
def test_rounding_errors_are_no_spread(value: float, next_to_it: float) -> None:
    first = np.array([value, next_to_it, value])
    overlap, divergence = overlap_and_divergence(first, np.array([value, value]))
    assert overlap == pytest.approx(1)
    assert divergence == pytest.approx(0)


@pytest.mark.parametrize(("generated", "reference"), [(0, 5), (5, 1), (5, 0), (0, 0)])
def test_too_few_pieces_to_compare(generated: int, reference: int) -> None:
    rows = np.arange(5.0)[:, None]
    found = compare(rows[:generated], rows[:reference])
    assert math.isnan(found.overlap)
    assert math.isnan(found.divergence)
    assert math.isnan(found.figures()["between_mean"]) == (generated * reference == 0)


def test_one_generated_piece_and_two_of_reference_are_enough() -> None:
    # One distance within, 1; two between, 1 and 2.
    found = compare(np.array([[2.0]]), np.array([[0.0], [1.0]]))
    assert 0 < found.overlap < 1
    assert found.divergence > 0
    assert math.isnan(found.figures()["generated_mean"])


def random_piece(seed: int, lowest: int) -> Score:
    random = np.random.default_rng(seed)
    onset = np.cumsum(random.integers(1, 4, 60))
    pitch = lowest + random.integers(0, 12, 60)
    return score_of(
        list(zip(onset.tolist(), random.integers(1, 6, 60).tolist(), pitch.tolist(), strict=True))
    )


def test_every_figure_is_compared_and_twice_the_same() -> None:
    low = table(random_piece(seed, 40) for seed in range(8))
    high = table(random_piece(seed, 40) for seed in range(8, 14))
    found = compare_tables(high, low)
    assert set(found) == {*SCALARS, *HISTOGRAMS}

    def everything(comparison: Comparison) -> list[float]:
        return [*comparison.figures().values(), *comparison.between]

    again = compare_tables(high, low)
    for name, comparison in found.items():
        assert np.array_equal(everything(comparison), everything(again[name]), equal_nan=True)
        assert 0 <= comparison.overlap <= 1
        assert comparison.divergence >= 0


# Means


@pytest.mark.parametrize(
    ("level", "degrees", "wanted"),
    [
        # From printed tables of Student's distribution, two-sided.
        (0.95, 1, 12.7062),
        (0.95, 2, 4.3027),
        (0.95, 3, 3.1824),
        (0.95, 9, 2.2622),
        (0.95, 30, 2.0423),
        (0.99, 10, 3.1693),
        (0.99, 1, 63.6567),
        (0.5, 2, 0.8165),
        (0.9, 120, 1.6577),
        (0.95, 10**5, 1.9600),
    ],
)
def test_students_t(level: float, degrees: int, wanted: float) -> None:
    # Alternately -1 and 1, or one more of one: half the width is t · s / √n.
    values = [float((-1) ** k) for k in range(degrees + 1)]
    found = mean_and_interval(values, level)
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert (found.high - found.mean) / error == pytest.approx(wanted, abs=6e-5)


def test_mean_and_interval_by_hand() -> None:
    # 1 to 5: mean 3, s = √2.5, t for 4 degrees 2.776445: half-width 2.776445 · √(2.5 / 5).
    found = mean_and_interval([1, 2, math.nan, 3, 4, 5])
    assert (found.mean, found.count) == (3, 5)
    assert found.low == pytest.approx(3 - 1.963243, abs=1e-5)
    assert found.high == pytest.approx(3 + 1.963243, abs=1e-5)


def test_intervals_hold_the_true_mean_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    found = [mean_and_interval(random.normal(5, 2, 6), level=0.8) for _ in range(400)]
    held = np.mean([estimate.low <= 5 <= estimate.high for estimate in found])
    # Binomial: 0.8 ± 3 · √(0.8 · 0.2 / 400).
    assert abs(held - 0.8) < 0.06


def test_too_few_values_for_an_interval() -> None:
    one = mean_and_interval([4.0])
    assert (one.mean, one.count) == (4, 1)
    assert math.isnan(one.low)
    none = mean_and_interval([math.nan])
    assert math.isnan(none.mean)
    assert none.count == 0
    assert not one.apart_from(none)
    assert not one.apart_from(Interval(100, 99, 101, 10))


def test_intervals_are_apart_only_where_they_do_not_touch() -> None:
    first = Interval(1, 0, 2, 5)
    assert not first.apart_from(Interval(3, 2, 4, 5))
    assert first.apart_from(Interval(3, 2.1, 4, 5))
    assert Interval(3, 2.1, 4, 5).apart_from(first)
    # Values without spread have an interval without width.
    assert mean_and_interval([2, 2, 2]).apart_from(mean_and_interval([3, 3]))


@pytest.mark.parametrize("level", [0, 1, -1, math.nan])
def test_a_level_out_of_range_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        mean_and_interval([1, 2], level)


@pytest.mark.slow
def test_the_example_of_the_page_runs() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "reference" / "statistics.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    entropy, estimate, comparison = done.stdout.splitlines()
    assert 0 < float(entropy) <= math.log2(12)
    assert re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)", estimate)
    assert "overlap" in comparison
