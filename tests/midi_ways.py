"""MIDI files byte by byte, and the ways in which they are read."""

from __future__ import annotations

import pytest

from musengine.builtin.midi import reader, tolerant_events, vectorised_events
from musengine.builtin.midi.assemble import Song, score_of, song_of
from musengine.builtin.midi.chunks import Chunks, split_chunks
from musengine.builtin.midi.warnings import Warnings
from musengine.music.score import Score

Reading = tuple[Score, tuple[str, ...]]
"""A score, and what was wrong with its file."""

END = b"\x00\xff\x2f\x00"
"""The end of a track of a MIDI file."""

WAYS_OF_READING = ["compiled", "vectorised", "tolerant"]
"""MIDI files."""


def chunk(body: bytes, name: bytes = b"MTrk", length: int | None = None) -> bytes:
    """A chunk of a MIDI file; it may say another length than it has."""
    return name + (len(body) if length is None else length).to_bytes(4, "big") + body


def header(form: int = 1, tracks: int = 1, division: int = 96) -> bytes:
    """The first chunk of a MIDI file."""
    return chunk(b"".join(n.to_bytes(2, "big") for n in (form, tracks, division)), b"MThd")


def midi(*bodies: bytes, form: int = 1, division: int = 96, count: int | None = None) -> bytes:
    """A MIDI file of some tracks; it may say that it has another number of them."""
    return header(form, len(bodies) if count is None else count, division) + b"".join(
        map(chunk, bodies)
    )


def read_in(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MIDI files be read in one way, and byte by byte where that leaves them to others."""
    if way == "compiled":
        pytest.importorskip("musengine.builtin.midi.native_reader", exc_type=ImportError)
    else:
        monkeypatch.setattr(reader, "native_reader", None)
    if way != "vectorised":
        monkeypatch.setattr(vectorised_events, "events_of", lambda chunks: None)


def by_tolerant(data: bytes) -> Reading:
    """What is read byte by byte in a file of one song."""
    warnings = Warnings()
    chunks = split_chunks(data, warnings)
    (events,) = tolerant_events.events_of(chunks, warnings)
    return _reading(song_of(events), chunks, warnings)


def by_vectorised(data: bytes) -> Reading | None:
    """What is read all at once; None where the file is left to others."""
    warnings = Warnings()
    chunks = split_chunks(data, warnings)
    events = vectorised_events.events_of(chunks)
    return None if events is None else _reading(song_of(events), chunks, warnings)


def by_compiled(data: bytes) -> Reading | None:
    """What the compiled reader reads; None where the file is left to others."""
    native_reader = pytest.importorskip(
        "musengine.builtin.midi.native_reader", exc_type=ImportError
    )
    warnings = Warnings()
    chunks = split_chunks(data, warnings)
    song = native_reader.song_of(chunks)
    return None if song is None else _reading(song, chunks, warnings)


def _reading(song: Song, chunks: Chunks, warnings: Warnings) -> Reading:
    return score_of(song, chunks.division, warnings), warnings.lines()
