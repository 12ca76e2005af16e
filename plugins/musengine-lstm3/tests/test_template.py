"""The starter pipeline: it is found, passes the check on one's own folder, and runs."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path

import pytest
import tomli
from miditoolkit import Instrument, MidiFile, Note

from musengine.cli.main import main

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
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a folder of music."""
    (tmp_path / "my tunes").mkdir()
    for shift in range(4):
        write_tune(tmp_path / "my tunes" / f"{shift}.mid", shift)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSENGINE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_from_a_folder_of_midi_files_to_a_piece(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "lstm3", "--corpus", "my tunes", "--out", "mine.toml"]) == 0
    said = capsys.readouterr().err
    assert "from the template lstm3 of musengine-lstm3" in said
    assert f"music: 4 files in {folder.resolve() / 'my tunes'}" in said
    assert main(["check", "mine.toml"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("mine.toml: fine: encoder piano-roll, model lstm3, samplers bernoulli")
    few = ["training.steps=2", "training.batch_size=2", "corpus.jobs=1"]
    few += ["generate.count=1", "generate.length=24 beats"]
    settings = [word for setting in few for word in ("--set", setting)]
    assert main(["run", "mine.toml", "--quiet", *settings]) == 0
    # 24 beats, less what may be silent at the end; a net hardly trained plays almost everywhere.
    piece = MidiFile(str(folder / "runs/mine/samples/piece-001.mid"))
    assert 12 < piece.max_tick / piece.ticks_per_beat < 25


def test_it_is_the_one_offered_where_nothing_else_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSENGINE_PLUGINS", "lstm3")
    from musengine.plugins.manager import load

    load.cache_clear()
    try:
        assert main(["init"]) == 0
    finally:
        load.cache_clear()
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
