"""The notes of a piece as points (time, pitch), laid over those of the music it was learned from.

At every shift in time and every transposition, as in Meredith's translational equivalence (2002)
and the cardinality score of Yin, Reuben, Stepney and Collins (2022).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from musengine.api import MAX_GRID_STEPS, Array, GridStep, IntArray, Score
from musengine.errors import UnreadableError
from musengine_evaluation import similarity
from musengine_evaluation.settings import OriginalityConfig

STEP = OriginalityConfig.step
WINDOW = OriginalityConfig.window
"""Steps of the note sets that are compared: four bars of sixteenths in 4/4."""
TRANSPOSITIONS = 12
"""Semitones up and down by which note sets are moved."""

LEAST_NOTES = 8
"""Windows with fewer notes are like something anywhere, and do not count."""

_GROUND_STEPS = 2**15
"""Steps of the corpus that are compared at once, if its pieces are no longer than that."""


@dataclass(frozen=True)
class Notes:
    """The onsets of a piece as a set of points on a grid.

    Attributes:
        step: (N,) of each note, sorted.
        pitch: (N,) MIDI numbers.
    """

    step: IntArray
    pitch: IntArray

    @property
    def steps(self) -> int:
        """Steps from the beginning to after the last onset."""
        return int(self.step.max(initial=-1)) + 1


def notes_of(score: Score, step: GridStep = STEP) -> Notes:
    """Return a score's onsets on a grid, each once; drums are left out.

    Raises:
        UnreadableError: the piece has more steps than a grid may have.
    """
    pitched = score.take(~score.is_drum)
    first, _, _ = pitched.quantise(step)
    steps = int(first.max(initial=-1)) + 1
    if steps > MAX_GRID_STEPS:
        raise UnreadableError(
            f"{steps} time steps are more than the {MAX_GRID_STEPS} a piece may have",
            code="piece-too-long",
        )
    # Sorted by step, then pitch, each once.
    place = np.unique(first * 128 + pitched.pitch)
    return Notes(place // 128, place % 128)


@dataclass(frozen=True)
class Overlap:
    """How far the notes of a piece lie over notes of a corpus.

    Attributes:
        mean: over the piece's windows of the best share, 0 to 1; NaN where no window has notes
            enough.
        best: the highest share of any window.
        start: the step at which that window begins in the piece.
        piece: index of the corpus's piece that it lies over, -1 where there is none.
        there: the step at which the window begins in that piece; below 0 where it begins before.
        shift: semitones by which that one lies higher.
    """

    mean: float
    best: float = float("nan")
    start: int = 0
    piece: int = -1
    there: int = 0
    shift: int = 0

    @property
    def both_from(self) -> tuple[int, int]:
        """The steps, in the piece and in the other, from which on there is music of both."""
        before = max(-self.there, 0)
        return self.start + before, self.there + before


@dataclass(frozen=True)
class _Ground:
    """Some pieces of a corpus one after another, silence of a window between them.

    Attributes:
        struck: (pitches, T) of 0 and 1, with room above and below for transpositions.
        used: (pitches,) whether a pitch is struck anywhere.
        within: (T,) how many notes the window has that begins there.
        scale: (T,) one over its root, 0 for none.
        piece: (T,) index of the piece each window lies in.
        start: (T,) where in that piece it begins.
    """

    struck: npt.NDArray[np.uint8]
    used: npt.NDArray[np.bool_]
    within: IntArray
    scale: npt.NDArray[np.float32]
    piece: IntArray
    start: IntArray


def overlap(
    notes: Notes, corpus: Sequence[Notes], skip: Sequence[bool] | None = None, window: int = WINDOW
) -> Overlap:
    """Return how far a piece's notes, window by window, lie over those of a corpus.

    The share of two windows is the number of notes they have in common over the geometric mean of
    their numbers of notes (Ochiai's coefficient), at the best shift in time and the best
    transposition within an octave.

    Args:
        notes: of the piece.
        corpus: the notes of each of its pieces.
        skip: which of the corpus's pieces are left out.
        window: steps of a window; windows follow each other by half of one.
    """
    first = similarity.windows_of(notes.steps, window, max(window // 2, 1))
    points = [_within(notes, int(begin), window) for begin in first]
    enough = [len(step) >= LEAST_NOTES for step, _ in points]
    first = first[enough]
    points = [pair for pair, counts in zip(points, enough, strict=True) if counts]
    if not points:
        return Overlap(float("nan"))
    # Tunes repeat themselves: a window that comes again is looked for once.
    alike: dict[tuple[bytes, bytes], list[int]] = {}
    for row, (step, pitch) in enumerate(points):
        alike.setdefault((step.tobytes(), pitch.tobytes()), []).append(row)
    best = np.zeros(len(points))
    found = [Overlap(float("nan"))] * len(points)
    for ground in _grounds(corpus, skip, window):
        for rows in alike.values():
            share, shift, at = _best_place(*points[rows[0]], ground, best[rows[0]])
            if share > best[rows[0]]:
                best[rows] = share
                where = int(ground.piece[at]), int(ground.start[at])
                for row in rows:
                    found[row] = Overlap(float("nan"), share, int(first[row]), *where, shift)
    winner = found[int(best.argmax())]
    return replace(winner, mean=float(best.mean()))


def _within(notes: Notes, begin: int, window: int) -> tuple[IntArray, IntArray]:
    inside = (notes.step >= begin) & (notes.step < begin + window)
    return notes.step[inside] - begin, notes.pitch[inside]


def _best_place(
    step: IntArray, pitch: IntArray, ground: _Ground, least: float
) -> tuple[float, int, int]:
    """Return the highest share of a window's notes, and the transposition and place of it.

    Of shares that are no higher than `least`, one is as good as another.
    """
    length = len(ground.scale)
    # The smallest type that counts so many notes: adding up over the whole corpus is what takes
    # time.
    kind: type[np.unsignedinteger[Any]] = np.uint8 if len(step) < 256 else np.uint16
    best = (least, 0, 0)
    # The smallest transpositions first: of equal shares the nearest key counts.
    for shift in sorted(range(-TRANSPOSITIONS, TRANSPOSITIONS + 1), key=abs):
        row = pitch + shift + TRANSPOSITIONS
        there = ground.used[row]
        # The share of c common notes is at most √(c / n), and only pitches that are there count.
        if there.sum() <= best[0] ** 2 * len(step):
            continue
        common: Array = np.zeros(length, dtype=kind)
        # For each note of the window one shifted row of the corpus: afterwards `common` has for
        # each place how many notes agree.
        for time, at_pitch in zip(step[there].tolist(), row[there].tolist(), strict=True):
            common += ground.struck[at_pitch, time : time + length]
        at = int((common * ground.scale).argmax())
        share = int(common[at]) / math.sqrt(len(step) * max(int(ground.within[at]), 1))
        if share > best[0]:
            best = (share, shift, at)
    return best


def _grounds(
    corpus: Sequence[Notes], skip: Sequence[bool] | None, window: int
) -> Iterator[_Ground]:
    held: list[tuple[int, Notes]] = []
    steps = 0
    for index, notes in enumerate(corpus):
        if skip is not None and skip[index]:
            continue
        if held and steps + notes.steps > _GROUND_STEPS:
            yield _laid_out(held, window)
            held, steps = [], 0
        held.append((index, notes))
        steps += notes.steps + window
    if held:
        yield _laid_out(held, window)


def _laid_out(pieces: list[tuple[int, Notes]], window: int) -> _Ground:
    lengths = np.array([window + notes.steps for _, notes in pieces])
    # Silence of a window before each piece, so that a window may begin before it.
    begins = np.cumsum([0, *lengths[:-1]]) + window
    total = int(lengths.sum()) + window
    step = np.concatenate(
        [notes.step + begin for (_, notes), begin in zip(pieces, begins, strict=True)]
    )
    pitch = np.concatenate([notes.pitch for _, notes in pieces])
    struck_PT = np.zeros((128 + 2 * TRANSPOSITIONS, total), dtype=np.uint8)
    struck_PT[pitch + TRANSPOSITIONS, step] = 1
    count = np.cumsum(np.append(0, np.bincount(step, minlength=total)))
    within = (count[window:] - count[:-window])[:-1]
    scale = np.divide(1.0, np.sqrt(within), out=np.zeros(len(within)), where=within > 0)
    piece = np.repeat([index for index, _ in pieces], lengths)
    start = np.arange(len(scale)) - np.repeat(begins, lengths)
    used_P = np.zeros(len(struck_PT), dtype=np.bool_)
    used_P[pitch + TRANSPOSITIONS] = True
    return _Ground(struck_PT, used_P, within, scale.astype(np.float32), piece, start)
