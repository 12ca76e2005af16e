"""A small corpus and pipeline for things that go wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from warm import Warm

PIPELINE = """
[corpus]
path = "tunes.json"

[encoder]
step = "1 beat"
lowest = 60
highest = 72

[model]
type = "lstm3"
layers = [8]

[training]
steps = 12
batch_size = 4
sequence_length = 8
checkpoint_every = 6
threads = 1

[generate]
count = 1
length = "8 steps"
prompt_length = "4 steps"
"""

Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(workplace: Path) -> Path:
    """A working directory with six tunes and a pipeline."""
    pytest.importorskip("musengine_lstm3")
    tune = [[60 + t % 5, 67] for t in range(40)]
    tunes = {"train": [tune] * 5, "valid": [tune]}
    (workplace / "tunes.json").write_text(json.dumps(tunes))
    (workplace / "pipe.toml").write_text(PIPELINE)
    return workplace


@pytest.fixture
def musengine(folder: Path) -> Call:
    """Run the command line in a process of its own, as a user does."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "musengine", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)

    return call


@pytest.fixture
def fails(folder: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Call the command line in this process; it must end with one error line and status 1."""
    from musengine.cli.main import main

    def call(*arguments: str) -> str:
        capfd.readouterr()
        status = main(arguments)
        out, err = capfd.readouterr()
        errors = [line for line in err.splitlines() if line.startswith("error: ")]
        assert status == 1, err
        assert out == ""
        assert "Traceback" not in err
        assert len(errors) == 1, err
        assert err.splitlines()[-1] == errors[0] or "skipped" in err
        return errors[0]

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where a finished run is kept."""
    return {}


@pytest.fixture
def run(folder: Path, trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a finished run in the working directory, made once."""
    from musengine.cli.main import main

    if "run" not in trained:
        assert main(["run", "pipe.toml", "-q"]) == 0
        trained["run"] = tmp_path_factory.mktemp("kept") / "pipe"
        shutil.copytree(folder / "runs" / "pipe", trained["run"])
    else:
        shutil.copytree(trained["run"], folder / "runs" / "pipe")
        text = (folder / "runs/pipe/pipeline.toml").read_text()
        (line,) = (line for line in text.splitlines() if "tunes.json" in line)
        text = text.replace(line, f'    "{folder / "tunes.json"}",')
        (folder / "runs/pipe/pipeline.toml").write_text(text)
    return folder / "runs" / "pipe"


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Call the command line in a process of its own, forked from one that has imported all."""
    # Without the sounds of instruments a report, of which each run writes one, takes no time.
    process = Warm(tmp_path_factory.mktemp("cache"), {"MUSENGINE_SOUNDFONT": "none"})
    yield process
    process.close()
