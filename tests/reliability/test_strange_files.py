"""Pipes, devices, sockets, links and what may not be read: told in a line, and nothing waits."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers import write_random_midi
from musengine.cli.main import main
from musengine.testing import run_command
from warm import Warm

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files of POSIX")
Fails = Callable[..., str]
KEYS = ("--set", "encoder.lowest=21", "--set", "encoder.highest=108")


def make(kind: str, path: Path) -> Path:
    """Make something at a path that is no file."""
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)  # a socket's whole path may have a hundred characters at most
    else:
        path.symlink_to(path.name)
    return path


KINDS = pytest.mark.parametrize("kind", ["a pipe", "a device", "a socket", "a link to itself"])


@KINDS
@pytest.mark.parametrize("files", [4, 30], ids=["in this process", "in worker processes"])
def test_in_a_folder_of_music_it_is_skipped_and_told(
    folder: Path, warm: Warm, monkeypatch: pytest.MonkeyPatch, kind: str, files: int
) -> None:
    write_random_midi(folder / "music", files, beats=40, notes=60)
    monkeypatch.chdir(folder / "music")
    make(kind, folder / "music" / "strange.mid")
    settings = (*KEYS, "--set", "corpus.path=music", "--set", "corpus.jobs=1")
    ended = warm(folder, "train", "pipe.toml", *settings)
    assert ended.status == 0, ended.err
    ((name, reason),) = json.loads((folder / "runs/pipe/split.json").read_text())["skipped"]
    assert name == str(folder / "music" / "strange.mid")
    expected = "symbolic links" if kind == "a link to itself" else f"it is {kind}, not a file"
    assert expected in reason


@KINDS
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "strange.mid"),
        ("train", "strange.mid"),
        ("train", "pipe.toml", "--set", "corpus.path=strange.mid"),
        ("inspect", "strange.mid"),
        ("convert", "strange.mid", "out.mid"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_named_by_itself_it_ends_the_command(
    folder: Path, warm: Warm, kind: str, arguments: tuple[str, ...]
) -> None:
    make(kind, folder / "strange.mid")
    ended = warm(folder, *arguments)
    # What `inspect` is asked to look at it reports on.
    assert ended.status == 1 or (ended.status == 0 and "refused: it is " in ended.out), ended
    assert "Traceback" not in ended.err
    named = "/dev/zero" if kind == "a device" else "strange.mid"
    assert named in (ended.out + ended.err).replace("strange.mid", named)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make folders that may not be read, whoever asks, also the superuser."""
    names: set[str] = set()
    scan, listdir = os.scandir, os.listdir

    def refusing(real: Callable[..., Any]) -> Callable[..., Any]:
        def look(path: Any = ".") -> Any:
            if os.fspath(path) in names:
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return real(path)

        return look

    monkeypatch.setattr(os, "scandir", refusing(scan))
    monkeypatch.setattr(os, "listdir", refusing(listdir))
    return lambda path: names.add(str(path))


def test_a_folder_within_that_may_not_be_read_is_told(
    folder: Path, closed: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    write_random_midi(folder / "music", 4, beats=40, notes=60)
    write_random_midi(folder / "music" / "within", 2, beats=40, notes=60)
    closed(folder / "music" / "within")
    assert main(["train", "pipe.toml", *KEYS, "--set", "corpus.path=music"]) == 0
    assert "within: Permission denied" in capfd.readouterr().err
    skipped = json.loads((folder / "runs/pipe/split.json").read_text())["skipped"]
    assert skipped == [[str(folder / "music" / "within"), "Permission denied"]]


def test_a_corpus_that_may_not_be_read(
    folder: Path, closed: Callable[[Path], None], fails: Fails
) -> None:
    write_random_midi(folder / "music", 4, beats=40, notes=60)
    closed(folder / "music")
    message = fails("train", "pipe.toml", "--set", "corpus.path=music")
    assert "cannot read" in message
    assert "Permission denied" in message


def test_checkpoints_that_may_not_be_read_are_not_taken_for_none(
    folder: Path, closed: Callable[[Path], None], fails: Fails
) -> None:
    assert main(["train", "pipe.toml", "-q"]) == 0
    closed(Path("runs/pipe/checkpoints"))
    message = fails("generate", "runs/pipe")
    assert "cannot read" in message
    assert "Permission denied" in message


def test_a_checkpoint_that_may_not_be_read_shall_not_be_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails
) -> None:
    import safetensors

    assert main(["train", "pipe.toml", "-q"]) == 0

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(safetensors, "safe_open", refuse)
    message = fails("generate", "runs/pipe")
    assert "Permission denied" in message
    assert "delete" not in message


@pytest.mark.slow
@pytest.mark.parametrize("name", ["checkpoints", "samples", "metrics.jsonl", "state.json"])
@pytest.mark.parametrize("command", ["run", "generate"])
def test_a_link_that_leads_out_of_a_run_folder_is_refused(
    folder: Path, fails: Fails, name: str, command: str
) -> None:
    assert main(["run", "pipe.toml", "-q"]) == 0
    run, other = folder / "runs" / "pipe", folder / "other"
    (run / name).rename(other)
    (run / name).symlink_to(other)
    before = {path: path.read_bytes() for path in folder.glob("other*/**/*") if path.is_file()}
    whole = other.read_bytes() if other.is_file() else b""
    arguments = ["generate", "runs/pipe"]
    if command == "run":
        arguments = ["run", "pipe.toml", "--set", "training.steps=30"]
        arguments += ["--set", "training.keep_checkpoints=1"]
    assert name in fails(*arguments)
    assert {
        path: path.read_bytes() for path in folder.glob("other*/**/*") if path.is_file()
    } == before
    assert (other.read_bytes() if other.is_file() else b"") == whole


def test_a_lock_that_is_a_link_is_not_opened(folder: Path, fails: Fails) -> None:
    (folder / "mine.txt").write_text("dear")
    (folder / "runs" / "pipe").mkdir(parents=True)
    (folder / "runs" / "pipe" / "run.lock").symlink_to(folder / "mine.txt")
    assert "run.lock" in fails("run", "pipe.toml")
    assert (folder / "mine.txt").read_text() == "dear"


def test_a_link_is_not_written_through_in_another_folder_either(folder: Path, fails: Fails) -> None:
    assert main(["run", "pipe.toml", "-q"]) == 0
    (folder / "out").mkdir()
    (folder / "mine.txt").write_text("dear")
    (folder / "out" / "generated.jsonl").symlink_to(folder / "mine.txt")
    assert "generated.jsonl" in fails("generate", "runs/pipe", "--out", "out")
    assert (folder / "mine.txt").read_text() == "dear"


@pytest.mark.parametrize("name", ["../../piece", "/tmp/piece", ".piece", "", "a\nb", "x" * 300])
def test_a_name_leads_into_no_other_folder(folder: Path, name: str) -> None:
    assert main(["train", "pipe.toml", "-q"]) == 0
    ended = run_command("generate", "runs/pipe", "--name", name)
    assert ended.status == 2
    assert "--name" in ended.err
    assert not (folder / "runs" / "pipe" / "samples").exists()
