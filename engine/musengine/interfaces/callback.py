"""A callback is called at the events of a run, and may end its training."""

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
    """How far training is.

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
    """Base of every callback; each method is called at one event, and does nothing by default.

    The order within a step: `on_step`, at the end of an epoch `on_epoch`, `on_batch`,
    `should_stop`, `wants_checkpoint`; where a checkpoint is due then `on_validation`,
    `on_checkpoint` and once more `should_stop`.
    """

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
        """An optimizer step on a batch is done.

        The model may be looked at, but not be changed, nor the state of PyTorch's generators.
        """

    def should_stop(self, progress: Progress) -> str | None:
        """Return why training shall end now, a short phrase, or None to go on.

        Asked after every step, and after every checkpoint that was due, validated or not. The
        last weights are validated and saved, and the run counts as finished: the same command
        goes on to generation. It trains on where this callback is left out or has other settings.
        """
        return None

    def wants_checkpoint(self, progress: Progress) -> bool:
        """Return whether a checkpoint shall be written now, asked after every step.

        The validation part is measured with those alone that `training.checkpoint_every` asks for,
        so that a callback changes nothing of the training. `on_checkpoint` is called for all.
        """
        return False

    def on_validation(self, progress: Progress, figures: Mapping[str, float]) -> None:
        """The validation part was measured."""

    def on_checkpoint(self, progress: Progress, path: Path) -> None:
        """A checkpoint was written."""

    def on_sample(self, path: Path) -> None:
        """A generated piece was written."""

    def on_end(self, progress: Progress, reason: str) -> None:
        """Training ended; the reason is a short phrase, `should_stop`'s own where it ended it."""

    def state(self) -> dict[str, Any]:
        """Return what must survive an interruption, as JSON values."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
