"""The writer of texts."""

from __future__ import annotations

from pathlib import Path

from musengine.interfaces.writer import Writable, Writer
from musengine.music.piece import Text
from musengine.plugins.configs import NoSettings


class TextWriter(Writer[NoSettings]):
    """Writes the text itself, UTF-8."""

    @property
    def suffix(self) -> str:
        """`.txt`."""
        return ".txt"

    def write(self, content: Writable, path: Path) -> None:
        """Write a text file."""
        if not isinstance(content, Text):
            raise TypeError("the text writer writes Text")
        path.write_text(content.text, encoding="utf-8", newline="\n")
