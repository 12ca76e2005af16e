"""Encoding that is killed at any moment goes on later and ends with the same shards."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from helpers import write_random_midi

FILES = 120
KILLS = 20

SCRIPT = """
import sys
from pathlib import Path
from musengine.data import encode as encoding
from musengine.pipeline.resolve import load_pipeline
from musengine.plugins import manager
from musengine.data.dataset import prepare, read_corpus

if __name__ == "__main__":
    encoding._CHUNK = 2**19  # many small tasks, so that there is much to be killed amid
    registry = manager.load_from([]).registry
    loaded = load_pipeline(Path("pipeline.toml"), registry, sys.argv[1:])
    print("begun", flush=True)
    dataset = prepare(loaded, read_corpus(loaded, registry), loaded.encoder.create())
    print("done", {part: len(pieces) for part, pieces in dataset.parts.items()}, flush=True)
"""

PIPELINE = """
[corpus]
path = "music"
transpose = "all keys"
jobs = 2

[model]
type = "frequencies"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with tunes, a pipeline and a script that prepares them."""
    write_random_midi(tmp_path / "music", FILES, beats=120, notes=200)
    (tmp_path / "pipeline.toml").write_text(PIPELINE, encoding="utf-8")
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    return tmp_path


def begin(folder: Path, cache: str) -> subprocess.Popen[str]:
    """Start to prepare the corpus; returns as soon as work has begun."""
    process = subprocess.Popen(
        [sys.executable, "script.py", f"corpus.cache={cache}"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a process and of its workers, which hold its output too."""
    return process.communicate(timeout=120)[0]


def shards_in(cache: Path) -> dict[str, bytes]:
    """The shards of a cache by name; files still aside are none."""
    return {
        path.name: path.read_bytes()
        for path in cache.glob("encoded/*/*")
        if not path.name.startswith(".")
    }


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_shards(folder: Path) -> None:
    process = begin(folder, "undisturbed")
    began = time.monotonic()
    told = finish(process)
    duration = time.monotonic() - began
    expected = shards_in(folder / "undisturbed")
    assert told.startswith("done")
    assert len(expected) > 20
    drawn = random.Random(7)
    rounds, kills, amid = 0, 0, 0
    while kills < KILLS:
        # Each round begins with an empty cache and goes on until the work is done.
        cache, whole = f"killed {rounds}", True
        while kills < KILLS:
            process = begin(folder, cache)
            began = time.monotonic()
            try:
                process.wait(drawn.uniform(0, duration))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            finished = finish(process).startswith("done")
            there = shards_in(folder / cache)
            # What is there is whole at every moment.
            assert there.items() <= expected.items()
            amid += 0 < len(there) < len(expected)
            if finished and whole:
                # The machine may be less busy by now; kills after the end are none.
                duration = min(duration, time.monotonic() - began)
            if finished:
                break
            whole = False
        assert finish(begin(folder, cache)) == told
        assert shards_in(folder / cache) == expected
        rounds += 1
    assert amid, "no kill fell amid the encoding"


@pytest.mark.slow
def test_two_at_once_on_one_cache_end_with_the_same_shards_as_one(folder: Path) -> None:
    told = finish(begin(folder, "alone"))
    both = [begin(folder, "shared"), begin(folder, "shared")]
    assert [finish(process) for process in both] == [told, told]
    assert shards_in(folder / "shared") == shards_in(folder / "alone")
