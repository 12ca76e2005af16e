"""The corpora inside the music21 package, read without its pickled cache."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from musengine.api import Item, Piece, Reader
from musengine.errors import UserError, did_you_mean
from musengine_notation.abc.reader import AbcReader
from musengine_notation.abc.text import AbcTextReader
from musengine_notation.checks import refuse_faulty
from musengine_notation.config import AbcConfig, NotationConfig
from musengine_notation.reader import NotationReader
from musengine_notation.stream import faults_of, scores_in

CHORALES = "bach-chorales"
NOTICE = (
    "music21's corpus carries its own terms, some works for non-commercial use only: "
    "see license.txt in the package's corpus folder"
)


class Music21CorpusReader(Reader[NotationConfig]):
    """Reads works of music21's corpus: `bach-chorales`, or any of its folders."""

    def expand(self, name: str) -> list[Item]:
        """Return the works of a corpus, sorted by name.

        Raises:
            UserError: no such corpus; names the nearest and all there are.
        """
        from music21.corpus.corpora import CoreCorpus

        paths: list[Path] = [Path(path) for path in CoreCorpus().getPaths()]
        folders: dict[str, list[Path]] = {}
        for path in paths:
            folders.setdefault(_folder(path), []).append(path)
        folders[CHORALES] = _chorales(folders.get("bach", []))
        if name not in folders:
            near = did_you_mean(name, folders)
            raise UserError(
                f"music21 has no corpus {name!r}; there are: {', '.join(sorted(folders))}{near}"
            )
        chosen = sorted(folders[name], key=lambda path: path.name)
        return [Item(path, f"music21:{_inside(path)}", _folder(path)) for path in chosen]

    def library(self) -> str:
        """Return the version of music21."""
        return f"music21 {version('music21')}"

    def notice(self, items: list[Item]) -> str:
        """Return where the corpus's terms stand."""
        return NOTICE

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the scores of one work; a book of tunes holds many.

        Raises:
            UnreadableError: it cannot be parsed, it holds no notes, or with `strict` it is not
                understood in full.
        """
        suffix = item.path.suffix.lower()
        if suffix == ".abc":
            return AbcReader(AbcConfig(strict=self.config.strict)).read(item)
        if suffix in (".xml", ".mxl", ".musicxml", ".krn"):
            return NotationReader(self.config).read(item)
        return self._through_music21(item)

    def _through_music21(self, item: Item) -> list[Piece]:
        from music21 import converter

        # Never music21's own cache, which is a pickle in a folder that others may write.
        found = scores_in(lambda: converter.parse(item.path, forceSource=True, storePickle=False))
        pieces = []
        for place, each in enumerate(found):
            faults = faults_of(each)
            if faults and self.config.strict:
                refuse_faulty(faults)
            if len(each.score):
                name = f"{item.id}#{place}" if len(found) > 1 else item.id
                pieces.append(Piece(name, each.score, item.style, warnings=tuple(faults)))
        return pieces


class Music21TunesReader(AbcTextReader):
    """Reads the books of tunes of music21's corpus as they are written, a Text for each tune."""

    def expand(self, name: str) -> list[Item]:
        """Return the books of a folder of the corpus, sorted by name.

        Raises:
            UserError: no such folder, or there are no tunes in ABC notation in it.
        """
        works = Music21CorpusReader(NotationConfig()).expand(name)
        books = [item for item in works if item.path.suffix.lower() == ".abc"]
        if not books:
            raise UserError(
                f"music21's corpus {name!r} holds no tunes in ABC notation, and nothing else in it "
                "is text; oneills1850, ryansMammoth and airdsAirs are books of tunes"
            )
        return books

    def library(self) -> str:
        """Return the version of music21."""
        return Music21CorpusReader(NotationConfig()).library()

    def notice(self, items: list[Item]) -> str:
        """Return where the corpus's terms stand."""
        return NOTICE


def _inside(path: Path) -> str:
    """The path within the corpus, such as `bach/bwv250.mxl`."""
    parts = path.parts
    return "/".join(parts[len(parts) - parts[::-1].index("corpus") :])


def _folder(path: Path) -> str:
    return _inside(path).split("/")[0]


def _chorales(bach: list[Path]) -> list[Path]:
    """The four-part chorales: the works that music21 lists by their BWV numbers."""
    from music21.corpus import chorales

    catalogue: Any = chorales.ChoraleListRKBWV
    listed = {f"bwv{number}" for number in catalogue().byBWV}
    works: dict[str, Path] = {}
    # A few are there in two encodings: the one that most are in is taken.
    for path in sorted(bach, key=lambda path: (path.suffix != ".mxl", path.name)):
        if path.stem in listed:
            works.setdefault(path.stem, path)
    return list(works.values())
