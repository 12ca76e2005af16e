"""The console callback: what happens during training, as bars and log records."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from musengine.builtin.configs import ConsoleConfig
from musengine.interfaces.callback import Callback, Progress
from musengine.utils.format import counted, duration
from musengine.utils.progress import ProgressBar

logger = logging.getLogger(__name__)


class ConsoleCallback(Callback[ConsoleConfig]):
    """Shows a progress bar on a terminal and plain lines elsewhere."""

    def __init__(self, config: ConsoleConfig) -> None:
        super().__init__(config)
        self._bar: ProgressBar | None = None

    def on_start(self, folder: Path, progress: Progress) -> None:
        """Open the progress bar."""
        self._bar = self.reporter.bar("training", self.config.every)

    def on_step(self, progress: Progress) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(progress.fraction, _figures(progress))

    def on_validation(self, progress: Progress, figures: Mapping[str, float]) -> None:
        """Print the validation figures."""
        shown = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        logger.info(f"step {progress.step}, epoch {progress.epoch}: validation {shown}")

    def on_end(self, progress: Progress, reason: str) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
        took = duration(progress.seconds)
        logger.info(f"training ended after {counted(progress.step, 'step')}, {took}: {reason}")


def _figures(progress: Progress) -> str:
    """Return what fits beside a bar on a terminal of 80 columns."""
    left = "" if progress.seconds_left is None else f"  {duration(progress.seconds_left)} left"
    return (
        f"epoch {progress.epoch}  step {progress.step}  loss {progress.loss:.3f}"
        f"  {progress.steps_per_second:.1f} steps/s{left}"
    )
