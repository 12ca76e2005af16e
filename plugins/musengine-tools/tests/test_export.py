"""What `musengine export` writes is a whole distribution: built, installed and generated from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli

from musengine.testing import run_command

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
length = "8 steps"
prompt_length = "4 steps"
"""


@pytest.fixture
def run(workplace: Path) -> Path:
    tune = [[60 + t % 5, 67] for t in range(40)]
    (workplace / "tunes.json").write_text(json.dumps({"train": [tune] * 5, "valid": [tune]}))
    (workplace / "pipe.toml").write_text(PIPELINE)
    assert run_command("run", "pipe.toml", "-q").status == 0
    return workplace / "runs" / "pipe"


def pip(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def python(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", "musengine", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_wheel_of_it_installs_and_makes_pieces(run: Path, workplace: Path) -> None:
    pytest.importorskip("hatchling")
    words = ("export", "pipe", "two-notes", "--licence", "CC0-1.0", "--trained-on", "five tunes")
    done = run_command(*words)
    assert done.status == 0, done.err
    offline = ("--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check")
    pip("wheel", "-q", *offline, "-w", "wheels", "./musengine-two-notes")
    (wheel,) = (workplace / "wheels").iterdir()
    pip("install", "-q", *offline[1:], "--target", "site", str(wheel))
    site = workplace / "site"
    listed = python(site, "plugins").stdout
    assert "trained: two-notes (five tunes; CC0-1.0, 0.0 MB)" in listed
    checked = python(site, "check-plugin", "two-notes")
    assert (checked.returncode, "trained two-notes: fine" in checked.stderr) == (0, True)
    made = python(site, "generate", "two-notes", "--count", "1")
    assert made.returncode == 0, made.stderr
    assert (workplace / "two-notes" / "piece-001.mid").is_file()


def test_the_metadata_and_the_card_say_what_it_is(run: Path, workplace: Path) -> None:
    words = ("export", "runs/pipe", "two-notes", "--licence", "CC0-1.0", "--prompts", "1")
    assert run_command(*words, "-q") == (0, "", "")
    made = workplace / "musengine-two-notes"
    project = tomli.loads((made / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["dependencies"] == ["musengine>=0.1.0"]
    assert project["license"] == {"text": "CC0-1.0"}
    assert project["entry-points"] == {"musengine": {"two-notes": "musengine_two_notes.plugin"}}
    card = (made / "musengine_two_notes" / "two-notes" / "model-card.md").read_text("utf-8")
    assert card == (made / "README.md").read_text("utf-8")
    assert "# two-notes\n\nTrained on tunes\n" in card
    assert "Pieces: 5 train, 1 valid." in card
    assert "The beginnings of 1 pieces that were held out are in it" in card
    nats = json.loads((run / "evaluation.json").read_text())["valid"]["nats_per_note"]
    assert f"| valid | 1 | nats per note | {nats:.4g} |" in card
    assert "2 pieces; 0 of them empty or stuck" in card
    assert str(workplace) not in "".join(
        path.read_text("latin-1") for path in made.rglob("*") if path.is_file()
    )


def test_models_go_into_a_package_that_is_there(run: Path, workplace: Path) -> None:
    from musengine_tools.export.distribution import ModelToShare, write_models

    home = workplace / "musengine_ours"
    home.mkdir()
    model = ModelToShare(
        run=run, name="two", summary="Two notes", trained_on="tunes", licence="MIT", remarks="Dull."
    )
    write_models([model], home)
    (home / "two" / "left-over").touch()
    write_models([model], home)
    assert not (home / "two" / "left-over").exists()
    card = (home / "two" / "model-card.md").read_text("utf-8")
    assert "## What it sounds like\n\nDull.\n" in card
    assert 'target="musengine_ours:two"' in (home / "plugin.py").read_text("utf-8")
    pieces = {path.name for path in (home / "two" / "samples").glob("piece-*")}
    assert pieces == {f"piece-00{number}.mid" for number in range(1, 5)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("pipe", "Two"), "must be of small letters, digits and hyphens"),
        (("pipe", "../two"), "must be of small letters, digits and hyphens"),
        (("pipe", "two", "--prompts", "-1"), "expected 0 to 4096"),
        (("pipe", "two", "--summary", "a\nb"), "--summary must be one line"),
        (("pipo", "two"), "did you mean 'pipe'?"),
        (("pipe", "two", "--out", "runs"), "runs exists already"),
    ],
)
def test_what_cannot_be_written(run: Path, words: tuple[str, ...], message: str) -> None:
    done = run_command("export", *words, "--licence", "MIT")
    assert done.status == 1
    assert message in done.err
    assert not list(Path().glob("musengine-*"))


def test_the_kit_finds_what_is_amiss(run: Path, workplace: Path) -> None:
    from musengine.testing.conformance import check_trained

    assert run_command("export", "pipe", "two", "--licence", "MIT", "-q").status == 0
    folder = workplace / "musengine-two" / "musengine_two" / "two"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert check_trained(folder, size) == []
    (wrong,) = check_trained(folder, 2 * size)
    assert f"says {2 * size:,} bytes, its files have {size:,}" in str(wrong)
    card = (folder / "model-card.md").read_text("utf-8")
    (folder / "model-card.md").write_text(card.partition("## Figures")[0], "utf-8")
    assert [str(each) for each in check_trained(folder)] == [
        "card: model-card.md says nothing under '## Figures'",
        "card: model-card.md says nothing under '## Made with'",
    ]
    (folder / "model-card.md").unlink()
    next((folder / "checkpoints").iterdir()).unlink()
    assert [each.check for each in check_trained(folder)] == ["card", "piece"]
