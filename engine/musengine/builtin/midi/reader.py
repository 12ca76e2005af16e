"""Standard MIDI files in, through miditoolkit."""

from __future__ import annotations

import io
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import miditoolkit
import numpy as np

from musengine.components.readers import Item, Reader
from musengine.declarations import NoSettings
from musengine.errors import UnreadableError
from musengine.score import Piece, Score, Track

MAX_BYTES = 64 * 2**20


class MidiReader(Reader[NoSettings]):
    """Reads one Score from each file."""

    def library(self) -> str:
        """Return the version of miditoolkit."""
        return f"miditoolkit {version('miditoolkit')}"

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the file's notes as one piece.

        Raises:
            UnreadableError: not MIDI, damaged, or without notes.
        """
        size = item.path.stat().st_size
        if not size:
            raise UnreadableError("the file is empty")
        if size > MAX_BYTES:
            raise UnreadableError(f"{size} bytes are more than the {MAX_BYTES} a file may have")
        data = item.path.read_bytes()
        if not data.startswith(b"MThd"):
            raise UnreadableError("not a MIDI file: it does not begin with MThd")
        try:
            parsed = miditoolkit.MidiFile(file=io.BytesIO(data))
            score = _score(parsed)
        except EOFError as error:
            raise UnreadableError("a damaged MIDI file: it ends too early") from error
        # A parser handed damaged bytes may raise anything; each file stands alone.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise UnreadableError(f"a damaged MIDI file: {reason}") from error
        if not len(score):
            raise UnreadableError("no notes")
        return [Piece(item.id, score, item.style)]


def _score(parsed: Any) -> Score:
    columns = [
        (note.start, note.end - note.start, note.pitch, note.velocity, index)
        for index, instrument in enumerate(parsed.instruments)
        for note in instrument.notes
    ]
    table = np.array(columns, dtype=np.int64).reshape(-1, 5)
    onset, duration, pitch, velocity, track = table.T
    return Score.from_notes(
        onset,
        duration,
        pitch,
        velocity,
        track,
        ticks_per_beat=parsed.ticks_per_beat,
        tracks=[
            Track(instrument.name, int(instrument.program), bool(instrument.is_drum))
            for instrument in parsed.instruments
        ],
        tempos=[(change.time, change.tempo) for change in parsed.tempo_changes],
        meters=[
            (change.time, change.numerator, change.denominator)
            for change in parsed.time_signature_changes
        ],
    )
