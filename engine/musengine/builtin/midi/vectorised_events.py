"""The events of all tracks of a sound MIDI file at once, with NumPy.

An event is a time of bytes above 127 and a last one below, perhaps a status above 127, and two data
bytes below: (high*) low (high) low low. So how many low bytes come before a high one tells what it
is: a multiple of three before a byte of a time, and one more before a status. That holds for the
whole file once the others have two data bytes as well: for meta events and exclusive messages two
zeros stand instead of what they hold, and events with one data byte, of which there are few, get
their status as another. Where any high byte stands elsewhere, the file is left to others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from musengine.builtin.midi.assemble import END, KEPT, MAX_CHANGES, Events
from musengine.builtin.midi.chunks import Chunks
from musengine.builtin.midi.note_pairing import KeyArray, no_note
from musengine.music.score import BEND, LAST_TICK
from musengine.utils.arrays import IntArray

BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]

_BLOCK = re.compile(rb"[\xf0\xf7\xff]").search
_LENGTHS = {0x00: 2, 0x20: 1, 0x21: 1, 0x2F: 0, 0x51: 3, 0x54: 5, 0x58: 4, 0x59: 2}
"""Of the data of meta events; texts (1 to 15) and what makers of instruments add (127) have any."""
_USUAL = {bytes([0xFF, kind, length]): kind for kind, length in _LENGTHS.items()}
"""The kinds of those meta events by their first bytes."""
_LARGEST = 2**22
"""Bytes of a file. The arrays take some thirty times as many."""
_MOST_SHORT_KEYS = 2**5 - 1
"""So many tracks, and the key of other events, fit into keys of sixteen bits."""
_MOST_GUESSES = 2**4
"""After so many wrong ones about what a block is, a file is left to others."""
_PROGRAM, _CONTROL, _BEND = 1, 2, 3
_KIND = np.zeros(256, dtype=np.uint8)
"""What a status is the status of, by its byte."""
_KIND[0xC0:0xD0], _KIND[0xB0:0xC0], _KIND[0xE0:0xF0] = _PROGRAM, _CONTROL, _BEND
_NO_CONTROLS: IntArray = np.zeros((5, 0), dtype=np.int64)


class _Blocks(NamedTuple):
    """The meta events and exclusive messages.

    Attributes:
        begin: where the status of each stands in the file.
        place: where it stands in the bytes without what they hold.
        kept: (index, track, kind, where its data begin and end) of those that a Score can hold.
        after: how many of them there are up to the end of each track.
    """

    begin: list[int]
    place: list[int]
    kept: list[tuple[int, int, int, int, int]]
    after: list[int]


class _High(NamedTuple):
    """The bytes above 127.

    Attributes:
        value: (H,) the bytes.
        event: (H,) the number of the event that each is of.
        is_status: (H,) whether it is a status, that of a block included; else it is of a time.
        goes_on: (H,) whether the next one is of the same time.
        block: (B,) which are the status of a block.
    """

    value: ByteArray
    event: IntArray
    is_status: BoolArray
    goes_on: BoolArray
    block: IntArray


def events_of(chunks: Chunks) -> Events | None:
    """Return the events of a file of format 0 or 1, or None where one of its tracks is odd."""
    if chunks.format == 2 or not chunks.tracks or len(chunks.data) > _LARGEST:
        return None
    times: set[int] = set()
    for _ in range(_MOST_GUESSES):
        found = _without_blocks(chunks, times)
        if found is None:
            return None
        data, blocks = np.frombuffer(found[0], dtype=np.uint8), found[1]
        high, low, wrong = _divide(data, blocks)
        if wrong is None:
            return _events(chunks, blocks, high, low)
        (block,) = (high.block == wrong).nonzero()
        if not len(block):
            return None
        # All before it is right: where this block has its status, a time goes on.
        times.add(blocks.begin[int(block[0])])
    return None


def _without_blocks(chunks: Chunks, times: set[int]) -> tuple[bytes, _Blocks] | None:
    """Return the bytes of the tracks with two zeros for what blocks hold, and the blocks.

    None where a track does not end with its end.

    Args:
        chunks: the file.
        times: where a time stands that looks like a block.
    """
    data, blocks = chunks.data, _Blocks([], [], [], [])
    find = _finder(data)
    pieces: list[bytes] = []
    shorter = 0  # how many bytes those so far have less than the file
    for track, (begin, stop) in enumerate(chunks.tracks):
        shorter += begin - (blocks.begin[-1] + 3 if track else 0)
        position, kind = begin, -1
        while kind != END:
            at = find(position, stop)
            if at < 0:
                return None
            position = at + 1
            # Before a status stands the last byte of a time.
            if data[at - 1] > 127 or at in times:
                continue
            usual = _USUAL.get(data[at : at + 3])
            if usual is not None and at + 3 + data[at + 2] <= stop:
                kind, content = usual, at + 3
                position = content + data[at + 2]
            elif (found := _content(data, at, stop)) is None:
                continue
            else:
                kind, content, position = found
            if kind in KEPT:
                blocks.kept.append((len(blocks.begin), track, kind, content, position))
            pieces += (data[begin : at + 1], b"\0\0")
            blocks.begin.append(at)
            blocks.place.append(at - shorter)
            if kind != END:
                shorter += position - (at + 3)
            begin = position
        if position != stop:
            return None
        blocks.after.append(len(blocks.begin))
    return b"".join(pieces), blocks


def _finder(data: bytes) -> Callable[[int, int], int]:
    """Return what finds the next byte that may begin a block between two places, -1 for none."""
    if b"\xf0" not in data and b"\xf7" not in data:
        return partial(data.find, b"\xff")

    def find(position: int, stop: int) -> int:
        found = _BLOCK(data, position, stop)
        return -1 if found is None else found.start()

    return find


def _content(data: bytes, at: int, stop: int) -> tuple[int, int, int] | None:
    """Return the kind of a block, and where its data begin and end; -1 of an exclusive message.

    None where it is rather the first byte of a time: it would be of a kind or a length that files
    do not have, or end after the place `stop`.
    """
    begin = at + 3 if data[at] == 0xFF else at + 2
    if begin > stop:
        return None
    kind, length = data[at + 1] if data[at] == 0xFF else -1, data[begin - 1]
    if length > 127:
        length, begin = _number(data, begin - 1)
    end = begin + length
    known = _LENGTHS.get(kind)
    if end > stop or (known is not None and length != known):
        return None
    if known is None and not (data[end - 1] == 0xF7 if kind < 0 else kind < 0x10 or kind == 0x7F):
        return None
    return kind, begin, end


def _number(data: bytes, position: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends; one too long exceeds all files."""
    number = 0
    for byte in data[position : position + 4]:
        number = number << 7 | byte & 127
        position += 1
        if byte < 128:
            return number, position
    return _LARGEST, position


