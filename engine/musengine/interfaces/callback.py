"""Callbacks are told what happens during a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from musengine.config.fields import Config
from musengine.utils.progress import SILENT, ProgressReporter

if TYPE_CHECKING:
    from musengine.interfaces.model import Batch, Model

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes:
        step: optimizer steps done.
        epoch: passes over the training part done.
        fraction: of the whole training, 0 to 1, by whichever limit is nearest.
        seconds: training time so far, earlier sessions included.
        seconds_left: an estimate, None in the first moments.
        loss: of the last step, in the loss's unit.
        unit: the loss's unit.
        learning_rate: of the first parameter group.
        steps_per_second: over the last moments.
    """

    step: int = 0
    epoch: int = 0
    fraction: float = 0.0
    seconds: float = 0.0
    seconds_left: float | None = None
    loss: float = float("nan")
    unit: str = ""
    learning_rate: float = 0.0
    steps_per_second: float = 0.0


class Callback(Generic[C]):
    """Told of start, step, batch, epoch, validation, checkpoint, sample, end; all optional."""

    reporter: ProgressReporter = SILENT
    """Where it may say how far the training is; set by whoever runs it."""

    def __init__(self, config: C) -> None:
        self.config = config

    def on_start(self, folder: Path, progress: Progress) -> None:
        """Training begins or goes on in a run folder."""

    def on_step(self, progress: Progress) -> None:
        """An optimizer step is done."""

    def on_epoch(self, progress: Progress) -> None:
        """A pass over the training part is done."""

    def on_batch(self, progress: Progress, model: Model[Any], batch: Batch) -> None:
        """An optimizer step on a batch is done; told after `on_step`.

        The model may be looked at, but not be changed, nor the state of PyTorch's generators.
        """

    def wants_checkpoint(self, progress: Progress) -> bool:
        """Return whether a checkpoint shall be written now, asked after every step.

        The validation part is measured with those alone that `training.checkpoint_every` asks for,
        so that a callback changes nothing of the training. All are told by `on_checkpoint`.
        """
        return False

    def on_validation(self, progress: Progress, figures: Mapping[str, float]) -> None:
        """The validation part was measured."""

    def on_checkpoint(self, progress: Progress, path: Path) -> None:
        """A checkpoint was written."""

    def on_sample(self, path: Path) -> None:
        """A generated piece was written."""

    def on_end(self, progress: Progress, reason: str) -> None:
        """Training ended; the reason is a short phrase."""

    def state(self) -> dict[str, Any]:
        """Return what must survive an interruption, as JSON values."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
