"""When training ends, how much of it is done, and when its next checkpoint is due."""

from __future__ import annotations

from dataclasses import dataclass

from musengine.config.quantities import Period
from musengine.interfaces.training import TrainingConfig
from musengine.training.state import TrainerState
from musengine.utils.format import shown_number


@dataclass(frozen=True)
class Ending:
    """Why training ended.

    Attributes:
        reason: a short phrase.
        interrupted: the user stopped it, so that it is not finished.
        callback: index of the callback that stopped it, None for any other reason.
    """

    reason: str
    interrupted: bool = False
    callback: int | None = None


INTERRUPTED = Ending("interrupted", interrupted=True)


def fraction_done(config: TrainingConfig, state: TrainerState, batches_in_epoch: int) -> float:
    """Return how much of the training is done, 0 to 1, by the limit that is nearest."""
    epochs = state.epoch + state.batch / max(batches_in_epoch, 1)
    limits = (
        (state.step, config.steps),
        (epochs, config.epochs),
        (state.seconds / 60, config.minutes),
    )
    # A limit of 0 is reached before the first step; None is no limit.
    shares = [done / limit if limit else 1.0 for done, limit in limits if limit is not None]
    return min(max(shares, default=0.0), 1.0)


def limit_reached(config: TrainingConfig, state: TrainerState) -> str | None:
    """Return which limit of `[training]` ends the training, a short phrase, or None."""
    if config.steps is not None and state.step >= config.steps:
        return f"all {config.steps} steps are done"
    if config.epochs is not None and state.epoch >= config.epochs:
        return f"all {config.epochs} epochs are done"
    if config.minutes is not None and state.seconds >= 60 * config.minutes:
        minutes = shown_number(config.minutes)
        return "the minute is over" if minutes == "1" else f"the {minutes} minutes are over"
    return None


def is_due(period: Period, now: TrainerState, last: TrainerState) -> bool:
    """Return whether a multiple of a period lies after `last` and not after `now`.

    Multiples, not time passed: a run that was interrupted then saves where it would have anyway.
    """
    counters = {
        "steps": (now.step, last.step),
        "epochs": (now.epoch, last.epoch),
        "minutes": (now.seconds / 60, last.seconds / 60),
    }
    here, there = counters[period.unit]
    return here // period.number > there // period.number
