"""More constructs of ABC with repeats played: what abc2midi has, chords struck at once."""

from __future__ import annotations

from fractions import Fraction

import pytest

pytest.importorskip("musengine_notation")

from musengine_notation import abc_to_score

CASES = [
    (
        "chord unequal lengths",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\n[C2E]G A|\n",
        "60@0 64@0 67@2 69@3",
    ),
    (
        "chord tied inside",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\n[C-E]2[CG]2|\n",
        "60@0 64@0 67@2",
    ),
    (
        "tuplet over bar with rests",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\n(3CzE (3:2:2G2A c|\n",
        "60@0 64@4/3 67@2 69@10/3 72@4",
    ),
    (
        "broken chord",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\n[CE]>[DF] G2|\n",
        "60@0 64@0 62@3/2 65@3/2 67@2",
    ),
    (
        "nested endings 1,3",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\n|:C4|1,3 D4:|2 E4:|4 F4|]\n",
        "60@0 62@4 60@8 64@12 60@16 62@20 60@24 65@28",
    ),
    (
        "double flats octave",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\n__B _B B =B|\n",
        "69@0 70@1 70@2 71@3",
    ),
    (
        "key HP",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:HP\nF C f c|\n",
        "66@0 61@1 78@2 73@3",
    ),
    (
        "key with exp",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:D exp _b ^f\nF C B c|\n",
        "66@0 60@1 70@2 72@3",
    ),
    (
        "key D Phr ^f",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:D Phr ^f\nF E B c|\n",
        "66@0 63@1 70@2 72@3",
    ),
    (
        "inline L",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\nC[L:1/8]DE FG A2|\n",
        "60@0 62@1 64@3/2 65@2 67@5/2 69@3",
    ),
    (
        "M none",
        "X:1\nT:t\nM:none\nL:1/4\nK:C\nC D E|F|\n",
        "60@0 62@1 64@2 65@3",
    ),
    (
        "M C|",
        "X:1\nT:t\nM:C|\nK:C\nCDEFGABc|\n",
        "60@0 62@1/2 64@1 65@3/2 67@2 69@5/2 71@3 72@7/2",
    ),
    (
        "M 2/4 default L",
        "X:1\nT:t\nM:2/4\nK:C\nCDEFGABc|\n",
        "60@0 62@1/4 64@1/2 65@3/4 67@1 69@5/4 71@3/2 72@7/4",
    ),
    (
        "overlay",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\nC2D2 & E4|F4|\n",
        "60@0 64@0 62@2 65@4",
    ),
    (
        "tie over inline key: the note goes on as it was, which abc2midi strikes anew",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\nF2-[K:D]F2|F4|\n",
        "65@0 66@4",
    ),
    (
        "octave key",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C octave=-1\nC D E F|\n",
        "48@0 50@1 52@2 53@3",
    ),
    (
        "transposed voice",
        "X:1\nT:t\nM:4/4\nL:1/4\nV:1 transpose=-2\nK:C\nC D E F|\n",
        "58@0 60@1 62@2 63@3",
    ),
    (
        "Z2",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\nC4|Z2|D4|\n",
        "60@0 62@12",
    ),
    (
        "backslash join",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\nC D\\\nE F|\n",
        "60@0 62@1 64@2 65@3",
    ),
    (
        "dotted slash lengths",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\nC//D//E/ F3/2G/ A|\n",
        "60@0 62@1/4 64@1/2 65@1 67@5/2 69@3",
    ),
    (
        "P order",
        "X:1\nT:t\nP:A2B\nM:4/4\nL:1/4\nK:C\nP:A\nC4|\nP:B\nD4|\n",
        "60@0 60@4 62@8",
    ),
    (
        "accidental tied bar",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\n^F4-|F4|F4|\n",
        "66@0 65@8",
    ),
    (
        "repeat start mid line no start",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\nC4:|D4:|\n",
        "60@0 60@4 62@8 62@12",
    ),
    (
        ":: sign",
        "X:1\nT:t\nM:4/4\nL:1/4\nK:C\n|:C4::D4:|\n",
        "60@0 60@4 62@8 62@12",
    ),
]


@pytest.mark.parametrize(("name", "tune", "wanted"), CASES, ids=[case[0] for case in CASES])
def test_it_is_played_right(name, tune, wanted):
    score = abc_to_score(tune, repeats="played")
    per = score.ticks_per_beat
    found = sorted(zip((score.onset / per).tolist(), score.pitch.tolist(), strict=True))
    right = (word.split("@") for word in wanted.split())
    expected = [(float(Fraction(onset)), int(pitch)) for pitch, onset in right]
    assert [pitch for _, pitch in found] == [pitch for _, pitch in expected]
    assert [onset for onset, _ in found] == pytest.approx([onset for onset, _ in expected])
