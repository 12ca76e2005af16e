"""Limits, the fraction that is done, and when the next checkpoint is due, by hand."""

from __future__ import annotations

import pytest

from musengine.config.quantities import Period
from musengine.interfaces.training import TrainingConfig
from musengine.training.state import TrainerState
from musengine.training.stopping import fraction_done, is_due, limit_reached


def test_the_nearest_limit_counts() -> None:
    config = TrainingConfig(steps=100, epochs=4, minutes=10.0)
    # 20 of 100 steps; 2 epochs and 3 of 6 batches = 2.5 of 4; 1 of 10 minutes.
    state = TrainerState(step=20, epoch=2, batch=3, seconds=60.0)
    assert fraction_done(config, state, 6) == pytest.approx(2.5 / 4)
    assert limit_reached(config, state) is None
    assert limit_reached(config, TrainerState(step=100)) == "all 100 steps are done"
    assert limit_reached(config, TrainerState(epoch=4)) == "all 4 epochs are done"
    assert limit_reached(config, TrainerState(seconds=600.0)) == "the 10 minutes are over"
    assert limit_reached(TrainingConfig(steps=0), TrainerState()) == "all 0 steps are done"
    assert fraction_done(TrainingConfig(steps=0), TrainerState(), 0) == 1.0


@pytest.mark.parametrize(
    ("period", "due"),
    [
        # From step 11 to 15: 15 is a multiple of 5, 12 of 6; none of 8 and 16 lies between.
        (Period(5, "steps"), True),
        (Period(6, "steps"), True),
        (Period(8, "steps"), False),
        (Period(1, "epochs"), True),
        (Period(3, "epochs"), False),
        # From 10 to 40 seconds: half a minute lies between, a whole one does not.
        (Period(0.5, "minutes"), True),
        (Period(1, "minutes"), False),
    ],
)
def test_periods(period: Period, due: bool) -> None:
    last = TrainerState(step=11, epoch=1, seconds=10.0)
    assert is_due(period, TrainerState(step=15, epoch=2, seconds=40.0), last) is due
