"""Titles and chord symbols of notations: kept as texts, and written again."""

from __future__ import annotations

from pathlib import Path

from musengine.api import Item, Score, TextEvent
from musengine_notation import abc_to_score
from musengine_notation.config import NotationConfig
from musengine_notation.reader import NotationReader
from musengine_notation.stream import TICKS_PER_BEAT
from musengine_notation.written.document import to_musicxml

NOTE = "<note><pitch><step>C</step><octave>4</octave></pitch><duration>4</duration></note>"


def document(measure: str, *, head: str = "") -> str:
    start = "<attributes><divisions>1</divisions></attributes>"
    return (
        f'<score-partwise>{head}<part-list><score-part id="P"><part-name>A</part-name></score-part>'
        f'</part-list><part id="P"><measure number="1">{start}{measure}</measure></part>'
        "</score-partwise>"
    )


def read(folder: Path, text: str, name: str = "a.musicxml") -> Score:
    (folder / name).write_text(text, encoding="utf-8")
    (piece,) = NotationReader(NotationConfig()).read(Item(folder / name, name, ""))
    return piece.content


def texts(score: Score) -> list[tuple[float, str, str]]:
    return [(tick / score.ticks_per_beat, kind, text) for tick, kind, text in score.texts]


def harmony(root: str, kind: str, more: str = "") -> str:
    return f"<harmony><root><root-step>{root}</root-step></root>{kind}{more}</harmony>"


def test_chord_symbols_of_musicxml(tmp_path):
    bass = "<bass><bass-step>F</bass-step><bass-alter>1</bass-alter></bass>"
    minor = "<kind>minor-seventh</kind>"
    measure = (
        harmony("D", "<kind>dominant</kind>", bass)
        + harmony("A", minor, "<offset>2</offset>")
        + NOTE
    )
    head = "<work><work-title>A &amp; B</work-title></work>"
    score = read(tmp_path, document(measure, head=head))
    assert texts(score) == [(0, "title", "A & B"), (0, "chord", "D7/F#"), (2, "chord", "Am7")]
    assert score.pitch.tolist() == [60]


def test_chord_symbols_of_a_part_that_transposes_sound_with_it(tmp_path):
    transpose = "<attributes><transpose><chromatic>-2</chromatic></transpose></attributes>"
    score = read(tmp_path, document(transpose + harmony("D", "<kind>major</kind>") + NOTE))
    assert texts(score) == [(0, "chord", "C")]
    assert score.pitch.tolist() == [58]


def test_what_is_no_chord_makes_none(tmp_path):
    score = read(tmp_path, document(harmony("D", "<kind>none</kind>") + NOTE))
    assert score.texts == ()


def test_musicxml_keeps_the_texts_of_a_score(tmp_path):
    kept = (
        TextEvent(0, "title", "T <1>"),
        TextEvent(0, "chord", "Ebmaj7"),
        TextEvent(TICKS_PER_BEAT, "chord", "C7#9/Bb"),
        TextEvent(5 * TICKS_PER_BEAT, "marker", "Coda & end"),
    )
    score = Score.from_notes(
        [0, 4 * TICKS_PER_BEAT],
        4 * TICKS_PER_BEAT,
        [60, 62],
        ticks_per_beat=TICKS_PER_BEAT,
        texts=kept,
    )
    assert read(tmp_path, to_musicxml(score)).texts == kept


def test_chord_symbols_and_title_of_abc():
    score = abc_to_score('X:1\nT:One\nT:Two\nM:4/4\nL:1/4\nK:C\n"Am"C "^slow"D "Fill"E "G7/B"F|\n')
    assert texts(score) == [
        (0, "title", "One"),
        (0, "chord", "Am"),
        (2, "marker", "Fill"),
        (3, "chord", "G7/B"),
    ]


def test_the_title_of_humdrum(tmp_path):
    score = read(tmp_path, "!!!OTL@@EN: A title\n**kern\n*M4/4\n=1\n1c\n==\n*-\n", "a.krn")
    assert texts(score) == [(0, "title", "A title")]
