"""Which notes of a MIDI file are drums, beside those of the tenth channel."""

from __future__ import annotations

from pathlib import Path

import pytest

from midi_ways import END, WAYS_OF_READING, midi, read_in
from musengine.builtin.midi.reader import MidiReader
from musengine.builtin.midi.writer import midi_bytes
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item
from musengine.music.score import Score, Track
from musengine.plugins.configs import NoSettings
from musengine.testing import score_of

XG = "43 10 4c 00 00 7e 00"
GS = "41 10 42 12 40 00 7f 00 41"
GM = "7e 7f 09 01"
GM2 = "7e 7f 09 03"


@pytest.fixture(params=WAYS_OF_READING, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test runs in every way of reading."""
    read_in(request.param, monkeypatch)
    return request.param


def message(text: str, wait: int = 0) -> bytes:
    """An exclusive message."""
    content = bytes.fromhex(text) + b"\xf7"
    return bytes([wait, 0xF0, len(content)]) + content


def bank(channel: int, number: int, wait: int = 0) -> bytes:
    """The choice of a bank and of its program 5."""
    return bytes([wait, 0xB0 | channel, 0, number, 0, 0xC0 | channel, 5])


def note(channel: int, pitch: int = 36) -> bytes:
    """A note of four ticks."""
    return bytes([0, 0x90 | channel, pitch, 80, 4, 0x80 | channel, pitch, 0])


def read(folder: Path, *tracks: bytes) -> Score:
    path = folder / "piece.mid"
    path.write_bytes(midi(*[track + END for track in tracks]))
    (piece,) = MidiReader(NoSettings()).read(Item(path, path.name))
    assert isinstance(piece.content, Score)
    return piece.content


def drums(score: Score) -> list[bool]:
    """Whether each note, by onset, is one of drums."""
    return score.is_drum.tolist()


@pytest.mark.parametrize(
    ("begin", "channel", "number", "expected"),
    [
        ("", 2, 127, True),
        ("", 2, 126, True),
        ("", 2, 120, True),
        ("", 2, 64, False),
        ("", 9, 0, True),
        (GM, 2, 127, True),
        (GM, 9, 0, True),
        (XG, 2, 127, True),
        (XG, 2, 126, True),
        (XG, 2, 120, False),
        (XG, 9, 127, True),
        # A bank of notes on the tenth channel makes it one of notes.
        (XG, 9, 0, False),
        (XG, 9, 64, False),
        # Banks are variations; 127 holds the sounds of an older instrument.
        (GS, 2, 127, False),
        (GS, 9, 8, True),
        (GM2, 2, 120, True),
        (GM2, 2, 127, False),
        (GM2, 9, 121, False),
        (GM2, 9, 120, True),
    ],
)
def test_a_bank_makes_a_channel_one_of_drums(tmp_path, begin, channel, number, expected):
    start = message(begin) if begin else b""
    score = read(tmp_path, start + bank(channel, number) + note(channel) + note(0, 60))
    assert drums(score) == [expected, False]
    assert {track.program for track in score.tracks if track.channel == channel} == {5}


@pytest.mark.parametrize(
    ("text", "channel", "expected"),
    [
        # GS counts parts as blocks: 0 is part 10, 1 to 9 are the first nine, A to F the last six.
        ("41 10 42 12 40 10 15 00 1b", 9, False),
        ("41 10 42 12 40 11 15 01 19", 0, True),
        ("41 10 42 12 40 19 15 02 10", 8, True),
        ("41 10 42 12 40 1a 15 01 10", 10, True),
        ("41 10 42 12 40 1f 15 01 0b", 15, True),
        ("41 00 42 12 40 1f 15 00 0c", 15, False),
        # XG counts them as channels; 07 is a part's mode, 01 its bank.
        ("43 10 4c 08 03 07 01", 3, True),
        ("43 10 4c 08 03 07 02", 3, True),
        ("43 10 4c 08 09 07 00", 9, False),
        ("43 10 4c 08 04 01 7f", 4, True),
        ("43 10 4c 08 09 01 00", 9, False),
        # Another parameter, another maker.
        ("43 10 4c 08 04 0b 7f", 4, False),
        ("42 10 4c 08 04 07 01", 4, False),
    ],
)
def test_a_message_makes_a_channel_one_of_drums(tmp_path, text, channel, expected):
    # It stands in a track of its own, and holds for all tracks.
    score = read(tmp_path, message(text), note(channel), note(channel))
    assert drums(score) == [expected, expected]


def test_what_holds_when_a_note_is_struck_counts(tmp_path):
    body = note(2) + bank(2, 127) + note(2) + bank(2, 0) + note(2) + bank(2, 127) + note(2)
    score = read(tmp_path, body)
    assert drums(score) == [False, True, False, True]
    # Programs are 0 and, after the first bank, 5.
    assert score.tracks == (
        Track("", 0, False, 2),
        Track("", 5, True, 2),
        Track("", 5, False, 2),
    )
    assert score.track.tolist() == [0, 1, 2, 1]


def test_a_bank_holds_for_its_track_or_where_that_has_no_notes_for_all(tmp_path):
    score = read(tmp_path, bank(2, 127) + note(2), b"\x05" + note(2)[1:])
    assert drums(score) == [True, False]
    score = read(tmp_path, bank(2, 127), note(2), b"\x05" + note(2)[1:])
    assert drums(score) == [True, True]


def test_a_standard_puts_all_back_as_it_was(tmp_path):
    body = bank(2, 127) + note(2) + message(XG) + note(2)
    assert drums(read(tmp_path, body)) == [True, False]
    taken = message("41 10 42 12 40 10 15 00 1b") + note(9) + message(GS) + note(9)
    assert drums(read(tmp_path, taken)) == [False, True]


def test_a_message_after_a_bank_counts(tmp_path):
    body = message(XG) + bank(3, 127) + note(3) + message("43 10 4c 08 03 07 00") + note(3)
    assert drums(read(tmp_path, body + bank(3, 127) + note(3))) == [True, False, True]


def test_drums_are_written_so_that_they_are_read_as_drums(tmp_path):
    body = message(XG) + bank(2, 127) + note(2) + bank(9, 0) + note(9, 60)
    score = read(tmp_path, body)
    assert drums(score) == [True, False]
    path = tmp_path / "again.mid"
    path.write_bytes(midi_bytes(score))
    (again,) = MidiReader(NoSettings()).read(Item(path, path.name))
    # Drums are on the tenth channel, the notes that were there on another.
    assert drums(again.content) == [True, False]
    assert [(t.channel == 9, t.is_drum) for t in again.content.tracks] == [
        (t.is_drum, t.is_drum) for t in again.content.tracks
    ]


def test_a_bank_that_would_make_drums_of_notes_is_not_written(tmp_path):
    score = score_of([(0, 4, 60)], controls=[(0, 0, 0, 127), (0, 0, 7, 100), (0, 0, 0, 8)])
    path = tmp_path / "piece.mid"
    path.write_bytes(midi_bytes(score))
    (again,) = MidiReader(NoSettings()).read(Item(path, path.name))
    assert drums(again.content) == [False]
    assert again.content.control.tolist() == [[0, 0, 8], [0, 7, 100]]


def test_drums_without_notes_are_no_notes(tmp_path):
    path = tmp_path / "piece.mid"
    path.write_bytes(midi(bank(0, 126) + END))
    with pytest.raises(UnreadableError, match="no notes"):
        MidiReader(NoSettings()).read(Item(path, path.name))


def test_more_changes_than_a_file_has_are_refused(tmp_path):
    with pytest.raises(UnreadableError):
        read(tmp_path, message("43 10 4c 08 03 07 01") * 5000 + note(3))
