"""MIDI events to the bytes of a track, with the time between them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from musengine.utils.arrays import IntArray

Event = tuple[int, bytes]
"""Its tick, and its bytes without the time before it."""

LONGEST_WAIT = 2**28 - 1
"""The most ticks that may lie between two events: what four bytes of seven bits can say."""
_NOTHING = b"\xff\x01\x00"
"""An empty text, which only lets time pass."""


def quantity(number: int) -> bytes:
    """Return a number, 0 to 2**28 - 1, in MIDI's variable length: 7 bits a byte, high ones first.

    Every byte but the last has its top bit set.
    """
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


def meta(kind: int, data: bytes) -> bytes:
    """Return a meta event."""
    return bytes([0xFF, kind]) + quantity(len(data)) + data


def track_chunk(events: Sequence[Event], length: int) -> bytes:
    """Return a whole track of events in order, which ends at the tick `length`."""
    return _chunk(*_timed(events, 0, length))


def notes_chunk(
    opening: Sequence[Event],
    onset: IntArray,
    duration: IntArray,
    pitch: IntArray,
    velocity: IntArray,
    channel: int,
) -> bytes:
    """Return a whole track: some events at its beginning, then its notes, all ended.

    Args:
        opening: events at tick 0.
        onset: (N,) ticks.
        duration: (N,) ticks, at least 1.
        pitch: (N,) MIDI numbers.
        velocity: (N,) 1 to 127.
        channel: 0 to 15.
    """
    end = onset + duration
    tick = np.concatenate([end, onset])
    strikes = np.repeat([0, 1], len(onset))
    # At one tick notes end before others begin. Of notes of one pitch that begin together the
    # first to end begins first, since readers end the oldest first.
    order = np.lexsort((np.tile(end, 2), np.tile(pitch, 2), strikes, tick))
    tick, strikes = tick[order], strikes[order]
    message_E3 = np.empty((len(order), 3), dtype=np.uint8)
    message_E3[:, 0] = np.where(strikes, 0x90, 0x80) | channel
    message_E3[:, 1] = np.tile(pitch, 2)[order]
    message_E3[:, 2] = np.where(strikes, np.tile(velocity, 2)[order], 64)
    wait = np.diff(tick, prepend=0)
    body = b"".join(
        _filled(message_E3[first:after], wait[first:after]) for first, after in _stretches(wait)
    )
    start, at_once = _timed(opening, 0, 0)
    return _chunk(start + body, at_once)


def _stretches(wait: IntArray) -> list[tuple[int, int]]:
    """Return where the events divide so that only the first of each may wait too long."""
    cuts = [0, *np.nonzero(wait > LONGEST_WAIT)[0].tolist(), len(wait)]
    return [(first, after) for first, after in itertools.pairwise(cuts) if after > first]


def _filled(message_E3: npt.NDArray[np.uint8], wait: IntArray) -> bytes:
    before, rest = _pause(int(wait[0]))
    return before + _messages(message_E3, np.concatenate([[rest], wait[1:]]))


def _messages(message_E3: npt.NDArray[np.uint8], wait: IntArray) -> bytes:
    """Return messages of three bytes, each after the time to wait before it."""
    width = 1 + np.searchsorted([1 << 7, 1 << 14, 1 << 21], wait, side="right")
    begin = np.cumsum(width + 3) - (width + 3)
    data = np.empty(int((width + 3).sum()), dtype=np.uint8)
    for place in range(4):
        mine = np.nonzero(width > place)[0]
        left = width[mine] - 1 - place
        group = (wait[mine] >> (7 * left)) & 0x7F
        data[begin[mine] + place] = group | np.where(left > 0, 0x80, 0)
    for place in range(3):
        data[begin + width + place] = message_E3[:, place]
    return data.tobytes()


def _timed(events: Sequence[Event], tick: int, length: int) -> tuple[bytes, bytes]:
    """Return the events after a tick, and the wait from the last of them to the end."""
    parts = []
    for when, event in events:
        before, rest = _pause(when - tick)
        parts.append(before + quantity(rest) + event)
        tick = when
    before, rest = _pause(length - tick)
    return b"".join(parts), before + quantity(rest)


def _pause(ticks: int) -> tuple[bytes, int]:
    """Return events that let time pass, and what is left to wait, not too long for one event."""
    fillers, rest = divmod(ticks, LONGEST_WAIT)
    return (quantity(LONGEST_WAIT) + _NOTHING) * fillers, rest


def _chunk(body: bytes, end: bytes) -> bytes:
    whole = body + end + b"\xff\x2f\x00"
    return b"MTrk" + len(whole).to_bytes(4, "big") + whole
