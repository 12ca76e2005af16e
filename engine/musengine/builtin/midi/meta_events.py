"""The meta events of a sound MIDI file, and its tracks without what these hold.

Exclusive messages are looked at here, too, and count as meta events.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from musengine.builtin.midi.assemble import END, KEPT
from musengine.builtin.midi.chunks import Chunks

_LENGTHS = {0x00: 2, 0x20: 1, 0x21: 1, 0x2F: 0, 0x51: 3, 0x54: 5, 0x58: 4, 0x59: 2}
"""Of the data of meta events; texts (1 to 15) and what makers of instruments add (127) have any."""
_USUAL = {bytes([0xFF, kind, length]): (kind, length) for kind, length in _LENGTHS.items()}
"""The kinds and lengths of those meta events by their first bytes."""
_UNUSUAL = (-1, -1)


class MetaEvents(NamedTuple):
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


def without_contents(chunks: Chunks, times: set[int]) -> tuple[bytes, MetaEvents] | None:
    """Return the bytes of the tracks with two zeros for what meta events hold, and these events.

    None where a track does not end with its end.

    Args:
        chunks: the file.
        times: where a time stands that looks like a meta event.
    """
    data, find = chunks.data, _finder(chunks.data)
    metas = begins, places, kept, after = MetaEvents([], [], [], [])
    pieces: list[bytes] = []
    shorter = 0  # how many bytes those so far have less than the file
    for track, (begin, stop) in enumerate(chunks.tracks):
        shorter += begin - (begins[-1] + 3 if track else 0)
        position, kind = begin, -1
        while kind != END:
            at = find(position, stop)
            if at < 0:
                return None
            position = at + 1
            # Before a status stands the last byte of a time.
            # 0xFF may itself be a byte of a time: then the one before it is above 127, or it was
            # found out by the caller, who asks again with what was wrong.
            if data[at - 1] > 127 or at in times:
                continue
            # Most have a length that follows from their kind; one look-up then does.
            kind, length = _USUAL.get(data[at : position + 2], _UNUSUAL)
            content = at + 3
            if length < 0 or content + length > stop:
                found = _content(data, at, stop)
                if found is None:
                    continue
                kind, content, length = found
            position = content + length
            if kind in KEPT:
                kept.append((len(begins), track, kind, content, position))
            pieces.append(data[begin : at + 1])
            begins.append(at)
            places.append(at - shorter)
            if kind != END:
                # Status and two zeros stay; all between is gone from what is returned. The end of a
                # track stays as it is, with its own two bytes.
                shorter += position - (at + 3)
            begin = position
        if position != stop:
            return None
        after.append(len(begins))
    return b"\0\0".join([*pieces, b""]), metas


def _finder(data: bytes) -> Callable[[int, int], int]:
    """Return what finds the next byte that may begin one between two places, -1 for none.

    It is asked for places in ascending order.
    """
    if b"\xf0" not in data and b"\xf7" not in data:
        return partial(data.find, b"\xff")
    # All places at once: a file in which the tempo changes all the time has thousands.
    byte = np.frombuffer(data, dtype=np.uint8)
    found = ((byte == 0xFF) | (byte == 0xF0) | (byte == 0xF7)).nonzero()[0].tolist()
    following = iter([*found, len(data)])
    nearest = next(following)

    def find(position: int, stop: int) -> int:
        nonlocal nearest
        while nearest < position:
            nearest = next(following)
        return nearest if nearest < stop else -1

    return find


def _content(data: bytes, at: int, stop: int) -> tuple[int, int, int] | None:
    """Return a meta event's kind, where its data begin, and their length; -1 of other messages.

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
    return kind, begin, length


def _number(data: bytes, position: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends; one too long exceeds the file."""
    number = 0
    for byte in data[position : position + 4]:
        number = number << 7 | byte & 127
        position += 1
        if byte < 128:
            return number, position
    return len(data), position
