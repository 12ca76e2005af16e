"""Which note-off ends which note-on, for all notes of a song at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from musengine.music.note_tables import LAST_TICK
from musengine.utils.arrays import Array, IntArray

BoolArray = npt.NDArray[np.bool_]
KeyArray = Array
"""Of unsigned integers of 16 or 32 bits."""
_NEVER = 2 * LAST_TICK
"""Ticks. No note lasts so long."""


class Silences(NamedTuple):
    """What ends all notes of a channel.

    Attributes:
        order: (S,) how many events stand before each.
        tick: (S,) of each.
        channel: (S,) its track × 16 + its MIDI channel.
        port: (T,) the port of each track: channels of different ports are different ones.
    """

    order: IntArray
    tick: IntArray
    channel: IntArray
    port: IntArray


class Paired(NamedTuple):
    """The notes of a song, in the order of the file.

    Attributes:
        note_on: (N,) the index of the event that begins each.
        key: (N,) its key.
        duration: (N,) ticks.
        hanging: how many have no note-off.
        cut: how many end because their key is struck again before their note-off.
    """

    note_on: IntArray
    key: KeyArray
    duration: IntArray
    hanging: int
    cut: int


def no_note(key: KeyArray) -> int:
    """Return the key of events that neither begin nor end a note: the largest there is."""
    return (1 << 8 * key.itemsize) - 1


def pair(
    tick: IntArray,
    key: KeyArray,
    velocity: npt.NDArray[np.uint8],
    track_end: IntArray,
    silences: Silences | None = None,
) -> Paired:
    """Return the notes that note-ons and note-offs make.

    A note-off belongs to a note-on of its key before it. Where those of a key balance, the first
    note-on is the first to be ended. Where note-offs are missing, the two are matched as brackets
    are, and the note-ons left over are those never ended: a note that hangs does not shift the
    ends of all later ones. It ends at the next note-on of its key, else at the track's end. A
    note-off without a note-on before it is passed over. No note lasts beyond the next later
    note-on of its key, nor beyond the next silence of its channel, in its own track or another;
    notes that begin together do not end each other.

    Args:
        tick: (E,) of each event, in the order of the file.
        key: (E,) track × 2,048 + channel × 128 + pitch; `no_note` where it is another event.
        velocity: (E,) 0 for a note-off.
        track_end: (T,) ticks.
        silences: what ends all notes of a channel.
    """
    is_note = key != no_note(key)
    strikes = velocity > 0
    strikes &= is_note
    (struck,) = strikes.nonzero()
    # Of bools, `a > b` is a and not b.
    (released,) = (is_note > strikes).nonzero()
    struck_key, released_key = key.take(struck), key.take(released)
    by_key = struck_key.argsort(kind="stable")  # NumPy counts short numbers, not comparing them
    # Both orders are stable: the k-th note-on and the k-th note-off of a key stand at one index.
    off_by_key = released_key.argsort(kind="stable")
    note_on, keys = struck.take(by_key), struck_key.take(by_key)
    note_off = released.take(off_by_key)
    onset, hangs = tick.take(note_on), None
    if _balance(keys, released_key.take(off_by_key), note_on, note_off):
        end = tick.take(note_off)
    else:
        end, hangs = _ends(tick, key, is_note, strikes, track_end)
    if silences is not None:
        silent = np.minimum(
            _next_silence(note_on, keys >> 7, silences),
            _next_elsewhere(onset, keys >> 7, silences),
        )
        if hangs is not None:
            # A note that a silence ends does not hang.
            hangs &= silent == _NEVER
        end = np.minimum(end, silent)
    duration = end - onset
    cut = _cut_at_next(onset, duration, keys)
    in_file = np.empty_like(duration)
    # Back into the order of the file.
    in_file[by_key] = duration
    hanging = 0 if hangs is None else int(np.count_nonzero(hangs))
    return Paired(struck, struck_key, in_file, hanging, cut)


def _balance(on_key: KeyArray, off_key: KeyArray, note_on: IntArray, note_off: IntArray) -> bool:
    """Return whether each key has as many note-offs as note-ons, none before its note-on."""
    return (
        len(on_key) == len(off_key)
        and not np.count_nonzero(on_key != off_key)
        and not np.count_nonzero(note_on > note_off)
    )


def _ends(
    tick: IntArray, key: KeyArray, is_note: BoolArray, strikes: BoolArray, track_end: IntArray
) -> tuple[IntArray, BoolArray]:
    """Return (N,) by key where notes end some of which have no note-off, and which these are."""
    # Other events have the largest key, and so come last.
    by_key = key.argsort(kind="stable")[: np.count_nonzero(is_note)]
    strikes = strikes.take(by_key)
    keys = key.take(by_key).astype(np.int64)
    some = ~_idle(keys, strikes)
    by_key, keys, strikes = by_key[some], keys[some], strikes[some]
    hangs = _hangs(keys, strikes)
    end = np.zeros(len(keys), dtype=np.int64)
    # What is left balances: first note-on, first note-off.
    end[strikes & ~hangs] = tick.take(by_key[~strikes])
    note_on, keys, hangs = by_key[strikes], keys[strikes], hangs[strikes]
    # The track is the key's bits above channel (4) and pitch (7).
    following = track_end.take(keys >> 11)
    again = np.flatnonzero(keys[1:] == keys[:-1])
    following[again] = tick.take(note_on[again + 1])
    return np.where(hangs, following, end[strikes]), hangs


def _next_silence(note_on: IntArray, channel: KeyArray, silences: Silences) -> IntArray:
    """Return (N,) the tick of the next silence of each note's channel in its track."""
    order, tick, silent, _ = silences
    return _next(note_on, channel.astype(np.int64), order, silent, tick)


