"""One ABC tune, however it was made: its score, and how full its bars are."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from musengine.api import Score
from musengine.errors import UnreadableError
from musengine_notation.stream import score_of

LONGEST_TEXT = 100_000
LONGEST_BAR = 64
FINEST = 64
"""Limits of a tune in characters, of a bar in quarter notes and of a note's length, as a fraction
of a quarter note. What lies outside is no music, but would keep the parser busy for hours; so would
a meter of large numbers, even when it is only passed over."""

_METER = re.compile(r"M:([^\n\]%]*)")
_NUMBER = "([1-5]?[0-9]|6[0-4])"
_GOOD_METER = re.compile(rf"\s*(C\|?|none|{_NUMBER}(\s*\+\s*{_NUMBER})*\s*/\s*{_NUMBER})\s*")

_SECTION_ENDS = re.compile(r"[:\[\]12]|\|\|")
"""Repeats, double bars and endings: a bar may be divided between the sections they part."""


@dataclass(frozen=True)
class Bar:
    """One bar of a tune.

    Attributes:
        length: in quarter notes.
        meter: how long it should be, in quarter notes; None where no meter holds.
        inner: neither first nor last of its section, so that it should be full.
    """

    length: Fraction
    meter: Fraction | None
    inner: bool

    @property
    def is_full(self) -> bool:
        """Whether it is exactly as long as its meter says."""
        return self.length == self.meter


def abc_to_score(text: str) -> Score:
    """Return the score of a tune in ABC notation, repeats not played; of several tunes the first.

    Raises:
        UnreadableError: music21 cannot read it, or there are no notes in it.
    """
    with _parsing():
        from music21 import abcFormat

        handler = _tokens(text)
        translate: Any = abcFormat.translate
        if handler.definesReferenceNumbers():
            work = translate.abcToStreamOpus(handler).scores[0]
        else:
            work = translate.abcToStreamScore(handler)
        score = score_of(work)
    if not len(score):
        raise UnreadableError("no notes in it")
    return score


def abc_bars(text: str) -> list[Bar]:
    """Return the bars of a tune in ABC notation in which there is anything.

    Raises:
        UnreadableError: music21 cannot read it.
    """
    with _parsing():
        sections = list(_sections(_tokens(text).tokens))
    return [
        Bar(length, meter, inner=0 < index < len(section) - 1)
        for section in sections
        for index, (length, meter) in enumerate(section)
    ]


@contextlib.contextmanager
def _parsing() -> Iterator[None]:
    """Turn whatever music21's parser raises on damaged notation into one line; keep it silent."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except UnreadableError:
        raise
    except Exception as error:
        said = " ".join(str(error).split()).split(". ")[0][:100]
        reason = f"music21 cannot read it: {type(error).__name__}: {said}"
        raise UnreadableError(reason) from error


def _tokens(text: str) -> Any:
    """Return music21's handler of a tune's tokens, which are within the limits."""
    from music21 import abcFormat

    if len(text) > LONGEST_TEXT:
        raise UnreadableError(f"more than {LONGEST_TEXT} characters")
    for field in _METER.finditer(text):
        if not _GOOD_METER.fullmatch(field[1]):
            raise UnreadableError(f"{field[0].strip()} is no meter")
    handler = abcFormat.ABCFile().readstr(text)
    for section in _sections(handler.tokens):
        for length, meter in section:
            if max(length, meter or 0) > LONGEST_BAR:
                raise UnreadableError(f"a bar of more than {LONGEST_BAR} quarter notes")
    return handler


def _sections(tokens: list[Any]) -> Iterator[list[tuple[Fraction, Fraction | None]]]:
    """Yield the lengths of the bars that are not empty, and of their meters, section by section."""
    from music21 import abcFormat

    meter: Fraction | None = None
    length = Fraction(0)
    section: list[tuple[Fraction, Fraction | None]] = []
    for token in tokens:
        if isinstance(token, abcFormat.ABCNote):
            length += _length(token)
            continue
        is_bar = isinstance(token, abcFormat.ABCBar)
        is_field = isinstance(token, abcFormat.ABCMetadata)
        if (is_bar or is_field) and length:
            section.append((length, meter))
            length = Fraction(0)
        if is_field and token.isMeter():
            meter = _meter(token)
        parted = is_bar and _SECTION_ENDS.search(token.src)
        if (parted or (is_field and token.tag in "PVX")) and section:
            yield section
            section = []
    if length:
        section.append((length, meter))
    if section:
        yield section


def _length(note: Any) -> Fraction:
    """Return a note's or rest's length in quarter notes; grace notes have none."""
    if note.inGrace:
        return Fraction(0)
    length = Fraction(note.quarterLength).limit_denominator(10_000)
    if note.activeTuplet is not None:
        length *= Fraction(note.activeTuplet.tupletMultiplier()).limit_denominator(1000)
    if length.denominator > FINEST:
        raise UnreadableError(f"a note of {length} quarter notes")
    return length


def _meter(field: Any) -> Fraction | None:
    """Return the length of a meter's bar in quarter notes."""
    parameters = field.getTimeSignatureParameters()
    if parameters is None:
        return None
    numerator, denominator, _ = parameters
    return Fraction(4 * numerator, denominator)
