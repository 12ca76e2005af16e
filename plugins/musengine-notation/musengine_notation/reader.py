"""Files of notated music, through music21: MusicXML, Humdrum and ABC."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version

from musengine.api import Item, NoSettings, Piece, Reader
from musengine.errors import UnreadableError
from musengine_notation.abc import MAX_BYTES, tunes_of, with_unit_length
from musengine_notation.musicxml import musicxml_text
from musengine_notation.stream import scores_in

_LARGEST_METER = 255
"""Numbers in a meter beyond what MIDI can write keep music21 busy for hours."""
_METERS = re.compile(r"(?:^M:|\[M:|(?:^|\t)\*M|<beats>|<beat-type>)([^\n\t<\]%]*)", re.MULTILINE)
"""Meters in ABC, Humdrum and MusicXML."""


class NotationReader(Reader[NoSettings]):
    """Reads `.musicxml`, `.xml`, `.mxl`, `.krn` and `.abc` files as scores."""

    def library(self) -> str:
        """Return the version of music21."""
        return f"music21 {version('music21')}"

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the scores of one file; a book of ABC tunes holds many.

        A tune of a book that cannot be read is left out; the warnings of the first piece name it.

        Raises:
            UnreadableError: damaged, too large, not of the format its name says, or without notes.
        """
        suffix = item.path.suffix.lower()
        if suffix == ".abc":
            tunes = tunes_of(item.read_text(MAX_BYTES))
            many = len(tunes) > 1
            texts = {f"#{tune.place}" if many else "": tune.text for tune in tunes}
            labels = [tune.label for tune in tunes]
            return _pieces(item, texts, "abc", "ABC", labels)
        if suffix == ".krn":
            return _pieces(item, {"": _humdrum_text(item)}, "humdrum", "Humdrum", [""])
        text = musicxml_text(item.read_bytes(MAX_BYTES))
        return _pieces(item, {"": text}, "musicxml", "MusicXML", [""])


def _pieces(
    item: Item, texts: Mapping[str, str], format_: str, shown: str, labels: list[str]
) -> list[Piece]:
    from music21 import converter

    pieces, left_out = [], []
    for (ending, text), label in zip(texts.items(), labels, strict=True):
        try:
            _check_meters(text)
            whole = _tune_text(text) if format_ == "abc" else text
            scores = scores_in(functools.partial(converter.parseData, whole, format=format_))
        except UnreadableError as error:
            left_out.append(f"{label} is left out: {error}" if len(texts) > 1 else str(error))
        else:
            score = next(filter(len, scores))
            pieces.append(Piece(f"{item.id}{ending}", score, item.style, format=shown))
    if not pieces:
        raise UnreadableError(left_out[0] if left_out else "no tunes in it")
    first = Piece(pieces[0].id, pieces[0].content, item.style, None, tuple(left_out), shown)
    return [first, *pieces[1:]]


def _tune_text(text: str) -> str:
    # Without a key it is no tune, but music21 takes the letters of any words for notes.
    if not re.search("^K:", text, re.MULTILINE):
        raise UnreadableError("no ABC tune: no line begins with K:")
    return with_unit_length(text)


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
