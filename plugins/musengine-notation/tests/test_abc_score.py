from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.errors import UnreadableError
from musengine.testing import rows_of
from musengine.testing.strategies import few
from musengine_notation.abc_score import Bar, abc_bars, abc_to_score

TUNE = """X:1
T:The third of two
M:3/4
L:1/8
Q:1/4=90
K:G
D2|"G"G2 B>d (3efg|[Gg]4 z2|]
"""


def test_a_tune_in_abc_as_notes() -> None:
    score = abc_to_score(TUNE)
    # Eighths of half a beat: D4 is two of them. B>d is 3/4 and 1/4, the triplet of eighths 1/3
    # beat each, its F sharp in G major; the chord is G4 and G5 for 2 beats.
    beats = [
        (0, 1, 62),
        (1, 1, 67),
        (2, 0.75, 71),
        (2.75, 0.25, 74),
        (3, 1 / 3, 76),
        (10 / 3, 1 / 3, 78),
        (11 / 3, 1 / 3, 79),
        (4, 2, 67),
        (4, 2, 79),
    ]
    ticks = score.ticks_per_beat
    wanted = [(round(a * ticks), round(b * ticks), pitch, 80, 0) for a, b, pitch in beats]
    assert rows_of(score) == wanted
    assert score.tempo_bpm.tolist() == pytest.approx([90.0], rel=1e-6)
    assert score.meter.tolist() == [[1, 4], [3, 4]]  # the pickup is a bar of its own


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing of the kind", "music21 cannot read it"),
        ("", "music21 cannot read it"),
        ("X:1\nM:4/4\nK:C\n", "no notes in it"),
        ("X:1\nM:4/0\nK:C\nabc|", "music21 cannot read it"),
        ("X:1\nM:4/4\nK:C\nA999999 B|c4|", "a bar of more than 64 quarter notes"),
        ("X:1\nM:4/4\nL:51/4\nK:C\nABcd|c4|", "a bar of more than 64 quarter notes"),
        ("X:1\nM:9999/4\nK:C\nABcd|c4|", "M:9999/4 is no meter"),
        ("X:1\nM:4/4\nK:C\nABcd|[M:4/128]c4|", "M:4/128 is no meter"),
        ("X:1\nM:3)44L:1/8\nK:C\nABcd|", "is no meter"),
        ("X:1\nM:4/4\nK:C\nA/97 B|c4|", "a note of 1/194 quarter notes"),
        ("X:1\nM:4/4\nK:C\n" + "A" * 100_000, "more than 100000 characters"),
    ],
)
def test_abc_that_cannot_be_read_says_why(text: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason) as caught:
        abc_to_score(text)
    assert len(caught.value.lines) == 1


@few(40)
@given(st.data())
def test_damaged_tunes_are_read_or_refused(data: st.DataObject) -> None:
    letters = list(TUNE)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(letters) - 1))
        letters[place] = data.draw(st.sampled_from("abGz^_=|:[](){}<>/0123456789\"'~.- \nZxKMLQ&"))
    lines = []
    try:
        assert len(abc_to_score("".join(letters))) > 0
    except UnreadableError as error:
        lines = error.lines
    assert len(lines) <= 1


def test_bars_are_full_or_not() -> None:
    # 2/4 is 2 quarters, an eighth 1/2. The pickup and the last bar of a section are not inner.
    head = "X:1\nM:2/4\nL:1/8\nK:C\n"
    bars = abc_bars(head + "A|ABcd|(3ABA cd|A2B|{c}A4|ABc:|d|e4|\nM:3/8\nABc|d2|e2|]")
    two, three_eighths = Fraction(2), Fraction(3, 2)
    assert bars == [
        Bar(Fraction(1, 2), two, inner=False),
        Bar(two, two, inner=True),
        Bar(two, two, inner=True),  # a triplet of eighths lasts 1
        Bar(three_eighths, two, inner=True),
        Bar(two, two, inner=True),  # a grace note lasts no time
        Bar(three_eighths, two, inner=False),
        Bar(Fraction(1, 2), two, inner=False),
        Bar(two, two, inner=True),
        Bar(three_eighths, three_eighths, inner=True),
        Bar(Fraction(1), three_eighths, inner=True),
        Bar(Fraction(1), three_eighths, inner=False),
    ]
    full = [bar.is_full for bar in bars if bar.inner]
    assert full == [True, True, False, True, True, True, False]
