"""A training in float64 without chance, and whether two runs of it came to the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from musengine.training import checkpoint

EXACT = """
[corpus]
path = "tunes.json"
cache = "cache"

[encoder]
step = "1 beat"
lowest = 60
highest = 72

[model]
type = "lstm3"
layers = [8]
dropout = 0.0

[training]
steps = 50
batch_size = 5
sequence_length = 8
checkpoint_every = 20
log_every = 5
threads = 1
device = "cpu"
precision = "float64"
optimizer = "sgd"
learning_rate = 0.5
clip_norm = 0.8

[generate]
count = 3
length = "8 steps"
prompt_length = "4 steps"
"""


def write_tunes(folder: Path) -> None:
    """Write the music of that pipeline: tunes of different length."""
    tunes = {
        "train": [[[60 + t * k % 7, 67] for t in range(40 + k)] for k in range(1, 9)],
        "valid": [[[60 + t % k, 67] for t in range(40)] for k in range(4, 7)],
    }
    (folder / "tunes.json").write_text(json.dumps(tunes))


def weights(run: Path) -> dict[str, Any]:
    """The weights of a run's last checkpoint."""
    return checkpoint.load(sorted((run / "checkpoints").glob("*"))[-1]).model


def losses(run: Path) -> list[tuple[int, Any]]:
    """What a run's log says of losses, and of the validation part."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line.get("loss", line.get("valid"))) for line in lines if "step" in line]


def assert_same_training(one: Path, other: Path) -> None:
    """Compare two runs of one pipeline: weights and losses are the same but for rounding."""
    here, there = weights(one), weights(other)
    assert here.keys() == there.keys()
    for name, values in here.items():
        assert float((there[name] - values).abs().max()) < 1e-9, name
    assert len(losses(one)) == len(losses(other)) > 10
    for (step, loss), (same, figure) in zip(losses(one), losses(other), strict=True):
        assert same == step
        assert figure == pytest.approx(loss, abs=1e-9), step
