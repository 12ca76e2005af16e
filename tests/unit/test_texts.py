"""Texts of a Score: kept, moved, cut, stored and written, and never heard."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from midi_ways import END, midi
from musengine.data.storage.serialization import pack_pieces, unpack_pieces
from musengine.music.piece import Piece
from musengine.music.score import Score
from musengine.music.texts import MAX_CHARACTERS, TextEvent, chord_symbol, transpose_chord
from musengine.music.transforms import at_resolution, excerpt
from musengine.testing import read_midi, rows_of, score_of, write_midi

TEXTS = (
    TextEvent(0, "title", "Größe"),
    TextEvent(0, "chord", "Am"),
    TextEvent(4, "chord", "F#m7/C#"),
    TextEvent(6, "marker", "Chorus"),
)
NOTES = [(0, 4, 60), (4, 4, 62), (8, 4, 64)]


def with_texts() -> Score:
    return replace(score_of(NOTES), texts=TEXTS)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("C", ("C", "", "")),
        ("F#m7/C#", ("F#", "m7", "C#")),
        ("B♭maj7", ("Bb", "maj7", "")),
        ("Gsus4", ("G", "sus4", "")),
        ("Em7(b5)", ("E", "m7(b5)", "")),
        ("C6/9", ("C", "6/9", "")),
        ("D7#9/F#", ("D", "7#9", "F#")),
    ],
)
def test_parts_of_a_chord_symbol(text, parts):
    assert chord_symbol(text) == parts


@pytest.mark.parametrize(
    "text", ["Chorus", "Bridge", "H7", "", "N.C.", "am", "Da Capo", "C/", "A B"]
)
def test_other_texts_are_no_chord_symbols(text):
    assert chord_symbol(text) is None


@pytest.mark.parametrize(
    ("text", "semitones", "moved"),
    [
        ("C", 2, "D"),
        ("F#m7/C#", -1, "Fm7/C"),
        ("Bb", 1, "B"),
        ("A#", 12, "A#"),
        ("Intro", 3, "Intro"),
    ],
)
def test_a_chord_symbol_is_transposed(text, semitones, moved):
    assert transpose_chord(text, semitones) == moved


def test_chord_symbols_move_with_the_notes_and_markers_do_not():
    moved = with_texts().transpose(3)
    assert [each.text for each in moved.texts] == ["Größe", "Cm", "Am7/E", "Chorus"]
    assert rows_of(moved)[0][2] == 63


def test_texts_are_by_tick_each_once_and_of_bounded_size():
    long = TextEvent(9, "marker", "x" * 2 * MAX_CHARACTERS)
    score = Score.from_notes(
        [0], [4], [60], ticks_per_beat=4, texts=[long, *TEXTS, TEXTS[1], TextEvent(3, "chord", " ")]
    )
    assert score.texts == (*TEXTS, TextEvent(9, "marker", "x" * MAX_CHARACTERS))


def test_an_excerpt_has_the_title_and_the_chord_in_force():
    cut = excerpt(with_texts(), 5, 7, "ticks")
    assert cut.texts == (
        TEXTS[0],
        TextEvent(0, "chord", "F#m7/C#"),
        TextEvent(1, "marker", "Chorus"),
    )
    assert excerpt(with_texts(), 4, 7, "ticks").texts[:2] == (TEXTS[0], replace_tick(TEXTS[2], 0))


def replace_tick(text: TextEvent, tick: int) -> TextEvent:
    return text._replace(tick=tick)


def test_another_resolution_moves_texts_too():
    finer = at_resolution(with_texts(), 2 * with_texts().ticks_per_beat)
    assert [each.tick for each in finer.texts] == [0, 0, 8, 12]


def test_texts_survive_a_process_and_the_cache():
    score = with_texts()
    assert copy.copy(score).texts == TEXTS  # by what is pickled between processes
    (piece,) = unpack_pieces(*pack_pieces([Piece("a", score, "")]))
    assert piece.content.texts == TEXTS


def test_texts_do_not_make_another_piece():
    assert with_texts().fingerprint() == score_of(NOTES).fingerprint()


def test_midi_keeps_texts(tmp_path: Path):
    score = read_midi(write_midi(with_texts(), tmp_path / "a.mid"))
    assert score.texts == TEXTS
    again = read_midi(write_midi(score, tmp_path / "b.mid"))
    assert again.texts == TEXTS
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()


def test_the_name_of_a_first_track_without_notes_is_the_title(tmp_path: Path):
    name, marker = b"\x00\xff\x03\x04Tune", b"\x05\xff\x06\x05Verse"
    notes = b"\x00\xff\x03\x01A\x00\x90\x3c\x50\x09\x80\x3c\x00"
    (tmp_path / "a.mid").write_bytes(midi(name + marker + END, notes + END))
    score = read_midi(tmp_path / "a.mid")
    assert score.texts == (TextEvent(0, "title", "Tune"), TextEvent(5, "marker", "Verse"))
    (tmp_path / "b.mid").write_bytes(midi(notes + END))
    assert read_midi(tmp_path / "b.mid").texts == ()
