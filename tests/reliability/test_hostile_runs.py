"""Run folders and values from elsewhere: of the wrong shape, too large, no numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from musengine.cli.main import main
from musengine.training import checkpoint

Fails = Callable[..., str]
MORE = ("--set", "training.steps=20")


WRONG: list[Any] = [[], 5, "text", None, {"best": 5}, {"best": {"checkpoint": 1}}, {"parts": []}]


@pytest.mark.parametrize("value", WRONG, ids=json.dumps)
@pytest.mark.parametrize("name", ["state", "split", "corpus", "evaluation"])
def test_json_of_the_wrong_shape(
    run: Path, capfd: pytest.CaptureFixture[str], name: str, value: Any
) -> None:
    (run / f"{name}.json").write_text(json.dumps(value))
    for arguments in (["run", "pipe.toml", *MORE], ["generate", "runs/pipe"]):
        status = main(arguments)
        err = capfd.readouterr().err
        assert status in (0, 1)
        assert "Traceback" not in err
        assert (status == 1) == ("error: " in err)


def test_values_of_the_wrong_kind_within(run: Path, fails: Fails) -> None:
    corpus = json.loads((run / "corpus.json").read_text())
    corpus["prevailing"]["tempo"] = "fast"
    (run / "corpus.json").write_text(json.dumps(corpus))
    assert "corpus.json is damaged" in fails("generate", "runs/pipe")


def changed(run: Path, change: Callable[[checkpoint.Checkpoint], None]) -> None:
    for path in (run / "checkpoints").iterdir():
        stored = checkpoint.load(path)
        change(stored)
        checkpoint.save(path, stored)


def spoil_moments(stored: checkpoint.Checkpoint, change: Callable[[torch.Tensor], Any]) -> None:
    for moments in stored.extra["optimizer"]["state"].values():
        moments.update({k: change(each) for k, each in moments.items() if each.dim()})


CHANGES: dict[str, Callable[[checkpoint.Checkpoint], Any]] = {
    "no state": lambda stored: stored.meta.pop("state"),
    "state a list": lambda stored: stored.meta.update(state=[1]),
    "step a text": lambda stored: stored.meta["state"].update(step="12"),
    "step negative": lambda stored: stored.meta["state"].update(step=-1),
    "another counter": lambda stored: stored.meta["state"].update(more=1),
    "callbacks a number": lambda stored: stored.meta.update(callbacks=3),
    "no extra": lambda stored: stored.extra.clear(),
    "optimizer a list": lambda stored: stored.extra.update(optimizer=[]),
    "moments of another shape": lambda stored: spoil_moments(stored, lambda each: each[..., :1]),
    "moments that are texts": lambda stored: spoil_moments(stored, lambda each: "x"),
    "schedule a text": lambda stored: stored.extra.update(schedule="ab"),
    "unlogged a number": lambda stored: stored.extra.update(unlogged=1),
    "random a text": lambda stored: stored.extra.update(random="x"),
    "random of floats": lambda stored: stored.extra.update(random={"cpu": torch.zeros(9)}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_checkpoint_of_the_wrong_shape(run: Path, fails: Fails, what: str) -> None:
    changed(run, CHANGES[what])
    assert "cannot be read" in fails("run", "pipe.toml", *MORE)


def spoil(stored: checkpoint.Checkpoint, weight: Callable[[torch.Tensor], torch.Tensor]) -> None:
    name = next(iter(stored.model))
    stored.model[name] = weight(stored.model[name])


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(run: Path, fails: Fails, number: float) -> None:
    changed(run, lambda stored: spoil(stored, lambda each: torch.full_like(each, number)))
    assert "not finite" in fails("generate", "runs/pipe")
    assert "not finite" in fails("run", "pipe.toml", *MORE)


def test_weights_that_are_whole_numbers(run: Path, fails: Fails) -> None:
    changed(run, lambda stored: spoil(stored, lambda each: each.long()))
    assert "torch.int64" in fails("generate", "runs/pipe")


@pytest.mark.parametrize(
    "setting",
    [
        "training.sequence_length=10000000000000000000000",
        "training.batch_size=9223372036854775808",
        "training.steps=9223372036854775808",
        "training.checkpoint_every=10000000000000000000000",
        "generate.length=1000000000000 bars",
        "generate.prompt_length=1000000000000 steps",
        "generate.count=9223372036854775808",
        "model.layers=[9223372036854775808]",
    ],
)
def test_values_that_no_training_can_hold_are_found_by_check(fails: Fails, setting: str) -> None:
    message = fails("check", "pipe.toml", "--set", setting)
    assert setting.partition("=")[0].partition(".")[2] in message


def test_very_many_unknown_tables_get_no_suggestions(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tables = "".join(f"[trainin{number}]\n" for number in range(20_000))
    (folder / "many.toml").write_text((folder / "pipe.toml").read_text() + tables)
    assert main(["check", "many.toml"]) == 1
    err = capfd.readouterr().err
    assert err.count("unknown table") == 20_000
    assert "did you mean" not in err


def test_a_loss_that_is_no_number_names_the_pieces_and_keeps_the_last_checkpoint(
    folder: Path, fails: Fails
) -> None:
    assert main(["train", "pipe.toml", "-q"]) == 0
    before = {path: path.read_bytes() for path in (folder / "runs/pipe/checkpoints").iterdir()}
    settings = ("--set", "training.learning_rate=1e38", "--set", "training.clip_norm=1e9")
    message = fails("train", "pipe.toml", "--set", "training.steps=60", *settings)
    assert "no finite number any more" in message
    assert "tunes.json#train-" in message
    newest = max(before)
    assert newest.name in message
    assert {path: path.read_bytes() for path in before} == before
    stored = checkpoint.load(max((folder / "runs/pipe/checkpoints").iterdir()))
    assert all(bool(torch.isfinite(each).all()) for each in stored.model.values())


def test_a_loss_that_runs_away_is_said(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = ("--set", "training.learning_rate=1e6", "--set", "training.optimizer=sgd")
    main(["train", "pipe.toml", *settings, "--set", "training.clip_norm=1.0"])
    err = capfd.readouterr().err
    assert err.count("the loss runs away") == 1


def test_a_run_folder_that_is_removed_ends_the_run(
    folder: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = checkpoint.save

    def removing(path: Path, stored: checkpoint.Checkpoint) -> None:
        shutil.rmtree(folder / "runs/pipe")
        whole(path, stored)

    monkeypatch.setattr(checkpoint, "save", removing)
    settings = ("--set", "corpus.valid=0", "--set", "corpus.split=shares")
    assert "removed or renamed while" in fails("train", "pipe.toml", *settings)


def test_figures_that_cannot_be_written_are_told(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (run / "evaluation.json").unlink()
    (run / "evaluation.json").mkdir()
    capfd.readouterr()
    assert main(["evaluate", "runs/pipe", "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["valid"]["nll"] > 0
    assert f"cannot write {Path('runs/pipe/evaluation.json')}" in err
