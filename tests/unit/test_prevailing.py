"""What holds for most of a piece, by hand."""

from __future__ import annotations

from musengine.music.piece import Text
from musengine.music.prevailing import DRUMS, Prevailing, most_frequent
from musengine.music.score import Score, Track
from musengine.testing import score_of


def test_what_lasts_longest_counts_and_of_notes_most():
    score = score_of(
        [(0, 4, 60, 50, 0), (4, 4, 62, 70, 0), (8, 4, 64, 70, 1), (12, 4, 36, 90, 2)],
        tracks=[Track("", 40), Track("", 73), Track("", 0, True)],
        tempos=[(0, 100), (4, 90), (12, 100)],
        meters=[(0, 1, 4), (4, 3, 4)],
        keys=[(0, 2, True), (12, -1, False)],
    )
    # 90 holds for 8 ticks of 16, as 100 does in two stretches: the slower is first of the two.
    assert Prevailing.of(score) == Prevailing(
        tempo=90.0, meter=(3, 4), key=(2, 1), program=40, velocity=70
    )


def test_bars_of_a_beat_tell_no_meter():
    # As POP909 has them, whose bars are not known.
    for meter, known in (((1, 4), None), ((1, 8), None), ((2, 8), None), ((2, 4), (2, 4))):
        score = score_of([(0, 4, 60, 80, 0)], meters=[(0, *meter)])
        assert Prevailing.of(score).meter == known


def test_tempos_are_those_that_were_meant():
    # A file has whole microseconds: 90 is 89.99996.
    assert Prevailing.of(score_of([(0, 4, 60)], tempos=[(0, 90)])).tempo == 90.0


def test_drums_are_what_is_played_where_there_is_nothing_else():
    drums = score_of([(0, 4, 36)], tracks=[Track("", 5, True)])
    assert Prevailing.of(drums).program == DRUMS


def test_nothing_is_known_of_a_text_or_of_silence():
    assert Prevailing.of(Text("X:1")) == Prevailing()
    silent = Score.from_notes([], [], [], [], [], ticks_per_beat=4)
    assert Prevailing.of(silent) == Prevailing()


def test_the_most_frequent_of_each():
    pieces = [
        Prevailing(tempo=90.0, meter=(6, 8), velocity=70),
        Prevailing(tempo=120.0, meter=(6, 8), program=5),
        Prevailing(tempo=90.0, meter=(4, 4), velocity=60),
        Prevailing(),
    ]
    assert most_frequent(pieces) == Prevailing(tempo=90.0, meter=(6, 8), program=5, velocity=70)
    assert most_frequent([]) == Prevailing()


def test_json_and_back():
    traits = Prevailing(tempo=90.5, meter=(6, 8), key=(-3, 1), program=DRUMS)
    assert Prevailing.from_json(traits.as_json()) == traits
    assert Prevailing.from_json({"meter": [3, 4], "other": 1}) == Prevailing(meter=(3, 4))
