"""The chunks of a MIDI file, however damaged: its header and where its tracks lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from musengine.builtin.midi.warnings import Warnings
from musengine.errors import UnreadableError
from musengine.utils.format import counted

DEFAULT_TICKS_PER_BEAT = 480
MOST_CHUNKS = 2**16 - 1
"""A header cannot count more tracks; what follows is not looked at."""
_SEARCHED = 2**12
"""How far into a file a header is looked for: mail and old Macintosh disks put theirs before it."""
_HEADER, _TRACK = b"MThd", b"MTrk"
_SOUND = _HEADER + b"\0\0\0\6"
_CHUNK, _CONTENT = struct.Struct(">4sI"), struct.Struct(">HHH")


@dataclass
class Chunks:
    """The parts of a file.

    Attributes:
        data: the whole file.
        format: 0, 1 or 2.
        division: the header's two bytes that say what a tick is, 1 to 65,535.
        tracks: where the bytes of each track begin and end, without its header.
    """

    data: bytes
    format: int = 1
    division: int = DEFAULT_TICKS_PER_BEAT
    tracks: list[tuple[int, int]] = field(default_factory=list)


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
    # A slice ends with the data, whatever the size says.
    inside = data[start : start + size]
    # A size that is too small must not cut the music off.
    return (inside if size >= 22 else data[start:]), True


def split_chunks(data: bytes, warnings: Warnings) -> Chunks:
    """Return the header and the tracks of a MIDI file, noting what was wrong with them.

    Raises:
        UnreadableError: there is neither a header nor a track.
    """
    # Nearly every file is sound: it is looked at without searching first.
    if (sound := _sound(data)) is not None:
        return sound
    position, chunks, declared = _header(data, warnings)
    tracks = chunks.tracks
    for _ in range(MOST_CHUNKS):
        if position >= len(data):
            break
        # `position` grows in every turn, so that the loop ends also for damaged data.
        if data.startswith(_TRACK, position) and position + 8 <= len(data):
            end = _end_of_track(data, position, len(tracks) + 1, warnings)
            tracks.append((position + 8, end))
        # The standard asks readers to pass over chunks they do not know.
        elif (following := _end_of_chunk(data, position)) is not None:
            end = following
            warnings.count("chunk", "of an unknown kind ignored")
        else:
            end = _next_track(data, position + 1)
            warnings.count("byte", "between or after the tracks ignored", end - position)
        position = end
    if declared not in (None, len(tracks)):
        there = len(tracks)
        warnings.say(f"the header counts {counted(declared or 0, 'track')}, there are {there:,}")
    if chunks.format == 0 and len(tracks) > 1:
        warnings.say("the header gives format 0, which has one track: read as format 1")
        chunks.format = 1
    return chunks


def _sound(data: bytes) -> Chunks | None:
    """Return the chunks of a file of format 0 or 1 that says of itself what is true, as most do."""
    if data[:8] != _SOUND or len(data) < 14:
        return None
    form, count, division = _CONTENT.unpack_from(data, 8)
    if not division or form > 1 or (form == 0 and count != 1):
        return None
    position = 14
    tracks: list[tuple[int, int]] = []
    while position + 8 <= len(data) and len(tracks) < count:
        name, length = _CHUNK.unpack_from(data, position)
        if name != _TRACK:
            return None
        begin, position = position + 8, position + 8 + length
        tracks.append((begin, position))
    # To the last byte: whatever stands after the tracks is told as odd by the slower way.
    sound = position == len(data) and len(tracks) == count
    return Chunks(data, form, division, tracks) if sound else None


def _header(data: bytes, warnings: Warnings) -> tuple[int, Chunks, int | None]:
    """Return where the first chunk begins, the header, and how many tracks it counts."""
    start = data.find(_HEADER, 0, _SEARCHED)
    if start < 0:
        # A file cut at its beginning still has its tracks.
        start = data.find(_TRACK, 0, _SEARCHED)
        if start < 0:
            message = "not a MIDI file: it does not begin with MThd"
            raise UnreadableError(message, code="not-midi")
        warnings.say("there is no header")
        return start, Chunks(data), None
    if start:
        warnings.count("byte", "before the header ignored", start)
    content = data[start + 8 : start + 14]
    if len(content) < 6:
        message = "a damaged MIDI file: it ends within its header"
        raise UnreadableError(message, code="file-damaged")
    form, tracks, division = (int.from_bytes(content[i : i + 2], "big") for i in (0, 2, 4))
    if form > 2:
        warnings.say(f"the header gives format {form}, which there is not: read as format 1")
        form = 1
    if not division:
        warnings.say(
            f"the header gives no time division: {DEFAULT_TICKS_PER_BEAT} ticks to a beat are taken"
        )
        division = DEFAULT_TICKS_PER_BEAT
    end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "big")
    # Headers longer than 6 bytes are allowed, hence believed where a chunk follows.
    if end < start + 14 or not _chunk_begins(data, end):
        warnings.say("the header has a wrong length")
        end = start + 14
    return end, Chunks(data, form, division), tracks


def _end_of_track(data: bytes, position: int, number: int, warnings: Warnings) -> int:
    """Return where a track ends: where its header says, unless no chunk begins there."""
    end = position + 8 + int.from_bytes(data[position + 4 : position + 8], "big")
    if end == len(data) or (end < len(data) and _chunk_begins(data, end)):
        return end
    # A wrong length must not take the tracks after it along: the next `MTrk` ends this one.
    following = _next_track(data, position + 8)
    if end < len(data) and following == len(data) and _ends_whole(data, position + 8, end):
        return end  # the last track is sound; what comes after it is not MIDI
    warnings.of_track("has a wrong length", number)
    return following


def _chunk_begins(data: bytes, position: int) -> bool:
    return data.startswith(_TRACK, position) or _end_of_chunk(data, position) is not None


def _end_of_chunk(data: bytes, position: int) -> int | None:
    """Return the end of a chunk with a name of four letters that fits into the file."""
    name = data[position : position + 4]
    # Four arbitrary bytes of notes are rarely four letters.
    if len(name) < 4 or not name.isalnum():
        return None
    end = position + 8 + int.from_bytes(data[position + 4 : position + 8], "big")
    return end if end <= len(data) else None


def _ends_whole(data: bytes, start: int, end: int) -> bool:
    return end - start >= 4 and data[end - 3 : end] == b"\xff\x2f\x00"


def _next_track(data: bytes, start: int) -> int:
    found = data.find(_TRACK, start)
    return found if found >= 0 else len(data)
