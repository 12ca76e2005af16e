"""What generated files are written with, from corpora made here, through the whole command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from musengine.music.score import Score, Track
from musengine.testing import read_midi, score_of, write_midi

Call = Callable[..., tuple[int, str, str]]

PIPELINE = """
[corpus]
path = "music"
cache = false

[encoder]
type = "piano-roll"
lowest = 30
highest = 72

[model]
type = "frequencies"

[generate]
count = 1
length = "4 bars"
prompt = "none"

[[output]]
type = "midi"
"""


@pytest.fixture
def place(workplace: Path) -> Path:
    (workplace / "pipe.toml").write_text(PIPELINE)
    return workplace


def corpus(folder: Path, track: Track, **maps: object) -> None:
    """Ten pieces of notes all along."""
    for number in range(10):
        notes = [(t, 2, 36 + (t + number) % 7, 70) for t in range(0, 96, 2)]
        write_midi(score_of(notes, tracks=[track], **maps), folder / "music" / f"{number}.mid")


def made(folder: Path, musengine: Call, name: str, *settings: str) -> Score:
    words = [word for setting in settings for word in ("--set", setting)]
    status, _, err = musengine("generate", "--out", name, *words)
    assert status == 0, err
    return read_midi(folder / name / "piece-001.mid")


def test_a_corpus_all_alike_gives_music_like_it(place: Path, musengine: Call) -> None:
    slow = {"tempos": [(0, 90)], "meters": [(0, 6, 8)], "keys": [(0, 2, True)]}
    corpus(place, Track("", 73), **slow)
    assert musengine("train", "pipe.toml")[0] == 0
    score = made(place, musengine, "made")
    assert score.tempo_bpm.tolist() == [60e6 / 666_667]
    assert (score.meter.tolist(), score.key.tolist()) == ([[6, 8]], [[2, 1]])
    assert [track.program for track in score.tracks] == [73]
    assert set(score.velocity.tolist()) == {70}
    # Four bars of three beats: what is counted is the meter that is written.
    assert score.length == 12 * score.ticks_per_beat
    # What is set goes first, and a prompt's before the corpus's.
    write_midi(score_of([(0, 96, 40)], tempos=[(0, 60)], meters=[(0, 3, 4)]), place / "one.mid")
    score = made(place, musengine, "set", "generate.prompt=one.mid", "generate.meter=2/4")
    assert (score.tempo_bpm.tolist(), score.meter.tolist()) == ([60.0], [[2, 4]])
    assert score.key.tolist() == [[2, 1]]
    # The run's own file says nothing of it, so that the rule holds from now on, too.
    assert "tempo" not in (place / "runs/pipe/pipeline.toml").read_text()


def test_drums_alone_are_learned_and_written_as_drums(place: Path, musengine: Call) -> None:
    corpus(place, Track("", 0, True))
    status, _, err = musengine("train", "pipe.toml")
    assert status == 1
    assert "encoder.drums" in err
    assert musengine("train", "pipe.toml", "--set", "encoder.drums=true")[0] == 0
    score = made(place, musengine, "made")
    assert [(track.is_drum, track.channel) for track in score.tracks] == [(True, 9)]
