"""Whether what was read can be what was written: full bars, and all the notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

_NAMED = 3
"""Bars that a warning names."""


@dataclass(frozen=True)
class Bar:
    """One bar of a piece as it is written.

    Attributes:
        length: in quarter notes.
        meter: how long it should be, in quarter notes; None where no meter holds.
        inner: neither first nor last of its section, so that it should be full.
        place: where it stands, as a warning names it; `bar 5 (line 12)`.
    """

    length: Fraction
    meter: Fraction | None
    inner: bool
    place: str = ""

    @property
    def is_full(self) -> bool:
        """Whether it is exactly as long as its meter says."""
        return self.length == self.meter


def bars_of_sections(
    sections: Iterable[Sequence[tuple[Fraction, Fraction | None, str]]],
) -> list[Bar]:
    """Return the bars of sections, of which the first and last may be divided with another.

    Args:
        sections: length, meter and place of each bar, in quarter notes; a section goes from one
            repeat, ending or double bar to the next.
    """
    return [
        Bar(length, meter, 0 < index < len(section) - 1, place)
        for section in sections
        for index, (length, meter, place) in enumerate(section)
    ]


def uneven_bars(bars: Iterable[Bar]) -> list[Bar]:
    """Return the inner bars that are not as long as their meter."""
    return [bar for bar in bars if bar.inner and bar.meter is not None and not bar.is_full]


def told_of_bars(uneven: Sequence[Bar]) -> str:
    """Return a line about bars that are not full; empty where there are none."""
    if not uneven:
        return ""
    named = [
        f"{bar.place} has {_number(bar.length)} quarter notes instead of {_number(bar.meter)}"
        for bar in uneven[:_NAMED]
    ]
    more = f", and {len(uneven) - _NAMED} more are not full" if len(uneven) > _NAMED else ""
    return ", ".join(named) + more


def told_of_notes(written: int, read: int) -> str:
    """Return a line about notes that are more or fewer than the letters written; empty for none."""
    if written == read:
        return ""
    return f"{written} notes are written, {read} were read"


def _number(length: Fraction | None) -> str:
    return f"{float(length or 0):.4g}"
