"""What the tests of older programs' options share: rows of the page about them, and runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tomli
import torch

from musengine.api import Pipeline, Score, TrainingConfig, load_pipeline
from musengine.testing import CommandResult, create, load_checkpoint, read_midi, run_command

Test = TypeVar("Test", bound=Callable[..., None])
PIPELINES = Path(__file__).resolve().parents[3] / "pipelines"


def row(there: str, here: str) -> Callable[[Test], Test]:
    """Name what a test is about: an option or a feature there, and what does it here.

    `docs/generate.py` makes a row of both and of the test's docstring, which says what it sees, in
    the order of the tests. So what stands on the page is what is tested.
    """
    return lambda test: test


def run(name: str, run_dir: Path, *settings: str, command: str = "run") -> CommandResult:
    """Run one of the pipelines that are ready to run, on one thread; it must end well."""
    words = (command, str(PIPELINES / f"{name}.toml"), "--run-dir", str(run_dir))
    done = run_command(*words, settings=["training.threads=1", "corpus.jobs=1", *settings])
    assert done.status == 0, done.err
    return done


def ready(name: str, *settings: str) -> Pipeline:
    """Return one of the pipelines that are ready to run, its corpus the working directory."""
    return load_pipeline(PIPELINES / f"{name}.toml", ["corpus.path=.", *settings])


def tables(run_dir: Path) -> dict[str, Any]:
    """Return the pipeline that a run was made with, every default written out."""
    return tomli.loads((run_dir / "pipeline.toml").read_text(encoding="utf-8"))


def records(run_dir: Path, key: str) -> list[dict[str, Any]]:
    """Return the lines of a run's log that have a key."""
    lines = (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for line in lines if key in (record := json.loads(line))]


def parts(run_dir: Path) -> dict[str, list[str]]:
    """Return the ids of the pieces of each part."""
    split = json.loads((run_dir / "split.json").read_text(encoding="utf-8"))
    return {part: sorted(pieces) for part, pieces in split["parts"].items()}


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    """Return the last weights of a run."""
    return dict(load_checkpoint(run_dir).model)


def most_moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> float:
    """Return the largest change of any weight."""
    return max(float((after[key] - before[key]).abs().max()) for key in before)


def step_of(optimizer: str, gradient: float, **training: Any) -> float:
    """Return how far a weight moves in an optimizer's first step along a gradient."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    factory = create("optimizer", optimizer, TrainingConfig(**training))
    made = factory.create([{"params": [weight]}])
    weight.grad = torch.tensor([gradient], dtype=torch.float64)
    made.step()
    return float(weight.detach())


def generate(run_dir: Path, out: Path, *settings: str, name: str = "piece") -> list[Score]:
    """Return new pieces of a run, written to a folder of their own."""
    words = ("generate", str(run_dir), "--out", str(out), "--name", name, "--quiet")
    done = run_command(*words, settings=["generate.length=24 steps", *settings])
    assert done.status == 0, done.err
    return [read_midi(path) for path in sorted(out.glob(f"{name}-*.mid"))]


def recorded(run_dir: Path, folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all hidden states and cells that `--record` keeps of a new piece."""
    file = folder / "inside.npz"
    words = ("generate", str(run_dir), "--out", str(folder), "--record", str(file), "--quiet")
    assert run_command(*words, settings=["generate.length=24 steps"]).status == 0
    with np.load(file, allow_pickle=False) as inside:
        kept = [name for name in inside if name.endswith((".hidden", ".cell"))]
        return {name: inside[name].shape for name in kept}
