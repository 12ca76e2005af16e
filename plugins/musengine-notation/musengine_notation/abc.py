"""Books of ABC tunes: one text, many tunes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from musengine.api import Item, NoSettings, Piece, Reader, Text
from musengine.errors import UnreadableError

MAX_BYTES = 16 * 2**20
MAX_TUNES = 100_000

_TUNE = re.compile(r"^X:", re.MULTILINE)
_DEFAULT = re.compile(r"[A-Za-z]:|%%")
_TITLE = re.compile(r"^T:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_NUMBER = re.compile(r"X:[ \t]*([^\s%]*)")


@dataclass(frozen=True)
class Tune:
    """One tune of a book: its text, from its `X:` line on, and where in the book it stands."""

    text: str
    place: int

    @property
    def label(self) -> str:
        """The tune as a warning names it: `tune #3 (X:17, Nancy)`."""
        words = [f"X:{match[1]}" for match in [_NUMBER.match(self.text)] if match]
        words += [match[1] for match in [_TITLE.search(self.text)] if match and match[1]]
        return f"tune #{self.place}" + (f" ({', '.join(words)})" if words else "")


class AbcTextReader(Reader[NoSettings]):
    """Reads `.abc` files as a Text for each tune."""

    def read(self, item: Item) -> Iterable[Piece]:
        """Return the tunes of one file as they are written.

        Raises:
            UnreadableError: empty, too large or not UTF-8.
        """
        tunes = tunes_of(item.read_text(MAX_BYTES))
        if not tunes:
            raise UnreadableError("the file is empty")
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


def tunes_of(text: str) -> list[Tune]:
    """Return the tunes of a book, each with the fields that the book's own header gives to all.

    A tune goes from one line that begins with `X:` to the next; a text without such a line is one
    tune. Fields and directives before the first tune are laid into each, after its number and
    title and before its own fields, which count in place of them. Blank lines and comments at a
    tune's end are left out; text after a blank line, which is no music, as well.

    Raises:
        UnreadableError: more tunes than are read from one file.
    """
    starts = [match.start() for match in _TUNE.finditer(text)]
    if len(starts) > MAX_TUNES:
        raise UnreadableError(f"{len(starts)} tunes are more than the {MAX_TUNES} a book may have")
    if not starts:
        return [Tune(text.strip("\n") + "\n", 0)] if text.strip() else []
    header = [line for line in text[: starts[0]].split("\n") if _DEFAULT.match(line)]
    bounds = [*starts, len(text)]
    return [
        Tune(_with_header(_music(text[start:stop]), header), place)
        for place, (start, stop) in enumerate(itertools.pairwise(bounds))
    ]


def _music(text: str) -> str:
    """Return a tune's text up to the blank line that ends it; one before its key ends nothing."""
    lines = text.split("\n")
    body = next((place for place, line in enumerate(lines) if line.startswith("K:")), len(lines))
    end = next((n for n in range(body + 1, len(lines)) if not lines[n].strip()), len(lines))
    return "\n".join(line for line in lines[:end] if line.strip()) + "\n"


def _with_header(text: str, header: list[str]) -> str:
    if not header:
        return text
    lines = text.split("\n")
    after = next((n for n, line in enumerate(lines) if not line.startswith(("X:", "T:"))), 1)
    return "\n".join([*lines[:after], *header, *lines[after:]])


def with_unit_length(text: str) -> str:
    """Return a tune that says how long a note is: an eighth where it gives no meter either."""
    return text if re.search("^[LM]:", text, re.MULTILINE) else _with_header(text, ["L:1/8"])
