"""`musengine generate`: options for people, each short for a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from musengine.testing import run_command, score_of, write_midi

PIPELINE = """
[corpus]
path = "music"
valid = 0.5

[model]
type = "frequencies"

[generate]
count = 1
length = "4 beats"

[[output]]
type = "midi"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run of four bars of scales."""
    folder = tmp_path_factory.mktemp("run")
    for seed in range(4):
        notes = [(2 * k, 2, 60 + (k * (seed + 1)) % 12) for k in range(32)]
        write_midi(score_of(notes, ticks_per_beat=4), folder / "music" / f"{seed}.mid")
    (folder / "pipe.toml").write_text(PIPELINE)
    done = run_command("run", str(folder / "pipe.toml"), "--run-dir", str(folder / "run"))
    assert done.status == 0, done.err
    return folder / "run"


def made(run: Path, folder: Path, *arguments: str) -> tuple[dict[str, Any], list[bytes]]:
    """What generate notes of its last piece, and the files."""
    status, _, err = run_command("generate", str(run), "--out", str(folder), *arguments)
    assert status == 0, err
    record = json.loads((folder / "generated.jsonl").read_text().splitlines()[-1])
    files = sorted(path for path in folder.iterdir() if path.suffix != ".jsonl")
    return record["settings"], [path.read_bytes() for path in files]


def test_options_are_the_keys_they_name(run: Path, tmp_path: Path) -> None:
    short = ["--count", "2", "--length", "8 bars", "--tempo", "90", "--seed", "7"]
    short += ["--key", "F# minor"]
    short += ["--prompt", "corpus", "--prompt-length", "2 beats"]
    keys = {"count": "2", "length": '"8 bars"', "tempo": "90.0", "seed": "7", "key": '"F#m"'}
    keys |= {"prompt": "corpus", "prompt_length": '"2 beats"'}
    long = [part for key, value in keys.items() for part in ("--set", f"generate.{key}={value}")]
    assert made(run, tmp_path / "a", *short) == made(run, tmp_path / "b", *long)


def test_of_an_option_and_its_key_the_later_counts(run: Path, tmp_path: Path) -> None:
    key = ["--set", "generate.tempo=80"]
    assert made(run, tmp_path / "a", *key, "--tempo", "99")[0]["generate"]["tempo"] == 99
    assert made(run, tmp_path / "b", "--tempo", "99", *key)[0]["generate"]["tempo"] == 80


def test_minutes_are_seconds(run: Path, tmp_path: Path) -> None:
    settings, _ = made(run, tmp_path / "a", "--length", "0.1 minutes")
    assert settings["generate"]["length"] == "6 seconds"


def test_the_format_is_a_writer_or_an_ending(run: Path, tmp_path: Path) -> None:
    made(run, tmp_path / "a", "--format", "mid")
    assert [path.suffix for path in (tmp_path / "a").glob("piece*")] == [".mid"]
    status, _, err = run_command("generate", str(run), "--format", "mdi")
    assert status == 1
    assert "did you mean 'mid" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cuont", "3"),
        ("--count", "three"),
        ("--length", "8"),
        ("--tempo", "0"),
        ("--key", "H"),
        ("--temperature", "0"),
        ("a", "b"),
    ],
)
def test_a_mistake_shows_the_usage_of_that_command(arguments: tuple[str, ...]) -> None:
    status, _, err = run_command("generate", *arguments)
    assert status == 2
    assert err.startswith("usage: musengine generate ")
    assert "did you mean '--count'" in err or arguments[0] != "--cuont"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("--infill", "song.mid", "--bars", "1-2"), "infill"),
        (("--instruments", "piano,bass"), "instruments"),
        (("--density", "8"), "density"),
    ],
)
def test_a_model_that_cannot_be_asked_refuses(run: Path, arguments: tuple[str, ...], key: str):
    done = run_command("generate", str(run), *arguments)
    assert done.status == 1
    assert done.err.count("error") == 1
    assert f"[generate] {key}: model 'frequencies' cannot be asked for it" in done.err
