from __future__ import annotations

import contextlib
import time
from fractions import Fraction
from pathlib import Path

import pytest
from abc_rows import notes, notes_of
from hypothesis import given
from hypothesis import strategies as st

from musengine.api import Item, Piece
from musengine.errors import UnreadableError
from musengine.testing.strategies import few
from musengine_notation import abc_bars, abc_to_score
from musengine_notation.abc.reader import AbcReader, read_tune
from musengine_notation.abc.tune import note_letters
from musengine_notation.checks import Bar, told_of_bars, told_of_notes, uneven_bars
from musengine_notation.config import AbcConfig

HEAD = "X:7\nT:t\nM:4/4\nL:1/4\nK:C\n"
BOOK = """L:1/4

X:1
T:First
M:2/4
K:C
CD|EF|]

X:2
T:Words
not a tune

X:3
T:Silence
M:2/4
K:C
z2|

X:4
T:Last
M:2/4
V:a name="Low, lower"
K:C
[V:a]C2:|D|E2|]
"""


def read(folder: Path, text: str, **settings: object) -> list[Piece]:
    path = folder / "book.abc"
    path.write_text(text, encoding="utf-8")
    return list(AbcReader(AbcConfig(**settings)).read(Item(path, "book.abc", "style")))


def test_a_book_is_a_piece_for_each_tune_that_can_be_read(tmp_path):
    first, last = read(tmp_path, BOOK)
    assert [first.id, last.id] == ["book.abc#0", "book.abc#3"]
    assert (first.style, first.format) == ("style", "ABC")
    assert notes_of(first.content) == notes("C4@0 D4@1 E4@2 F4@3")
    assert notes_of(last.content) == notes("C4@0:2 D4@2 E4@3:2")
    assert [track.name for track in last.content.tracks] == ["Low, lower"]
    # Both that are left out are named, with why.
    left_out = [warning for warning in first.warnings if "left out" in warning]
    assert ["#1 (X:2, Words)" in left_out[0], "#2 (X:3, Silence)" in left_out[1]] == [True, True]
    assert not last.warnings


def test_repeats_are_played_where_that_is_asked_for(tmp_path):
    *_, last = read(tmp_path, BOOK, repeats="played")
    assert notes_of(last.content) == notes("C4@0:2 C4@2:2 D4@4 E4@5:2")


@pytest.mark.parametrize(
    ("body", "line", "what"),
    [
        ("C D E F|C ? D E F|", 6, "'?'"),
        ("C4|\n!somersault!C4|", 7, "!somersault!"),
        ("C4|\nkC4|", 7, "letter k"),
        ("C4|\n[M:four]C4|", 7, "M:four"),
        ("C4|\nK:H\nC4|", 7, "'H'"),
        ("C4|\nK:C sideways\nC4|", 7, "sideways"),
        ("C4|\nQ:fast\nC4|", 7, "Q:fast"),
        ("C4|\nL:2/0\nC4|", 7, "L:2/0"),
        ("C4|\n^1/4C4|", 7, "^1/4"),
        ("C4|\n[C4 E4\nC4|", 7, "not closed"),
        ("C4|\nC]3|", 7, "closes no chord"),
        ("C4|\n%%MIDI juggle 3\nC4|", 7, "juggle"),
        ("> C4|C4|", 6, ">"),
        ("C4|\nj: 3\nC4|", 7, "j:"),
        ("C4|\n(100C4|", 7, "(100"),
        ("C4|\n+somersault+C4|", 7, "+somersault+"),
    ],
)
def test_what_is_not_understood_is_told_with_its_line(tmp_path, body, line, what):
    (piece,) = read(tmp_path, HEAD + body + "\n")
    (warning,) = [w for w in piece.warnings if w.startswith(f"X:7, line {line}: ")][:1]
    assert what in warning
    with pytest.raises(UnreadableError) as caught:
        read(tmp_path, HEAD + body + "\n", strict=True)
    assert caught.value.code == "abc-not-understood"


