"""Scores to and from the objects of miditoolkit, without loss."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from miditoolkit import (
    ControlChange,
    Instrument,
    KeySignature,
    MidiFile,
    Note,
    Pedal,
    PitchBend,
    TempoChange,
    TimeSignature,
)

from musengine.api import BEND, Score, Track, from_miditoolkit, to_miditoolkit
from musengine.builtin.midi.reader import MidiReader
from musengine.interfaces.reader import Item
from musengine.plugins.configs import NoSettings
from musengine.testing import rows_of, score_of, unpack
from musengine.testing.strategies import few, scores

ARCHIVES = [
    "classical-piano-composer/classical-piano-composer.tar.gz",
    "midi-rnn-lakh/midi-rnn-lakh.tar.gz",
    "musicguru/musicguru-collection.tar.gz",
    "nottingham/nottingham-midi.tar.gz",
    "piano-midi-de/piano-midi-de.tar.gz",
    "pop909/pop909-main-001-808.tar.gz",
]


def made_by_hand() -> MidiFile:
    midi = MidiFile(ticks_per_beat=96)
    midi.max_tick = 401
    midi.tempo_changes = [TempoChange(120.0, 0), TempoChange(60e6 / 666_666, 96)]
    midi.time_signature_changes = [TimeSignature(3, 4, 0), TimeSignature(6, 8, 288)]
    midi.key_signature_changes = [KeySignature("Ebm", 0), KeySignature("F#", 96)]
    violin = Instrument(40, False, "Flöte", [Note(80, 60, 0, 96), Note(81, 64, 48, 96)])
    violin.control_changes = [
        ControlChange(0, 1, 0),
        ControlChange(64, 127, 10),
        ControlChange(64, 60, 20),
        ControlChange(64, 0, 30),
        ControlChange(7, 100, 30),
    ]
    violin.pedals = [Pedal(10, 30)]
    violin.pitch_bends = [PitchBend(-8192, 5), PitchBend(8191, 30)]
    kit = Instrument(25, True, "", [Note(1, 36, 96, 97), Note(127, 38, 96, 100)])
    midi.instruments = [violin, kit, Instrument(3, False, "nothing")]
    return midi


def content(midi: MidiFile) -> dict[str, object]:
    """All that is kept of a file, to compare it; notes in order of their onsets and pitches."""
    return {
        "resolution": (midi.ticks_per_beat, midi.max_tick),
        "tempos": [(each.time, each.tempo) for each in midi.tempo_changes],
        "meters": [
            (each.time, each.numerator, each.denominator) for each in midi.time_signature_changes
        ],
        "keys": [(each.time, each.key_name) for each in midi.key_signature_changes],
        "parts": [
            (
                (each.name, int(each.program), each.is_drum),
                sorted((note.start, note.pitch, note.end, note.velocity) for note in each.notes),
                [(change.time, change.number, change.value) for change in each.control_changes],
                [(bend.time, bend.pitch) for bend in each.pitch_bends],
                [(pedal.start, pedal.end) for pedal in each.pedals],
            )
            for each in midi.instruments
        ],
    }


def test_an_object_made_by_hand_as_a_score():
    score = from_miditoolkit(made_by_hand())
    assert rows_of(score) == [
        (0, 96, 60, 80, 0),
        (48, 48, 64, 81, 0),
        (96, 1, 36, 1, 1),
        (96, 4, 38, 127, 1),
    ]
    assert score.tracks == (
        Track("Flöte", 40),
        Track("", 25, is_drum=True),
        Track("nothing", 3),
    )
    assert (score.ticks_per_beat, score.length) == (96, 400)
    assert (score.tempo_tick.tolist(), score.tempo_bpm.tolist()) == ([0, 96], [120, 60e6 / 666_666])
    assert (score.meter_tick.tolist(), score.meter.tolist()) == ([0, 288], [[3, 4], [6, 8]])
    # E flat minor has six flats, F sharp major six sharps.
    assert (score.key_tick.tolist(), score.key.tolist()) == ([0, 96], [[-6, 1], [6, 0]])
    changes = zip(score.control_tick.tolist(), score.control.tolist(), strict=True)
    assert list(changes) == [
        (0, [0, 0, 1]),
        (5, [0, BEND, -8192]),
        (10, [0, 64, 127]),
        (20, [0, 64, 60]),
        (30, [0, 64, 0]),
        (30, [0, 7, 100]),
        (30, [0, BEND, 8191]),
    ]


def test_an_object_made_by_hand_there_and_back():
    assert content(to_miditoolkit(from_miditoolkit(made_by_hand()))) == content(made_by_hand())


@given(score=scores())
@few(60)
def test_a_score_there_and_back(score):
    found = from_miditoolkit(to_miditoolkit(score))
    assert found.fingerprint() == score.fingerprint()
    assert found.tracks == tuple(
        Track(each.name, each.program, each.is_drum) for each in score.tracks
    )


def test_nothing_is_shared():
    score = from_miditoolkit(made_by_hand())
    midi = to_miditoolkit(score)
    midi.instruments[0].notes[0].pitch = 0
    midi.tempo_changes.clear()
    assert score.pitch[0] == 60
    assert len(score.tempo_tick) == 2


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("C", [0, 0]),
        ("Cb", [-7, 0]),
        ("C#", [7, 0]),
        ("Bb major", [-2, 0]),
        ("Am", [0, 1]),
        ("Abm", [-7, 1]),
        ("A#m", [7, 1]),
        ("d", [-1, 1]),
        ("f#minor", [3, 1]),
        ("G#", [-4, 0]),  # eight sharps: A flat, four flats
        ("Fbm", [1, 1]),  # eleven flats: E minor, a sharp
    ],
)
def test_keys_by_name(name, key):
    midi = MidiFile()
    midi.key_signature_changes = [KeySignature(name, 0)]
    score = from_miditoolkit(midi)
    assert score.key.tolist() == [key]
    (change,) = to_miditoolkit(score).key_signature_changes
    assert change.key_number == midi.key_signature_changes[0].key_number


def test_pedals_alone_are_controllers():
    midi = MidiFile(ticks_per_beat=4)
    midi.instruments = [Instrument(0, notes=[Note(80, 60, 0, 9)])]
    midi.instruments[0].pedals = [Pedal(2, 5)]
    score = from_miditoolkit(midi)
    assert score.control_tick.tolist() == [2, 5]
    assert score.control.tolist() == [[0, 64, 127], [0, 64, 0]]
    (pedal,) = to_miditoolkit(score).instruments[0].pedals
    assert (pedal.start, pedal.end) == (2, 5)


def test_the_length_is_at_least_where_the_last_note_ends():
    midi = MidiFile()
    midi.instruments = [Instrument(0, notes=[Note(80, 60, 0, 9), Note(80, 60, 20, 20)])]
    score = from_miditoolkit(midi)
    assert (score.length, score.duration.tolist()) == (21, [9, 1])


@pytest.mark.parametrize(
    "change",
    [
        lambda midi: setattr(midi.instruments[0].notes[0], "pitch", 128),
        lambda midi: setattr(midi.instruments[0].control_changes[0], "value", 128),
        lambda midi: setattr(midi.instruments[0].pitch_bends[0], "pitch", 8192),
        lambda midi: setattr(midi.key_signature_changes[0], "key_name", "H"),
    ],
)
def test_values_outside_their_range_are_refused(change):
    midi = made_by_hand()
    change(midi)
    with pytest.raises(ValueError, match=r"pitch|value|key"):
        from_miditoolkit(midi)


def only_changes(entries: list[tuple]) -> list[tuple]:
    """A map in order, the last entry at each tick, without those that repeat the one before."""
    kept: list[tuple] = []
    last = {each[0]: each for each in sorted(entries, key=lambda each: each[0])}
    for tick, *value in last.values():
        if not kept or kept[-1][1:] != tuple(value):
            kept.append((tick, *value))
    return kept


def as_scores_have_it(midi: MidiFile) -> dict[str, object]:
    """The content, with maps and notes as a Score keeps them."""
    kept = content(midi)
    kept["tempos"] = only_changes(kept["tempos"])
    kept["meters"] = only_changes([(0, 4, 4), *kept["meters"]])
    kept["keys"] = only_changes(kept["keys"])
    kept["parts"] = [
        (
            part,
            # A note without length lasts a tick.
            sorted((start, pitch, max(end, start + 1), loud) for start, pitch, end, loud in notes),
            changes,
            bends,
        )
        for part, notes, changes, bends, _ in kept["parts"]
    ]
    return kept


@pytest.mark.parametrize("archive", ARCHIVES)
def test_real_files_there_and_back(data_folder, tmp_path, archive):
    for path in unpack(data_folder / archive, tmp_path, 4):
        midi = MidiFile(str(path), clip=True)
        score = from_miditoolkit(midi)
        assert as_scores_have_it(to_miditoolkit(score)) == as_scores_have_it(midi)


def read(path: Path) -> Score:
    (piece,) = MidiReader(NoSettings()).read(Item(path, path.name))
    assert isinstance(piece.content, Score)
    return piece.content


@pytest.mark.parametrize("archive", ARCHIVES)
def test_real_files_read_by_either_are_the_same_score(data_folder, tmp_path, archive):
    same = 0
    paths = unpack(data_folder / archive, tmp_path, 4)
    for path in paths:
        ours, theirs = read(path), from_miditoolkit(MidiFile(str(path), clip=True))
        # Not by the ends: miditoolkit lets a note go on where its pitch is struck again.
        notes = [[(row[0], row[2], row[3]) for row in rows_of(score)] for score in (ours, theirs)]
        assert sorted(notes[0]) == sorted(notes[1])
        assert ours.length == theirs.length
        assert sum(track.is_drum for track in ours.tracks) == sum(
            track.is_drum for track in theirs.tracks
        )
        controls = [
            sorted(
                (tick, *change[1:])
                for tick, change in zip(
                    score.control_tick.tolist(), score.control.tolist(), strict=True
                )
            )
            for score in (ours, theirs)
        ]
        same += controls[0] == controls[1]
    assert same > len(paths) // 2


def test_a_score_of_nothing():
    midi = to_miditoolkit(score_of([], tracks=[]))
    assert (midi.instruments, midi.max_tick) == ([], 1)
    assert len(from_miditoolkit(MidiFile())) == 0