def _next_elsewhere(onset: IntArray, channel: KeyArray, silences: Silences) -> IntArray:
    """Return (N,) the tick of the next silence of each note's channel in any track.

    Tracks have no order at one tick: a note that begins with a silence in another is not ended.
    """
    _, tick, silent, port = silences
    sounding = port[channel >> 4] << 4 | channel.astype(np.int64) & 15
    return _next(onset, sounding, tick, port[silent >> 4] << 4 | silent & 15, tick)


def _next(
    begin: IntArray, channel: IntArray, place: IntArray, silent: IntArray, tick: IntArray
) -> IntArray:
    """Return (N,) the tick of the first silence of each note's channel later than its begin.

    `_NEVER` where there is none; `place` says where silences lie as `begin` does of notes.
    """
    width = max(int(begin.max(initial=0)), int(place.max())) + 1
    by_channel = np.lexsort((place, silent))
    order = (silent * width + place)[by_channel]
    found = order.searchsorted(channel * width + begin, side="right")
    there = found < len(order)
    by_channel = by_channel[np.where(there, found, 0)]
    return np.where(there & (silent[by_channel] == channel), tick[by_channel], _NEVER)


def _idle(key: IntArray, strikes: BoolArray) -> BoolArray:
    """Return which events end what has not begun: those of a depth never had before."""
    depth, apart = _depth(key, strikes)
    # Each key's depths lie below those of the keys before it: a minimum over all is one within.
    lower = depth - apart * key
    before = lower - np.where(strikes, 1, -1)
    result: BoolArray = lower < np.minimum.accumulate(before)
    return result


def _hangs(key: IntArray, strikes: BoolArray) -> BoolArray:
    """Return which events are note-ons after which the depth never falls below theirs again."""
    depth, apart = _depth(key, strikes)
    higher = depth + apart * key
    result: BoolArray = strikes & (np.minimum.accumulate(higher[::-1])[::-1] >= higher)
    return result


def _depth(key: IntArray, strikes: BoolArray) -> tuple[IntArray, int]:
    """Return how many more note-ons than note-offs of its key there were, and more than any depth.

    The keys are in ascending order.
    """
    total = np.cumsum(np.where(strikes, 1, -1))
    begins = np.flatnonzero(np.diff(key, prepend=-1))
    before = np.concatenate([[0], total])[begins]
    depth: IntArray = total - np.repeat(before, np.diff(np.append(begins, len(key))))
    return depth, 2 * len(key) + 4


def _cut_at_next(onset: IntArray, duration: IntArray, key: KeyArray) -> int:
    """Shorten the durations that reach beyond the next later onset of the key; returns how many.

    The keys are in ascending order, the onsets of each as well.
    """
    wait, again = onset[1:] - onset[:-1], key[1:] == key[:-1]
    (cut,) = (again & (wait < duration[:-1])).nonzero()
    if not len(cut):
        return 0
    shorter = wait.take(cut)
    if np.count_nonzero(shorter) < len(shorter):
        # Each of those that begin together waits for what follows the last of them.
        wait = np.append(np.where(again, wait, _NEVER), _NEVER)
        (last,) = wait.nonzero()
        shorter = wait[last[last.searchsorted(cut)]]
        sooner = shorter < duration[cut]
        cut, shorter = cut[sooner], shorter[sooner]
    duration[cut] = shorter
    return len(cut)
