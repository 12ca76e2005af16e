"""The starter pipeline: it is found, passes the check on one's own folder, and runs."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path

import pytest
import tomli
from miditoolkit import Instrument, MidiFile, Note

from musengine.testing import only_plugins, run_command

TEMPLATE = importlib.resources.files("musengine_lstm3") / "templates" / "lstm3.toml"


def write_tune(path: Path, shift: int) -> None:
    """Write 80 beats of broken chords, four notes a beat, as a MIDI file of 480 ticks a beat."""
    file = MidiFile(ticks_per_beat=480)
    piano = Instrument(program=0, is_drum=False, name="piano")
    for step in range(320):
        chord = ((0, 4, 7), (5, 9, 12), (7, 11, 14))[step // 16 % 3]
        pitch = 55 + shift + chord[step % 3]
        piano.notes.append(Note(velocity=80, pitch=pitch, start=step * 120, end=step * 120 + 110))
    file.instruments.append(piano)
    file.dump(str(path))


@pytest.fixture
def folder(workplace: Path) -> Path:
    """A working directory with a folder of music."""
    (workplace / "my tunes").mkdir()
    for shift in range(4):
        write_tune(workplace / "my tunes" / f"{shift}.mid", shift)
    return workplace


@pytest.mark.slow
def test_from_a_folder_of_midi_files_to_a_piece(folder: Path) -> None:
    made = run_command("init", "lstm3", "--corpus", "my tunes", "--out", "mine.toml")
    assert made.status == 0
    assert "from the template lstm3 of musengine-lstm3" in made.err
    assert f"music: 4 files in {folder.resolve() / 'my tunes'}" in made.err
    checked = run_command("check", "mine.toml")
    assert checked.status == 0
    fine = "mine.toml: fine: encoder piano-roll, model lstm3, samplers bernoulli"
    assert checked.err.startswith(fine)
    few = ["training.steps=2", "training.batch_size=2", "corpus.jobs=1"]
    few += ["generate.count=1", "generate.length=24 beats"]
    assert run_command("run", "mine.toml", "--quiet", settings=few).status == 0
    # 24 beats, less what may be silent at the end; a net hardly trained plays almost everywhere.
    piece = MidiFile(str(folder / "runs/mine/samples/piece-001.mid"))
    assert 12 < piece.max_tick / piece.ticks_per_beat < 25


def test_it_is_the_one_offered_where_nothing_else_is_asked_for(folder: Path) -> None:
    with only_plugins("lstm3"):
        assert run_command("init").status == 0
    assert (folder / "lstm3.toml").read_text("utf-8") == TEMPLATE.read_text("utf-8")


def test_every_line_a_beginner_may_change_says_what_it_does() -> None:
    tables = tomli.loads(TEMPLATE.read_text("utf-8"))
    keys = [line for line in TEMPLATE.read_text("utf-8").splitlines() if re.match(r"\w+ = ", line)]
    assert len(keys) == sum(
        len(table)
        for part in tables.values()
        for table in (part if isinstance(part, list) else [part])
    )
    bare = [line for line in keys if "#" not in line]
    # Said once for each table: what a type is chosen for, and where the music is, stand above it.
    assert bare == [
        'path = "my-midi-files"',
        'type = "lstm3"',
        'type = "bernoulli"',
    ]
