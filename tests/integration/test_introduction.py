"""The page for those who have never trained a net: its commands do what it says they do."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from musengine.testing import CommandResult, read_midi, run_command, score_of, write_midi

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "never-trained-a-net.md"
NEEDED = ("torch", "musengine_lstm3", "musengine_samplers", "musengine_tools")
pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, NEEDED)), reason="not all plugins are installed"
)


def blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert all(line.startswith("musengine ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


def write_songs(folder: Path) -> None:
    """Write songs in which only the chords repeat: what is by heart helps in no other."""
    random = np.random.default_rng(0)
    for number in range(8):
        melody = 72 + random.integers(0, 12, 40)
        rows = [(2 * k, 2, int(pitch)) for k, pitch in enumerate(melody)]
        rows += [(8 * k, 8, p) for k in range(10) for p in ((48, 52, 55), (53, 57, 60))[k % 2]]
        write_midi(score_of(rows), folder / f"{number}.mid")


def validation_losses(run: Path) -> list[float]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [r["valid"]["loss"] for line in lines if "valid" in (r := json.loads(line))]


@pytest.mark.slow
def test_the_commands_of_the_page(workplace: Path) -> None:
    write_songs(workplace / "my-midi-files")
    (pipeline,) = blocks("toml")
    name = re.match(r"# (\S+\.toml)\n", pipeline)
    assert name
    (workplace / name[1]).write_text(pipeline, encoding="utf-8")
    ended: dict[str, CommandResult] = {}
    for words in commands():
        done = run_command(*words)
        assert done.status == 0, (words, done.err)
        ended[" ".join(words)] = done

    # The loss falls from some 61 nats, 88 coins.
    short, longer, too_long = (
        validation_losses(workplace / "runs" / run) for run in ("short", "longer", "too-long")
    )
    assert min(longer) < short[-1] < 61
    # It goes up again for what is held out, while what is learned becomes known by heart.
    assert too_long[-1] > min(too_long)
    (evaluated,) = (done for line, done in ended.items() if line.startswith("evaluate"))
    figures = dict(re.findall(r"^(train|valid): nll ([\d.]+)", evaluated.err, re.M))
    assert float(figures["train"]) < 0.7 * float(figures["valid"])

    samples = workplace / "runs" / "longer" / "samples"
    for kind in ("safe", "drawn", "cautious"):
        assert len(list(samples.glob(f"{kind}-*.mid"))) == 4
    notes = {kind: len(read_midi(samples / f"{kind}-001.mid")) for kind in ("drawn", "cautious")}
    assert notes["cautious"] != notes["drawn"]
