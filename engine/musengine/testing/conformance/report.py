"""What a check of the conformance kit found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One way in which a component breaks its contract.

    Attributes:
        check: the check that found it, a readable slug.
        message: what is wrong, and what to do.
    """

    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.check}: {self.message}"


Check = Callable[[], Iterable[str]]
"""Yields what is wrong, a message each."""


def findings(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Yield what some checks find; an exception inside one is a finding, and the rest goes on.

    Args:
        checks: name and check.
    """
    for name, check in checks:
        try:
            for message in check():
                yield Finding(name, message)
        except Exception as error:  # whatever the component raises is its author's to read
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            yield Finding(name, f"raises {reason}")
