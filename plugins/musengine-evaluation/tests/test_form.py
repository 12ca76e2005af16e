"""How much comes back in a piece: bars by hand, cut pieces, intervals, and the metric in a run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from musengine.api import Evidence, NoSettings, Reference, Score, Track
from musengine_evaluation.features.form import (
    LAGS,
    bar_similarity,
    bars_heard_before,
    bootstrap,
    first_bars,
    form,
)
from musengine_evaluation.metrics import Form

TRACKS = (Track("a"), Track("b"))


def piece(*bars: list[tuple[int, int, int]], meter: tuple[int, int] = (4, 4)) -> Score:
    """Bars of (sixteenth, pitch, track)."""
    length = meter[0] * 16 // meter[1]
    rows = [
        (n * length + at, pitch, track) for n, bar in enumerate(bars) for at, pitch, track in bar
    ]
    onset, pitch, track = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return Score.from_notes(
        *(onset, 1, pitch, 80, track),
        ticks_per_beat=4,
        tracks=TRACKS,
        meters=[(0, *meter)],
        length=length * len(bars),
    )


A = [(0, 60, 0), (4, 64, 0), (8, 67, 0), (8, 40, 1)]
HALF = [(0, 60, 0), (4, 64, 0), (8, 67, 1), (8, 41, 1)]


def test_bars_by_hand() -> None:
    score = piece(A, HALF, A, A)
    # A and HALF share two of six; a pitch on another track is another.
    assert bar_similarity(score, [1, 2, 3, 4]) == pytest.approx(
        [(2 / 6 + 2 / 6 + 1) / 3, (1 + 2 / 6) / 2, 1.0, math.nan], nan_ok=True
    )
    assert bars_heard_before(score) == pytest.approx(2 / 4)


def test_empty_bars() -> None:
    # Two empty bars tell nothing; an empty one and another have nothing in common.
    score = piece(A, [], [], A)
    assert bar_similarity(score, [1, 3]) == [0.0, 1.0]
    assert bars_heard_before(score) == 0.5
    nothing = piece([], [])
    assert all(math.isnan(value) for value in form(nothing).values())


def test_bars_of_a_beat_are_taken_four_at_a_time() -> None:
    one = [(0, 60, 0)]
    other = [(0, 62, 0)]
    assert bar_similarity(piece(one, other, one, other, meter=(1, 4)), [1, 2]) == pytest.approx(
        [math.nan, math.nan], nan_ok=True
    )
    eight = piece(*[one, other, other, other] * 2, meter=(1, 4))
    assert bar_similarity(eight, [1]) == [1.0]
    # Three of them are fewer than a bar.
    assert bar_similarity(piece(one, one, one, meter=(1, 4)), [1]) == [1.0]


def test_the_beginning_of_a_piece() -> None:
    score = piece(A, HALF, A, A)
    assert first_bars(score, 2).length == 32
    assert bar_similarity(first_bars(score, 2), [1]) == pytest.approx([2 / 6])
    assert len(first_bars(score, 9)) == len(score)


def test_the_interval_of_a_mean_is_narrower_of_more() -> None:
    values = [0.0, 1.0, math.nan] * 50
    few, many = bootstrap(values, 4), bootstrap(values, 100)
    assert few[0] < many[0] < 0.5 < many[1] < few[1]
    # Of 100 draws of 0 or 1 the mean has a standard deviation of 0.05.
    assert many == pytest.approx((0.4, 0.6), abs=0.03)
    # No more are drawn than there are.
    assert bootstrap(values, 1000) == many
    assert all(map(math.isnan, bootstrap([0.3], 5)))


def test_figures_have_names() -> None:
    names = [f"bar_similarity_{lag}" for lag in LAGS]
    assert list(form(piece(A))) == [*names, "bars_heard_before"]


def test_the_metric_cuts_human_pieces_to_the_same_length() -> None:
    # Two generated pieces of two bars; human ones whose beginnings are alike and whose rest is not.
    other = [(2, 50, 0)]
    evidence = Evidence(
        model=None,  # type: ignore[arg-type]
        encoder=None,  # type: ignore[arg-type]
        part=(),
        part_name="generated",
        generated=[("x", piece(A, A)), ("y", piece(A, HALF))],
        reference=Reference(
            train=lambda: [("t", piece(A, other, A, A))],
            held_out=lambda: [("h", piece(A, A, other, A)), ("i", piece(A, A, A, other))],
        ),
    )
    found = Form(NoSettings()).measure(evidence)
    assert found["bar_similarity_1"] == pytest.approx((1 + 2 / 6) / 2)
    assert found["bar_similarity_1_human"] == 1.0
    assert found["bar_similarity_1_human_low"] == found["bar_similarity_1_human_high"] == 1.0
    assert found["form"]["bars"] == 2
    assert found["form"]["train"]["bar_similarity_1"] == 0.0
    assert found["form"]["per_piece"]["y"]["bars_heard_before"] == 0.0
    assert found["bars_heard_before"] == 0.25