def test_an_inner_bar_that_is_not_full_is_told(tmp_path):
    music = "C|C D E F|\nC D E|C D E F|C D E F G|C D E:|\n"
    (piece,) = read(tmp_path, HEAD + music)
    (warning,) = piece.warnings
    assert "bar 3 (line 7) has 3 quarter notes instead of 4" in warning
    assert "bar 5 (line 7) has 5 quarter notes instead of 4" in warning
    # The upbeat and the last bar before the repeat are one; so are bars beside a double bar.
    assert not read(tmp_path, HEAD + "C|C D E F|C D E:|C|C4||C3|C4|]\n", strict=True)[0].warnings
    with pytest.raises(UnreadableError) as caught:
        read(tmp_path, HEAD + music, strict=True)
    assert caught.value.code == "abc-not-understood"


def test_strict_leaves_out_a_tune_and_keeps_the_others(tmp_path):
    book = HEAD + "C4|kD4|E4|\n\nX:8\nK:C\nE4|]\n"
    (piece,) = read(tmp_path, book, strict=True)
    assert piece.id == "book.abc#1"
    assert "#0 (X:7, t)" in piece.warnings[0]


def test_the_letters_of_the_music_are_counted_apart_from_the_parser():
    # C, E G, F: no grace note, chord symbol, decoration or field.
    assert note_letters('"Am"C{d}[EG]!fff!F[K:A]+accent+z "^bad"') == 4
    _, result = read_tune(list(enumerate((HEAD + "C-|C[CE]-[CE]").split("\n"), 1)))
    assert (len(result.score), result.joined) == (3, 3)
    assert told_of_notes(6, 6) == ""
    assert "6" in told_of_notes(6, 5)


def test_chord_symbols_are_kept_as_text_and_annotations_are_not():
    lines = list(enumerate((HEAD + '"Am"C "^slow"D|"G7/B"E4|').split("\n"), 1))
    _, result = read_tune(lines)
    per = result.score.ticks_per_beat
    words = [(tick / per, text) for tick, kind, text in result.score.texts if kind != "title"]
    assert words == [(0, "Am"), (2, "G7/B")]
    assert len(result.score) == 3


def test_notes_beyond_midi_are_left_out_and_told(tmp_path):
    (piece,) = read(tmp_path, HEAD + "C4|c''''''4|]\n")
    assert notes_of(piece.content) == notes("C4@0:4")
    assert piece.warnings == ("X:7, notes too high or too low for MIDI: 1",)


def test_bars_are_full_or_not():
    # 2/4 is 2 quarters, an eighth 1/2. The pickup and the last bar of a section are not inner.
    head = "X:1\nM:2/4\nL:1/8\nK:C\n"
    bars = abc_bars(head + "A|ABcd|(3ABA cd|A2B|{c}A4|ABc:|d|e4|\nM:3/8\nABc|d2|e2|]")
    half, one, two, three_eighths = Fraction(1, 2), Fraction(1), Fraction(2), Fraction(3, 2)
    assert [(bar.length, bar.meter, bar.inner) for bar in bars] == [
        (half, two, False),
        (two, two, True),
        (two, two, True),  # a triplet of eighths lasts 1
        (three_eighths, two, True),
        (two, two, True),  # a grace note lasts no time
        (three_eighths, two, False),
        (half, two, False),
        (two, two, True),
        (three_eighths, three_eighths, True),
        (one, three_eighths, True),
        (one, three_eighths, False),
    ]
    assert [bar.place for bar in uneven_bars(bars)] == ["bar 4 (line 5)", "bar 10 (line 7)"]
    assert told_of_bars([Bar(one, None, inner=True)] * 0) == ""
    # Sevenths and elevenths of a beat fill a bar as well.
    odd = abc_bars(head + "A4|(7:4AAAAAAA|(11:8A/A/A/A/A/A/A/A/A/A/A/|A4|]")
    assert [bar.is_full for bar in odd] == [True] * 4


