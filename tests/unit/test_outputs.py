from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from musengine.builtin.midi.writer import MidiWriter
from musengine.config.fields import setting
from musengine.errors import UnwritableError
from musengine.generation.output import DecodedPiece, write_pieces
from musengine.pipeline import compatibility
from musengine.plugins import manager
from musengine.plugins.configs import WriterConfig
from musengine.plugins.declarations import WriterDeclaration
from musengine.plugins.registry import Component, Distribution, Registry, RegistryEntry
from musengine.testing import score_of

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


@dataclass(frozen=True, kw_only=True)
class InkConfig(WriterConfig):
    """A writer that needs ink."""

    drops: int = setting(0, doc="How much of it is left.")

    def lacks(self) -> str:
        return "" if self.drops else "no ink is left: buy some"


@pytest.fixture
def registry() -> Registry:
    """The core's components, a writer with limits and one that may lack something."""
    registry = manager.load_from([]).registry
    target = f"{__name__}:OnlyShort"
    for declaration in (
        WriterDeclaration(name="short", summary="", target=target),
        WriterDeclaration(name="ink", summary="", target=target, config=InkConfig),
    ):
        registry.add(RegistryEntry(declaration, Distribution("here", "1")))
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


def test_a_writer_that_lacks_something_is_told_and_left_out(registry, tmp_path, caplog):
    outputs = chosen(registry, "ink", "midi")
    lack = "output 'ink': no ink is left: buy some"
    assert compatibility.lacking(outputs) == {"ink": lack}
    folder = tmp_path / "samples"
    write_pieces([DecodedPiece(TUNE), DecodedPiece(TUNE)], outputs, folder, "piece")
    assert names(folder) == ["piece-001.mid", "piece-002.mid"]
    # One line, however many pieces there are.
    assert caplog.text.count(lack) == 1


def test_a_writer_that_lacks_nothing_is_not_told(registry):
    full = Component(registry.get("writer", "ink"), InkConfig(drops=5))
    assert compatibility.lacking([full, *chosen(registry, "midi")]) == {}
