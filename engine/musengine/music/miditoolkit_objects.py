"""Scores to and from the objects of miditoolkit, which other programs in Python read and change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from musengine.music.note_tables import BEND
from musengine.music.score import Score, Track

if TYPE_CHECKING:
    from miditoolkit import MidiFile

_KEY_NAME = re.compile("([A-Ga-g])([#b]?) ?(.*)")
_FIFTHS = "FCGDAEB"
_MAJOR = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINOR = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")
"""The keys of seven flats to seven sharps."""
_PEDAL, _DOWN = 64, 127
"""The controller of the sustain pedal, and its value when that is down, as miditoolkit has it."""


def to_miditoolkit(score: Score) -> MidiFile:
    """Return a Score as a `miditoolkit.MidiFile` that can be changed, written and read back.

    Every track becomes an Instrument with its program, name, notes, controllers and bends; pedals
    are found as miditoolkit finds them, by controller 64. Ticks stay, and `max_tick` is one more
    than the length. Channels are lost, since miditoolkit has none.

    Args:
        score: the Score; nothing of it is shared.
    """
    import miditoolkit as mtk

    midi = mtk.MidiFile(ticks_per_beat=score.ticks_per_beat)
    # miditoolkit's own readers set it one beyond the last event.
    midi.max_tick = score.length + 1
    midi.tempo_changes = [
        mtk.TempoChange(bpm, tick)
        for tick, bpm in zip(score.tempo_tick.tolist(), score.tempo_bpm.tolist(), strict=True)
    ]
    midi.time_signature_changes = [
        mtk.TimeSignature(*meter, tick)
        for tick, meter in zip(score.meter_tick.tolist(), score.meter.tolist(), strict=True)
    ]
    midi.key_signature_changes = [
        mtk.KeySignature(f"{_MINOR[sharps + 7]}m" if minor else _MAJOR[sharps + 7], tick)
        for tick, (sharps, minor) in zip(score.key_tick.tolist(), score.key.tolist(), strict=True)
    ]
    midi.instruments = [
        mtk.Instrument(track.program, track.is_drum, track.name) for track in score.tracks
    ]
    columns = (score.track, score.velocity, score.pitch, score.onset, score.end)
    for track, *note in np.stack(columns, axis=1).tolist():
        midi.instruments[track].notes.append(mtk.Note(*note))
    for tick, (track, number, value) in zip(
        score.control_tick.tolist(), score.control.tolist(), strict=True
    ):
        instrument = midi.instruments[track]
        if number == BEND:
            instrument.pitch_bends.append(mtk.PitchBend(value, tick))
        else:
            instrument.control_changes.append(mtk.ControlChange(number, value, tick))
    for instrument in midi.instruments:
        instrument.pedals = [mtk.Pedal(*times) for times in _pedals(instrument.control_changes)]
    return midi


def from_miditoolkit(midi: MidiFile) -> Score:
    """Return the Score of a `miditoolkit.MidiFile`, read from a file or made in Python.

    Every Instrument becomes a track; as when miditoolkit writes, its pedals count where it has no
    controllers. A note that does not end after its start lasts a tick. The length is `max_tick`
    less one, and at least where the last note ends. Lyrics and markers are lost.

    Args:
        midi: the file's content; names are taken as miditoolkit has read them, which takes the
            argument `charset` for it.

    Raises:
        ValueError: a value outside its range, or a key that is none.
    """
    notes = [
        (note.start, note.end - note.start, note.pitch, note.velocity, track)
        for track, instrument in enumerate(midi.instruments)
        for note in instrument.notes
    ]
    columns = np.array(notes, dtype=np.int64).reshape(-1, 5).T
    return Score.from_notes(
        *columns,
        ticks_per_beat=midi.ticks_per_beat,
        tracks=[
            Track(str(each.name), int(each.program), bool(each.is_drum))
            for each in midi.instruments
        ],
        tempos=[(int(change.time), change.tempo) for change in midi.tempo_changes],
        meters=[
            (int(change.time), change.numerator, change.denominator)
            for change in midi.time_signature_changes
        ],
        keys=[(int(change.time), *_key(change.key_name)) for change in midi.key_signature_changes],
        controls=[
            (int(tick), track, int(number), int(value))
            for track, instrument in enumerate(midi.instruments)
            for tick, number, value in _controls(instrument)
        ],
        length=int(midi.max_tick) - 1,
    )


def _controls(instrument: Any) -> list[tuple[int, int, int]]:
    """Return the tick, number and value of an instrument's controllers and bends."""
    changes = [(each.time, each.number, each.value) for each in instrument.control_changes]
    if not changes:
        changes = [
            change
            for pedal in instrument.pedals
            for change in ((pedal.start, _PEDAL, _DOWN), (pedal.end, _PEDAL, 0))
        ]
    return changes + [(each.time, BEND, each.pitch) for each in instrument.pitch_bends]


def _pedals(changes: list[Any]) -> list[tuple[int, int]]:
    """Return when the sustain pedal goes down and up."""
    pedals: list[tuple[int, int]] = []
    down: int | None = None
    for change in changes:
        if change.number == _PEDAL and change.value == _DOWN and down is None:
            down = change.time
        elif change.number == _PEDAL and change.value == 0 and down is not None:
            pedals.append((down, change.time))
            down = None
    return pedals


def _key(name: str) -> tuple[int, bool]:
    """Return the sharps, flats being negative, of a key by its name, and whether it is minor."""
    from miditoolkit.constants import MAJOR_NAMES, MINOR_NAMES

    found = _KEY_NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no key")
    letter, accidental, mode = found.groups()
    # "a" alone is A minor, but "a major" is major.
    minor = mode in MINOR_NAMES or (letter.islower() and mode not in MAJOR_NAMES)
    # F major has one flat, C none and so on along the circle; a minor key has three sharps fewer
    # than the major key of the same letter.
    sharps = _FIFTHS.index(letter.upper()) - 1 - 3 * minor
    sharps += {"#": 7, "b": -7, "": 0}[accidental]
    # A key of more than seven sharps or flats sounds as one of fewer.
    return sharps - 12 * (sharps > 7) + 12 * (sharps < -7), minor
