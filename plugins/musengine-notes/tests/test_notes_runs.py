"""Notes in whole runs: files in, pieces of several instruments out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from musengine.api import Run, Score, Track, midi_bytes, read_scores
from musengine.testing import rows_of, run_command
from musengine_notes import sampler as sampler_module

PIPELINE = """
[corpus]
path = "music"
valid = 0.3
jobs = 1

[model]
type = "notes"
width = 16
hidden = 8
layers = 1

[training]
steps = 4
batch_size = 4
sequence_length = 32
threads = 1

[[sampler]]
type = "notes"
copy = 0.0

[generate]
count = 3
length = "4 bars"
prompt_length = "2 beats"
"""


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    """A folder with songs of a piano, a bass and drums, no two of the same loudness."""
    (workplace / "music").mkdir()
    tracks = [Track("keys", 4), Track("low", 33), Track("kit", 0, is_drum=True)]
    for number in range(8):
        drawn = np.random.default_rng(number)
        pitch = np.stack([drawn.integers(60, 80, 64), drawn.integers(30, 50, 64), [36] * 64])
        score = Score.from_notes(
            np.tile(np.arange(64) * 240, 3),
            200,
            pitch.ravel(),
            drawn.integers(30, 120, 192),
            np.repeat([0, 1, 2], 64),
            ticks_per_beat=480,
            tracks=tracks,
            tempos=[(0, 100.0)],
        )
        (workplace / "music" / f"{number}.mid").write_bytes(midi_bytes(score))
    return workplace


@pytest.mark.slow
@pytest.mark.parametrize("trunk", ["recurrent", "transformer"])
def test_pieces_have_instruments_drums_and_loudness(folder: Path, trunk: str) -> None:
    (folder / "p.toml").write_text(PIPELINE)
    done = run_command("run", "p.toml", "--run-dir", "r", "--set", f"model.trunk={trunk}")
    assert done.status == 0, done.err
    pieces = read_scores(folder / "r" / "samples", jobs=1)
    assert len(pieces) == 3
    programs = {t.program for piece in pieces.values() for t in piece.tracks if not t.is_drum}
    assert programs <= {4, 33}
    velocities = {v for piece in pieces.values() for v in piece.velocity.tolist()}
    assert len(velocities) > 4
    for piece in pieces.values():
        assert piece.tempo_bpm.tolist() == pytest.approx([100.0], abs=0.01)
        # Two beats of a prompt, four bars, and the longest delay and note after them.
        assert 0 < piece.length <= (2 + 16 + 16 + 16) * piece.ticks_per_beat
    lines = (folder / "r" / "metrics.jsonl").read_text().splitlines()
    valid = [each["valid"] for each in map(json.loads, lines) if "valid" in each]
    assert 5 < valid[-1]["nll"] < 25


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(folder: Path) -> None:
    (folder / "p.toml").write_text(PIPELINE)
    for name in ("a", "b"):
        assert run_command("run", "p.toml", "--run-dir", name).status == 0
    for number in (1, 2, 3):
        one, two = (folder / run / "samples" / f"piece-00{number}.mid" for run in "ab")
        assert one.read_bytes() == two.read_bytes()


def test_a_width_that_heads_do_not_divide(folder: Path) -> None:
    (folder / "p.toml").write_text(PIPELINE)
    settings = ("--set", "model.trunk=transformer", "--set", "model.heads=3")
    done = run_command("check", "p.toml", *settings)
    assert done.status == 1
    assert "must be a multiple of 2 * model.heads = 6" in done.err


def test_what_is_added_to_copying_is_tried_once_for_each_temperature(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def once(network: object, chooser: object, bar: int, aims: object) -> torch.Tensor:
        tried.append(bar)
        return torch.zeros(6)

    monkeypatch.setattr(sampler_module, "tried_additions", once)
    (folder / "p.toml").write_text(PIPELINE)
    assert run_command("train", "p.toml", "--run-dir", "r").status == 0
    learned = (folder / "r" / "samplers.safetensors").read_bytes()
    auto, warm = "sampler.0.copy=auto", "sampler.0.temperature=1.5"
    first = Run("r").generate([auto], count=1, seed=1)
    assert tried == [16]  # sixteenths of a bar
    assert len((folder / "r" / "samplers.safetensors").read_bytes()) > len(learned)
    again = Run("r").generate([auto], count=1, seed=1)
    assert rows_of(again[0]) == rows_of(first[0])
    assert run_command("generate", "r", "--set", auto).status == 0
    assert tried == [16]
    for _ in range(2):
        Run("r").generate([auto, warm], count=1, seed=1)
    assert tried == [16, 16]
    # The index of runs is there still, and what was found for the temperature before.
    Run("r").generate([auto], count=1, seed=1)
    assert tried == [16, 16]


def test_pieces_are_not_lost_where_what_was_found_cannot_be_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sampler_module, "tried_additions", lambda *_: torch.zeros(6))
    (folder / "p.toml").write_text(PIPELINE)
    assert run_command("train", "p.toml", "--run-dir", "r").status == 0
    (folder / "r" / "samplers.safetensors").unlink()
    (folder / "r" / "samplers.safetensors").mkdir()
    assert len(Run("r").generate(["sampler.0.copy=auto"], count=2, seed=1)) == 2
    assert "is not kept" in caplog.text
