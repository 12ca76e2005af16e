"""A Piece of a corpus: a Score, or a Text, with what is known of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from musengine.music.score import Score

SplitName = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Text:
    """Music as text: the text itself and its notation (`abc`, `text-roll`, or plain)."""

    text: str
    notation: str = "plain"

    def fingerprint(self) -> str:
        """Return a hash: equal texts have equal fingerprints."""
        return hashlib.sha256(f"{self.notation}\n{self.text}".encode()).hexdigest()

    def notes_fingerprint(self) -> str:
        """Return a hash by which copies are recognised: blanks do not count."""
        bare = "".join(self.text.split())
        return hashlib.sha256(f"{self.notation}\n{bare}".encode()).hexdigest()


@dataclass(frozen=True)
class Piece:
    """One piece of a corpus.

    Attributes:
        id: stable name, unique in its corpus: the path within the source, `#N` added where a file
            holds several.
        content: a Score or a Text.
        style: a word for the kind of music (a folder's name), empty if unknown.
        part: the official split it belongs to, if its source has one.
        warnings: what was odd about it, a line each.
        format: what kind of file it was read from, such as `MIDI format 1`.
    """

    id: str
    content: Score | Text
    style: str = ""
    part: SplitName | None = None
    warnings: tuple[str, ...] = field(default=())
    format: str = ""
