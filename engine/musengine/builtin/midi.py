"""Standard MIDI files in and out, through miditoolkit."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import miditoolkit
import numpy as np

from musengine.components.readers import Item, Reader
from musengine.components.writers import Probabilities, Writer
from musengine.declarations import NoSettings
from musengine.errors import UnreadableError
from musengine.score import Piece, Score, Text, Track

MAX_BYTES = 64 * 2**20
_HIGHEST_TEMPO_BPM = 60e6  # a tempo event holds microseconds per beat, at least 1
_LONGEST_BEAT_US = 2**24 - 1


class MidiReader(Reader[NoSettings]):
    """Reads one Score from each file."""

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


class MidiWriter(Writer[NoSettings]):
    """Writes a Score with its tempo map, meters, track names and programs."""

    @property
    def suffix(self) -> str:
        """`.mid`."""
        return ".mid"

    def write(self, content: Score | Text | Probabilities, path: Path) -> None:
        """Write a MIDI file of format 1; every note is ended, re-strikes are separated."""
        if not isinstance(content, Score):
            raise TypeError("the MIDI writer writes scores")
        midi = miditoolkit.MidiFile(ticks_per_beat=content.ticks_per_beat)
        for tick, bpm in zip(content.tempo_tick, content.tempo_bpm, strict=True):
            tempo = float(np.clip(bpm, 60e6 / _LONGEST_BEAT_US, _HIGHEST_TEMPO_BPM))
            midi.tempo_changes.append(miditoolkit.TempoChange(tempo, int(tick)))
        for tick, (numerator, denominator) in zip(content.meter_tick, content.meter, strict=True):
            meter = miditoolkit.TimeSignature(int(numerator), int(denominator), int(tick))
            midi.time_signature_changes.append(meter)
        for index, track in enumerate(content.tracks):
            midi.instruments.append(_instrument(content.select(content.track == index), track))
        with path.open("wb") as file:
            midi.dump(file=file)


def _instrument(notes: Score, track: Track) -> Any:
    # The library writes names in Latin-1, as the MIDI standard leaves open.
    name = track.name.encode("latin-1", "replace").decode("latin-1")
    instrument = miditoolkit.Instrument(track.program, track.is_drum, name)
    duration = _until_next_strike(notes)
    for onset, length, pitch, velocity in zip(
        notes.onset.tolist(),
        duration.tolist(),
        notes.pitch.tolist(),
        notes.velocity.tolist(),
        strict=True,
    ):
        instrument.notes.append(miditoolkit.Note(velocity, pitch, onset, onset + length))
    return instrument


def _until_next_strike(notes: Score) -> Any:
    """Return durations shortened so that a note ends before its pitch is struck again."""
    # A number line with room for the whole piece at each pitch: the next strike of the same pitch
    # is the next number on it, and another pitch's is further off than any note is long.
    room = int(notes.end.max(initial=0)) + 1
    place = notes.pitch * room + notes.onset
    strikes = np.append(np.unique(place), np.iinfo(np.int64).max)
    following = strikes[np.searchsorted(strikes, place, side="right")]
    return np.minimum(notes.duration, following - place)
