"""Names from outside and outputs that take nothing: said in plain text, never raw, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import write_random_midi
from musengine.cli.main import main
from musengine.testing import run_command
from musengine.utils.files import read_json, write_json

Fails = Callable[..., str]
linux = pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
KEYS = ("--set", "encoder.lowest=21", "--set", "encoder.highest=108")


@linux
def test_a_name_that_is_not_utf_8_is_learned_from_like_any_other(folder: Path) -> None:
    write_random_midi(folder / "music", 4, beats=40, notes=60)
    first = min((folder / "music").iterdir())
    first.rename(os.fsdecode(os.fsencode(folder / "music") + b"/b\xe4d.mid"))
    command = ["run", "pipe.toml", "-q", *KEYS, "--set", "corpus.path=music"]
    assert main(command) == 0
    parts = json.loads((folder / "runs/pipe/split.json").read_text("utf-8"))["parts"]
    assert "b\udce4d.mid" in {name for part in parts.values() for name in part}
    assert main(command) == 0
    assert main([*command, "--set", "training.steps=14"]) == 0


@linux
def test_a_pipeline_cannot_name_it_and_says_so(folder: Path, fails: Fails) -> None:
    write_random_midi(folder / "music", 4, beats=40, notes=60)
    (folder / "music").rename(os.fsdecode(os.fsencode(folder) + b"/m\xfcsic"))
    message = fails("train", "pipe.toml", *KEYS, "--set", "corpus.path=m\udcfcsic")
    assert "is not UTF-8" in message
    assert not (folder / "runs" / "pipe").exists()


def test_json_keeps_such_a_name(tmp_path: Path) -> None:
    write_json(tmp_path / "names.json", {"b\udce4d": "é"})
    assert (tmp_path / "names.json").read_bytes() == '{\n "b\\udce4d": "é"\n}\n'.encode()
    assert read_json(tmp_path / "names.json") == {"b\udce4d": "é"}


RED, SHOWN = "x\x1b[31m\x07\u202e", "x\\x1b[31m\\x07\\u202e"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "pipe.toml", "--set", f"corpus.path={RED}"),
        ("check", "pipe.toml", "--set", f"model.{RED}=1"),
        ("check", RED),
        ("inspect", RED),
        (RED,),
        ("check", "pipe.toml", f"--{RED}"),
    ],
    ids=["a value", "a key", "a pipeline", "a piece", "a command", "an option"],
)
@pytest.mark.usefixtures("folder")
def test_escape_sequences_do_not_reach_the_terminal(arguments: tuple[str, ...]) -> None:
    ended = run_command(*arguments)
    assert ended.status in (1, 2)
    assert SHOWN in ended.err
    assert RED not in ended.out + ended.err


def test_nor_do_those_that_a_plugin_prints(folder: Path) -> None:
    write_random_midi(folder / "music", 1, beats=8, notes=8)
    min((folder / "music").iterdir()).rename(folder / "music" / "x\x1b[31m.mid")
    shown = run_command("inspect", "music")
    assert shown.status == 0
    assert "x\\x1b[31m.mid" in shown.out
    assert "\x1b" not in shown.out


def end_of(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command.replace("musengine", f"'{sys.executable}' -m musengine")],
        cwd=folder, capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip


@linux
@pytest.mark.parametrize("command", ["musengine plugins", "musengine --help", "musengine schema"])
def test_a_full_standard_output_is_one_line(folder: Path, command: str) -> None:
    ended = end_of(f"{command} > /dev/full", folder)
    assert ended.returncode == 1
    assert ended.stderr == "error: cannot write to standard output: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "2>/dev/null"])
def test_a_closed_output_changes_nothing(folder: Path, closed: str) -> None:
    ended = end_of(f"musengine check pipe.toml {closed}", folder)
    assert (ended.returncode, ended.stderr) == (0, "") or "2>" not in closed
    assert "Traceback" not in ended.stderr
    ended = end_of(f"musengine check nothing.toml {closed}", folder)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_an_encoding_that_cannot_hold_a_name(folder: Path) -> None:
    write_random_midi(folder / "music", 1, beats=8, notes=8)
    min((folder / "music").iterdir()).rename(folder / "music" / "dvořák.mid")
    ended = end_of("musengine inspect music", folder, PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    assert "dvo\\u0159\\xe1k.mid" in ended.stdout


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", f"{LONG}.toml"),
        ("train", LONG),
        ("train", "pipe.toml", "--run-dir", LONG),
        ("train", "pipe.toml", "--set", f"corpus.path={LONG}"),
        ("generate", LONG),
        ("inspect", LONG),
        ("convert", LONG, "out.mid"),
    ],
    ids=lambda arguments: " ".join(word[:9] for word in arguments),
)
def test_a_name_that_is_too_long(fails: Fails, arguments: tuple[str, ...]) -> None:
    assert LONG in fails(*arguments)


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use stays there")
def test_a_working_folder_that_is_gone(folder: Path) -> None:
    ended = end_of('mkdir gone && cd gone && rmdir "$PWD" && musengine check pipe.toml', folder)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: the working folder is gone")
    assert len(ended.stderr.splitlines()) == 1
