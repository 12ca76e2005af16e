"""Files of notated music, through music21: MusicXML and Humdrum."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from importlib.metadata import version

from musengine.api import Item, NoSettings, Piece, Reader
from musengine.errors import UnreadableError
from musengine_notation.abc.book import MAX_BYTES
from musengine_notation.musicxml import musicxml_text
from musengine_notation.stream import scores_in

_LARGEST_METER = 255
"""Numbers in a meter beyond what MIDI can write keep music21 busy for hours."""
_METERS = re.compile(r"(?:(?:^|\t)\*M|<beats>|<beat-type>)([^\n\t<\]%]*)", re.MULTILINE)
"""Meters in Humdrum and MusicXML."""


class NotationReader(Reader[NoSettings]):
    """Reads `.musicxml`, `.xml`, `.mxl` and `.krn` files as scores."""

    def library(self) -> str:
        """Return the version of music21."""
        return f"music21 {version('music21')}"

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the score of one file.

        Raises:
            UnreadableError: damaged, too large, not of the format its name says, or without notes.
        """
        if item.path.suffix.lower() == ".krn":
            return _pieces(item, _humdrum_text(item), "humdrum", "Humdrum")
        return _pieces(item, musicxml_text(item.read_bytes(MAX_BYTES)), "musicxml", "MusicXML")


def _pieces(item: Item, text: str, format_: str, shown: str) -> list[Piece]:
    from music21 import converter

    _check_meters(text)
    scores = scores_in(functools.partial(converter.parseData, text, format=format_))
    return [Piece(item.id, next(filter(len, scores)), item.style, format=shown)]


def _check_meters(text: str) -> None:
    for meter in _METERS.findall(text):
        if any(len(n) > 4 or int(n) > _LARGEST_METER for n in re.findall("[0-9]+", meter)):
            raise UnreadableError(f"a meter of {meter.strip()[:40]} is not read")


def _humdrum_text(item: Item) -> str:
    # What is not UTF-8 is of the years before it; no byte of Latin-1 is wrong.
    try:
        text = item.read_text(MAX_BYTES)
    except UnreadableError:
        text = item.read_bytes(MAX_BYTES).decode("latin-1").replace("\r\n", "\n")
    if "**kern" not in text:
        raise UnreadableError("not a Humdrum file with notes: no **kern in it")
    return text
