"""Pieces that are empty are drawn again, and the others stay what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from musengine.testing import run_command, score_of, write_midi

PIPELINE = """
[corpus]
path = "music"
valid = 0.5

[encoder]
lowest = 60
highest = 71

[model]
type = "frequencies"

[generate]
count = 12
length = "2 beats"
seed = 3

[[output]]
type = "midi"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learned from pieces of a short note in every second beat."""
    folder = tmp_path_factory.mktemp("run")
    for seed in range(8):
        notes = [(8 * k + seed % 3, 1, 60 + (5 * k + seed) % 12) for k in range(16)]
        write_midi(score_of(notes, ticks_per_beat=4), folder / "music" / f"{seed}.mid")
    (folder / "pipe.toml").write_text(PIPELINE)
    done = run_command("run", str(folder / "pipe.toml"), "--run-dir", str(folder / "run"))
    assert done.status == 0, done.err
    return folder / "run"


def made(run: Path, out: Path, *arguments: str) -> tuple[list[dict[str, Any]], list[bytes]]:
    status, _, err = run_command("generate", str(run), "--out", str(out), *arguments)
    assert status == 0, err
    lines = (out / "generated.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], [
        path.read_bytes() for path in sorted(out.glob("*.mid"))
    ]


def test_empty_pieces_are_drawn_again_and_the_others_stay(run: Path, tmp_path: Path) -> None:
    before, as_they_come = made(run, tmp_path / "a", "--set", "generate.redraw=false")
    after, drawn_again = made(run, tmp_path / "b")
    assert {tuple(record["faults"]) for record in before} == {(), ("empty",)}
    for old, new, first, second in zip(before, after, as_they_come, drawn_again, strict=True):
        assert (new["attempt"] == 0) == (first == second) == (not old["faults"])
        assert (new["attempts"] > 1) == bool(old["faults"])
    assert sum(bool(record["faults"]) for record in after) < sum(
        bool(record["faults"]) for record in before
    )


def test_the_best_of_some_is_the_same_whoever_is_made_beside(run: Path, tmp_path: Path) -> None:
    best = ("--best-of", "3")
    records, files = made(run, tmp_path / "a", *best)
    assert made(run, tmp_path / "b", *best)[1] == files
    assert made(run, tmp_path / "c", *best, "--count", "2")[1] == files[:2]
    assert {record["attempt"] for record in records} > {0}


def test_what_is_empty_still_is_told(run: Path, tmp_path: Path) -> None:
    chain = 'sampler=[{type="greedy"}]'
    status, _, err = run_command(
        "generate", str(run), "--out", str(tmp_path), "--set", chain, "--count", "2"
    )
    assert status == 0
    lines = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 2
    assert all("empty in each of 4 draws" in line for line in lines)
