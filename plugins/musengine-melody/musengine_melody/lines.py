"""From the notes of a track to a single line of notes, on the steps of a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musengine.api import GridStep, IntArray, Score


@dataclass(frozen=True)
class Line:
    """Notes one after the other: (N,) first step, step after the last, MIDI pitch of each."""

    first: IntArray
    after: IntArray
    pitch: IntArray


def one_after_another(score: Score, step: GridStep) -> Line:
    """Return the notes in turn: each ends at the latest where the next one begins.

    Of notes that begin in one step the longest is taken, of those equally long the highest.
    """
    first, after, _ = score.quantise(step)
    return _cut(first, after, score.pitch, np.lexsort((score.pitch, score.duration, first)))


def top_line(score: Score, step: GridStep) -> Line:
    """Return the notes that are the highest sounding where they begin, each cut by the next one.

    A lower note that goes on when a higher one has ended is not taken up again.
    """
    first, after, _ = score.quantise(step)
    top_T = np.full(int(after.max(initial=0)), -1, dtype=np.int64)
    for note in np.argsort(score.pitch, kind="stable"):  # higher notes overwrite lower ones
        top_T[first[note] : after[note]] = score.pitch[note]
    highest = np.flatnonzero(score.pitch == top_T[first])
    return _cut(first, after, score.pitch, highest[np.lexsort((after[highest], first[highest]))])


def _cut(first: IntArray, after: IntArray, pitch: IntArray, order: IntArray) -> Line:
    """Keep of notes in order of their first step the last one of each step, and cut overlaps."""
    starts = first[order]
    kept = order[np.append(starts[1:] != starts[:-1], True)[: len(order)]]
    following = np.append(first[kept][1:], np.iinfo(np.int64).max)[: len(kept)]
    return Line(first[kept], np.minimum(after[kept], following), pitch[kept])
