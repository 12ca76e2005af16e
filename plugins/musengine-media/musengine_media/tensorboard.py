"""The TensorBoard callback: curves of the training as event files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter

from musengine.api import Callback, Progress
from musengine_media.config import TensorBoardConfig


class TensorBoardCallback(Callback[TensorBoardConfig]):
    """Writes loss, learning rate and validation figures to the run's folder `tensorboard`."""

    def __init__(self, config: TensorBoardConfig) -> None:
        super().__init__(config)
        self._writer: SummaryWriter | None = None

    def on_start(self, folder: Path, progress: Progress) -> None:
        """Open the event file; points after the step that training goes on from are hidden."""
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=progress.step + 1)

    def on_step(self, progress: Progress) -> None:
        """Add a point to the curves of the training part."""
        if progress.step % self.config.every == 0:
            self._add("train/loss", progress.loss, progress)
            self._add("train/learning rate", progress.learning_rate, progress)
            self._add("train/steps per second", progress.steps_per_second, progress)

    def on_validation(self, progress: Progress, figures: Mapping[str, float]) -> None:
        """Add a point to the curves of the validation part."""
        for name, value in figures.items():
            self._add(f"valid/{name}", value, progress)

    def on_end(self, progress: Progress, reason: str) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()

    def _add(self, name: str, value: float, progress: Progress) -> None:
        assert self._writer is not None
        self._writer.add_scalar(name, value, progress.step)
