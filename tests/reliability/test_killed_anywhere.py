"""A run killed before any of its file operations goes on with the same command to the same end."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from warm import Warm

from musengine.training import checkpoint
from musengine.training.checkpoint import map_tensors

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a fork")
ALL = os.environ.get("MUSENGINE_ALL_OPS") == "1"

PIPELINE = """
[corpus]
path = "tunes.json"
cache = "cache"

[encoder]
step = "1 beat"
lowest = 60
highest = 72

[model]
type = "lstm3"
layers = [8]

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
length = "8 steps"
prompt_length = "4 steps"
"""


def workplace(folder: Path) -> Path:
    """Make a working directory with tunes and a pipeline."""
    folder.mkdir()
    tune = [[60 + t % 5, 67] for t in range(40)]
    (folder / "tunes.json").write_text(json.dumps({"train": [tune] * 5, "valid": [tune]}))
    (folder / "pipe.toml").write_text(PIPELINE)
    return folder


def outcome(folder: Path) -> dict[str, object]:
    """Return all that is in a folder: of clocks nothing, of a checkpoint what it holds."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
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


@pytest.mark.slow
def test_the_same_command_ends_in_the_same_files(warm: Warm, tmp_path: Path) -> None:
    pytest.importorskip("musengine_lstm3")
    alone = workplace(tmp_path / "alone")
    done = warm(alone, "run", "pipe.toml", "-q", list_to=str(tmp_path / "operations"))
    assert done.status == 0, done.err
    expected = outcome(alone)
    operations = (tmp_path / "operations").read_text().splitlines()
    assert len(operations) > 100
    wanted = range(len(operations)) if ALL else sorted(kinds(operations).values())
    wrong = {}
    for number in wanted:
        folder = workplace(tmp_path / "killed")
        killed = warm(folder, "run", "pipe.toml", "-q", kill_at=number)
        assert killed.status == -9, (operations[number], killed)
        again = warm(folder, "run", "pipe.toml", "-q")
        if again.status != 0:
            wrong[operations[number]] = again.err
        elif (left := outcome(folder)) != expected:
            names = sorted(left.keys() ^ expected.keys()) or sorted(
                name for name in left if left[name] != expected[name]
            )
            wrong[operations[number]] = str(names)
        shutil.rmtree(folder)
    assert wrong == {}, "\n".join(f"{where}: {what}" for where, what in wrong.items())
