"""Humdrum files: their text, and what can be known of it without reading its music."""

from __future__ import annotations

import re
from itertools import groupby

from musengine.api import Item, TextEvent
from musengine.errors import UnreadableError
from musengine_notation.abc.book import MAX_BYTES

_LARGEST_METER = 255
"""Numbers in a meter beyond what MIDI can write keep music21 busy for hours."""
_METERS = re.compile(r"(?:^|\t)\*M([^\n\t%]*)", re.MULTILINE)
_BAR = re.compile(r"=+(\d+)")
_TITLE = re.compile(r"^!!!OTL[^:\n]*:[ \t]*(\S[^\n]*)$", re.MULTILINE)
MAX_TITLE = 1000
"""Characters."""
_NOTE = re.compile(r"(?:^|[^A-Ga-g])[A-Ga-g]")


def humdrum_text(item: Item) -> str:
    """Return the text of a Humdrum file with notes.

    Raises:
        UnreadableError: none of its columns are notes, it is too large, or a meter is.
    """
    # What is not UTF-8 is of the years before it; no byte of Latin-1 is wrong.
    try:
        text = item.read_text(MAX_BYTES)
    except UnreadableError:
        text = item.read_bytes(MAX_BYTES).decode("latin-1").replace("\r\n", "\n")
    if "**kern" not in text:
        raise UnreadableError("not a Humdrum file with notes: no **kern in it")
    for meter in _METERS.findall(text):
        if any(len(n) > 4 or int(n) > _LARGEST_METER for n in re.findall("[0-9]+", meter)):
            raise UnreadableError(f"a meter of {meter.strip()[:40]} is not read")
    return text


def lines_of_bars(text: str) -> dict[str, int]:
    """Return the lines at which bars begin, by their numbers."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if match := _BAR.match(line):
            found.setdefault(match[1], number)
    return found


def titles_in(text: str) -> tuple[TextEvent, ...]:
    """Return the title of a piece, where there is one."""
    found = _TITLE.search(text)
    return (TextEvent(0, "title", found[1].strip()[:MAX_TITLE]),) if found else ()


def notes_written(text: str) -> int:
    """Return how many notes there are in the columns of `**kern`, without grace notes."""
    kinds: list[str] = []
    count = 0
    for line in text.split("\n"):
        tokens = line.split("\t")
        if line.startswith("**"):
            kinds = tokens
        elif line.startswith("*"):
            kinds = _after(kinds, tokens)
        elif line and line[0] not in "!=":
            for kind, token in zip(kinds, tokens, strict=False):
                if kind == "**kern":
                    count += sum(map(_is_note, token.split(" ")))
    return count


def _is_note(token: str) -> bool:
    return _NOTE.search(token) is not None and not {"r", "q", "Q"} & set(token)


def _after(kinds: list[str], tokens: list[str]) -> list[str]:
    """Return what the columns hold after a line that may divide and join them."""
    found: list[str] = []
    pairs = list(zip(kinds, tokens, strict=False))
    for token, group in groupby(pairs, key=lambda pair: pair[1]):
        columns = [kind for kind, _ in group]
        if token == "*^":
            found += [kind for kind in columns for _ in range(2)]
        elif token == "*v":
            found += columns[:1]
        elif token == "*x":
            found += columns[::-1]
        elif token == "*+":
            found += [kind for column in columns for kind in (column, "")]
        elif token.startswith("**"):
            found += [token] * len(columns)
        elif token != "*-":
            found += columns
    return found
