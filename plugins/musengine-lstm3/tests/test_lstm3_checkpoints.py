"""Any checkpoint of a run makes pieces and is measured, and other people's do no harm."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from musengine.api import Run
from musengine.testing import load_checkpoint, run_command

PIPELINE = """
[corpus]
path = "tunes.json"

[encoder]
step = "1 beat"
lowest = 60
highest = 66

[model]
type = "lstm3"
layers = [6]

[training]
steps = 8
batch_size = 2
sequence_length = 8
learning_rate = 0.1
checkpoint_every = 2
keep_checkpoints = "all"
threads = 1

[generate]
count = 1
length = "60 steps"
prompt = "none"
seed = 3
"""


@pytest.fixture
def run(workplace: Path) -> Path:
    tune = [[60], [62, 65], [64], []] * 8
    tunes = {"train": [tune] * 3, "valid": [tune[:20]]}
    (workplace / "tunes.json").write_text(json.dumps(tunes))
    (workplace / "pipe.toml").write_text(PIPELINE)
    assert run_command("run", "pipe.toml", "--quiet").status == 0
    return workplace / "runs/pipe"


def generated(*arguments: str) -> bytes:
    number = sum(1 for path in Path().glob("out-*"))
    done = run_command("generate", "--out", f"out-{number}", *arguments)
    assert done.status == 0, done.err
    return Path(f"out-{number}/piece-001.mid").read_bytes()


def test_every_checkpoint_stays_and_makes_pieces_of_its_own(run: Path) -> None:
    files = sorted((run / "checkpoints").iterdir())
    assert [load_checkpoint(file).meta["state"]["step"] for file in files] == [2, 4, 6, 8]
    pieces = {step: generated("--checkpoint", str(step)) for step in (2, 4, 6, 8)}
    assert len(set(pieces.values())) == 4
    assert generated("--checkpoint", "last") == pieces[8]
    shutil.copy(files[1], "mine.safetensors")
    assert generated("--checkpoint", "mine.safetensors") == pieces[4]
    notes = [json.loads(line) for line in Path("out-0/generated.jsonl").read_text().splitlines()]
    assert notes[0]["checkpoint"] == files[0].name


def test_evaluating_one_tells_what_its_validation_told(run: Path) -> None:
    own = (run / "evaluation.json").read_bytes()
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    told = {line["step"]: line["valid"]["loss"] for line in lines if "valid" in line}
    for step in (2, 6):
        words = ("evaluate", "--json", "--split", "valid", "--checkpoint", str(step))
        figures: dict[str, Any] = json.loads(run_command(*words).out)
        assert figures["valid"]["nll"] == pytest.approx(told[step], rel=1e-6)
        same = Run(run).evaluate(["valid"], [f"generate.checkpoint={step}"])
        assert same["valid"]["nll"] == figures["valid"]["nll"]
    # The folder keeps the figures of the checkpoint that the run itself generates from.
    assert (run / "evaluation.json").read_bytes() == own


@pytest.mark.parametrize("command", ["generate", "evaluate"])
def test_a_step_that_is_not_there(run: Path, command: str) -> None:
    done = run_command(command, "--checkpoint", "5")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "2, 4, 6, 8" in done.err


def test_a_checkpoint_of_another_net_is_refused(run: Path) -> None:
    other = ("train", "pipe.toml", "--quiet", "--run-dir", "other")
    assert run_command(*other, settings=["model.layers=[7]", "training.steps=1"]).status == 0
    (theirs,) = Path("other/checkpoints").iterdir()
    done = run_command("generate", "runs/pipe", "--checkpoint", str(theirs))
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "belongs to another model" in done.err
