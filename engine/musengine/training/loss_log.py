"""The losses of single steps on their way into a run's log, where their means stand."""

from __future__ import annotations

import logging

from musengine.interfaces.callback import Progress
from musengine.training.store import RunStore

logger = logging.getLogger(__name__)

_RUNAWAY = 1000.0
"""Times the first loss, beyond which it is said to run away."""


class LossLog:
    """Adds losses up, writes their mean every so many steps, and says once when they run away.

    Args:
        store: where lines go.
        every: steps.

    Attributes:
        steps: how many have a loss that is not in the log yet.
    """

    def __init__(self, store: RunStore, every: int) -> None:
        self.store, self.every = store, every
        self.steps = 0
        self._sum = 0.0
        self._first: float | None = None
        self._told = False

    def add(self, loss: float, progress: Progress) -> None:
        """Take in the loss of the step that was just taken."""
        self._tell_runaway(loss, progress.step)
        self.steps += 1
        self._sum += loss
        if progress.step % self.every == 0:
            self.write(progress, progress.step)

    def write(self, progress: Progress, step: int) -> None:
        """Write a line about the steps up to this one that are not in the log yet, if any."""
        if not self.steps:
            return
        record = {
            "step": step,
            "epoch": progress.epoch,
            "loss": self._sum / self.steps,
            "steps": self.steps,
            "unit": progress.unit,
            "learning_rate": progress.learning_rate,
            "seconds": round(progress.seconds, 3),
        }
        self.store.log(record)
        self.steps, self._sum = 0, 0.0

    def state(self) -> tuple[int, float]:
        """Return what a checkpoint keeps of it: steps and the sum of their losses."""
        return self.steps, self._sum

    def load_state(self, state: tuple[int, float]) -> None:
        """Take over what `state` returned."""
        self.steps, self._sum = state

    def _tell_runaway(self, loss: float, step: int) -> None:
        """Say once that the loss is far beyond what it began with."""
        if self._first is None:
            self._first = abs(loss)
        # At least 1: a loss that began near 0 may rise a thousandfold without harm.
        elif abs(loss) > _RUNAWAY * max(self._first, 1.0) and not self._told:
            self._told = True
            logger.warning(
                f"the loss runs away: {loss:.3g} at step {step}, and {self._first:.3g} when this "
                "began; set training.clip_norm, or a smaller training.learning_rate"
            )
