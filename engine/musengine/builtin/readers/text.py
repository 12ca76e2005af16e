"""Texts in: ABC tunes and plain text, UTF-8."""

from __future__ import annotations

from collections.abc import Iterable

from musengine.builtin.readers.abc import MAX_BYTES, read_text, tunes_of
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item, Reader
from musengine.music.score import Piece, Text
from musengine.plugins.declarations import NoSettings


class TextReader(Reader[NoSettings]):
    """Reads `.abc` as a Text for each tune, and any other file as one plain Text."""

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the texts of one file.

        Raises:
            UnreadableError: empty, too large or not UTF-8.
        """
        text = read_text(bounded_bytes(item, MAX_BYTES))
        if not text.strip():
            raise UnreadableError("the file is empty")
        if item.path.suffix.lower() != ".abc":
            return [Piece(item.id, Text(text), item.style, format="plain text")]
        tunes = tunes_of(text)
        many = len(tunes) > 1
        return [
            Piece(
                f"{item.id}#{tune.place}" if many else item.id,
                Text(tune.text, "abc"),
                item.style,
                format="ABC",
            )
            for tune in tunes
        ]


def bounded_bytes(item: Item, limit: int) -> bytes:
    """Return a file's bytes.

    Raises:
        UnreadableError: there are none, or more than the limit.
    """
    with item.path.open("rb") as file:
        data = file.read(limit + 1)
    if not data:
        raise UnreadableError("the file is empty")
    if len(data) > limit:
        raise UnreadableError(f"larger than the {limit} bytes a file may have")
    return data
