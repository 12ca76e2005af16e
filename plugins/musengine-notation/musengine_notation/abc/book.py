"""Books of ABC tunes: one file, many tunes."""

from __future__ import annotations

import codecs
import itertools
import re
from dataclasses import dataclass

from musengine.api import Item
from musengine.errors import UnreadableError

MAX_BYTES = 16 * 2**20
MAX_TUNES = 100_000

_TUNE = re.compile(r"^X:", re.MULTILINE)
_DEFAULT = re.compile(r"[A-Za-z]:|%%")
_TITLE = re.compile(r"^T:[ \t]*([^\n]*)", re.MULTILINE)
_NUMBER = re.compile(r"X:[ \t]*([^\s%]*)")
_CHARSET = re.compile(rb"^(?:%%|I:)abc-charset[ \t]+([\w-]{1,20})", re.MULTILINE)
_CHARSETS = re.compile(r"iso8859-\d{1,2}|cp125\d|koi8-r|mac-roman|ascii")
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Tune:
    """One tune of a book: its text, from its `X:` line on, and where in the book it stands.

    Attributes:
        text: with the fields that the book's header gives to all.
        place: from 0.
        lines: the number in the file of each line of the text, from 1.
    """

    text: str
    place: int
    lines: tuple[int, ...] = ()

    @property
    def number(self) -> str:
        """What its `X:` field says."""
        match = _NUMBER.match(self.text)
        return match[1] if match else ""

    @property
    def name(self) -> str:
        """The tune in front of what is said of it: `X:17`, else its place."""
        return f"X:{self.number}" if self.number else f"tune #{self.place}"

    @property
    def label(self) -> str:
        """The tune as a warning names it: `tune #3 (X:17, Nancy)`."""
        words = [f"X:{self.number}"] if self.text.startswith("X:") else []
        words += [match[1].strip() for match in [_TITLE.search(self.text)] if match]
        words = [word for word in words if word]
        return f"tune #{self.place}" + (f" ({', '.join(words)})" if words else "")

    @property
    def numbered_lines(self) -> list[tuple[int, str]]:
        """The lines, each with its number in the file."""
        texts = self.text.split("\n")
        return list(zip(self.lines or range(1, len(texts) + 1), texts, strict=False))


def read_book(item: Item) -> tuple[str, str]:
    """Return the text of a file, and in which encoding it is where that is not UTF-8.

    That is the one that its `abc-charset` names, else Windows-1252, else Latin-1; which all bytes
    are.

    Raises:
        UnreadableError: the file is empty, too large, or UTF-16.
    """
    data = item.read_bytes(MAX_BYTES)
    if data.startswith(_MARKS):
        raise UnreadableError("UTF-16; save it as UTF-8")
    text, encoding = _decoded(data)
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _decoded(data: bytes) -> tuple[str, str]:
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        pass
    named = _CHARSET.search(data)
    if named is not None:
        name = _codec(named[1].decode())
        if _CHARSETS.fullmatch(name):
            return data.decode(name, errors="replace"), name
    try:
        # Most old files were written on Windows; a few bytes stand for nothing in it, and then it
        # is Latin-1.
        return data.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "Latin-1"


def _codec(name: str) -> str:
    try:
        # By its one name, of which `_CHARSETS` allows a few: Python also has codecs that are no
        # charsets.
        return codecs.lookup(name).name
    except LookupError:
        return ""


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
        count = text.strip("\n").count("\n") + 2
        first = len(text) - len(text.lstrip("\n")) + 1
        numbers = tuple(range(first, first + count))
        return [Tune(text.strip("\n") + "\n", 0, numbers)] if text.strip() else []
    header = [
        (number, line)
        for number, line in enumerate(text[: starts[0]].split("\n"), 1)
        if _DEFAULT.match(line)
    ]
    tunes = []
    number = 1 + text.count("\n", 0, starts[0])
    for place, (start, stop) in enumerate(itertools.pairwise([*starts, len(text)])):
        own = text[start:stop]
        lines = _with_header(_music(own, number), header)
        number += own.count("\n")
        written = "\n".join(line for _, line in lines) + "\n"
        tunes.append(Tune(written, place, tuple(number for number, _ in lines)))
    return tunes


def _music(text: str, number: int) -> list[tuple[int, str]]:
    """Return a tune's lines up to the blank one that ends it; one before its key ends nothing."""
    lines = text.split("\n")
    body = next((place for place, line in enumerate(lines) if line.startswith("K:")), len(lines))
    end = next((n for n in range(body + 1, len(lines)) if not lines[n].strip()), len(lines))
    return [(number + n, line) for n, line in enumerate(lines[:end]) if line.strip()]


def _with_header(
    lines: list[tuple[int, str]], header: list[tuple[int, str]]
) -> list[tuple[int, str]]:
    if not header:
        return lines
    after = next((n for n, (_, line) in enumerate(lines) if not line.startswith(("X:", "T:"))), 1)
    return [*lines[:after], *header, *lines[after:]]


def encoding_told(tune: Tune, encoding: str) -> tuple[str, ...]:
    """Return a warning that a book is not UTF-8, for those of its tunes in which it matters."""
    if not encoding or tune.text.isascii():
        return ()
    return (f"{tune.name}: not UTF-8; read as {encoding}",)
