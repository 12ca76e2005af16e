"""Standard MIDI files out, through miditoolkit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import miditoolkit
import numpy as np

from musengine.arranging import until_next_strike
from musengine.components.writers import Probabilities, Writer
from musengine.declarations import NoSettings
from musengine.score import Score, Text, Track
from musengine.timing import LONGEST_BEAT_US

_HIGHEST_TEMPO_BPM = 60e6  # a tempo event holds microseconds per beat, at least 1


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
            tempo = float(np.clip(bpm, 60e6 / LONGEST_BEAT_US, _HIGHEST_TEMPO_BPM))
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
    duration = np.minimum(notes.duration, until_next_strike(notes))
    for onset, length, pitch, velocity in zip(
        notes.onset.tolist(),
        duration.tolist(),
        notes.pitch.tolist(),
        notes.velocity.tolist(),
        strict=True,
    ):
        instrument.notes.append(miditoolkit.Note(velocity, pitch, onset, onset + length))
    return instrument
