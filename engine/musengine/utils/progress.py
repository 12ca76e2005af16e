"""How far work has come: a protocol that is handed down, and its silent implementation.

The command line passes one that draws bars; a program that embeds the engine passes its own, or
none and hears nothing.
"""

from __future__ import annotations

from typing import Protocol

LONGEST_SILENCE = 5.0
"""Seconds after which a reporter that cannot draw bars prints a line."""


class ProgressBar(Protocol):
    """One piece of work under way; a context manager that ends it."""

    def update(self, fraction: float, detail: str) -> None:
        """Say that a fraction from 0 to 1 is done, with a few words beside it."""

    def close(self) -> None:
        """Remove the bar or end its line; may be called twice."""

    def __enter__(self) -> ProgressBar:
        """Return itself."""

    def __exit__(self, *error: object) -> None:
        """Close it."""


class ProgressReporter(Protocol):
    """Where work says how far it is."""

    def bar(self, title: str, every: float = LONGEST_SILENCE) -> ProgressBar:
        """Begin a piece of work; it takes the place of one that is under way.

        Args:
            title: what is done, as `reading`.
            every: seconds between lines where no bar can be drawn.
        """

    def alive(self, message: str) -> None:
        """Say that work goes on whose length is not known, if nothing was said for a while."""


class _SilentBar:
    def update(self, fraction: float, detail: str) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> _SilentBar:
        return self

    def __exit__(self, *error: object) -> None: ...


class _Silent:
    def bar(self, title: str, every: float = LONGEST_SILENCE) -> ProgressBar:
        return _SilentBar()

    def alive(self, message: str) -> None: ...


SILENT: ProgressReporter = _Silent()
"""Says nothing."""
