"""Where time goes: on a clock that is set by hand, and in a training."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from musengine.runs.presentation.profile import keep_profile, tell_profile
from musengine.utils.profile import UNPROFILED, Profile, ProfileResult, Stage


class Clock:
    """Shows the seconds that it is set to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now

    def goes_on(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_is_nested_counts_for_the_inner_stage_alone(clock: Clock) -> None:
    profile = Profile(clock)
    clock.goes_on(1)
    with profile.stage("outer"):
        clock.goes_on(2)
        for _ in range(3):
            with profile.stage("inner"):
                clock.goes_on(4)
        clock.goes_on(8)

    def failing() -> None:
        with profile.stage("outer"):
            clock.goes_on(16)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        failing()
    clock.goes_on(32)
    result = profile.result()
    assert result.stages == {"outer": Stage(26.0, 2), "inner": Stage(12.0, 3)}
    assert (result.seconds, result.rest) == (71.0, 33.0)


def test_a_stage_within_itself_counts_once(clock: Clock) -> None:
    profile = Profile(clock)
    with profile.stage("reading"), profile.stage("reading"):
        clock.goes_on(3)
    assert profile.result().stages == {"reading": Stage(3.0, 2)}


def test_the_time_that_an_iterable_takes_to_give_its_values(clock: Clock) -> None:
    def slow() -> Iterator[int]:
        for value in range(3):
            clock.goes_on(0.5)
            yield value
        clock.goes_on(0.25)

    profile = Profile(clock)
    seen = []
    for value in profile.each("waiting", slow()):
        clock.goes_on(10)
        seen.append(value)
    assert seen == [0, 1, 2]
    assert profile.result().stages == {"waiting": Stage(1.75, 3)}
    assert profile.result().rest == 30.0


def test_a_stage_ends_when_the_device_is_done(clock: Clock) -> None:
    profile = Profile(clock)
    profile.finish_with(lambda: clock.goes_on(5))
    with profile.stage("forward"):
        clock.goes_on(1)
    assert profile.result().stages == {"forward": Stage(6.0, 1)}


def test_nothing_is_kept_where_nobody_asks() -> None:
    with UNPROFILED.stage("forward"), UNPROFILED.stage("forward"):
        pass
    assert list(UNPROFILED.each("waiting", [1, 2])) == [1, 2]
    assert UNPROFILED.result() is None


def test_the_table_and_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stages = {"reading": Stage(1.0, 1), "forward": Stage(6.5, 1200)}
    result = ProfileResult(10.0, stages)
    with caplog.at_level(logging.INFO):
        tell_profile(result)
    assert caplog.messages == [
        "where the time went   seconds    share      times",
        "forward                  6.50    65.0%      1,200",
        "reading                  1.00    10.0%          1",
        "everything else          2.50    25.0%",
        "in all                  10.00   100.0%",
    ]
    keep_profile(result, tmp_path / "profile.json", 2)
    assert json.loads((tmp_path / "profile.json").read_text()) == {
        "seconds": 10.0,
        "processes": 2,
        "rest": 2.5,
        "stages": {
            "reading": {"seconds": 1.0, "times": 1},
            "forward": {"seconds": 6.5, "times": 1200},
        },
    }
