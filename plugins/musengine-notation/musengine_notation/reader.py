"""Files of notated music: MusicXML, and Humdrum through music21."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version

from musengine.api import Item, Piece, Reader
from musengine_notation.abc.book import MAX_BYTES
from musengine_notation.checks import refuse_faulty
from musengine_notation.config import NotationConfig
from musengine_notation.humdrum import (
    humdrum_text,
    lines_of_bars,
    notes_written,
    titles_in,
)
from musengine_notation.musicxml.score import score_of_root
from musengine_notation.musicxml.text import musicxml_root
from musengine_notation.stream import faults_of, scores_in


class NotationReader(Reader[NotationConfig]):
    """Reads `.musicxml`, `.xml`, `.mxl` and `.krn` files as scores."""

    def library(self) -> str:
        """Return the version of music21, through which Humdrum is read."""
        return f"music21 {version('music21')}"

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the score of one file.

        Raises:
            UnreadableError: damaged, too large, not of the format its name says, without notes, or
                with `strict` not understood in full.
        """
        if item.path.suffix.lower() == ".krn":
            return [self._humdrum(item)]
        score, faults = score_of_root(musicxml_root(item.read_bytes(MAX_BYTES)))
        if self.config.strict:
            refuse_faulty(faults)
        return [Piece(item.id, score, item.style, warnings=tuple(faults), format="MusicXML")]

    def _humdrum(self, item: Item) -> Piece:
        from music21 import converter

        text = humdrum_text(item)
        parse = functools.partial(converter.parseData, text, format="humdrum")
        found = next(each for each in scores_in(parse, lines_of_bars(text)) if len(each.score))
        score = replace(found.score, texts=titles_in(text))
        faults = faults_of(found, notes_written(text))
        if self.config.strict:
            refuse_faulty(faults)
        return Piece(item.id, score, item.style, warnings=tuple(faults), format="Humdrum")
