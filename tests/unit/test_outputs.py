from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from helpers import score_of
from musengine.builtin.configs import WavConfig
from musengine.builtin.midi.writer import MidiWriter
from musengine.builtin.writers import soundfonts
from musengine.errors import UnwritableError
from musengine.generation.output import DecodedPiece, write_pieces
from musengine.pipeline import compatibility
from musengine.plugins import manager
from musengine.plugins.declarations import WriterDeclaration
from musengine.plugins.registry import Component, Distribution, Registry, RegistryEntry

TUNE = score_of([(0, 4, 60), (4, 4, 62)])


class OnlyShort(MidiWriter):
    """A writer that has its limits."""

    @property
    def suffix(self) -> str:
        return ".short"

    def write(self, content, path) -> None:
        if len(content) > 1:
            raise UnwritableError("it has more than one note")
        super().write(content, path)


@pytest.fixture
def registry() -> Registry:
    """The core's components and a writer with limits."""
    registry = manager.load_from([]).registry
    limited = WriterDeclaration(name="short", summary="", target=f"{__name__}:OnlyShort")
    registry.add(RegistryEntry(limited, Distribution("here", "1")))
    return registry


def chosen(registry: Registry, *names: str) -> list[Component]:
    entries = [registry.get("writer", name) for name in names]
    return [Component(entry, entry.declaration.config()) for entry in entries]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_writer_that_cannot_write_one_piece_leaves_the_rest_alone(registry, tmp_path, caplog):
    one = replace(TUNE.take([0]), length=4)
    outputs = chosen(registry, "short", "midi")
    written = write_pieces([DecodedPiece(TUNE), DecodedPiece(one)], outputs, tmp_path, "piece")
    assert names(tmp_path) == ["piece-001.mid", "piece-002.mid", "piece-002.short"]
    assert [[path.name for path in piece.files] for piece in written] == [
        ["piece-001.mid"],
        ["piece-002.short", "piece-002.mid"],
    ]
    (record,) = caplog.records
    assert (record.levelname, "piece-001.short" in record.getMessage()) == ("WARNING", True)


def test_a_writer_that_lacks_something_is_told_and_left_out(
    registry, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(soundfonts, "_MUTE", ())
    monkeypatch.delenv(soundfonts.VARIABLE, raising=False)
    monkeypatch.setattr(soundfonts, "places", lambda: iter([tmp_path / "nowhere"]))
    outputs = chosen(registry, "wav", "midi")
    assert compatibility.lacking(outputs) == {"wav": f"output 'wav': {soundfonts.NONE_FOUND}"}
    folder = tmp_path / "samples"
    write_pieces([DecodedPiece(TUNE), DecodedPiece(TUNE)], outputs, folder, "piece")
    assert names(folder) == ["piece-001.mid", "piece-002.mid"]
    # One line, however many pieces there are.
    assert caplog.text.count(soundfonts.NONE_FOUND) == 1


def test_a_writer_that_lacks_nothing_is_not_told(registry, tmp_path, monkeypatch):
    monkeypatch.setattr(soundfonts, "_MUTE", ())
    path = tmp_path / "some.sf2"
    path.write_bytes(b"RIFF\0\0\0\0sfbk")
    named = Component(registry.get("writer", "wav"), WavConfig(soundfont=path))
    assert compatibility.lacking([named, *chosen(registry, "midi", "picture")]) == {}
