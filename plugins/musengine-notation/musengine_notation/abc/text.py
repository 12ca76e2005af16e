"""ABC tunes as they are written."""

from __future__ import annotations

from collections.abc import Iterable

from musengine.api import Item, NoSettings, Piece, Reader, Text
from musengine.errors import UnreadableError
from musengine_notation.abc.book import encoding_told, read_book, tunes_of


class AbcTextReader(Reader[NoSettings]):
    """Reads `.abc` files as a Text for each tune."""

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the tunes of one file as they are written.

        Raises:
            UnreadableError: empty, too large or UTF-16.
        """
        text, encoding = read_book(item)
        tunes = tunes_of(text)
        if not tunes:
            raise UnreadableError("the file is empty")
        many = len(tunes) > 1
        return [
            Piece(
                f"{item.id}#{tune.place}" if many else item.id,
                Text(tune.text, "abc"),
                item.style,
                warnings=encoding_told(tune, encoding),
                format="ABC",
            )
            for tune in tunes
        ]
