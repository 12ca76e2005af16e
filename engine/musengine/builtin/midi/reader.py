"""Standard MIDI files in: clean ones compiled or through a library, others byte by byte."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from musengine.builtin.midi import chunks, clean, libraries, marking, tolerant
from musengine.builtin.midi.oddities import Oddities
from musengine.builtin.midi.song import Song
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item, Reader
from musengine.music.score import Piece, Score
from musengine.plugins.declarations import NoSettings

try:
    from musengine.builtin.midi.compiled import song_of
except ImportError:  # built without a C compiler
    compiled: Callable[[bytes, Oddities], Song | None] | None = None
else:
    compiled = song_of

MAX_BYTES = 64 * 2**20


class MidiReader(Reader[NoSettings]):
    """Reads one Score from each file; of format 2, one from each track that has notes."""

    def library(self) -> str:
        """Return the library that reads clean files, and its version; ours where it is compiled."""
        label = libraries.chosen().label
        return label if compiled is None else f"{label}, compiled reader"

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the pieces of a file, with what was odd about it.

        Raises:
            UnreadableError: not MIDI, larger than 64 MiB, more than 2,097,152 notes, or none.
        """
        data = _bytes_of(item.path)
        if not data:
            raise UnreadableError("the file is empty")
        read = list(_scores(data))
        if not read:
            raise UnreadableError("no notes")
        names = [item.id] if len(read) == 1 else [f"{item.id}#{n}" for n in range(1, len(read) + 1)]
        return [
            Piece(name, score, item.style, warnings=odd.warnings(), format=form)
            for name, (score, odd, form) in zip(names, read, strict=True)
        ]


def _bytes_of(path: Path) -> bytes:
    # Most files are small: opening them in Python's own ways takes longer than reading them.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(file).st_size
        if size > MAX_BYTES:
            raise UnreadableError(f"{size} bytes are more than the {MAX_BYTES} a file may have")
        data = os.read(file, size)
        while len(data) < size and (more := os.read(file, size - len(data))):
            data += more
        return data
    finally:
        os.close(file)


def _clean_song(data: bytes, odd: Oddities) -> Song | None:
    if compiled is not None and (song := compiled(data, odd)) is not None:
        return song
    file = marking.examined(data)
    return None if file is None else clean.song_of(file, libraries.chosen())


def _scores(data: bytes) -> Iterator[tuple[Score, Oddities, str]]:
    """Yield each score with notes, what was odd about it, and what format it had."""
    inside, in_riff = chunks.unwrapped(data)
    odd = Oddities()
    song = _clean_song(inside, odd)
    if song is not None:
        form, songs = inside[9], [song]
    else:
        found = chunks.take_apart(inside, odd)
        form, songs = found.format, tolerant.songs_of(found, odd)
    for each in songs:
        if each.notes.size:
            own = odd.copy() if len(songs) > 1 else odd
            score = each.score(own)
            yield score, own, f"MIDI format {form}{' in RIFF' if in_riff else ''}"
