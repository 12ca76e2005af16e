"""What several tests of the plugin build: encoders, MIDI files through the core's own reader."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from musengine.api import Item, Score
from musengine.plugins import manager
from musengine.plugins.registry import Component
from musengine_charrnn.config import TextRollConfig
from musengine_charrnn.textroll import TextRoll


def text_roll(**options: Any) -> TextRoll:
    """A text-roll encoder."""
    return TextRoll(TextRollConfig(**options))


def read_midi(path: Path) -> Score:
    """The score of a MIDI file, as a pipeline would read it."""
    entry = manager.load().registry.get("reader", "midi")
    (piece,) = Component(entry, entry.declaration.config()).create().read(Item(path, path.name))
    assert isinstance(piece.content, Score)
    return piece.content


def write_midi(score: Score, path: Path) -> Path:
    """The score as a MIDI file, as a pipeline would write it."""
    entry = manager.load().registry.get("writer", "midi")
    Component(entry, entry.declaration.config()).create().write(score, path)
    return path


def data_folder() -> Path:
    """Where the real music is; skips the test where there is none."""
    beside = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    folder = Path(os.environ.get("MUSENGINE_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set MUSENGINE_DATA")
    return folder


def unpacked(archive: Path, folder: Path) -> list[Path]:
    """All MIDI files of an archive."""
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    with tarfile.open(archive) as tar:
        files = [entry for entry in tar.getmembers() if entry.name.lower().endswith(".mid")]
        tar.extractall(folder, members=files, filter="data")
    return sorted(folder / entry.name for entry in files)
