"""A run killed before any of its file operations goes on with the same command to the same end."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musengine.music.score import Score
from musengine.testing import write_midi
from musengine.training import checkpoint
from musengine.training.checkpoint import map_tensors
from warm import Ended, Warm

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a fork")
ALL = os.environ.get("MUSENGINE_ALL_OPS") == "1"
"""Kill before every operation, not once for each kind of them: some minutes for each family."""

COMMON = """
[corpus]
path = "{music}"
cache = "cache"
valid = 0.2
jobs = 1

{tables}

[training]
steps = 7
batch_size = 4
sequence_length = 8
checkpoint_every = 3
log_every = 2
keep_checkpoints = 1
threads = 1

[generate]
count = 1
length = "{length}"
prompt = "none"
redraw = false
"""

ROLL = """
[encoder]
step = "1 beat"
lowest = 60
highest = 72
"""

FAMILIES = {
    "lstm3": ROLL + '[model]\ntype = "lstm3"\nlayers = [8]',
    "charrnn": '[encoder]\ntype = "text-roll"\nstep = "1 beat"\n'
    '[model]\ntype = "charrnn"\nlayers = 1\nunits = 8\nembedding = 4',
    "biaxial": ROLL.replace("]\n", ']\ntype = "biaxial"\n', 1)
    + '[model]\ntype = "biaxial"\ntime_layers = [4]\nnote_layers = [4]',
    "melody": '[model]\ntype = "melody"\nlayers = [6]',
    "notes": '[model]\ntype = "notes"\nwidth = 16\nhidden = 8\nlayers = 1\nform = false',
    "remi": "[encoder]\nresolution = 4\nlongest = 5\nvelocities = 1\ntempos = 2\n"
    '[model]\ntype = "token-transformer"\nlayers = 1\nunits = 8\nheads = 1\ncontext = 16',
}
"""The tables of encoder and model of a small one of each family."""

BY_THE_CLOCK = 21
"""Operations that a run may have more or fewer than another: the report is written anew after some
seconds, seven operations each time."""

LENGTHS = {"notes": "4 beats", "remi": "16 tokens"}
CONSTANTS = {"notes": {"musengine_notes.form.copying.STEPS": 64}}
"""What would take most of the time, and no file operation."""


def workplace(folder: Path, family: str) -> Path:
    """Make a working directory with tunes and a pipeline."""
    folder.mkdir()
    music = "tunes.json"
    if family in ("melody", "notes", "remi"):
        music = "music"
        for number in range(5):
            pitches = 60 + np.arange(48) * (number + 2) % 7
            score = Score.from_notes(
                np.arange(48) * 24, np.full(48, 20), pitches, ticks_per_beat=24
            )
            write_midi(score, folder / music / f"{number}.mid")
    else:
        tune = [[60 + t % 5, 67] for t in range(40)]
        (folder / music).write_text(json.dumps({"train": [tune] * 5, "valid": [tune]}))
    length = LENGTHS.get(family, "8 steps")
    text = COMMON.format(music=music, tables=FAMILIES[family], length=length)
    if music == "tunes.json":
        text = text.replace("valid = 0.2\n", "")
    (folder / "pipe.toml").write_text(text)
    return folder


def outcome(folder: Path) -> dict[str, object]:
    """Return all that is in a folder: of clocks nothing, of a checkpoint what it holds."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if "listings" in path.parts and not path.name.startswith("."):
            continue  # tells files by their times, and is not written about those that just changed
        if path.is_dir() or path.name in {"report.html", "run.lock"}:
            found[name] = None
        elif path.parent.name == "checkpoints":
            stored = checkpoint.load(path)
            stored.meta["state"].pop("seconds")
            numbers = map_tensors([stored.model, stored.extra], lambda each: each.tolist())
            found[name] = json.dumps([stored.meta, numbers], sort_keys=True)
        elif path.name == "metrics.jsonl":
            records = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{**record, "seconds": None} for record in records]
        else:
            found[name] = path.read_bytes().replace(bytes(folder), b"")
    return found


def kinds(operations: list[str]) -> dict[str, int]:
    """Return the first of each kind of operation: what is done, to a file of what name."""
    first: dict[str, int] = {}
    for number, operation in enumerate(operations):
        what, _, name = operation.partition(" ")
        path = Path(name)
        stem = path.name.lstrip(".").split("-")[0] if "cache" not in path.parts else path.parts[:2]
        first.setdefault(f"{what} {path.parent.name} {path.suffix} {stem}", number)
    return first


def different(operations: list[str], numbers: Iterable[int]) -> list[int]:
    """Return of some operations those before which the files differ: reading changes nothing."""
    changes = 0
    changes_before = []
    for operation in operations:
        changes_before.append(changes)
        changes += not operation.startswith("read ")
    return sorted({changes_before[number]: number for number in sorted(numbers)}.values())


def gone_on(
    run: Callable[..., Ended], folder: Path, operation: int, sure: int, expected: dict[str, object]
) -> str:
    """Kill a run before an operation and give its command again; returns what is wrong then.

    Every run has `sure` operations.
    """
    killed = run(folder, kill_at=operation)
    # Only that the run was over before the last few: see BY_THE_CLOCK.
    assert killed.status == -9 or (killed.status == 0 and operation >= sure), killed
    again = run(folder)
    if again.status != 0:
        return f"ends with status {again.status}: {again.err}"
    left = outcome(folder)
    if more := sorted(left.keys() - expected.keys()):
        return f"left over: {more}"
    differ = sorted(name for name in expected if left.get(name, b"missing") != expected[name])
    return f"not the same: {differ}" if differ else ""


def note(family: str, operations: int, killed: int, wrong: Iterable[str]) -> None:
    """Add a family's row to the table that `MUSENGINE_ALL_OPS_TABLE` names."""
    path = Path(os.environ["MUSENGINE_ALL_OPS_TABLE"])
    table = json.loads(path.read_text()) if path.is_file() else {}
    problems = list(wrong)
    table[family] = {
        "file operations": operations,
        "killed before": killed,
        "same bytes afterwards": killed - len(problems),
        "something left over": sum(each.startswith("left over") for each in problems),
    }
    path.write_text(json.dumps(table, indent=1) + "\n")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_command_ends_in_the_same_files(warm: Warm, tmp_path: Path, family: str) -> None:
    pytest.importorskip(f"musengine_{family}")
    alone = workplace(tmp_path / "alone", family)

    def run(folder: Path, **request: Any) -> Ended:
        constants = CONSTANTS.get(family, {})
        return warm(folder, "run", "pipe.toml", "-q", constants=constants, **request)

    done = run(alone, list_to=str(tmp_path / "operations"))
    assert done.status == 0, done.err
    expected = outcome(alone)
    operations = (tmp_path / "operations").read_text().splitlines()
    assert len(operations) > 100
    wanted = different(operations, range(len(operations)) if ALL else kinds(operations).values())
    wrong = {}
    for number in wanted:
        folder = workplace(tmp_path / "killed", family)
        if problem := gone_on(run, folder, number, len(operations) - BY_THE_CLOCK, expected):
            wrong[f"{number}: {operations[number]}"] = problem
        shutil.rmtree(folder)
    if "MUSENGINE_ALL_OPS_TABLE" in os.environ:
        note(family, len(operations), len(wanted), wrong.values())
    assert wrong == {}, "\n".join(f"{where}: {what}" for where, what in wrong.items())
