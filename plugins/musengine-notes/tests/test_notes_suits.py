"""For which music the model proposes itself, and its starter pipelines."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path

import pytest
import tomli

from musengine.api import Score, Track, midi_bytes
from musengine.testing import SURVEYS, run_command, suggested_pipelines
from musengine_notes.config import NotesModelConfig

TEMPLATES = importlib.resources.files("musengine_notes") / "templates"
NAMES = ["notes-band", "notes-chorales", "notes-piano"]


@pytest.mark.parametrize("music", ["chords", "drums", "performances", "tunes"])
def test_what_is_proposed_is_a_pipeline(music: str, tmp_path: Path) -> None:
    suggested = suggested_pipelines(NotesModelConfig, SURVEYS[music], tmp_path)
    assert len(suggested) > 1
    seconds = music == "performances"
    for size, pipeline in suggested:
        assert pipeline.model.name == "notes"
        assert (pipeline.encoder.config.step.unit == "seconds") == seconds  # type: ignore[attr-defined]
        assert 0 < size.fit <= 1
        assert size.steps > 0


def test_it_is_not_made_for_texts() -> None:
    assert NotesModelConfig.suits(SURVEYS["text"]) is None


@pytest.mark.parametrize("name", NAMES)
def test_from_a_folder_to_a_piece(workplace: Path, name: str) -> None:
    (workplace / "mine").mkdir()
    for number in range(4):
        score = Score.from_notes(
            [480 * k for k in range(40)],
            400,
            [60 + (5 * k + number) % 12 for k in range(40)],
            [40 + k for k in range(40)],
            ticks_per_beat=480,
            tracks=[Track("Alto")],
        )
        (workplace / "mine" / f"{number}.mid").write_bytes(midi_bytes(score))
    assert run_command("init", name, "--corpus", "mine", "--out", "my.toml").status == 0
    few = [
        *("training.steps=2", "training.batch_size=2", "model.width=16", "model.hidden=8"),
        *("generate.count=1", "generate.length=20 steps", "corpus.valid=0.3", "corpus.jobs=1"),
        *("sampler.0.copy=0.0", "generate.redraw=false"),
    ]
    done = run_command("run", "my.toml", "--quiet", settings=few)
    assert done.status == 0, done.err
    assert (workplace / "runs/my/samples/piece-001.mid").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_every_line_a_beginner_may_change_says_what_it_does(name: str) -> None:
    text = (TEMPLATES / f"{name}.toml").read_text("utf-8")
    keys = [line for line in text.splitlines() if re.match(r"\w+ = ", line)]
    tables = [
        table
        for part in tomli.loads(text).values()
        for table in (part if isinstance(part, list) else [part])
    ]
    assert len(keys) == sum(map(len, tables))
    bare = [line.split(" = ")[0] for line in keys if "#" not in line]
    assert set(bare) <= {"path", "type"}
