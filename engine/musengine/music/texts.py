"""Texts at places of a Score: its title, chord symbols, and marks such as `Chorus`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

TextKind = Literal["title", "chord", "marker"]

MAX_TEXTS = 2**16
"""Of a score; those after them are left out."""
MAX_CHARACTERS = 1000
"""Of a text; those after them are left out."""

_ROOT = r"([A-G])([#b♯♭]?)"
_QUALITY = r"(?:maj|min|dim|aug|sus|add|alt|omit|no|[mMo0-9+°øØΔ^#b(),-]|/(?=[0-9]))*"
_CHORD = re.compile(rf"{_ROOT}({_QUALITY})(?:/{_ROOT})?")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ROOTS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


class TextEvent(NamedTuple):
    """A text, which never sounds.

    Attributes:
        tick: from the start.
        kind: a `title` of the piece, at tick 0; a `chord` symbol; any other `marker`.
        text: of one character to `MAX_CHARACTERS`.
    """

    tick: int
    kind: TextKind
    text: str


class ChordSymbol(NamedTuple):
    """A chord symbol such as `F#m7/C#`.

    Attributes:
        root: the letter and `#`, `b` or nothing.
        quality: what stands behind it.
        bass: as `root`; empty where none is given.
    """

    root: str
    quality: str
    bass: str = ""

    def __str__(self) -> str:
        return f"{self.root}{self.quality}" + (f"/{self.bass}" if self.bass else "")


def chord_symbol(text: str) -> ChordSymbol | None:
    """Return the parts of a chord symbol, None for other texts."""
    match = _CHORD.fullmatch(text)
    if match is None:
        return None
    plain = [(each or "").replace("♯", "#").replace("♭", "b") for each in match.groups()]
    return ChordSymbol(plain[0] + plain[1], plain[2], plain[3] + plain[4])


def text_at(tick: int, text: str) -> TextEvent:
    """Return a text of the kind that it looks like: a chord symbol, else a marker."""
    return TextEvent(tick, "marker" if chord_symbol(text) is None else "chord", text)


def in_order(texts: Iterable[TextEvent]) -> tuple[TextEvent, ...]:
    """Return texts as a Score has them: by tick, a title first, each once, none empty, bounded."""
    kept: dict[TextEvent, None] = {}
    for each in texts:
        # Bounded, as files hold whole books of text. Stripped twice: the cut may leave blanks at
        # the end.
        text = each.text.strip()[:MAX_CHARACTERS].strip()
        if text:
            kept[each if text == each.text else each._replace(text=text)] = None
    return tuple(sorted(kept, key=_place)[:MAX_TEXTS])


def _place(text: TextEvent) -> tuple[int, bool]:
    return text.tick, text.kind != "title"


def transpose_chord(text: str, semitones: int) -> str:
    """Return a chord symbol with its root and bass moved; another text as it is."""
    symbol = chord_symbol(text)
    if symbol is None or not semitones % 12:
        return text
    root, bass = (_moved(name, semitones) for name in (symbol.root, symbol.bass))
    return str(symbol._replace(root=root, bass=bass))


def _moved(name: str, semitones: int) -> str:
    if not name:
        return ""
    return _ROOTS[(_STEPS[name[0]] + {"#": 1, "b": -1}.get(name[1:], 0) + semitones) % 12]
