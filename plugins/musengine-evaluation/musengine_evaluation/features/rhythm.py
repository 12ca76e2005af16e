"""How long notes are and how close together they begin, in beats."""

from __future__ import annotations

import math

import numpy as np

from musengine.api import FloatArray, IntArray, Score
from musengine_evaluation.features.pitch import pitched

NOTE_VALUES = np.array([1 / 4, 1 / 3, 3 / 8, 1 / 2, 2 / 3, 3 / 4, 1.0, 4 / 3, 3 / 2, 2.0, 3.0, 4.0])
"""(12,) beats: sixteenth to whole note, dotted ones, triplets (Yang and Lerch 2020).

The one grid of bins for lengths of notes and for times between onsets.
"""

_BETWEEN = (NOTE_VALUES[1:] + NOTE_VALUES[:-1]) / 2


def note_value(beats_N: FloatArray) -> IntArray:
    """Return (N,) the place in `NOTE_VALUES` nearest to each time; half-way goes to the longer.

    What is shorter than the shortest counts as the shortest, and likewise at the other end.
    """
    return np.searchsorted(_BETWEEN, beats_N, side="right")


def note_length_histogram(score: Score) -> FloatArray:
    """Return (12,) the share of notes of each of `NOTE_VALUES`, drums left out.

    NaN without notes.
    """
    return _shares(pitched(score).duration / score.ticks_per_beat)


def inter_onset_histogram(score: Score) -> FloatArray:
    """Return (12,) the share of times between onsets at each of `NOTE_VALUES`.

    Drums count; notes that begin together are one onset. NaN with fewer than two onsets.
    """
    return _shares(_inter_onset_beats(score))


def mean_inter_onset_beats(score: Score) -> float:
    """Return the mean time between onsets in beats; NaN with fewer than two onsets.

    Drums count; notes that begin together are one onset.
    """
    between = _inter_onset_beats(score)
    return float(between.mean()) if len(between) else math.nan


def notes(score: Score) -> float:
    """Return how many notes there are, drums included."""
    return float(len(score))


def notes_per_beat(score: Score) -> float:
    """Return the notes, drums included, for each beat of the length; NaN where that is 0."""
    return len(score) * score.ticks_per_beat / score.length if score.length else math.nan


def notes_per_second(score: Score) -> float:
    """Return the notes, drums included, for each second of the length; NaN where that is 0."""
    return len(score) / float(score.seconds(score.length)) if score.length else math.nan


def _inter_onset_beats(score: Score) -> FloatArray:
    between: FloatArray = np.diff(np.unique(score.onset) / score.ticks_per_beat)
    return between


def _shares(beats_N: FloatArray) -> FloatArray:
    if not len(beats_N):
        return np.full(len(NOTE_VALUES), np.nan)
    counts = np.bincount(note_value(beats_N), minlength=len(NOTE_VALUES))
    result: FloatArray = counts / len(beats_N)
    return result
