"""Intervals of pooled figures, and what the table of runs makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from musengine.evaluation.compare_runs import Figure, Table, _flattened
from musengine.evaluation.likelihood import LikelihoodResult


def test_the_interval_is_that_of_pieces_not_of_steps() -> None:
    # Two kinds of pieces, 4 steps of 0 and 4 of 1, fifty each: the mean of a piece has a standard
    # deviation of 0.5, that of a hundred pieces 0.05; 95 % of a normal lies within 1.96 of these.
    pieces = [np.full(4, float(k % 2)) for k in range(100)]
    low, high = LikelihoodResult(pieces).interval()
    assert (low, high) == pytest.approx((0.5 - 0.098, 0.5 + 0.098), abs=0.012)
    # Equal pieces leave no doubt, however their steps differ.
    same = [np.array([0.0, 1.0, 2.0])] * 5
    assert LikelihoodResult(same).interval() == (1.0, 1.0)
    # Steps count equally: a long piece weighs more.
    mixed = [np.full(30, 1.0), np.full(10, 3.0)]
    assert LikelihoodResult(mixed).mean == 1.5
    assert LikelihoodResult(mixed).interval() == pytest.approx((1.0, 3.0))


def test_one_piece_has_no_interval() -> None:
    assert all(np.isnan(end) for end in LikelihoodResult([np.ones(3)]).interval())
    assert all(np.isnan(end) for end in LikelihoodResult([]).interval())


def test_figures_are_found_wherever_they_stand() -> None:
    figures = {
        "nll": 2.0,
        "nll_low": 1.5,
        "nll_high": 2.5,
        "pieces": 3.0,
        "similarity": None,
        "nll_per_piece": {"a": 1.0},
        "statistics": {
            "pitch_range": {
                "overlap": 0.5,
                "mean": 30.0,
                "low": 20.0,
                "high": 40.0,
                "count": 4,
                "distances": {"reference_mean": 1.0},
                "reference": {"mean": 33.0, "low": 30.0, "high": 36.0, "count": 9},
            }
        },
    }
    found = dict(_flattened(figures))
    assert found == {
        "nll": Figure(2.0, 1.5, 2.5),
        "pieces": Figure(3.0),
        "similarity": Figure(None),
        "statistics pitch_range": Figure(30.0, 20.0, 40.0),
        "statistics pitch_range overlap": Figure(0.5),
        "statistics pitch_range reference": Figure(33.0, 30.0, 36.0),
    }


def test_only_intervals_apart_are_marked() -> None:
    rows = {
        ("test", "nll"): (Figure(2.0, 1.5, 2.5), Figure(2.6, 2.4, 2.8), Figure(3.0, 2.6, 3.4)),
        ("test", "steps"): (Figure(10.0), None, Figure(99.0)),
    }
    table = Table(("a", "b", "c"), ("", "", ""), rows)
    assert [row["apart"] for row in table.as_json()["figures"]] == [
        [False, False, True],
        [False, False, False],
    ]
    lines = list(table.as_lines())
    assert lines[1].split("  ")[-1] == "3 (2.6 to 3.4) *"
    assert lines[2].split() == ["test", "steps", "10", "99"]
    assert lines[3].startswith("* differs")
