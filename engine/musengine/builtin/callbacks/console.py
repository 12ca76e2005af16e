"""The console callback: what happens during training, said by the run's console."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from musengine.builtin.configs import ConsoleConfig
from musengine.interfaces.callback import Callback, Progress
from musengine.utils.console import Console, Meter, counted, duration


class ConsoleCallback(Callback[ConsoleConfig]):
    """Shows a progress bar on a terminal and plain lines elsewhere."""

    def __init__(self, config: ConsoleConfig) -> None:
        super().__init__(config)
        self.console = Console.current()
        self._meter: Meter | None = None

    def on_start(self, folder: Path, progress: Progress) -> None:
        """Open the progress bar."""
        self._meter = self.console.meter("training", self.config.every)

    def on_step(self, progress: Progress) -> None:
        """Move the bar; where there is none, a line is printed now and then."""
        if self.console.live and self._meter is not None and not self._meter.drawn:
            self._meter = self.console.meter("training", self.config.every)
        if self._meter is not None:
            self._meter.show(progress.fraction, _figures(progress))

    def on_validation(self, progress: Progress, figures: Mapping[str, float]) -> None:
        """Print the validation figures."""
        shown = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self.console.say(f"step {progress.step}, epoch {progress.epoch}: validation {shown}")

    def on_end(self, progress: Progress, reason: str) -> None:
        """Close the bar."""
        if self._meter is not None:
            self._meter.close()
        took = duration(progress.seconds)
        self.console.say(f"training ended after {counted(progress.step, 'step')}, {took}: {reason}")


def _figures(progress: Progress) -> str:
    """Return what fits beside a bar on a terminal of 80 columns."""
    left = "" if progress.seconds_left is None else f"  {duration(progress.seconds_left)} left"
    return (
        f"epoch {progress.epoch}  step {progress.step}  loss {progress.loss:.3f}"
        f"  {progress.steps_per_second:.1f} steps/s{left}"
    )
