"""Whether what was read is what was written: full bars, all notes, nothing not understood."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from musengine.errors import UnreadableError

_NAMED = 3
"""Bars that a warning names, and warnings that are alike."""
_MOST = 50
"""Warnings of one piece."""


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
    sections: Iterable[Sequence[tuple[Fraction, Fraction | None, str]]], *, divided: bool = False
) -> list[Bar]:
    """Return the bars of sections, of which the first and last may be divided with another.

    Args:
        sections: length, meter and place of each bar, in quarter notes; a section goes from one
            repeat, ending or double bar to the next.
        divided: also two neighbours that make a whole bar may be one, as printed music has it at
            the end of a line of text.
    """
    bars = []
    for section in sections:
        inner = [0 < index < len(section) - 1 for index in range(len(section))]
        if divided:
            for index, (one, other) in enumerate(pairwise(section)):
                # Exact, as lengths are fractions.
                if one[0] + other[0] == one[1] == other[1]:
                    inner[index] = inner[index + 1] = False
        bars += [Bar(*bar[:2], whole, bar[2]) for bar, whole in zip(section, inner, strict=True)]
    return bars


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


@dataclass
class Faults:
    """What was not understood of a piece, or cannot be what was meant; one line each."""

    _lines: list[str] = field(default_factory=list)
    _alike: Counter[str] = field(default_factory=Counter)

    def add(self, line: str) -> None:
        """Add a line; of those that differ in numbers alone three are kept."""
        # A file with one mistake in every bar would else fill all the lines.
        kind = re.sub(r"[\d.]+", "#", line)
        self._alike[kind] += 1
        if line and self._alike[kind] <= _NAMED and len(self._lines) < _MOST:
            self._lines.append(line)

    def add_bars(self, where: str, bars: Iterable[Bar]) -> None:
        """Add a line about the bars of a part that are not full, if there are any."""
        if told := told_of_bars(uneven_bars(bars)):
            self.add(where + told)

    def add_notes(self, written: int, read: int) -> None:
        """Add a line where more or fewer notes were read than are written."""
        self.add(told_of_notes(written, read))

    def lines(self) -> list[str]:
        """Return all of them, and how many more there are."""
        more = sum(self._alike.values()) - len(self._lines) - self._alike[""]
        return [*self._lines, f"{more} more like these"] if more else list(self._lines)


def refuse_faulty(faults: Sequence[str]) -> None:
    """Refuse a piece that is not understood in full.

    Raises:
        UnreadableError: there are faults; names the first.
    """
    if faults:
        raise UnreadableError(faults[0], code="notation-not-understood")


def _number(length: Fraction | None) -> str:
    return f"{float(length or 0):.4g}"