@pytest.mark.parametrize(
    ("music", "meters"),
    [
        ("CDE|FGA|", [(0, 3, 4)]),
        ("C|DEF|GAB|", [(0, 1, 4), (1, 3, 4)]),
        ("C/|DEF|GAB|", [(0, 1, 8), (0.5, 3, 4)]),
        ("C|[M:4/4]DEFG|", [(0, 1, 4), (1, 4, 4)]),
        # A third of a quarter is no fraction that a meter can have.
        ("(3C/2D/2E/2 C/4C/4C/12|DEF|GAB|", [(0, 3, 4)]),
    ],
)
def test_an_upbeat_is_a_bar_of_its_own_where_a_meter_can_say_so(music, meters):
    score = abc_to_score(f"X:1\nM:3/4\nL:1/4\nK:C\n{music}")
    ticks = [tick / score.ticks_per_beat for tick in score.meter_tick.tolist()]
    assert [(t, *m) for t, m in zip(ticks, score.meter.tolist(), strict=True)] == meters


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing of the kind", "no line begins with K:"),
        ("", "no tunes in it"),
        ("X:1\nM:4/4\nK:C\n", "no notes in it"),
        (HEAD + "C99999999", "a note of the length"),
        (HEAD + "C/////////", "a note of the length"),
        (HEAD + "L:4/1\nC99999", "1024 whole notes"),
        (HEAD + "CZ10001", "a rest of 10001 bars"),
        (HEAD + "CZ99999999999999999999", "a rest of 999999 bars"),
        (HEAD + "C" * 200_001, "200000 notes"),
        (HEAD + "z" * 200_001, "200000 notes"),
        (HEAD + "".join(f"V:{n}\nC\n" for n in range(101)), "100 voices"),
        ("X:1\n" + "".join(f"V:{n}\n" for n in range(101)) + "K:C\nC\n", "100 voices"),
        ("m:~n=" + "n" * 190 + "\nX:1\nK:C\n" + "~C" * 50_000, "macros"),
    ],
)
def test_what_is_no_tune_or_too_much_of_one_is_refused_in_a_line(text, reason):
    began = time.process_time()
    with pytest.raises(UnreadableError, match=reason) as caught:
        abc_to_score(text)
    assert len(caught.value.lines) == 1
    assert time.process_time() - began < 10


def test_played_repeats_are_bounded(tmp_path):
    order = "P:" + "(" * 8 + "A" + "9)" * 8 + "\n"
    (piece,) = read(tmp_path, f"X:1\n{order}L:1/4\nK:C\nP:A\nC|\n", repeats="played")
    assert "P:" in piece.warnings[0]
    many = "X:1\nP:A9999\nL:1/4\nK:C\nP:A\n" + "C" * 100 + "|\n"
    with pytest.raises(UnreadableError, match="repeats"):
        read(tmp_path, many, repeats="played")


@pytest.mark.slow
def test_long_lines_of_openings_take_no_long_time():
    began = time.process_time()
    for opening in ('"', "[A:", "{", "!", "+", "(3", "[", "^", "&", "(&", "|:[1", "K: "):
        abc_to_score(HEAD + "C" + opening * 20_000 + "\n")
    abc_to_score(HEAD + "C\nK:C " + " " * 200_000 + "x\nQ:" + " " * 200_000 + "\n")
    assert time.process_time() - began < 20


TUNE = """X:3
T:Nancy
M:6/8
L:1/8
Q:3/8=90
P:AB
U:T=!trill!
m:~G2={A}G{F}G
K:Gmin ^f
V:1 name="A" clef=treble-8
P:A
D2|:"G"G2 B>d (3efg|[Gg]4- [Gg]2 & z6|[M:3/4][L:1/4]c- c ~G2:|[1 Z2:|[2,3 x3||
P:B
[V:2]{/e}d'<c, (&A3|B3&c3|d3&) !ff!z+f+e ^/f|[Q:1/4=60][K:D exp _b]f2/3|]
"""


@few(150)
@given(st.data())
def test_damaged_tunes_are_read_or_refused(data):
    letters = list(TUNE)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(letters) - 1))
        letters[place] = data.draw(
            st.sampled_from("abGz^_=|:[](){}<>/0123456789\"'~.- \n!+ZxKMLQV&%\\,;@")
        )
    lines = list(enumerate("".join(letters).split("\n"), 1))
    for repeats in ("written", "played"):
        try:
            _, result = read_tune(lines, repeats)
        except UnreadableError:
            continue
        assert len(result.score) > 0
        assert (result.score.duration >= 1).all()


@few(100)
@given(st.text(alphabet='ABCcdz[](){}|:123/<>-^_="!+& \n~KMLQVP%', max_size=300))
def test_any_text_is_read_or_refused(text):
    for repeats in ("written", "played"):
        with contextlib.suppress(UnreadableError):
            assert len(abc_to_score("X:1\nK:C\n" + text, repeats)) > 0
