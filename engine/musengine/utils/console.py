"""What a person sees: progress bars on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

LONGEST_SILENCE = 5.0
"""Seconds after which a line is printed where there is no terminal to draw a bar on."""


def duration(seconds: float) -> str:
    """Return seconds as people say them: `45 s`, `3:20`, `1:02:03`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as in `1 piece` and `1,200 pieces`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Meter:
    """How far something is: a bar on a terminal, elsewhere a plain line now and then."""

    def __init__(self, title: str, console: Console, every: float) -> None:
        self._title, self._console, self._every = title, console, every
        self._progress: Progress | None = None
        if console.live:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=10),
                TextColumn("{task.percentage:>3.0f}%  {task.fields[figures]}"),
            )
            self._progress = Progress(*columns, console=console.rich, transient=True)
            self._progress.start()
            self._task = self._progress.add_task(title, total=1.0, figures="")

    @property
    def drawn(self) -> bool:
        """Whether its bar stands on a terminal; another meter takes its place."""
        return self._progress is not None

    def show(self, fraction: float, figures: str) -> None:
        """Say that a fraction from 0 to 1 is done, with figures beside it."""
        if self._progress is not None:
            self._progress.update(self._task, completed=fraction, figures=escape(figures))
        else:
            self._console.pulse(f"{self._title} {fraction:4.0%}  {figures}", self._every)

    def close(self) -> None:
        """Remove the bar; may be called twice."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Console:
    """The terminal of one command; `Console.current()` is the one in use."""

    _current: Console | None = None

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.rich = RichConsole(stderr=True, highlight=False, emoji=False, soft_wrap=True)
        self._said = time.monotonic()
        self._meter: Meter | None = None
        Console._current = self

    @classmethod
    def current(cls) -> Console:
        """Return the console of the running command, or a new one."""
        return cls._current or cls()

    @property
    def live(self) -> bool:
        """Whether bars can be drawn."""
        return self.rich.is_terminal and not self.quiet

    def say(self, message: str) -> None:
        """Print one line, never wrapped, as it is."""
        self._said = time.monotonic()
        if not self.quiet:
            self.rich.print(message, markup=False, soft_wrap=True)

    def pulse(self, message: str, every: float = LONGEST_SILENCE) -> None:
        """Print a line if nothing was said for so many seconds, so that nobody wonders."""
        if time.monotonic() - self._said >= every:
            self.say(message)

    def warn(self, message: str) -> None:
        """Print one line that stands out; said even when quiet."""
        self.rich.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)

    def fail(self, message: str) -> None:
        """Print one error line; a bar still open is removed first."""
        self.close()
        self.rich.print(f"error: {message}", style="red", markup=False, soft_wrap=True)

    def meter(self, title: str, every: float = LONGEST_SILENCE) -> Meter:
        """Show how far something is; lines where there are no bars come every so many seconds."""
        self.close()
        self._meter = Meter(title, self, every)
        return self._meter

    def close(self) -> None:
        """Remove a bar that is open still, so that the terminal has its cursor back."""
        if self._meter is not None:
            self._meter.close()
            self._meter = None
