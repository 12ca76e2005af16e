"""Pictures and arrays of generated pieces in whole runs, with the core's own model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from musengine.testing import CommandResult, run_command

pytest.importorskip("torch")

PIPELINE = """
[corpus]
path = "tunes.json"

[encoder]
step = "1 beat"
lowest = 60
highest = 72

[model]
type = "frequencies"

[generate]
count = 2
length = "16 steps"
prompt_length = "4 steps"
"""


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    """A working directory with a pipeline and a corpus of scales."""
    scale = [[60 + step % 12] for step in range(40)]
    (workplace / "tunes.json").write_text(json.dumps({"train": [scale] * 3, "valid": [scale]}))
    (workplace / "pipe.toml").write_text(PIPELINE)
    return workplace


def run(*settings: str, command: str = "run") -> CommandResult:
    return run_command(command, "pipe.toml", "--quiet", settings=settings)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.stem.startswith("piece-"))


def test_a_piece_is_pictured_where_nothing_else_is_asked_for(folder: Path) -> None:
    pytest.importorskip("torch")
    assert run().status == 0
    samples = folder / "runs/pipe/samples"
    assert names(samples) == [f"piece-00{n}.{kind}" for n in (1, 2) for kind in ("mid", "svg")]
    # The same pipeline and seed draw the same picture.
    first = (samples / "piece-001.svg").read_bytes()
    assert run_command("run", "pipe.toml", "--quiet", "--run-dir", "again").status == 0
    assert (folder / "again/samples/piece-001.svg").read_bytes() == first


def test_probabilities_are_kept_and_pictured(folder: Path) -> None:
    pytest.importorskip("torch")
    assert run(command="train").status == 0
    outputs = 'output=[{type="probabilities"}, {type="heatmap"}, {type="picture", format="png"}]'
    assert run_command("generate", "--quiet", "--out", "made", settings=[outputs]).status == 0
    kinds = ("heatmap.png", "npz", "png")
    assert names(folder / "made") == [f"piece-00{n}.{kind}" for n in (1, 2) for kind in kinds]
    with np.load(folder / "made/piece-001.npz", allow_pickle=False) as arrays:
        assert arrays["probabilities"].shape == arrays["steps"].shape == (16, 13, 1)
        assert arrays["prompt"].shape == (4, 13, 1)
        assert 0 < arrays["probabilities"].min() < arrays["probabilities"].max() < 1
    with Image.open(folder / "made/piece-001.heatmap.png") as image:
        assert image.size == (1200, 900)
    with Image.open(folder / "made/piece-001.png") as image:
        assert image.size == (1200, 420)


@pytest.mark.slow
def test_a_run_leaves_sound_where_that_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MUSENGINE_SOUNDFONT")
    outputs = 'output=[{type="midi"}, {type="wav"}, {type="mp3", rate=22050, kbps=64}]'
    assert run(outputs).status == 0
    samples = folder / "runs/pipe/samples"
    kinds = ("mid", "mp3", "wav")
    assert names(samples) == [f"piece-00{n}.{kind}" for n in (1, 2) for kind in kinds]
    # The same pipeline and seed make the same sound.
    first = [(samples / f"piece-001.{kind}").read_bytes() for kind in kinds]
    done = run_command("run", "pipe.toml", "--quiet", "--run-dir", "again", settings=[outputs])
    assert done.status == 0
    again = [(folder / f"again/samples/piece-001.{kind}").read_bytes() for kind in kinds]
    assert again == first


def test_what_goes_on_inside_is_no_output_of_a_pipeline() -> None:
    done = run('output.0.type="activations-picture"', command="check")
    assert done.status == 1
    told = "'activations-picture' writes activations, but this pipeline makes a score"
    assert told in done.err
