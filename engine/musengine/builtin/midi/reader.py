"""Standard MIDI files in: sound ones by fast readers, all others byte by byte."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from musengine.builtin.midi import tolerant_events, vectorised_events
from musengine.builtin.midi.assemble import Song, score_of, song_of
from musengine.builtin.midi.chunks import Chunks, split_chunks, unwrapped
from musengine.builtin.midi.warnings import Warnings
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item, Reader
from musengine.music.piece import Piece
from musengine.music.score import Score
from musengine.plugins.configs import NoSettings

try:
    from musengine.builtin.midi import native_reader
except ImportError:  # built without a C compiler, or of other sources
    native_reader = None  # type: ignore[assignment]

MAX_BYTES = 64 * 2**20
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)


class MidiReader(Reader[NoSettings]):
    """Reads one Score from each file; of format 2, one from each track that has notes."""

    def library(self) -> str:
        """Return NumPy and its version, and whether the compiled reader is there."""
        label = f"numpy {version('numpy')}"
        return label if native_reader is None else f"{label}, compiled reader"

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the pieces of a file, with what was wrong with it.

        Raises:
            UnreadableError: not MIDI, larger than 64 MiB, more than 2,097,152 notes, or none.
        """
        data = _bytes_of(item.path)
        if not data:
            raise UnreadableError("the file is empty", code="file-empty")
        read = list(_scores(data))
        if not read:
            raise UnreadableError("no notes", code="no-notes")
        names = [item.id] if len(read) == 1 else [f"{item.id}#{n}" for n in range(1, len(read) + 1)]
        return [
            Piece(name, score, item.style, warnings=warnings.lines(), format=form)
            for name, (score, warnings, form) in zip(names, read, strict=True)
        ]


def _bytes_of(path: Path) -> bytes:
    # Most files are small: opening them in Python's own ways takes longer than reading them.
    file = os.open(path, _FLAGS)
    try:
        size = os.fstat(file).st_size
        if size > MAX_BYTES:
            message = f"{size} bytes are more than the {MAX_BYTES} a file may have"
            raise UnreadableError(message, code="too-large")
        data = os.read(file, size)
        # One `read` may return less than was asked for, as on network drives.
        while len(data) < size and (more := os.read(file, size - len(data))):
            data += more
        return data
    finally:
        os.close(file)


def _scores(data: bytes) -> Iterator[tuple[Score, Warnings, str]]:
    """Yield each score with notes, what was wrong with it, and what format it had."""
    inside, in_riff = unwrapped(data)
    warnings = Warnings()
    chunks = split_chunks(inside, warnings)
    songs = _songs(chunks, warnings)
    for song in songs:
        if song.notes.size:
            own = warnings.copy() if len(songs) > 1 else warnings
            score = score_of(song, chunks.division, own)
            yield score, own, f"MIDI format {chunks.format}{' in RIFF' if in_riff else ''}"


def _songs(chunks: Chunks, warnings: Warnings) -> list[Song]:
    # From the fastest to the most tolerant; each gives up at anything odd, and all give the same
    # notes.
    if native_reader is not None and (song := native_reader.song_of(chunks)) is not None:
        return [song]
    if (events := vectorised_events.events_of(chunks)) is not None:
        return [song_of(events)]
    return [song_of(each) for each in tolerant_events.events_of(chunks, warnings)]
