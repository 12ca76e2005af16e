"""The events of all tracks of a sound MIDI file at once, with NumPy.

An event is a time, of bytes above 127 and a last one below, perhaps a status, which is above, and
two data bytes, which are below: (high ...) low (high) low low. So how many low bytes come before a
high one shows what it is: a multiple of three before a byte of a time, one more before a status.
That holds for the whole file once the other events have two data bytes as well: for what a meta
event holds there are two zeros instead, and an event with one data byte, which is rare, gets
another. Where a high byte stands elsewhere the file is odd, and left to others.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from musengine.builtin.midi.assemble import MAX_CHANGES, Events
from musengine.builtin.midi.chunks import Chunks
from musengine.builtin.midi.drums import may_move
from musengine.builtin.midi.meta_events import MetaEvents, without_contents
from musengine.builtin.midi.note_pairing import KeyArray, no_note
from musengine.music.note_tables import BEND, LAST_TICK
from musengine.utils.arrays import IntArray

BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]

_LARGEST = 2**22
"""Bytes of a file. The arrays take some thirty times as many."""
_MOST_SHORT_KEYS = 2**5 - 1
"""So many tracks, and the key of other events, fit into keys of sixteen bits."""
_MOST_GUESSES = 2**4
"""After so many wrong ones about what a meta event is, a file is left to others."""
_PROGRAM, _CONTROL, _BEND = 1, 2, 3
_KIND = np.zeros(256, dtype=np.uint8)
"""What a status is the status of, by its byte."""
_KIND[0xC0:0xD0], _KIND[0xB0:0xC0], _KIND[0xE0:0xF0] = _PROGRAM, _CONTROL, _BEND
_SHIFTED = [(np.arange(256) & 127) << shift for shift in (7, 14, 21)]
"""What a byte of a time before its last, second last and third last is worth, by its value."""
_HIGH = bytes(range(128, 256))
_FEW = 16
_NO_CONTROLS: IntArray = np.zeros((5, 0), dtype=np.int64)


class _High(NamedTuple):
    """The bytes above 127.

    Attributes:
        value: (H,) the bytes.
        event: (H,) the number of the event that each is of.
        is_status: (H,) whether it is a status, that of a meta event included; else it is of a time.
        goes_on: (H,) whether the next one is of the same time.
        meta: (M,) which are the status of a meta event.
    """

    value: ByteArray
    event: IntArray
    is_status: BoolArray
    goes_on: BoolArray
    meta: IntArray


def events_of(chunks: Chunks) -> Events | None:
    """Return the events of a file of format 0 or 1, or None where one of its tracks is odd."""
    if chunks.format == 2 or not chunks.tracks or len(chunks.data) > _LARGEST:
        return None
    times: set[int] = set()
    for _ in range(_MOST_GUESSES):
        found = without_contents(chunks, times)
        if found is None:
            return None
        data, metas = found
        high, low, wrong = _divide(data, metas)
        if wrong is None:
            return _events(chunks, metas, high, low)
        (meta,) = (high.meta == wrong).nonzero()
        if not len(meta):
            return None
        # All before it is right, so this is no meta event: a time goes on there.
        times.add(metas.begin[int(meta[0])])
    return None


def _divide(data: bytes, metas: MetaEvents) -> tuple[_High, ByteArray, int | None]:
    """Return the high bytes, the low ones, three to an event, and the first high one that is wrong.

    Args:
        data: the tracks without what meta events hold.
        metas: the meta events.
    """
    every = np.frombuffer(data, dtype=np.uint8)
    (at,) = (every > 127).nonzero()
    value = every.take(at)
    # Place in the file less the number of high bytes before it: the low bytes before it.
    before = at - np.arange(len(at))
    meta = at.searchsorted(metas.place)
    lows = data.translate(None, _HIGH)
    (short,) = ((value & 0xE0) == 0xC0).nonzero()
    if len(short):
        missing = _lengthen(short, value, at, before, meta, metas.after)
        pieces = pairwise([0, *missing, len(lows)])
        lows = b"\0".join([lows[begin:stop] for begin, stop in pieces])
    low = np.frombuffer(lows, dtype=np.uint8)
    event = before // 3
    place = before - event * 3
    # After a time's last byte, one low byte of the event has come.
    is_status = place == 1
    goes_on = np.zeros(len(at), dtype=np.bool_)
    np.equal(before[1:], before[:-1], out=goes_on[:-1])
    # A high byte among the data bytes; a status above 0xF0 that is no meta event; a meta event
    # where no status can be.
    wrong = place > 1
    wrong |= is_status & (goes_on | (value >= 0xF0))
    wrong[meta] = ~is_status[meta]
    first = int(wrong.argmax())
    return (
        _High(value, event, is_status, goes_on, meta),
        low,
        first if wrong[first] else None,
    )


def _lengthen(
    rare: IntArray,
    value: ByteArray,
    at: IntArray,
    before: IntArray,
    meta: IntArray,
    after: list[int],
) -> list[int]:
    """Return before which of the low bytes one is missing, where events have one data byte.

    Args:
        rare: the high bytes from 0xC0 to 0xDF.
        value: the high bytes.
        at: where the high bytes stand.
        before: how many low bytes come before each; those missing are counted in.
        meta: which are the status of a meta event.
        after: how many meta events there are up to the end of each track.
    """
    missing: list[int] = []
    metas: set[int] = set()
    ends: set[int] = set()
    added: list[tuple[int, int]] = []
    place = 0
    columns = (rare, before.take(rare), at.take(rare + 1) - at.take(rare), value.take(rare + 1))
    for high, low, to_next, following in zip(*(each.tolist() for each in columns), strict=True):
        if high < place or (low + len(missing)) % 3 != 1 or to_next == 1:
            continue  # looked at already; of a time; wrong
        missing.append(low)
        added.append((high + 1, 1))
        if to_next == 3 and following < 0xF0:
            continue  # its data byte, a time of one byte, and another status
        if not metas:
            metas.update(meta.tolist())
            ends.update(meta[np.array(after) - 1].tolist())
        place, skipped = high, 1
        while place < len(at) - 1:
            # The last bytes of times, and data bytes of events under running status, in turn.
            rest = int(at[place + 1] - at[place]) - 1 - skipped
            first = int(before[place]) + skipped + 1
            missing += range(first, first + rest - 1, 2)
            place += 1
            added.append((place, rest // 2))
            if rest % 2 == 0:
                skipped = 0  # a time comes next
            elif place in metas and place not in ends:
                skipped = 2  # what stands for its content
            else:
                break
    if len(added) <= _FEW:
        total = 0
        for (place, count), (stop, _) in pairwise([*added, (len(at), 0)]):
            total += count
            before[place:stop] += total
    else:
        places, counts = np.array(added).T
        before += np.bincount(places, counts, len(at) + 1)[: len(at)].cumsum().astype(np.int64)
    return missing


def _events(chunks: Chunks, metas: MetaEvents, high: _High, low: ByteArray) -> Events | None:
    """Return the events, meta events among them, or None where they cannot be or are too many."""
    last_of_time, first, second = low.reshape(-1, 3).T
    tick = _ticks(high, last_of_time)
    meta = high.event.take(high.meta)
    bounds = [0, *(int(meta[after - 1]) + 1 for after in metas.after)]
    status = _statuses(high, meta, bounds[:-1], len(first))
    if tick is None or status is None:
        return None
    channel: KeyArray = (status & 15).astype(
        np.uint16 if len(metas.after) <= _MOST_SHORT_KEYS else np.uint32
    )
    ends = _by_track(bounds, tick, channel)
    key = channel << 7
    key |= first
    (others,) = ((status & 0xE0) != 0x80).nonzero()
    key[others] = no_note(key)
    controls, programs = _NO_CONTROLS, list[tuple[int, int, int]]()
    if len(others) > len(meta):
        controls, programs = _others(others, status, tick, channel, low)
    is_bank = controls[3] == 0
    banks = controls[:, is_bank] if np.count_nonzero(is_bank) else None
    if may_move(chunks.data, *((None, None) if banks is None else (banks[2], banks[4]))):
        return None
    # A note-off's own velocity is not kept: 0 marks note-offs, as in a note-on of velocity 0.
    velocity = second * (status >= 0x90)
    if len(programs) + len(metas.kept) > MAX_CHANGES or max(ends) > LAST_TICK:
        return None
    when = tick.take(meta).tolist()
    kept = [
        (track, when[index], kind, chunks.data[begin:stop])
        for index, track, kind, begin, stop in metas.kept
    ]
    return Events(tick, key, velocity, programs, controls, kept, ends)


def _ticks(high: _High, last_of_time: ByteArray) -> IntArray | None:
    """Return (E,) ticks, going on from track to track; None for a time of more than four bytes."""
    tick = last_of_time.astype(np.int64)
    # No status goes on, so that where the two are equal, neither is so: at the last of a time.
    (level,) = (high.is_status == high.goes_on).nonzero()
    several = np.count_nonzero(high.goes_on)  # sooner than `any`, which is Python
    for shifted in _SHIFTED:
        # Level by level: the second last byte of each time, then the one before it. No event has
        # two bytes of one level, so that plain indexing adds each.
        tick[high.event.take(level)] += shifted.take(high.value.take(level))
        if several:
            level = level[high.goes_on.take(level - 1)] - 1  # the last high byte is a status
        if not several or not len(level):
            # Over all tracks; `_by_track` takes off what the tracks before have.
            return tick.cumsum(out=tick)
    return None


def _statuses(high: _High, meta: IntArray, begins: list[int], total: int) -> ByteArray | None:
    """Return (E,) the status of each event, its own or the running one; None where one has none.

    That of a meta event is 255. The first event of a track, of which `begins` has the numbers, ends
    any running one.
    """
    own = high.is_status.copy()
    own[high.meta] = False
    (changes,) = own.nonzero()
    if not len(changes):
        return np.full(total, 0xFF, dtype=np.uint8) if len(meta) == total else None
    first = high.event.take(changes)
    length = np.empty_like(first)
    np.subtract(first[1:], first[:-1], out=length[:-1])
    length[-1] = total - first[-1]
    # Before the first status of the file stand only meta events, whose status is put in below.
    length[0] += first[0]
    metas = meta.tolist()
    for begin, place in zip(begins, first.searchsorted(begins).tolist(), strict=True):
        following = int(first[place]) if place < len(first) else total
        if bisect_left(metas, following) - bisect_left(metas, begin) < following - begin:
            return None  # before the first status of a track there are not only meta events
    # Running status: each holds until the next.
    status = high.value.take(changes).repeat(length)
    status[meta] = 0xFF
    return status


def _by_track(bounds: list[int], tick: IntArray, channel: KeyArray) -> list[int]:
    """Let the ticks of each track begin at 0, add its number to its channels; returns their ends.

    The bounds are the first event of each track and the number of all.
    """
    ends: list[int] = []
    before = 0
    for track, (first, after) in enumerate(pairwise(bounds)):
        if track:
            tick[first:after] -= before
            channel[first:after] |= track << 4
        ends.append(int(tick[after - 1]))
        before += ends[-1]
    return ends


def _others(
    other: IntArray, status: ByteArray, tick: IntArray, channel: KeyArray, low: ByteArray
) -> tuple[IntArray, list[tuple[int, int, int]]]:
    """Return the controllers and changes of program, as in Events, among events of no notes."""
    if len(other) <= _FEW:
        return _few_others(other, status, tick, channel, low)
    kind = _KIND.take(status.take(other))
    change = other[kind == _PROGRAM]
    columns = (change, channel.take(change), low.take(change * 3 + 2))
    programs = list(zip(*(column.tolist() for column in columns), strict=True))
    event = other[kind >= _CONTROL]
    at = event * 3
    controls = np.empty((5, len(event)), dtype=np.int64)
    controls[0] = event
    tick.take(event, out=controls[1], mode="clip")
    controls[2] = channel.take(event)
    controls[3] = low.take(at + 1)
    controls[4] = low.take(at + 2)
    bend = kind[kind >= _CONTROL] == _BEND
    if np.count_nonzero(bend):
        number, value = controls[3:]
        value[bend] = (value[bend] << 7 | number[bend]) - 8192
        number[bend] = BEND
    return controls, programs


def _few_others(
    other: IntArray, status: ByteArray, tick: IntArray, channel: KeyArray, low: ByteArray
) -> tuple[IntArray, list[tuple[int, int, int]]]:
    """Return what `_others` does; most files have so few that arrays take longer than a loop."""
    controls: list[tuple[int, int, int, int, int]] = []
    programs: list[tuple[int, int, int]] = []
    whose = (each.take(other).tolist() for each in (status, tick, channel))
    for event, byte, when, where in zip(other.tolist(), *whose, strict=True):
        if byte == 0xFF:
            continue
        first, second = low[3 * event + 1 : 3 * event + 3].tolist()
        if byte & 0xF0 == 0xC0:
            programs.append((event, where, second))
        elif byte & 0xF0 == 0xB0:
            controls.append((event, when, where, first, second))
        elif byte & 0xF0 == 0xE0:
            controls.append((event, when, where, BEND, (second << 7 | first) - 8192))
    return np.array(controls, dtype=np.int64).reshape(-1, 5).T.copy(), programs
