"""The pieces of a page: each a section with its roll, what is known of it, and its MIDI file."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from musengine.api import Score, counted, midi_bytes, pitch_name
from musengine_media.page.engraving import Engraver
from musengine_media.page.markup import Child, Markup, element, table
from musengine_media.page.roll import parts_of, roll_svg, score_data


@dataclass(frozen=True)
class PagePiece:
    """A piece to listen to.

    Attributes:
        title: what it is called.
        score: its music.
        midi: its MIDI file, made of the score where there is none.
        file_name: what that is called when it is saved.
        remarks: a line each of what is to be known of it.
        prompt_seconds: how long its beginning was given to the model; 0 for none of it.
        statistics: of each figure its name, its value, and the range of the training music.
        beside: music to be heard beside it, and what that is.
        hidden: whether nothing is told of it, and its file is not offered.
    """

    title: str
    score: Score
    midi: bytes = b""
    file_name: str = ""
    remarks: Sequence[Child] = ()
    prompt_seconds: float = 0.0
    statistics: Sequence[tuple[str, str, str]] = ()
    beside: tuple[str, Sequence[PagePiece]] = ("", ())
    hidden: bool = False


MOST_BYTES = 1_800_000
"""What the pieces of one page take at most, but for the first; those that are over are left out."""
MOST_WITH_PICTURES = 1_400_000
"""What they may take for notated music to be added."""


class Shelf:
    """The pieces of one page, as many as fit.

    Args:
        engraver: sets their first pages; None for none.

    Attributes:
        data: what the script needs of each, by the id of its section.
        scores: their music.
    """

    def __init__(self, engraver: Engraver | None = None) -> None:
        self._engraver = engraver
        self.data: dict[str, dict[str, Any]] = {}
        self.scores: list[Score] = []
        self._bytes = 0

    def sections(self, pieces: Iterable[PagePiece]) -> Iterator[Markup]:
        """Yield the sections of some pieces, and a line that says how many did not fit."""
        shown, left_out = [], 0
        for piece in pieces:
            label = f"piece-{len(self.data) + 1}"
            section, data = _section(piece, label), _data_of_all(piece, label)
            size = len(section.encode()) + len(json.dumps(data))
            # The first is shown whatever its size.
            if self.data and self._bytes + size > MOST_BYTES:
                left_out += 1
                continue
            self._bytes += size
            self.data |= data
            self.scores += [piece.score, *(other.score for other in piece.beside[1])]
            shown.append((piece, label, section))
        # Pictures last: they get the room that is left once all pieces are in.
        for piece, label, section in shown:
            picture = self._picture(piece)
            yield _section(piece, label, picture) if picture else section
        if left_out:
            line = f"{counted(left_out, 'more piece')} would make this page too large."
            yield element("p", line, class_="soft")

    def _picture(self, piece: PagePiece) -> Markup | None:
        """Return a piece's first page where there is room for it beside the pieces."""
        if self._engraver is None or self._bytes > MOST_WITH_PICTURES:
            return None
        picture = self._engraver.picture(piece.score, piece.title)
        if picture is None or self._bytes + len(picture) > MOST_WITH_PICTURES:
            return None
        self._bytes += len(picture)
        return picture


def _section(
    piece: PagePiece, label: str, picture: Markup | None = None, heading: str = "h3"
) -> Markup:
    """Return a piece's part of the page; the script adds what it takes to play it."""
    facts = [element("p", each) for each in (_facts(piece.score), *piece.remarks)]
    return element(
        "article",
        element(heading, piece.title, id=f"{label}-title"),
        None if piece.hidden else element("div", facts, class_="facts"),
        element("div", class_="controls"),
        element("div", roll_svg(piece.score, piece.title, piece.prompt_seconds), class_="roll"),
        element("p", None if piece.hidden else _download(piece), class_="files"),
        picture,
        _statistics(piece),
        _beside(piece, label),
        class_="piece",
        id=label,
        aria_labelledby=f"{label}-title",
    )


def _download(piece: PagePiece) -> Markup:
    """Return a link that saves a piece's MIDI file, without any script."""
    midi = base64.b64encode(piece.midi or midi_bytes(piece.score)).decode()
    return element(
        "a",
        "Download as MIDI",
        href=f"data:audio/midi;base64,{midi}",
        download=piece.file_name or f"{piece.title}.mid",
        class_="download",
    )


def _data_of_all(piece: PagePiece, label: str) -> dict[str, dict[str, Any]]:
    """Return what the script needs of a piece and of what stands beside it, by their sections."""
    others = {f"{label}-{n}": _data(other) for n, other in enumerate(piece.beside[1])}
    return {label: _data(piece), **others}


def _data(piece: PagePiece) -> dict[str, Any]:
    """Return what the script needs of a piece."""
    prompt = round(piece.prompt_seconds * 1000)
    return {"title": piece.title, "prompt": prompt, **score_data(piece.score)}


def clock(seconds: float) -> str:
    """Return minutes and seconds as `1:05`."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def _facts(score: Score) -> str:
    told = [clock(float(score.seconds(score.length))), counted(score.n_bars, "bar")]
    told += [counted(len(score), "note"), counted(len(parts_of(score)), "part")]
    pitched = score.pitch[~score.is_drum]
    if len(pitched):
        low, high = int(pitched.min()), int(pitched.max())
        told.append(f"{pitch_name(low)} to {pitch_name(high)}")
    return ", ".join(told)


def _beside(piece: PagePiece, label: str) -> Markup | None:
    title, others = piece.beside
    if not others:
        return None
    sections = (_section(other, f"{label}-{n}", heading="h4") for n, other in enumerate(others))
    return element("details", element("summary", title), sections)


def _statistics(piece: PagePiece) -> Markup | None:
    if not piece.statistics:
        return None
    head = ("figure", "this piece", "training music")
    return element(
        "details",
        element("summary", "Statistics beside the training music"),
        table(head, piece.statistics, f"Statistics of {piece.title}"),
    )
