"""The line of a piece, its highest notes, looked for in the music it was learned from.

A line is a sequence of elements (interval to the next note, ratio of the time after the next note
to the time before it), so it is found in any key and at any tempo: in runs, and in n-grams.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musengine.api import GridStep, IntArray, Score
from musengine_evaluation.settings import OriginalityConfig

Hashes = npt.NDArray[np.uint64]

STEP = OriginalityConfig.step
NGRAM = OriginalityConfig.ngram

_BASE = 0x9E3779B97F4A7C15
_WORD = 2**64
_AROUND = 2
"""A run of elements spans this many notes more than it has elements."""


@dataclass(frozen=True)
class IntervalLine:
    """The highest notes of a piece, one at each onset.

    Attributes:
        step: (K,) when each is struck, in steps of the grid.
        pitch: (K,) MIDI numbers.
        element: (K - 2,) a number for each (interval, ratio); equal numbers, equal elements.
    """

    step: IntArray
    pitch: IntArray
    element: Hashes


def line_of(score: Score, step: GridStep = STEP) -> IntervalLine:
    """Return a score's line on a grid; drums are left out."""
    pitched = score.take(~score.is_drum)
    first, _, _ = pitched.quantise(step)
    order = np.lexsort((pitched.pitch, first))
    first, pitch = first[order], pitched.pitch[order]
    highest = np.append(np.diff(first) > 0, True) if len(first) else np.zeros(0, dtype=bool)
    first, pitch = first[highest], pitch[highest]
    if len(first) <= _AROUND:
        return IntervalLine(first, pitch, np.zeros(0, dtype=np.uint64))
    interval, gap = np.diff(pitch)[:-1], np.diff(first)
    # Ratios in lowest terms, as whole numbers: equal at any tempo, without rounding.
    common = np.gcd(gap[1:], gap[:-1])
    return IntervalLine(first, pitch, _mixed(interval, gap[1:] // common, gap[:-1] // common))


def _mixed(*columns: IntArray) -> Hashes:
    """Return one number for each row, spread over all 64 bits (the mixer of SplitMix64)."""
    value = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        value = value * np.uint64(_BASE) + column.astype(np.uint64) + np.uint64(1)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value ^= value >> np.uint64(31)
    return value


def _grams(element: Hashes, n: int) -> Hashes:
    """Return (K - n + 1,) a number for each n-gram, by a polynomial modulo 2**64."""
    if len(element) < n:
        return np.zeros(0, dtype=np.uint64)
    count = len(element) - n + 1
    gram = np.zeros(count, dtype=np.uint64)
    # By doubling: the number of a stretch is that of its first part, moved up, and its second.
    held, power, size, done = element, _BASE, 1, 0
    while True:
        if n & size:
            gram = gram * np.uint64(power) + held[done : done + count]
            done += size
        if size * 2 > n:
            return gram
        held = held[: len(held) - size] * np.uint64(power) + held[size:]
        power, size = power * power % _WORD, size * 2


@dataclass(frozen=True)
class MatchedRun:
    """A stretch of a line that occurs in the corpus.

    Attributes:
        notes: how many.
        start: the step at which it begins in the piece.
        piece: index of the corpus's piece it occurs in, -1 where there is none.
        there: the step at which it begins in that piece.
        shift: semitones by which that one lies higher.
    """

    notes: int
    start: int = 0
    piece: int = -1
    there: int = 0
    shift: int = 0


class LineIndex:
    """The lines of some pieces, made ready for looking up runs of any length.

    Args:
        lines: of each piece.
        labels: equal for copies of one piece, by which a piece can be left out of its own corpus.
    """

    def __init__(self, lines: Sequence[IntervalLine], labels: Sequence[str]) -> None:
        self.lines = lines
        names = {name: number for number, name in enumerate(sorted(set(labels)))}
        self.label = {name: names[name] for name in names}
        lengths = [len(line.element) for line in lines]
        self._element = np.concatenate([np.zeros(0, np.uint64), *(each.element for each in lines)])
        self._piece = np.repeat(np.arange(len(lines)), lengths)
        self._owner = np.repeat(np.array([names[name] for name in labels], np.int64), lengths)
        self._offset = np.cumsum([0, *lengths])
        self._index = functools.lru_cache(maxsize=32)(self._indexed)

    def _indexed(self, n: int) -> tuple[Hashes, IntArray, IntArray, IntArray]:
        """Return the sorted n-grams, the lowest and highest owner of each, and a place."""
        gram = _grams(self._element, n)
        # All lines lie in one array: an n-gram that reaches into the next piece is none.
        within = self._piece[: len(gram)] == self._piece[n - 1 :] if len(gram) else gram > 0
        place = np.nonzero(within)[0]
        gram, owner = gram[place], self._owner[place]
        order = np.argsort(gram, kind="stable")
        gram, owner, place = gram[order], owner[order], place[order]
        if not len(gram):
            return gram, owner, owner, place
        first = np.nonzero(np.append(True, gram[1:] != gram[:-1]))[0]
        lowest = np.minimum.reduceat(owner, first)
        return gram[first], lowest, np.maximum.reduceat(owner, first), place[first]

    def found(
        self, line: IntervalLine, n: int, without: str | None = None
    ) -> npt.NDArray[np.bool_]:
        """Return (K - n - 1,): whether each n-gram of a line occurs in the corpus.

        Args:
            line: what is looked up.
            n: elements of an n-gram.
            without: the label of pieces that are left out.
        """
        gram = _grams(line.element, n)
        known, lowest, highest, _ = self._index(n)
        if not len(known):
            return np.zeros(len(gram), dtype=bool)
        at = np.minimum(np.searchsorted(known, gram), len(known) - 1)
        hit = known[at] == gram
        own = self.label.get(without or "", -1)
        # Found, and not in pieces of that label alone: lowest and highest owner tell that without a
        # list.
        result: npt.NDArray[np.bool_] = hit & ~((lowest[at] == own) & (highest[at] == own))
        return result

    def longest_run(self, line: IntervalLine, without: str | None = None) -> MatchedRun:
        """Return the longest stretch of a line that occurs in the corpus, whatever its key."""
        low = 0
        # Bit by bit, from the highest: so lines of any length ask for the same few lengths, whose
        # indices are made once.
        for bit in reversed(range(len(line.element).bit_length())):
            longer = low + (1 << bit)
            if longer <= len(line.element) and self.found(line, longer, without).any():
                low = longer
        if not low:
            return MatchedRun(0)
        start = int(self.found(line, low, without).argmax())
        place = self._place(line.element[start : start + low], without)
        piece = int(self._piece[place])
        there = place - int(self._offset[piece])
        other = self.lines[piece]
        return MatchedRun(
            notes=low + _AROUND,
            start=int(line.step[start]),
            piece=piece,
            there=int(other.step[there]),
            shift=int(other.pitch[there] - line.pitch[start]),
        )

    def _place(self, elements: Hashes, without: str | None) -> int:
        """Return the first place of a stretch of elements in the corpus."""
        gram = _grams(self._element, len(elements))
        own = self.label.get(without or "", -1)
        within = self._piece[: len(gram)] == self._piece[len(elements) - 1 :]
        hits = (
            (gram == _grams(elements, len(elements))) & within & (self._owner[: len(gram)] != own)
        )
        return int(hits.argmax())