def _divide(data: ByteArray, blocks: _Blocks) -> tuple[_High, ByteArray, int | None]:
    """Return the high bytes, the low ones, three to an event, and the first high one that is wrong.

    Args:
        data: without what blocks hold.
        blocks: the blocks.
    """
    above = data > 127
    (at,) = above.nonzero()
    value = data.take(at)
    before = at - np.arange(len(at))
    block = at.searchsorted(blocks.place)
    low_at = np.logical_not(above, out=above)
    (short,) = ((value & 0xE0) == 0xC0).nonzero()
    missing: list[int] = []
    if len(short):
        own, missing = _lengthen(short, value, at, before, block, blocks.after)
        low_at[at[own]] = True
    low = data.take(low_at.nonzero()[0])
    if missing:
        low = np.insert(low, missing, 0)
    event = before // 3
    place = before - event * 3
    is_status = place == 1
    goes_on = np.zeros(len(at), dtype=np.bool_)
    np.equal(before[1:], before[:-1], out=goes_on[:-1])
    wrong = place > 1
    wrong |= is_status & (goes_on | (value >= 0xF0))
    wrong[block] = ~is_status[block]
    first = int(wrong.argmax())
    return (
        _High(value, event, is_status, goes_on, block),
        low,
        first if wrong[first] else None,
    )


def _lengthen(
    rare: IntArray,
    value: ByteArray,
    at: IntArray,
    before: IntArray,
    block: IntArray,
    after: list[int],
) -> tuple[list[int], list[int]]:
    """Give events with one data byte another one.

    Args:
        rare: the high bytes from 0xC0 to 0xDF.
        value: the high bytes.
        at: where the high bytes stand.
        before: how many low bytes come before each; those that are added are counted in.
        block: which are the status of a block.
        after: how many blocks there are up to the end of each track.

    Returns:
        The statuses of such events, which are to be taken for low bytes, too; and where among all
        these low bytes another is missing, because an event has a running status.
    """
    own: list[int] = []
    missing: list[int] = []
    blocks: set[int] = set()
    ends: set[int] = set()
    added = np.zeros(len(at) + 1, dtype=np.int64)
    shift = place = 0
    columns = (rare, before.take(rare), at.take(rare + 1) - at.take(rare), value.take(rare + 1))
    for high, low, to_next, following in zip(*(each.tolist() for each in columns), strict=True):
        if high < place or (low + shift) % 3 != 1 or to_next == 1:
            continue  # looked at already; of a time; wrong
        own.append(high)
        shift += 1
        added[high + 1] = 1
        if to_next == 3 and following < 0xF0:
            continue  # its data byte, a time of one byte, and another status
        if not blocks:
            blocks.update(block.tolist())
            ends.update(block[np.array(after) - 1].tolist())
        place, skipped = high, 1
        while place < len(at) - 1:
            first = int(before[place]) + len(own) + skipped + 1
            # The last bytes of times, and data bytes, in turn.
            rest = int(at[place + 1] - at[place]) - 1 - skipped
            missing += range(first, first + rest - 1, 2)
            shift += rest // 2
            added[place + 1] += rest // 2
            place += 1
            if rest % 2 == 0:
                skipped = 0  # a time comes next
            elif place in blocks and place not in ends:
                skipped = 2  # what stands for the content of the block
            else:
                break
    before += added.cumsum()[:-1]
    return own, missing


