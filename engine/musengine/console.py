"""What a person sees: progress bars on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn


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
    """One progress bar; without a terminal it shows nothing."""

    def __init__(self, title: str, rich_console: RichConsole | None) -> None:
        self._progress: Progress | None = None
        if rich_console is not None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f}%  {task.fields[figures]}"),
            )
            self._progress = Progress(*columns, console=rich_console, transient=True)
            self._progress.start()
            self._task = self._progress.add_task(title, total=1.0, figures="")

    def show(self, fraction: float, figures: str) -> None:
        """Move the bar to a fraction from 0 to 1 and show figures beside it."""
        if self._progress is not None:
            self._progress.update(self._task, completed=fraction, figures=escape(figures))

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
        self.rich = RichConsole(file=sys.stderr, highlight=False, emoji=False, soft_wrap=True)
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
        if not self.quiet:
            self.rich.print(message, markup=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        """Print one line that stands out; said even when quiet."""
        self.rich.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)

    def fail(self, message: str) -> None:
        """Print one error line."""
        self.rich.print(f"error: {message}", style="red", markup=False, soft_wrap=True)

    def meter(self, title: str) -> Meter:
        """Open a progress bar."""
        return Meter(title, self.rich if self.live else None)
