"""A run folder that a process was killed over while it began is begun afresh, no other is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from musengine.cli.main import main
from musengine.runs.folder import RunFolder

Fails = Callable[..., str]
BEGUN = ("versions.json", "split.json", "prompts.safetensors")
ASIDE = ".pipeline-a1b2c3d4.toml"


def half_begun(folder: Path, files: tuple[str, ...]) -> Path:
    run = folder / "runs" / "pipe"
    run.mkdir(parents=True)
    (run / "run.lock").touch()
    for name in files:
        (run / name).write_text("half")
    return run


@pytest.mark.parametrize("count", range(len(BEGUN) + 1))
def test_it_is_begun_afresh(folder: Path, count: int) -> None:
    run = half_begun(folder, (*BEGUN[:count], ASIDE, "choice.json"))
    assert main(["train", "pipe.toml", "-q"]) == 0
    assert not (run / ASIDE).exists()
    assert not (run / "choice.json").exists()
    assert (run / "versions.json").read_text() != "half"


def test_it_is_removed_where_nothing_comes_of_it(folder: Path, fails: Fails) -> None:
    run = half_begun(folder, (*BEGUN, ASIDE))
    fails("train", "pipe.toml", "--set", "training.sequence_length=41")
    assert not run.exists()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_while_it_begins_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, interrupt: type[BaseException]
) -> None:
    def stop(*_: object) -> None:
        raise interrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_pipeline", stop)
        try:
            assert main(["train", "pipe.toml", "-q"]) == 130
        except SystemExit:
            assert interrupt is SystemExit
    assert not (folder / "runs" / "pipe").exists()
    assert main(["train", "pipe.toml", "-q"]) == 0


@pytest.mark.parametrize("foreign", ["letter.txt", "state.json", ".versions.json", ".a-b.json"])
def test_a_folder_with_anything_else_is_refused_and_left_alone(
    folder: Path, fails: Fails, foreign: str
) -> None:
    run = half_begun(folder, (*BEGUN, foreign))
    before = sorted(path.name for path in run.iterdir())
    assert "not a run folder" in fails("train", "pipe.toml")
    assert sorted(path.name for path in run.iterdir()) == before


def test_without_the_lock_it_is_not_ours(folder: Path, fails: Fails) -> None:
    run = half_begun(folder, ("split.json",))
    (run / "run.lock").unlink()
    assert "it holds split.json" in fails("train", "pipe.toml")
    assert [path.name for path in run.iterdir()] == ["split.json"]


def test_what_was_written_aside_in_a_run_is_cleaned_up(folder: Path) -> None:
    assert main(["run", "pipe.toml", "-q"]) == 0
    run = folder / "runs" / "pipe"
    left = [
        run / ".state-k2j_9x0a.json",
        run / "checkpoints" / ".step-000000006_epoch-0001_valid-8.6683-0ymi3qsc.safetensors",
        run / "samples" / ".piece-001-w14ojaye.svg",
    ]
    own = run / ".notes.json"
    for path in (*left, own):
        path.write_text("half")
    assert main(["run", "pipe.toml", "-q"]) == 0
    assert [path for path in left if path.exists()] == []
    assert own.exists()
