"""Stretches of time as note values: dots, ties, tuplets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from musengine_notation.written.grid import BEAT, Bar

_NAMES = ("breve", "whole", "half", "quarter", "eighth", "16th", "32nd", "64th")
_PLAIN = [(8 * BEAT >> index, name) for index, name in enumerate(_NAMES)]
VALUES = sorted(
    [
        (length * 3 // 2 if dots else length, name, dots)
        for length, name in _PLAIN
        for dots in (0, 1)
        if not dots or length % 2 == 0
    ],
    reverse=True,
)
"""Units, name and dots of every value, the longest first."""
_NORMAL = {3: 2, 5: 4, 7: 4}
"""How many notes of a tuplet's value a beat has otherwise."""
_PARTS = {3: BEAT // 24, 5: BEAT // 10, 7: BEAT // 14}
"""The shortest part of a beat in each tuplet."""
FLAGS = {name: index - 3 for index, name in enumerate(_NAMES) if index > 3}
"""How many beams each value has."""


@dataclass(frozen=True)
class Value:
    """A note or rest as it is written.

    Attributes:
        start: units from the start of the piece.
        length: units.
        name: of the value, such as `eighth`.
        dots: 0 or 1.
        tuplet: how many in the time of `normal`; 1 for none.
        normal: see `tuplet`.
    """

    start: int
    length: int
    name: str
    dots: int
    tuplet: int = 1
    normal: int = 1

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + self.length


class Divisions:
    """How the beats of a bar are divided in one voice: which of them are tuplets."""

    def __init__(self, bar: Bar, places: Iterable[int]) -> None:
        """Find it out from the places at which something begins or ends."""
        self._bar = bar
        self._tuplets: dict[int, int] = {}
        for place in places:
            window, units = divmod(place - bar.start, BEAT)
            # On no sixty-fourth: only a tuplet has a place there.
            if units % (BEAT // 16):
                self._tuplets[window] = next(
                    tuplet for tuplet, part in _PARTS.items() if not units % part
                )

    def tuplet(self, place: int) -> int:
        """Return into which tuplet the beat at a place is divided; 1 for none."""
        return self._tuplets.get((place - self._bar.start) // BEAT, 1)

    def window(self, place: int) -> tuple[int, int]:
        """Return the start and the end of the beat that a place is in."""
        start = place - (place - self._bar.start) % BEAT
        return start, min(start + BEAT, self._bar.end)

    def values(self, start: int, end: int, *, rest: bool = False) -> Iterator[Value]:
        """Yield what a note within the bar is written as, each tied to the next, or a rest."""
        while start < end:
            first, after = self.window(start)
            if self.tuplet(start) > 1 and not (start == first and end >= after):
                stop = min(end, after)
                yield from _in_tuplet(start, stop, self.tuplet(start))
            else:
                stop = self._plain_until(start, end)
                yield from self._plain(start, stop, rest)
            start = stop

    def _plain_until(self, start: int, end: int) -> int:
        """Return up to where a stretch needs no tuplet."""
        place = self.window(start)[1]
        while place < end:
            after = self.window(place)[1]
            if self.tuplet(place) > 1 and end < after:
                return place
            place = after
        return end

    def _plain(self, start: int, end: int, rest: bool) -> Iterator[Value]:
        while start < end:
            stop = self._stop(start, end, rest)
            length, name, dots = next(
                value
                for value in VALUES
                if value[0] <= stop - start and self._may_stand(start, value[0])
            )
            yield Value(start, length, name, dots)
            start += length

    def _stop(self, start: int, end: int, rest: bool) -> int:
        """Return up to where one value may reach: between beats, to the next but for syncopes."""
        pulse = self._bar.pulse
        gone = (start - self._bar.start) % pulse
        beat = start + pulse - gone
        if not gone or end <= beat:
            return end
        middle = self._bar.start + self._bar.length // 2
        # The quarter on an off-beat that everybody reads; over the middle of the bar it is tied.
        syncope = (
            not rest
            and pulse == BEAT
            and gone == BEAT // 2
            and end - start == BEAT
            and beat != middle
        )
        return end if syncope else beat

    def _may_stand(self, start: int, length: int) -> bool:
        pulse = self._bar.pulse
        on_beat = (start - self._bar.start) % pulse == 0
        return not on_beat or pulse == BEAT or length <= pulse or length % pulse == 0


def _in_tuplet(start: int, end: int, tuplet: int) -> Iterator[Value]:
    """Yield the values of a stretch within a beat that is divided into a tuplet."""
    normal = _NORMAL[tuplet]
    while start < end:
        for length, name, dots in VALUES:
            sounding, rest = divmod(length * normal, tuplet)
            if not rest and sounding <= end - start:
                yield Value(start, sounding, name, dots, tuplet, normal)
                start += sounding
                break
        else:
            raise ValueError(f"{end - start} units are no values of a tuplet of {tuplet}")
