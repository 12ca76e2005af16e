"""MIDI files byte by byte, and the ways in which they are read."""

from __future__ import annotations

from typing import Any

import pytest

from musengine.builtin.midi import chunks, clean, libraries, marking, reader, tolerant
from musengine.builtin.midi.oddities import Oddities
from musengine.music.score import Score

Found = tuple[Score, tuple[str, ...]]
"""A score, and what was odd about its file."""


def reads_by_symusic() -> Any:
    """The library symusic where it is installed and new enough to read with; skips elsewhere."""
    pytest.importorskip("symusic")
    try:
        return libraries.Symusic()
    except ImportError as error:
        pytest.skip(str(error))


END = b"\x00\xff\x2f\x00"
"""The end of a track of a MIDI file."""


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


WAYS_OF_READING = ["symusic", "miditoolkit", "compiled"]
"""MIDI files."""


def use_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clean MIDI files be read through a library, or by our own reading compiled."""
    if name == "compiled":
        pytest.importorskip("musengine.builtin.midi.compiled")
        return
    monkeypatch.setattr(reader, "compiled", None)
    chosen = reads_by_symusic() if name == "symusic" else libraries.Miditoolkit()
    monkeypatch.setattr(libraries, "chosen", lambda: chosen)


def by_own_means(data: bytes) -> Found:
    """What our own reading of the bytes, the slow one, finds in a file of one song."""
    odd = Oddities()
    (song,) = tolerant.songs_of(chunks.take_apart(data, odd), odd)
    return song.score(odd), odd.warnings()


def by_library(library: libraries.Library, data: bytes) -> Found | None:
    """What is found through a library; None where the file is left to others."""
    file = marking.examined(data)
    song = None if file is None else clean.song_of(file, library)
    odd = Oddities()
    return None if song is None else (song.score(odd), odd.warnings())


def by_compiled(data: bytes) -> Found | None:
    """What the compiled reader finds; None where the file is left to others."""
    compiled = pytest.importorskip("musengine.builtin.midi.compiled")
    odd = Oddities()
    song = compiled.song_of(data, odd)
    return None if song is None else (song.score(odd), odd.warnings())
