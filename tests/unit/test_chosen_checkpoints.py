"""Which checkpoint of a run a word, a step or a file stands for, and what a stranger's may hold."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from musengine.errors import UserError
from musengine.pipeline.values import CheckpointChoice
from musengine.runs.folder import RunFolder
from musengine.training import checkpoint
from musengine.utils.files import write_json

NAMES = {
    500: "step-000000500_epoch-0001_valid-2.5000.safetensors",
    1000: "step-000001000_epoch-0002_valid-2.1000.safetensors",
    1500: "step-000001500_epoch-0003.safetensors",
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.checkpoints.mkdir(parents=True)
    for name in (*NAMES.values(), "step-of-mine.safetensors"):
        (folder.checkpoints / name).touch()
    write_json(folder.path / "state.json", {"best": {"checkpoint": NAMES[1000]}})
    return folder


def test_words_steps_and_files(run: RunFolder, tmp_path: Path) -> None:
    assert run.checkpoint_for("best").name == NAMES[1000]
    assert run.checkpoint_for("last").name == NAMES[1500]
    assert {step: run.checkpoint_for(step).name for step in NAMES} == NAMES
    elsewhere = tmp_path / "mine.safetensors"
    elsewhere.touch()
    assert run.checkpoint_for(elsewhere) == elsewhere


def test_what_is_not_there_is_told_with_what_is(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run.checkpoint_for(501)
    assert caught.value.code == "checkpoint-missing"
    assert "500, 1000, 1500" in str(caught.value)
    assert len(caught.value.lines) == 1
    with pytest.raises(UserError) as caught:
        run.checkpoint_for(tmp_path / "none.safetensors")
    assert caught.value.code == "checkpoint-missing"


def test_of_many_the_nearest_are_named(run: RunFolder) -> None:
    for step in range(2000, 10000, 10):
        (run.checkpoints / f"step-{step:09}_epoch-0000.safetensors").touch()
    with pytest.raises(UserError) as caught:
        run.checkpoint_for(9905)
    assert "9860, 9870, 9880, 9890, 9900, 9910" in str(caught.value)
    assert "793 others" in str(caught.value)


@given(st.integers(0, 10**15 - 1))
def test_a_step_is_a_number_or_its_digits(step: int) -> None:
    for written in (step, str(step)):
        assert CheckpointChoice.from_toml(written, Path("/")).which == step
    assert CheckpointChoice(step).to_toml() == step


def test_a_file_is_taken_from_where_it_is_named(tmp_path: Path) -> None:
    choice = CheckpointChoice.from_toml("a/b.safetensors", tmp_path)
    assert choice.which == tmp_path.resolve() / "a/b.safetensors"
    assert CheckpointChoice.from_toml(choice.to_toml(), Path("/")) == choice


@pytest.mark.parametrize("value", [True, -1, 1.5, "lats", "", "model.pt", 10**15, "9" * 5000])
def test_what_stands_for_no_checkpoint(value: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        CheckpointChoice.from_toml(value, Path("/"))


def test_the_outline_is_that_of_the_weights_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weights = {"w": torch.zeros(3, 2), "b": torch.zeros(())}
    checkpoint.save(path, checkpoint.Checkpoint(weights, {"k": 1}, {"moment": torch.zeros(9)}))
    assert checkpoint.outline(path) == checkpoint.Outline({"w": (3, 2), "b": ()}, {"k": 1})


@pytest.mark.parametrize("meta", ["[]", "3", "{", "[" * 10**5, '{"a": "' + "x" * 2**26 + '"}'])
def test_a_strangers_words_are_bounded(tmp_path: Path, meta: str) -> None:
    path = tmp_path / "a.safetensors"
    data = safetensors.torch.save({"model/w": torch.zeros(1)}, metadata={"meta": meta})
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        checkpoint.outline(path)
    assert caught.value.code == "checkpoint-unreadable"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(UserError) as caught:
        checkpoint.outline(tmp_path / "pipe.safetensors")
    assert caught.value.code == "checkpoint-unreadable"


def test_more_tensors_than_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    entry = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    header = json.dumps({"model/w": entry, "__metadata__": {"meta": "{}"}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(UserError) as caught:
        checkpoint.load(path)
    assert caught.value.code == "checkpoint-unreadable"
