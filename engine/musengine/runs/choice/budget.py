"""The minutes that a whole command may take, and what of them is left for training."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from musengine.errors import UserError
from musengine.pipeline.resolve import Pipeline
from musengine.runs.folder import RunFolder
from musengine.utils.files import read_table

_GENERATION_SHARE = 0.3
"""Of the whole time, that is kept for generation at the most."""
_OVERHEAD = 6.0
"""Seconds for loading and saving, and for what is written at the end."""
SHORTEST_TRAINING = 6.0
"""Seconds that are trained in any case."""


@dataclass(frozen=True)
class Budget:
    """The time that a command has from its start to its end.

    Attributes:
        minutes: all of it.
        began: when it began, by the clock of `time.monotonic`.
    """

    minutes: float
    began: float

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.began + 60 * self.minutes - time.monotonic()

    def spent(self) -> float:
        """Return the share of it that is over."""
        return 1 - self.left() / (60 * self.minutes)

    def training_seconds(self, generating: float, measuring: float) -> float:
        """Return the seconds from now on that can be trained.

        Args:
            generating: seconds that making all pieces takes.
            measuring: seconds that are measured once the training is over.
        """
        generation = min(generating, _GENERATION_SHARE * 60 * self.minutes)
        return max(self.left() - generation - measuring - _OVERHEAD, SHORTEST_TRAINING)

    def limited(self, pipeline: Pipeline, generating: float, measuring: float) -> Pipeline:
        """Return a pipeline with as much training as there is time for from now on."""
        return _with_minutes(pipeline, self.training_seconds(generating, measuring) / 60)

    def record(self, pipeline: Pipeline) -> dict[str, Any]:
        """Return as JSON values how long the command may take, and a limited pipeline trains."""
        return {"minutes": self.minutes, "training_minutes": pipeline.training.minutes}


def going_on(pipeline: Pipeline, run: RunFolder, minutes: float | None) -> Pipeline | None:
    """Return what goes on with a run, trained longer where there are more minutes than before.

    Args:
        pipeline: what is wanted.
        run: its folder, in which the first minutes are recorded.
        minutes: how long the whole command may take, where that is said.

    Returns:
        The pipeline; None where that is not said, or the run was begun without minutes.

    Raises:
        UserError: the record is damaged.
    """
    path = run.path / "choice.json"
    chosen = read_table(path) if path.is_file() else {}
    before, trained = chosen.get("minutes"), chosen.get("training_minutes")
    if not all(isinstance(each, (int, float, type(None))) for each in (before, trained)):
        raise UserError(f"{path} is damaged: its minutes are no numbers", code="file-damaged")
    if minutes is None or before is None or trained is None:
        return None
    # Counted from the first minutes, so that the same command again asks for no more.
    return _with_minutes(pipeline, max(trained + minutes - before, trained))


def _with_minutes(pipeline: Pipeline, minutes: float) -> Pipeline:
    return replace(pipeline, training=replace(pipeline.training, minutes=round(minutes, 2)))
