"""When a piece sounds: notes at once, silence and held notes, exact to the tick."""

from __future__ import annotations

import math

import numpy as np

from musengine.api import FloatArray, IntArray, Score
from musengine_evaluation.features.pitch import pitched


def polyphony(score: Score) -> float:
    """Return the mean number of pitches at once, over the time in which any sounds.

    At least 1. Drums are left out; a pitch that sounds in two notes at once counts once. NaN
    without notes.
    """
    level_E, span_E = _levels(pitched(score))
    sounding = span_E[level_E > 0].sum()
    return float((level_E * span_E).sum() / sounding) if sounding else math.nan


def polyphony_rate(score: Score) -> float:
    """Return the share of the whole length in which two or more pitches sound, 0 to 1.

    Drums are left out. NaN where the length is 0.
    """
    level_E, span_E = _levels(pitched(score))
    return float(span_E[level_E > 1].sum() / score.length) if score.length else math.nan


def empty_beat_rate(score: Score) -> float:
    """Return the share of beats (quarter notes) in which nothing sounds, drums included, 0 to 1.

    A note that ends where a beat begins does not sound in that beat. A beat that the length
    reaches into counts as one. NaN where the length is 0.
    """
    start_K, end_K = _spans(score.onset, score.end)
    size = score.ticks_per_beat
    return _empty_rate(start_K // size, (end_K - 1) // size, -(-score.length // size))


def empty_bar_rate(score: Score) -> float:
    """Return the share of bars in which nothing sounds, drums included, 0 to 1.

    Bars are those of the meter map. NaN where the length is 0.
    """
    start_K, end_K = _spans(score.onset, score.end)
    # The slack keeps a rounding error at a bar line from counting as another bar.
    first_K = np.floor(score.bars(start_K) + 1e-9).astype(np.int64)
    last_K = np.ceil(score.bars(end_K) - 1e-9).astype(np.int64) - 1
    return _empty_rate(first_K, last_K, score.n_bars)


def longest_silence_beats(score: Score) -> float:
    """Return the longest time in beats in which nothing sounds, drums included.

    Silence before the first note and after the last, up to the score's length, counts. Without
    notes it is the whole length.
    """
    start_K, end_K = _silences(score)
    return float((end_K - start_K).max()) / score.ticks_per_beat


def longest_silence_seconds(score: Score) -> float:
    """Return the longest time in seconds in which nothing sounds; see `longest_silence_beats`."""
    start_K, end_K = _silences(score)
    return float((score.seconds(end_K) - score.seconds(start_K)).max())


def longest_note_beats(score: Score) -> float:
    """Return the length of the longest note in beats, drums left out; NaN without notes."""
    duration_N = pitched(score).duration
    return float(duration_N.max()) / score.ticks_per_beat if len(duration_N) else math.nan


def longest_note_seconds(score: Score) -> float:
    """Return the length of the longest note in seconds, drums left out; NaN without notes."""
    notes = pitched(score)
    seconds_N: FloatArray = notes.seconds(notes.end) - notes.seconds(notes.onset)
    return float(seconds_N.max()) if len(seconds_N) else math.nan


def _spans(start_N: IntArray, end_N: IntArray) -> tuple[IntArray, IntArray]:
    """Return the union of time spans, as starts (K,) and ends (K,) of spans that do not touch."""
    if not len(start_N):
        return start_N, end_N
    order = np.argsort(start_N, kind="stable")
    start_N, reached_N = start_N[order], np.maximum.accumulate(end_N[order])
    begins = np.append(True, start_N[1:] > reached_N[:-1])
    return start_N[begins], reached_N[np.append(begins[1:], True)]


def _levels(score: Score) -> tuple[IntArray, IntArray]:
    """Return how many pitches sound (E,), and for how many ticks each time (E,)."""
    # Every pitch has a stretch of the line to itself, so that spans are united within pitches.
    shift_N = score.pitch * (score.length + 1)
    start_K, end_K = _spans(score.onset + shift_N, score.end + shift_N)
    tick = np.concatenate([start_K, end_K]) % (score.length + 1)
    # At one tick starts come before ends; moments of no length do not count.
    order = np.argsort(tick, kind="stable")
    change = np.repeat([1, -1], len(start_K))[order]
    return np.cumsum(change)[:-1], np.diff(tick[order])


def _silences(score: Score) -> tuple[IntArray, IntArray]:
    """Return starts and ends of what lies between the sounding spans and the score's bounds."""
    start_K, end_K = _spans(score.onset, score.end)
    return np.append(0, end_K), np.append(start_K, score.length)


def _empty_rate(first_K: IntArray, last_K: IntArray, count: int) -> float:
    """Return the share of `count` units that no span from `first` to `last` reaches into."""
    if not count:
        return math.nan
    # Two spans may reach into the same unit; no third lies between them.
    shared = np.count_nonzero(first_K[1:] == last_K[:-1])
    reached = int((last_K - first_K + 1).sum()) - shared
    return 1.0 - reached / count
