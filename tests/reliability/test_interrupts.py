"""Ctrl-C: once stops after the step and saves, twice leaves at once; a run is never broken."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from musengine.cli.main import main
from musengine.cli.terminal import Terminal
from musengine.training import checkpoint
from musengine.utils.files import is_aside
from warm import Warm

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
ENDLESS = ("--set", "training.steps=1000000", "--set", "training.checkpoint_every=1000000")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "musengine", "run", "pipe.toml", *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def wait_until_training(folder: Path) -> None:
    log = folder / "runs/pipe/metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (log.is_file() and log.stat().st_size):
        assert time.monotonic() < deadline, "training did not begin"
        time.sleep(0.02)


@pytest.mark.slow
def test_once_saves_and_goes_on_where_it_stopped(folder: Path) -> None:
    process = start(folder, *ENDLESS)
    wait_until_training(folder)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "the same command goes on from here" in err
    (path,) = (folder / "runs/pipe/checkpoints").glob("*.safetensors")
    done = checkpoint.load(path).meta["state"]["step"]
    assert done > 0
    # Going on takes exactly the steps that are left.
    steps = ("--set", f"training.steps={done + 3}")
    assert main(["run", "pipe.toml", "--quiet", *steps]) == 0
    records = (folder / "runs/pipe/metrics.jsonl").read_text().splitlines()
    assert json.loads(records[-1])["step"] == done + 3


@pytest.mark.slow
def test_twice_leaves_at_once_and_the_folder_stays_valid(folder: Path) -> None:
    # A validation part so large that saving takes longer than the second Ctrl-C.
    process = start(folder, *ENDLESS, "--set", "training.sequence_length=30")
    wait_until_training(folder)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    left = [path.name for path in (folder / "runs/pipe").rglob(".*")]
    assert left == []
    settings = ("--set", "training.steps=5", "--set", "training.sequence_length=30")
    assert main(["run", "pipe.toml", "--quiet", *settings]) == 0


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_checkpoint(folder: Path) -> None:
    process = start(folder, *ENDLESS[:2], "--set", "training.checkpoint_every=5")
    checkpoints = folder / "runs/pipe/checkpoints"
    deadline = time.monotonic() + 60
    while not list(checkpoints.glob("step-*.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    step = max(int(path.stem[len("step-") :][:9]) for path in checkpoints.glob("step-*"))
    settings = ("--set", f"training.steps={step + 2}", "--set", "training.checkpoint_every=5")
    assert main(["run", "pipe.toml", "--quiet", *settings]) == 0


def test_two_processes_do_not_share_a_run(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    process = start(folder, *ENDLESS)
    try:
        wait_until_training(folder)
        assert main(["run", "pipe.toml", *ENDLESS]) == 1
        assert "in use by another musengine process" in capfd.readouterr().err
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    ("before", "saved"),
    [
        ("write runs/pipe/.split-", 0),
        ("write runs/pipe/checkpoints/", 1),
        ("write runs/pipe/samples/", 1),
    ],
    ids=["as it begins", "in training", "as pieces are made"],
)
def test_the_end_of_a_shutdown_or_a_terminal_is_tidy(
    folder: Path,
    warm: Warm,
    tmp_path_factory: pytest.TempPathFactory,
    number: str,
    before: str,
    saved: int,
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    request = {"environment": {"TMPDIR": str(temporary)}}
    command = ("run", "pipe.toml", "-q", "--set", "corpus.cache=false")
    assert warm(folder, *command, list_to=str(folder / "operations"), **request).status == 0
    operations = (folder / "operations").read_text().splitlines()
    at = next(n for n, each in enumerate(operations) if each.startswith(before))
    shutil.rmtree(folder / "runs")
    (folder / "operations").unlink()
    ended = warm(folder, *command, kill_at=at, signal=getattr(signal, number), **request)
    assert ended.status not in (0, 1, 99), ended
    assert "Traceback" not in ended.err
    assert not any(temporary.iterdir())
    assert not [path for path in folder.rglob("*") if is_aside(path.name)]
    assert len(list(folder.glob("runs/pipe/checkpoints/*"))) >= saved
    assert warm(folder, *command, **request).status == 0


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_signal_does_not_cut_off_the_last_words(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    number: str,
    interrupted: bool,
) -> None:
    def shown(terminal: Terminal, *line: Any) -> None:
        os.kill(os.getpid(), getattr(signal, number))
        whole(terminal, *line)

    whole = Terminal.line
    before = signal.getsignal(getattr(signal, number))
    monkeypatch.setattr(Terminal, "line", shown)
    if interrupted:
        monkeypatch.setattr("musengine.cli.commands.check.check", interrupt)
    assert main(["check", "nowhere.toml"]) == (130 if interrupted else 1)
    assert ("interrupted" if interrupted else "nowhere.toml") in capfd.readouterr().err
    assert signal.getsignal(getattr(signal, number)) == before


def interrupt(*_: Any) -> int:
    raise KeyboardInterrupt
