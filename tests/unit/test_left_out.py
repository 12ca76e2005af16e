"""What arrays have no place for, counted by hand, and the keys that would keep it."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from musengine.builtin.configs import PianoRollConfig
from musengine.builtin.encoders.piano_roll import PianoRoll
from musengine.config.quantities import GridStep
from musengine.encoding.left_out import LeftOut, left_out_of_performance, told_left_out
from musengine.music.score import Score, Track
from musengine.testing import run_command, score_of, write_midi

TRACKS = (Track("a", 40), Track("b", 52), Track("kit", is_drum=True))
PEDAL, VOLUME = 64, 7


def band() -> Score:
    """Two instruments and drums, a pedal, a change of tempo; 4 ticks to a beat."""
    return score_of(
        [
            # A beat of 60 twice, touching; 64 twice at once; 20 is out of range; a drum.
            *((0, 4, 60, 80, 0), (4, 4, 60, 80, 0), (0, 4, 64, 80, 0), (0, 4, 64, 90, 1)),
            *((8, 4, 20, 80, 0), (0, 1, 36, 80, 2)),
        ],
        ticks_per_beat=4,
        tracks=TRACKS,
        tempos=[(0, 120.0), (8, 90.0)],
        controls=[(0, 0, PEDAL, 127), (4, 0, PEDAL, 0), (4, 0, VOLUME, 99)],
    )


def test_a_roll_says_what_it_has_no_place_for() -> None:
    assert PianoRoll(PianoRollConfig()).left_out(band()) == {
        "drum notes": LeftOut(1, "encoder.drums = true"),
        "instruments merged into one": LeftOut(1),
        "velocities": LeftOut(1),
        "pedal movements": LeftOut(2),
        "tempo changes": LeftOut(1),
        "notes out of range": LeftOut(1, "encoder.lowest, encoder.highest"),
        "notes merged by the grid": LeftOut(1, "encoder.step"),
        "notes struck again, held as one": LeftOut(1, 'encoder.notes = "onsets"'),
    }


@pytest.mark.parametrize(
    ("settings", "gone"),
    [
        ({"drums": True}, "drum notes"),
        ({"lowest": 20}, "notes out of range"),
        ({"notes": "onsets"}, "notes struck again, held as one"),
        ({"step": GridStep(Fraction(1, 4), "seconds")}, "tempo changes"),
    ],
)
def test_the_key_that_is_named_keeps_it(settings: dict, gone: str) -> None:
    assert gone not in PianoRoll(PianoRollConfig(**settings)).left_out(band())


def test_nothing_is_left_out_of_bare_notes() -> None:
    score = score_of([(0, 4, 60), (8, 4, 60), (8, 4, 64)], ticks_per_beat=4)
    assert PianoRoll(PianoRollConfig()).left_out(score) == {}
    assert left_out_of_performance(score_of([], ticks_per_beat=4), in_beats=True) == {}


def test_it_is_told_in_one_line() -> None:
    assert told_left_out({"pedal movements": LeftOut(1200), "drum notes": LeftOut(1, "x")}) == (
        "1,200 pedal movements, 1 drum notes (x)"
    )


def test_a_run_tells_it_once_and_keeps_it(workplace: Path) -> None:
    pytest.importorskip("torch")
    for number in range(4):
        write_midi(band().transpose(number), workplace / "music" / f"{number}.mid")
    (workplace / "pipe.toml").write_text(
        '[corpus]\npath = "music"\ntranspose = [1]\n[model]\ntype = "frequencies"\n'
        "[generate]\ncount = 0\n"
    )
    for _ in range(2):  # the second time the arrays come from the cache
        _, _, err = run_command("run", "pipe.toml", "--new")
        (line,) = [line for line in err.splitlines() if line.startswith("left out: ")]
        assert "4 drum notes (encoder.drums = true)" in line
        assert "8 pedal movements" in line
    kept = json.loads((workplace / "runs" / "pipe" / "corpus.json").read_text())["left_out"]
    assert kept["drum notes"] == {"count": 4, "keep": "encoder.drums = true"}
    assert kept["velocities"] == {"count": 4, "keep": ""}
