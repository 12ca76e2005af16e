"""The starter pipelines: found, fine on one's own folder, run; every line of them explained."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path

import pytest
import tomli

from musengine.testing import run_command, score_of, write_midi

TEMPLATES = importlib.resources.files("musengine_charrnn") / "templates"
NAMES = ["charrnn", "charrnn-abc"]


@pytest.fixture
def folder(workplace: Path) -> Path:
    """A working directory with a folder of music of both kinds."""
    (workplace / "my music").mkdir()
    for number in range(5):
        notes = [(k, 1, 60 + (5 * k + number) % 12) for k in range(40)]
        write_midi(score_of(notes, ticks_per_beat=4), workplace / "my music" / f"{number}.mid")
        tune = f"X:{number}\nM:4/4\nL:1/4\nK:C\nCEGc|" + 4 * "cGEC|"
        (workplace / "my music" / f"{number}.abc").write_text(f"{tune}\n")
    return workplace


@pytest.mark.parametrize("name", NAMES)
def test_from_a_folder_to_a_piece(folder: Path, name: str) -> None:
    made = run_command("init", name, "--corpus", "my music", "--out", "mine.toml")
    assert made.status == 0
    assert f"from the template {name} of musengine-charrnn" in made.err
    checked = run_command("check", "mine.toml")
    assert checked.status == 0
    assert "mine.toml: fine: encoder" in checked.err
    few = ["training.steps=2", "model.units=8", "generate.count=1", "generate.length=80 tokens"]
    assert run_command("run", "mine.toml", "--quiet", settings=few).status == 0
    assert (folder / "runs/mine/samples/piece-001.txt").read_text()


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
    # Said above the line, once for each table: where the music is and what a type is chosen for.
    bare = [line.split(" = ")[0] for line in keys if "#" not in line]
    assert set(bare) <= {"path", "type"}
