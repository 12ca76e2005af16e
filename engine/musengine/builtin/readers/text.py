"""Texts in, UTF-8."""

from __future__ import annotations

from collections.abc import Iterable

from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item, Reader
from musengine.music.piece import Piece, Text
from musengine.plugins.configs import NoSettings

MAX_BYTES = 16 * 2**20


class TextReader(Reader[NoSettings]):
    """Reads any file as one plain Text."""

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the text of one file.

        Raises:
            UnreadableError: empty, too large or not UTF-8.
        """
        text = item.read_text(MAX_BYTES)
        if not text.strip():
            raise UnreadableError("the file is empty", code="file-empty")
        return [Piece(item.id, Text(text), item.style, format="plain text")]
