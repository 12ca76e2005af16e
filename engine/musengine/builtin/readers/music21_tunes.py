"""The ABC tunes inside the music21 package, as texts."""

from __future__ import annotations

from musengine.builtin.readers.music21_corpus import Music21CorpusReader
from musengine.builtin.readers.text import TextReader
from musengine.errors import UserError
from musengine.interfaces.reader import Item


class Music21TunesReader(TextReader):
    """Reads the books of tunes of music21's corpus as they are written, a Text for each tune."""

    def expand(self, name: str) -> list[Item]:
        """Return the books of a folder of the corpus, sorted by name.

        Raises:
            UserError: no such folder, or there are no tunes in ABC notation in it.
        """
        works = Music21CorpusReader(self.config).expand(name)
        books = [item for item in works if item.path.suffix.lower() == ".abc"]
        if not books:
            raise UserError(
                f"music21's corpus {name!r} holds no tunes in ABC notation, and nothing else in it "
                "is text; oneills1850, ryansMammoth and airdsAirs are books of tunes"
            )
        return books

    def library(self) -> str:
        """Return the version of music21."""
        return Music21CorpusReader(self.config).library()

    def notice(self, items: list[Item]) -> str:
        """Return where the corpus's terms stand."""
        return Music21CorpusReader(self.config).notice(items)
