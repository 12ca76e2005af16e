"""Notes and controllers as tables of whole numbers: their bounds, and the order they are in."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import numpy as np

from musengine.music import compiled
from musengine.utils.arrays import IntArray

COLUMNS = ("onset", "duration", "pitch", "velocity", "track")
"""The arrays of a Score with an entry for each note."""
LAST_TICK = 2**40
"""No note begins later or lasts longer: quantising multiplies ticks and must not overflow."""
BEND = 128
"""The number that pitch bends have among controllers, whose own are 0 to 127."""


def sorted_notes(notes_5N: IntArray, n_tracks: int) -> tuple[IntArray, int]:
    """Return notes (5, N) by onset, then pitch, track, duration and velocity, and the last's end.

    Args:
        notes_5N: onset, duration, pitch, velocity and track.
        n_tracks: how many tracks there are.

    Raises:
        ValueError: a value outside its range.
    """
    order = compiled.order
    if order is not None and notes_5N.dtype == np.int64 and notes_5N.flags.c_contiguous:
        ordered_5N = np.empty(notes_5N.shape, dtype=np.int64)
        last = order.sort_notes(notes_5N, LAST_TICK, n_tracks, ordered_5N)
        if last >= 0:
            return ordered_5N, last
    largest = largest_values(notes_5N, n_tracks)
    ordered_5N = notes_5N.take(sorted_order(notes_5N, largest), axis=1)
    onset, duration, *_ = ordered_5N
    return ordered_5N, int(np.maximum.reduce(onset + duration, initial=0))


def sorted_order(notes_5N: IntArray, largest: list[int]) -> IntArray:
    """Return the indices that sort notes by onset, then pitch, track, duration and velocity.

    Args:
        notes_5N: onset, duration, pitch, velocity and track, none below 0.
        largest: of each row.
    """
    onset, duration, pitch, velocity, track = notes_5N
    _, *bits = [most.bit_length() for most in largest]
    # Does not fit into 63 bits: odd files have huge times.
    if sum(bits) + largest[0].bit_length() > 63:
        return np.lexsort((velocity, duration, track, pitch, onset))
    for_duration, for_pitch, for_velocity, for_track = bits
    # Packed into one number a note sorts several times faster. Most are in order by parts, which
    # is what a stable sort makes use of.
    packed = onset << for_pitch
    packed |= pitch
    packed <<= for_track
    packed |= track
    packed <<= for_duration
    packed |= duration
    packed <<= for_velocity
    packed |= velocity
    return np.argsort(packed, kind="stable")


def largest_values(notes_5N: IntArray, n_tracks: int) -> list[int]:
    """Return the largest value of each row of notes (5, N).

    Raises:
        ValueError: a value outside its range.
    """
    if not notes_5N.size:
        return [0] * 5
    # Bounds are checked on the extremes alone: two passes over the table, no array of flags.
    # The ufunc itself: `max` goes through Python, which a small file's notes take no longer than.
    largest: list[int] = np.maximum.reduce(notes_5N, axis=1).tolist()
    ranges = ((0, LAST_TICK), (1, LAST_TICK), (0, 127), (1, 127), (0, n_tracks - 1))
    found = zip(COLUMNS, ranges, np.minimum.reduce(notes_5N, axis=1).tolist(), largest, strict=True)
    for name, (low, high), least, most in found:
        if least < low or most > high:
            raise ValueError(f"{name} must lie between {low} and {high}")
    return largest


def by_tick(controls: Sequence[tuple[int, int, int, int]], n_tracks: int) -> IntArray:
    """Return (4, C) tick, track, number and value by tick, those of one tick in the order given.

    Raises:
        ValueError: a value outside its range.
    """
    for tick, track, number, value in controls:
        low, high = (-8192, 8191) if number == BEND else (0, 127)
        if not (0 <= tick <= LAST_TICK and 0 <= track < n_tracks and 0 <= number <= BEND):
            raise ValueError(f"a controller ({tick}, {track}, {number}, {value}) is impossible")
        if not low <= value <= high:
            raise ValueError(f"the value {value} of a controller must lie between {low} and {high}")
    by_tick = sorted(controls, key=itemgetter(0))
    return np.array(by_tick, dtype=np.int64).reshape(-1, 4).T
