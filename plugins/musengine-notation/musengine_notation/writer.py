"""MusicXML files out."""

from __future__ import annotations

from pathlib import Path

from musengine.api import NoSettings, Score, Writable, Writer
from musengine_notation.written.document import to_musicxml


class MusicXmlWriter(Writer[NoSettings]):
    """Writes a Score as notated music that notation programs open."""

    @property
    def suffix(self) -> str:
        """`.musicxml`."""
        return ".musicxml"

    def write(self, content: Writable, path: Path) -> None:
        """Write a MusicXML 4.0 file.

        Raises:
            UnwritableError: no notes, or more bars or notes than anyone reads.
        """
        if not isinstance(content, Score):
            raise TypeError("notated music is made of scores")
        path.write_text(to_musicxml(content), encoding="utf-8")
