"""`--minutes` with a pipeline file: what is left of them is trained, and the command goes on."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import tomli

pytest.importorskip("torch")
pytest.importorskip("musengine_lstm3")

from helpers import refused
from musengine.runs.choice.budget import Budget, going_on
from musengine.runs.folder import RunFolder
from musengine.testing import run_command, score_of, write_midi

PIPELINE = """
[corpus]
path = "music"
valid = 0.3

[model]
type = "lstm3"
layers = [4]

[training]
steps = 3
minutes = 50
batch_size = 2
sequence_length = 8

[generate]
count = 2
length = "8 steps"
"""
MINUTES = ("run", "pipe.toml", "--minutes", "2")
RUN = Path("runs/pipe")


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    """A working directory with ten tunes and a pipeline."""
    for number in range(10):
        notes = [(2 * k, 2, 60 + (number * k) % 12) for k in range(16)]
        write_midi(score_of(notes), workplace / "music" / f"{number}.mid")
    (workplace / "pipe.toml").write_text(PIPELINE)
    return workplace


def kept() -> dict[str, Any]:
    """What the run's folder says of its training."""
    training: dict[str, Any] = tomli.loads((RUN / "pipeline.toml").read_text())["training"]
    return training


def test_what_is_left_is_trained_and_the_same_command_goes_on() -> None:
    done = run_command(*MINUTES)
    assert done.status == 0, done.err
    # Of two minutes six seconds are kept, and what making and measuring these pieces takes; the
    # file's other limits hold.
    minutes = kept()["minutes"]
    assert 1 < minutes <= 2 - 6 / 60
    assert kept()["steps"] == 3
    assert "all 3 steps are done" in done.err
    assert len(list((RUN / "samples").glob("*.mid"))) == 2
    assert json.loads((RUN / "choice.json").read_text()) == {
        "minutes": 2.0,
        "training_minutes": minutes,
    }
    before = {path: path.read_bytes() for path in RUN.rglob("*.*") if "report" not in path.name}
    again = run_command(*MINUTES)
    assert again.status == 0
    assert "trained already" in again.err
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_first_end() -> None:
    assert run_command(*MINUTES).status == 0
    minutes = kept()["minutes"]
    (RUN / "state.json").unlink()
    going = run_command(*MINUTES)
    assert going.status == 0
    assert "going on with changed settings" not in going.err
    assert kept()["minutes"] == minutes
    # Three more than the two train on for the difference, not the three anew.
    more = run_command(*MINUTES[:-1], "5", "--set", "training.steps=4")
    assert "training.minutes" in more.err
    assert kept()["minutes"] == pytest.approx(minutes + 3)


def test_pieces_are_those_of_a_run_without_minutes() -> None:
    assert run_command(*MINUTES).status == 0
    assert run_command("run", "pipe.toml", "--run-dir", "plain").status == 0
    for name in ("piece-001.mid", "piece-002.mid"):
        assert (RUN / "samples" / name).read_bytes() == (Path("plain/samples") / name).read_bytes()


def test_minutes_of_training_that_are_named_stay() -> None:
    named = (*MINUTES, "--set", "training.minutes=7")
    assert run_command(*named).status == 0
    assert kept()["minutes"] == 7
    assert run_command(*named).status == 0


def test_a_run_begun_without_them_is_left_as_it_is() -> None:
    assert run_command("run", "pipe.toml").status == 0
    assert kept()["minutes"] == 50
    done = run_command(*MINUTES)
    assert done.status == 1
    assert "begun without --minutes" in done.err
    assert kept()["minutes"] == 50


def test_what_is_left_by_hand() -> None:
    budget = Budget(10.0, time.monotonic() - 240)
    # Six minutes are left, of which 60 s, 30 s and 6 s are kept.
    assert budget.training_seconds(60.0, 30.0) == pytest.approx(264, abs=1)
    # Making pieces has three tenths of all at the most, and something is always trained.
    assert budget.training_seconds(1e6, 0.0) == pytest.approx(360 - 180 - 6, abs=1)
    assert budget.training_seconds(0.0, 1e6) == 6.0


def test_a_damaged_record_is_told() -> None:
    assert run_command(*MINUTES).status == 0
    (RUN / "choice.json").write_text('{"minutes": "two"}')
    nothing: Any = None
    with refused("file-damaged", "choice.json"):
        going_on(nothing, RunFolder(RUN), 2.0)
