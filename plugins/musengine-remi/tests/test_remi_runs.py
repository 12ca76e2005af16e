"""Whole runs: a band in, a band out, with what the prompt and the tokens say of it."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest

from musengine.api import Score, Track
from musengine.testing import read_midi, run_command, score_of, write_midi
from musengine.testing.conformance import check_plugin

PIPELINE = """
[corpus]
path = "music"
valid = 0.34
jobs = 1

[encoder]
type = "miditok"
tokenizer = "remi"
resolution = 4

[model]
type = "token-transformer"
layers = 1
units = 32
heads = 2
context = 64

[training]
steps = 60
batch_size = 4
sequence_length = 64
learning_rate = 0.01
align = "bars"
threads = 1

[generate]
count = 2
length = "4 bars"
prompt_length = "2 bars"
include_prompt = true
"""


def song(key: int) -> Score:
    """Twelve bars of 3/4 at 96: a flute of quarters, a bass on the first beat, a drum on each."""
    rows = [(4 * beat, 4, key + 60 + beat % 3 * 4, 100, 0) for beat in range(36)]
    rows += [(4 * beat, 12, key + 36, 70, 1) for beat in range(0, 36, 3)]
    rows += [(4 * beat, 1, 38, 50, 2) for beat in range(36)]
    tracks = [Track(program=73), Track(program=32), Track(is_drum=True)]
    return score_of(rows, tracks=tracks, tempos=[(0, 96.0)], meters=[(0, 3, 4)])


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    for number in range(6):
        write_midi(song(number), workplace / "music" / f"{number}.mid")
    (workplace / "pipe.toml").write_text(PIPELINE)
    return workplace


@pytest.mark.slow
def test_a_band_comes_out_of_a_band(folder: Path) -> None:
    assert run_command("run", "pipe.toml", "--quiet").status == 0
    (first, second) = sorted((folder / "runs/pipe").rglob("*.mid"))
    for path in (first, second):
        score = read_midi(path)
        assert score.meter.tolist()[0] == [3, 4]
        assert score.tempo_bpm[0] == pytest.approx(96, abs=2)
        assert {track.program for track in score.tracks if not track.is_drum} >= {32, 73}
        assert any(track.is_drum for track in score.tracks)
        assert score.n_bars >= 5
        assert len(set(score.velocity.tolist())) >= 3
    libraries = json.loads((folder / "runs/pipe/versions.json").read_text())["distributions"]
    assert libraries["miditok"] == importlib.metadata.version("miditok")
    # The same again: the same bytes.
    assert run_command("run", "pipe.toml", "--quiet", "--run-dir", "again").status == 0
    (again, _) = sorted((folder / "again").rglob("*.mid"))
    assert again.read_bytes() == first.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["tsd", "structured"])
def test_other_tokenisers_make_music_too(folder: Path, tokenizer: str) -> None:
    settings = [f"encoder.tokenizer={tokenizer}", "training.align=1", "generate.length=12 beats"]
    settings += ["generate.prompt_length=6 beats", "training.steps=10"]
    assert run_command("run", "pipe.toml", "--quiet", settings=settings).status == 0
    assert len(list((folder / "runs/pipe").rglob("*.mid"))) == 2


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    assert not any(check_plugin("remi").values())