def _events(chunks: Chunks, blocks: _Blocks, high: _High, low: ByteArray) -> Events | None:
    """Return the events, blocks among them, or None where they cannot be or are too many."""
    last_of_time, first, second = low.reshape(-1, 3).T
    tick = _ticks(high, last_of_time)
    block = high.event.take(high.block)
    after = (block.take(np.array(blocks.after) - 1) + 1).tolist()
    status = _statuses(high, block, [0, *after[:-1]], len(first))
    if tick is None or status is None:
        return None
    channel: KeyArray = (status & 15).astype(
        np.uint16 if len(after) <= _MOST_SHORT_KEYS else np.uint32
    )
    ends = _by_track([0, *after], tick, channel)
    key = channel << 7
    key |= first
    (others,) = ((status & 0xE0) != 0x80).nonzero()
    key[others] = no_note(key)
    controls, programs = _NO_CONTROLS, list[tuple[int, int, int]]()
    if len(others) > len(block):
        controls, programs = _others(others, status, tick, channel, first, second)
    velocity = np.where(status < 0x90, 0, second)
    if len(programs) + len(blocks.kept) > MAX_CHANGES or max(ends) > LAST_TICK:
        return None
    when = tick.take(block).tolist()
    metas = [
        (track, when[index], kind, chunks.data[begin:stop])
        for index, track, kind, begin, stop in blocks.kept
    ]
    return Events(tick, key, velocity, programs, controls, metas, ends)


def _ticks(high: _High, last_of_time: ByteArray) -> IntArray | None:
    """Return (E,) ticks, going on from track to track; None where a time has more than four bytes.

    Args:
        high: the high bytes.
        last_of_time: (E,) the last byte of each event's time.
    """
    tick = last_of_time.astype(np.int64)
    time = ~high.is_status
    (level,) = (time & ~high.goes_on).nonzero()
    more = time & high.goes_on
    several = more.any()
    for shift in (7, 14, 21):
        tick[high.event.take(level)] += (high.value.take(level) & 127).astype(np.int64) << shift
        if several:
            level = level[more.take(level - 1)] - 1  # the last high byte is never of a time
        if not several or not len(level):
            return tick.cumsum(out=tick)
    return None


def _statuses(high: _High, block: IntArray, begin: list[int], total: int) -> ByteArray | None:
    """Return (E,) the status of each event, its own or the running one; 255 of blocks.

    None where an event has none.

    Args:
        high: the high bytes.
        block: (B,) the events that are blocks.
        begin: the first event of each track, which ends any running status.
        total: how many events there are.
    """
    own = high.is_status.copy()
    own[high.block] = False
    (changes,) = own.nonzero()
    if not len(changes):
        return np.full(total, 0xFF, dtype=np.uint8) if len(block) == total else None
    first = high.event.take(changes)
    length = np.empty_like(first)
    np.subtract(first[1:], first[:-1], out=length[:-1])
    length[-1] = total - first[-1]
    length[0] += first[0]
    status = high.value.take(changes).repeat(length)
    # What comes before the first status of a track has none.
    following = np.append(first, total).take(first.searchsorted(begin)).tolist()
    for start, stop in zip(begin, following, strict=True):
        status[start:stop] = 0
    status[block] = 0xFF
    return status if status.all() else None


def _by_track(bounds: list[int], tick: IntArray, channel: KeyArray) -> list[int]:
    """Let the ticks of each track begin at 0, add its number to its channels; returns their ends.

    Args:
        bounds: the first event of each track, and how many there are.
        tick: (E,) going on from track to track; changed.
        channel: (E,) 0 to 15; changed.
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
    other: IntArray,
    status: ByteArray,
    tick: IntArray,
    channel: KeyArray,
    first: ByteArray,
    second: ByteArray,
) -> tuple[IntArray, list[tuple[int, int, int]]]:
    """Return the controllers and the changes of program as in Events.

    Args:
        other: (O,) the events that are no notes.
        status: (E,) of all events, as all others.
        tick: (E,) ticks.
        channel: (E,) as in Events.
        first: (E,) the first of two data bytes.
        second: (E,) the second, or the only one.
    """
    kind = _KIND.take(status.take(other))
    change = other[kind == _PROGRAM]
    columns = (change, channel.take(change), second.take(change))
    programs = list(zip(*(column.tolist() for column in columns), strict=True))
    event = other[kind >= _CONTROL]
    controls = np.empty((5, len(event)), dtype=np.int64)
    controls[0] = event
    controls[1] = tick.take(event)
    controls[2] = channel.take(event)
    controls[3] = first.take(event)
    controls[4] = second.take(event)
    if kind.max() == _BEND:
        bend = kind[kind >= _CONTROL] == _BEND
        number, value = controls[3:]
        value[bend] = (value[bend] << 7 | number[bend]) - 8192
        number[bend] = BEND
    return controls, programs
