"""A small corpus made by hand, and the command line called in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PIPELINE = """
[corpus]
path = "tunes.json"

[encoder]
step = "1 beat"
lowest = 60
highest = 72

[model]
type = "frequencies"

[training]
batch_size = 4

[generate]
count = 2
length = "16 steps"
prompt_length = "4 steps"

[[output]]
type = "midi"
"""


def tune(shift: int, length: int = 40) -> list[list[int]]:
    """An arpeggio over three chords, four steps each, with a rest at the end of each."""
    chords = ([60, 64, 67], [60, 65, 69], [62, 65, 71])
    steps = []
    for t in range(length):
        chord = chords[(t // 4 + shift) % 3]
        steps.append([] if t % 4 == 3 else [chord[0], chord[t % 3]])
    return steps


@pytest.fixture
def folder(workplace: Path) -> Path:
    """A working directory with a corpus of ten tunes and a pipeline."""
    corpus = {
        "train": [tune(k, 40 + k) for k in range(7)],
        "valid": [tune(k) for k in range(2)],
        "test": [tune(2)],
    }
    (workplace / "tunes.json").write_text(json.dumps(corpus))
    (workplace / "pipe.toml").write_text(PIPELINE)
    return workplace
