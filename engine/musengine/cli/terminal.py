"""What a person sees: log records as plain lines, and progress bars, all on stderr."""

from __future__ import annotations

import functools
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from musengine.errors import MachineError, UserError, on_one_line, written_out
from musengine.utils.progress import LONGEST_SILENCE, ProgressBar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_STYLES = {logging.WARNING: "yellow", logging.ERROR: "red"}
_PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: "}


class Terminal:
    """The terminal of one command: lines, never wrapped, and at most one bar below them.

    Args:
        level: the lowest level of log records that are shown; bars are drawn up to INFO.
    """

    def __init__(self, level: int = logging.INFO) -> None:
        self.level = level
        self._said = time.monotonic()
        self._bar: _Bar | None = None

    @functools.cached_property
    def rich(self) -> Console:
        """The console that everything is shown on, made with the first line or bar."""
        # A command that has nothing to say is over sooner than this import.
        from rich.console import Console

        return Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

    @property
    def draws_bars(self) -> bool:
        """Whether bars can be drawn."""
        return self.level <= logging.INFO and self.rich.is_terminal

    def line(self, message: str, level: int = logging.INFO) -> None:
        """Print one line, its indentation kept, line breaks in it written out.

        An error first removes a bar that is open.
        """
        if level >= logging.ERROR:
            self.close()
        shown = min(level, logging.ERROR)
        if level < self.level:
            return
        self._said = time.monotonic()
        # `on_one_line` strips the text, its indentation with it.
        indentation = message[: len(message) - len(message.lstrip(" "))]
        with suppress(OSError):  # nobody is there to be told, as after a terminal was closed
            self.rich.print(
                _PREFIXES.get(shown, "") + indentation + on_one_line(message),
                style=_STYLES.get(shown),
                markup=False,
                soft_wrap=True,
            )

    def bar(self, title: str, every: float = LONGEST_SILENCE) -> ProgressBar:
        """Begin a piece of work: a bar on a terminal, elsewhere a plain line now and then."""
        self.close()
        self._bar = _Bar(title, self, every)
        return self._bar

    def alive(self, message: str, every: float = LONGEST_SILENCE) -> None:
        """Print a line if nothing was printed for so many seconds, so that nobody wonders."""
        if time.monotonic() - self._said >= every:
            self.line(message)

    def holds(self, bar: _Bar) -> bool:
        """Return whether a bar is the one that is open."""
        return self._bar is bar

    def open(self, bar: _Bar) -> None:
        """Close the bar that is open, and remember another as open."""
        self.close()
        self._bar = bar

    def close(self) -> None:
        """Remove a bar that is open still, so that the terminal has its cursor back."""
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.close()


class _Bar:
    """A piece of work; its bar is drawn anew where another's took its place meanwhile."""

    def __init__(self, title: str, terminal: Terminal, every: float) -> None:
        self._title, self._terminal, self._every = title, terminal, every
        self._progress: Progress | None = None
        self._draw()

    def _draw(self) -> None:
        if not self._terminal.draws_bars:
            return
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[figures]}"),
        )
        self._progress = Progress(*columns, console=self._terminal.rich, transient=True)
        self._progress.start()
        self._task = self._progress.add_task(
            escape(written_out(self._title)), total=1.0, figures=""
        )

    def update(self, fraction: float, detail: str) -> None:
        if not self._terminal.draws_bars:
            self._terminal.alive(f"{self._title} {fraction:4.0%}  {detail}", self._every)
            return
        if not self._terminal.holds(self):
            self._terminal.open(self)
            self._draw()
        if self._progress is not None:
            from rich.markup import escape

            self._progress.update(
                self._task, completed=fraction, figures=escape(written_out(detail))
            )

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        if self._terminal.holds(self):
            self._terminal.close()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Lines(logging.Handler):
    """Shows log records of the engine and its plugins on a terminal, each as one line."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING or _is_ours(record.name):
            self.terminal.line(record.getMessage(), record.levelno)


def _is_ours(name: str) -> bool:
    """Return whether a logger belongs to the engine or to a plugin, not to another library."""
    package = name.partition(".")[0]
    return package == "musengine" or package in _plugin_packages()


def _plugin_packages() -> set[str]:
    # Looked up, not imported: a command that needs no plugins does not load them for this.
    manager = sys.modules.get("musengine.plugins.manager")
    return set() if manager is None else manager.loaded_packages()


@contextmanager
def shown_on(terminal: Terminal, log_file: Path | None = None) -> Iterator[None]:
    """Show log records on a terminal, and write all of them into a file, for a while.

    Raises:
        UserError: the file cannot be written.
    """
    # The root, since plugins and libraries log under names of their own; `_Lines` chooses among
    # them.
    root = logging.getLogger()
    handlers: list[logging.Handler] = [_Lines(terminal)]
    if log_file is not None:
        handlers.append(_file_handler(log_file))
    before = root.level
    root.setLevel(logging.DEBUG if log_file is not None else min(terminal.level, logging.INFO))
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(before)
        terminal.close()


class _LogFile(logging.FileHandler):
    """A file of messages; one that cannot be written any more ends the command."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name of logging
        """Say why it cannot be written.

        Raises:
            MachineError: the system refuses it.
        """
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        logging.getLogger().removeHandler(self)
        raise MachineError(
            f"--log-file: {self.baseFilename}: {error.strerror or error}", code="cannot-write"
        ) from error


def _file_handler(path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UserError(
            f"--log-file: {path}: {error.strerror or error}", code="cannot-write"
        ) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler
