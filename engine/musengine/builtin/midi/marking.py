"""The cheap check that a MIDI file is clean, and marks by which a library tells what it read."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np

from musengine.builtin.midi.chunks import clean_header

# What a library would read otherwise than we do: an end before the end, events of a wrong length,
# and tempos, meters and keys that are none.
_ODD_META = re.compile(
    rb"\xff(?:\x2f(?:[^\x00]|\x00(?!MTrk|\Z))"
    rb"|\x51(?:[^\x03]|\x03\x00\x00\x00)"
    rb"|\x58(?:[^\x04]|\x04(?:\x00|.[\x08-\xff]))"
    rb"|\x59(?:[^\x02]|\x02(?:[\x08-\xf8]|.[\x02-\xff])))",
    re.DOTALL,
)
_TEMPO_EVENT = re.compile(rb"\xff\x51\x03...", re.DOTALL)
_END = b"\xff\x2f\x00"
_MOST_TRACKS = 127
"""A mark holds the number of its track in a velocity."""
_LAST_TICK = 2**31 - 2**28
"""Libraries count ticks in 32 bits."""

FAR = 2**27
"""Ticks. Marks last so long, and no note may."""
_FAR = b"\xc0\x80\x80\x00"
_CHANNELS = [
    (channel, 0x90 | channel, re.compile(b"%c[\x00-\x7f]{2}" % (0x90 | channel)).search)
    for channel in range(16)
]
# All pitches of a channel released, that of its mark twice: a note hanging on it is released too.
_RELEASES = [
    b"%c\x00\x00" % status
    + b"".join(b"\x00%c\x00" % pitch for pitch in range(1, 128))
    + b"\x00%c\x00" % channel
    for channel, status, _ in _CHANNELS
]


@dataclass(frozen=True)
class Clean:
    """A clean file, to be handed to a library with marks in it.

    Where a track ends, a note is struck: its pitch is the channel, its velocity the number of the
    track, the first being 1. `FAR` ticks later every pitch of every channel that may have notes is
    released. So a note that is never released is not dropped but lasts until then, and a mark
    tells when its track ends and which channel's notes it is among.

    Attributes:
        header: the first 14 bytes.
        bodies: the bytes of the tracks.
        channels: for each track those that may have notes, the first to be struck first.
    """

    header: bytes
    bodies: list[bytes]
    channels: list[list[int]]

    @property
    def format(self) -> int:
        """0 or 1."""
        return self.header[9]

    @property
    def ticks_per_beat(self) -> int:
        """The resolution."""
        return int.from_bytes(self.header[12:14], "big")

    @property
    def several(self) -> bool:
        """Whether a track may have notes on several channels."""
        return any(len(channels) > 1 for channels in self.channels)

    def marks(self, *, all_channels: bool) -> list[tuple[int, int]]:
        """Return the number of the track and the channel of each mark, in order."""
        return [
            (number, channel)
            for number, channels in enumerate(self.channels, 1)
            for channel in (sorted(channels) if all_channels else channels[:1]) or [0]
        ]

    def marked(self, *, all_channels: bool, releases: int = 1) -> bytes:
        """Return the file with marks on all channels of each track, or on the first struck.

        Most tracks have notes on one channel; that others may have some, too, is mostly a chance
        of what other bytes look like, and a mark on them would only cost time. So would more
        than one release of each pitch, which only tell of several notes that hang on one.
        """
        written = [self.header]
        for number, (body, channels) in enumerate(zip(self.bodies, self.channels, strict=True), 1):
            ending = _ending(number, all_channels, releases, *channels)
            size = (len(body) - 3 + len(ending)).to_bytes(4, "big")
            written += (b"MTrk", size, body[:-3], ending)
        return b"".join(written)


def examined(data: bytes) -> Clean | None:
    """Return a file taken apart, or None where it is not clean as far as is easily told."""
    header = clean_header(data)
    if header is None or header[1] > _MOST_TRACKS:
        return None
    bodies = _bodies(data, header[1])
    if bodies is None or _ODD_META.search(data) is not None or _may_overflow(data, bodies):
        return None
    return Clean(data[:14], bodies, [_channels(body) for body in bodies])


@functools.lru_cache(maxsize=256)
def _ending(number: int, all_channels: bool, times: int, *channels: int) -> bytes:
    """Return marks, the releases of all channels, and the track's end: few tracks differ."""
    marked = (channels if all_channels else channels[:1]) or (0,)
    strikes = [bytes((0x90 | channel, channel, number)) for channel in marked]
    releases = [_RELEASES[channel] for channel in channels] * times or [b"\x90\x00\x00"]
    return b"\x00".join([*strikes[:-1], strikes[-1] + _FAR + releases[0], *releases[1:], _END])


def _bodies(data: bytes, count: int) -> list[bytes] | None:
    """Return the bytes of so many tracks that fill the rest of the file and have an end each."""
    position, bodies = 14, []
    for _ in range(count):
        end = position + 8 + int.from_bytes(data[position + 4 : position + 8], "big")
        body = data[position + 8 : end]
        if data[position : position + 4] != b"MTrk" or end > len(data) or body[-3:] != _END:
            return None
        bodies.append(body)
        position = end
    return bodies if position == len(data) else None


def _channels(body: bytes) -> list[int]:
    """Return the channels that may have notes, the first to be struck first."""
    found = [
        (match.start(), channel)
        for channel, status, strike in _CHANNELS
        if status in body and (match := strike(body)) is not None
    ]
    return [channel for _, channel in sorted(found)]


def _may_overflow(data: bytes, bodies: list[bytes]) -> bool:
    """Return whether a library that counts in 32 bits might go wrong."""
    if _latest_tick(data) <= _LAST_TICK:
        return False
    return any(_latest_tick(_TEMPO_EVENT.sub(b"", body)) > _LAST_TICK for body in bodies)


def _latest_tick(data: bytes) -> int:
    """Return a tick that no event comes after.

    A time of 2**14 ticks has two bytes above 127 in a row, one of 2**21 ticks three, and there is
    a time in three bytes at most.
    """
    above = np.frombuffer(data, dtype=np.int8) < 0
    two = above[1:] & above[:-1]
    three = two[1:] & two[:-1]
    longest = np.count_nonzero(three) * 2**28 + np.count_nonzero(two) * 2**21
    return int(longest) + len(data) // 3 * 2**14
