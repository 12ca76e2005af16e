"""The learning curve: which figures share an axis, where points come to stand, and how often."""

from __future__ import annotations

import itertools
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from musengine.interfaces.callback import Progress
from musengine.runs.folder import RunFolder
from musengine.runs.presentation.learning_curve import (
    FILE,
    LearningCurve,
    _even_marks,
    _log_marks,
    draw,
    panels_of,
    svg,
)

NATS = "nats per step"
LOG: list[dict[str, Any]] = [
    {"step": 10, "loss": 4.0, "unit": NATS},
    {"step": 20, "valid": {"loss": 3.0, "accuracy": 0.25}, "unit": NATS},
    {"step": 20, "loss": 2.0, "unit": NATS},
    {"changed": ["training.steps"]},
    {"step": 40, "valid": {"loss": 1.0, "accuracy": None}, "unit": NATS},
]


def test_figures_in_one_unit_share_an_axis() -> None:
    loss, accuracy = panels_of(LOG)
    assert loss.title == "loss (nats per step)"
    assert loss.curves == {"train": [(10, 4.0), (20, 2.0)], "valid": [(20, 3.0), (40, 1.0)]}
    assert (accuracy.title, accuracy.curves) == ("accuracy", {"valid": [(20, 0.25)]})


def test_a_sum_has_an_axis_of_its_own() -> None:
    summed = [{**line, "unit": NATS + ", summed"} if "loss" in line else line for line in LOG]
    assert [panel.title for panel in panels_of(summed)] == [
        "loss (nats per step, summed)",
        "loss (nats per step)",
        "accuracy",
    ]


def points(picture: str, part: str) -> list[tuple[float, float]]:
    """The points of a part's first curve, in pixels."""
    line = re.search(rf'<path class="{part}" d="M([^"H]+)"', picture)
    assert line is not None
    return [(float(x), float(y)) for x, y in (each.split() for each in line[1].split("L"))]


def test_points_stand_where_the_axes_say() -> None:
    picture = svg(panels_of(LOG))
    ElementTree.fromstring(picture)
    # Steps 0 to 40 from 70 to 740 pixels; losses 1 to 4 from 254 up to 34.
    assert points(picture, "train") == [(237.5, 34.0), (405.0, 180.7)]
    assert points(picture, "valid") == [(405.0, 107.3), (740.0, 254.0)]
    assert "prefers-color-scheme: dark" in picture


def test_a_loss_that_falls_far_is_seen_to_the_end() -> None:
    falling = [{"step": k, "loss": 10.0 ** (4 - k), "unit": ""} for k in range(5)]
    heights = [y for _, y in points(svg(panels_of(falling)), "train")]
    assert [b - a for a, b in itertools.pairwise(heights)] == pytest.approx([55.0] * 4)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
@example(0.0, 5e-324)
@example(1.0, 1.0)
def test_even_marks_reach_beyond_both_ends(a: float, b: float) -> None:
    low, high = sorted((a, b))
    marks = _even_marks(low, high)
    rounded = 1e-9 * max(abs(low), abs(high))
    assert marks[0] <= low + rounded
    assert marks[-1] >= high - rounded
    assert 2 <= len(marks) <= 8


@given(st.floats(1e-9, 1e9), st.floats(8, 1e9))
@example(999999999.9999999, 8.0)
def test_log_marks_reach_beyond_both_ends(low: float, times: float) -> None:
    marks = _log_marks(low, low * times)
    assert marks[0] <= low <= low * times <= marks[-1]
    assert marks == sorted(set(marks))


def test_a_long_log_makes_a_small_picture() -> None:
    long = [{"step": k, "loss": 2 + math.sin(k), "unit": NATS} for k in range(1, 50_001)]
    picture = svg(panels_of(long))
    assert len(points(picture, "train")) <= 600
    assert len(picture) < 20_000


def test_the_picture_is_that_of_the_log(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.pipeline_file.touch()
    draw(run)
    run.log(LOG[0])
    draw(run)
    assert not (tmp_path / FILE).exists()  # a single point is no curve
    for line in LOG[1:]:
        run.log(line)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(LOG[0])[:9])  # cut short by a crash
    draw(run)
    assert (tmp_path / FILE).read_text() == svg(panels_of(LOG))


def test_it_is_drawn_at_checkpoints_and_not_all_the_time(tmp_path: Path) -> None:
    run, curve = RunFolder(tmp_path), LearningCurve()
    run.pipeline_file.touch()
    for line in LOG:
        run.log(line)
    curve.on_start(tmp_path, Progress())
    curve.on_checkpoint(Progress(), tmp_path)
    (tmp_path / FILE).unlink()
    curve.on_checkpoint(Progress(), tmp_path)
    assert not (tmp_path / FILE).exists()
