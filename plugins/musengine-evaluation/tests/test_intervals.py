"""Intervals of pooled figures, and what the table of runs makes of them."""

from __future__ import annotations

import math

from musengine_evaluation.compare_runs import Table, _flattened
from musengine_evaluation.interval import Interval


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
    assert math.isnan(found.pop("similarity").mean)
    known = {name: each for name, each in found.items() if not math.isnan(each.low)}
    assert known == {
        "nll": Interval(2.0, 1.5, 2.5),
        "statistics pitch_range": Interval(30.0, 20.0, 40.0),
        "statistics pitch_range reference": Interval(33.0, 30.0, 36.0),
    }
    bare = {name: each.mean for name, each in found.items() if name not in known}
    assert bare == {"pieces": 3.0, "statistics pitch_range overlap": 0.5}


def test_only_intervals_apart_are_marked() -> None:
    rows = {
        ("test", "nll"): (
            Interval(2.0, 1.5, 2.5),
            Interval(2.6, 2.4, 2.8),
            Interval(3.0, 2.6, 3.4),
        ),
        ("test", "steps"): (Interval(10.0), None, Interval(99.0)),
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
