"""Where the time of a command goes, stage by stage; and what costs nothing where nobody asks.

Whoever works is handed a profiler, as it is handed a reporter of progress, and says what it does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")


class Profiler(Protocol):
    """Where work says what it does."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Let the time within count for a stage, but for what is within another one inside it."""

    def each(self, name: str, values: Iterable[T]) -> Iterator[T]:
        """Yield what is in an iterable; the time that it takes to give them counts for a stage."""

    def finish_with(self, wait: Callable[[], object]) -> None:
        """Have each stage end when work that a device does on its own is done.

        Args:
            wait: returns when it is.
        """

    def result(self) -> ProfileResult | None:
        """Return where the time went so far; None where nobody asked."""


@dataclass(frozen=True)
class Stage:
    """One row of a profile.

    Attributes:
        seconds: on the clock, those of stages inside it left out.
        times: how often it was entered.
    """

    seconds: float
    times: int


@dataclass(frozen=True)
class ProfileResult:
    """Where the time of a command went.

    Attributes:
        seconds: all of them.
        stages: by name, in the order in which they were first entered.
    """

    seconds: float
    stages: dict[str, Stage]

    @property
    def rest(self) -> float:
        """The seconds outside of all stages."""
        return self.seconds - sum(stage.seconds for stage in self.stages.values())


class Profile:
    """Measures every stage from when it is made; a Profiler for one thread.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._wait: Callable[[], object] = _nothing
        self._seconds: dict[str, float] = {}
        self._times: dict[str, int] = {}
        self._open: list[str] = []
        self._began = self._since = clock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Let the time within count for a stage, but for what is within another one inside it."""
        self._seconds.setdefault(name, 0.0)
        # What went by until here counts for the stage that this one is within.
        self._charge()
        self._times[name] = self._times.get(name, 0) + 1
        self._open.append(name)
        try:
            yield
        finally:
            # On a GPU the calls return before the work is done: it would count for whatever comes
            # next.
            self._wait()
            self._charge()
            self._open.pop()

    def each(self, name: str, values: Iterable[T]) -> Iterator[T]:
        """Yield what is in an iterable; the time that it takes to give them counts for a stage."""
        rest, end = iter(values), object()
        while True:
            with self.stage(name):
                value = next(rest, end)
            # Asking and getting nothing is no value; its time stays counted.
            if value is end:
                self._times[name] -= 1
                return
            yield value  # type: ignore[misc]  # the sentinel is gone

    def finish_with(self, wait: Callable[[], object]) -> None:
        """Have each stage end when `wait` returns."""
        self._wait = wait

    def result(self) -> ProfileResult:
        """Return where the time went so far."""
        self._charge()
        stages = {
            name: Stage(seconds, self._times[name]) for name, seconds in self._seconds.items()
        }
        return ProfileResult(self._since - self._began, stages)

    def _charge(self) -> None:
        """Count the time since the last change for the innermost stage that is open."""
        # Each second counts for one stage alone, so that all of them add up to the whole.
        now = self._clock()
        if self._open:
            self._seconds[self._open[-1]] += now - self._since
        self._since = now


class _NoProfile:
    _ANY: AbstractContextManager[None] = nullcontext()

    def stage(self, name: str) -> AbstractContextManager[None]:
        return self._ANY

    def each(self, name: str, values: Iterable[T]) -> Iterator[T]:
        return iter(values)

    def finish_with(self, wait: Callable[[], object]) -> None: ...

    def result(self) -> ProfileResult | None:
        return None


UNPROFILED: Profiler = _NoProfile()
"""Measures nothing."""


def _nothing() -> None: ...
