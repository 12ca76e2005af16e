"""What a MIDI file consists of, however damaged: its header and the bytes of its tracks."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from musengine.builtin.midi.oddities import Oddities
from musengine.errors import UnreadableError
from musengine.utils.format import counted

DEFAULT_TICKS_PER_BEAT = 480
MOST_CHUNKS = 2**16 - 1
"""A header cannot count more tracks; what follows is not looked at."""
_SEARCHED = 2**12
"""How far into a file a header is looked for: mail and old Macintosh disks put theirs before it."""
_HEADER, _TRACK = b"MThd", b"MTrk"
_CLEAN = _HEADER + b"\x00\x00\x00\x06"


@dataclass
class Chunks:
    """A file taken apart.

    Attributes:
        format: 0, 1 or 2.
        division: the header's two bytes that say what a tick is, 1 to 65,535.
        tracks: the bytes of each track, without its header.
    """

    format: int
    division: int
    tracks: list[bytes] = field(default_factory=list)


def unwrapped(data: bytes) -> tuple[bytes, bool]:
    """Return the MIDI file inside a RIFF file, and whether there was one; else the data itself.

    However the RIFF chunks are nested, the MIDI file is the content of the `data` chunk.
    """
    if data[:4] != b"RIFF":
        return data, False
    start = data.find(_HEADER, 0, _SEARCHED)
    if start < 8 or data[start - 8 : start - 4] != b"data":
        return data, False
    size = int.from_bytes(data[start - 4 : start], "little")
    inside = data[start : start + size]
    # A size that is too small must not cut the music off.
    return (inside if size >= 22 else data[start:]), True


def clean_header(data: bytes) -> tuple[int, int, int] | None:
    """Return a file's format (0 or 1), number of tracks and ticks to a beat; None where odd."""
    if data[:8] != _CLEAN or len(data) < 14:
        return None
    form, n_tracks, division = struct.unpack_from(">HHH", data, 8)
    if form > 1 or not 1 <= n_tracks <= (MOST_CHUNKS if form else 1) or not 0 < division < 0x8000:
        return None
    return form, n_tracks, division


def take_apart(data: bytes, odd: Oddities) -> Chunks:
    """Return the header and the tracks of a MIDI file, telling what was odd.

    Raises:
        UnreadableError: there is neither a header nor a track.
    """
    position, chunks, declared = _header(data, odd)
    looked_at = 0
    while position < len(data) and (looked_at := looked_at + 1) <= MOST_CHUNKS:
        following = _end_of_chunk(data, position)
        if data[position : position + 4] == _TRACK and position + 8 <= len(data):
            end = _end_of_track(data, position, len(chunks.tracks) + 1, odd)
            chunks.tracks.append(data[position + 8 : end])
        elif following is not None:
            end = following
            odd.count("chunk", "of an unknown kind ignored")
        else:
            end = _next_track(data, position + 1)
            odd.count("byte", "between or after the tracks ignored", end - position)
        position = end
    if declared is not None and declared != len(chunks.tracks):
        there = len(chunks.tracks)
        odd.say(f"the header counts {counted(declared, 'track')}, there are {there:,}")
    if chunks.format == 0 and len(chunks.tracks) > 1:
        odd.say("the header gives format 0, which has one track: read as format 1")
        chunks.format = 1
    return chunks


def _header(data: bytes, odd: Oddities) -> tuple[int, Chunks, int | None]:
    """Return where the first chunk begins, the header, and how many tracks it counts."""
    start = data.find(_HEADER, 0, _SEARCHED)
    if start < 0:
        start = data.find(_TRACK, 0, _SEARCHED)
        if start < 0:
            raise UnreadableError("not a MIDI file: it does not begin with MThd")
        odd.say("there is no header")
        return start, Chunks(1, DEFAULT_TICKS_PER_BEAT), None
    if start:
        odd.count("byte", "before the header ignored", start)
    content = data[start + 8 : start + 14]
    if len(content) < 6:
        raise UnreadableError("a damaged MIDI file: it ends within its header")
    form, tracks, division = (int.from_bytes(content[i : i + 2], "big") for i in (0, 2, 4))
    if form > 2:
        odd.say(f"the header gives format {form}, which there is not: read as format 1")
        form = 1
    if not division:
        odd.say(
            f"the header gives no time division: {DEFAULT_TICKS_PER_BEAT} ticks to a beat are taken"
        )
        division = DEFAULT_TICKS_PER_BEAT
    end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "big")
    if end < start + 14 or not _chunk_begins(data, end):
        odd.say("the header has a wrong length")
        end = start + 14
    return end, Chunks(form, division), tracks


def _end_of_track(data: bytes, position: int, number: int, odd: Oddities) -> int:
    """Return where a track ends: where its header says, unless no chunk begins there."""
    end = position + 8 + int.from_bytes(data[position + 4 : position + 8], "big")
    if end == len(data) or (end < len(data) and _chunk_begins(data, end)):
        return end
    following = _next_track(data, position + 8)
    if end < len(data) and following == len(data) and _ends_whole(data, position + 8, end):
        return end  # the last track is sound; what comes after it is not MIDI
    odd.of_track("has a wrong length", number)
    return following


def _chunk_begins(data: bytes, position: int) -> bool:
    return data[position : position + 4] == _TRACK or _end_of_chunk(data, position) is not None


def _end_of_chunk(data: bytes, position: int) -> int | None:
    """Return the end of a chunk with a name of four letters that fits into the file."""
    name = data[position : position + 4]
    if len(name) < 4 or not name.isalnum():
        return None
    end = position + 8 + int.from_bytes(data[position + 4 : position + 8], "big")
    return end if end <= len(data) else None


def _ends_whole(data: bytes, start: int, end: int) -> bool:
    return end - start >= 4 and data[end - 3 : end] == b"\xff\x2f\x00"


def _next_track(data: bytes, start: int) -> int:
    found = data.find(_TRACK, start)
    return found if found >= 0 else len(data)
