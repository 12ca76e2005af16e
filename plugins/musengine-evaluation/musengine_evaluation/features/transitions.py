"""What follows what: from the notes of one onset to the notes of the next, drums left out.

In music of several voices nothing says which note follows which. So each note of an onset goes on
to every note of the next, in equal shares; in a melody that is the transition from note to note.
"""

from __future__ import annotations

import math

import numpy as np

from musengine.api import FloatArray, IntArray, Score
from musengine_evaluation.features.pitch import pitched
from musengine_evaluation.features.rhythm import NOTE_VALUES, note_value


def pitch_class_transitions(score: Score) -> FloatArray:
    """Return (12, 12) the share of transitions from a pitch class (row) to another (column).

    The shares of the whole matrix add up to 1. NaN with fewer than two onsets.
    """
    notes = pitched(score)
    return _transitions(notes.onset, notes.pitch % 12, 12)


def note_length_transitions(score: Score) -> FloatArray:
    """Return (12, 12) the share of transitions from one of `NOTE_VALUES` (row) to another.

    The shares of the whole matrix add up to 1. NaN with fewer than two onsets.
    """
    notes = pitched(score)
    value_N = note_value(notes.duration / notes.ticks_per_beat)
    return _transitions(notes.onset, value_N, len(NOTE_VALUES))


def mean_interval(score: Score) -> float:
    """Return the mean size in semitones of the steps from the highest note of an onset to the next.

    Their direction does not count. NaN with fewer than two onsets.
    """
    notes = pitched(score)
    # Notes are sorted by onset, then pitch: the last at each onset is the highest.
    highest = notes.pitch[np.append(np.diff(notes.onset) > 0, True)[: len(notes)]]
    return float(np.abs(np.diff(highest)).mean()) if len(highest) > 1 else math.nan


def _transitions(onset_N: IntArray, class_N: IntArray, classes: int) -> FloatArray:
    _, group_N = np.unique(onset_N, return_inverse=True)
    groups = int(group_N.max(initial=-1)) + 1
    if groups < 2:
        return np.full((classes, classes), np.nan)
    counts = np.bincount(group_N * classes + class_N, minlength=groups * classes)
    share_GC = counts.reshape(groups, classes) / np.bincount(group_N)[:, None]
    # Products of shares, added up over all pairs of neighbouring onsets.
    result: FloatArray = share_GC[:-1].T @ share_GC[1:] / (groups - 1)
    return result
