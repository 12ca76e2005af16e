"""The signs of a line of music, each passed on to the voice that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable

from musengine.errors import UnreadableError
from musengine_notation.abc.events import Sign
from musengine_notation.abc.lexer import (
    DECORATIONS,
    NOTES_OF_OLD,
    SYMBOLS,
    TOKEN,
    ending_numbers,
    is_known,
    sign_of,
)
from musengine_notation.abc.voice import Voice

MAX_NOTES = 200_000
"""Notes and rests that a tune may have."""


class Signs:
    """Reads the signs of a tune's music, all but the fields in it.

    Args:
        warn: is told what is not understood.

    Attributes:
        symbols: letters that stand for a decoration; a tune defines more of them with `U:`.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self.symbols = set(SYMBOLS)
        self._sounds = 0

    def read(self, voice: Voice, match: re.Match[str], line: int) -> None:
        """Pass a sign on to its voice, or note that it is not understood.

        Args:
            voice: what the music belongs to.
            match: of `TOKEN`.
            line: its number in the file.

        Raises:
            UnreadableError: more notes than a tune may have, or one that is too long.
        """
        kind, text = str(match.lastgroup), match[0]
        if kind == "note":
            voice.note(match, line)
            self._count(line)
        elif kind == "bar":
            endings = match["endings"]
            voice.bar(match["lines"], ending_numbers(endings) if endings else (), line)
        elif kind == "ending":
            voice.ending(ending_numbers(text) if text != "[" else (), line)
        elif kind == "rest":
            voice.rest(match["rest_length"], line)
            self._count(line)
        elif kind == "bars":
            voice.rest_bars(match["count"], line)
            self._count(line)
        elif kind == "broken":
            voice.break_rhythm(text)
        elif kind == "tuplet":
            voice.tuplet(text)
        elif kind == "tie":
            voice.tie()
        elif kind == "chord":
            voice.open_chord(line)
        elif kind == "close":
            voice.close_chord(match["chord_length"])
        elif kind == "quoted":
            voice.words(text[1:-1])
        elif kind == "overlay":
            voice.overlay(text)
        elif kind == "grace":
            for each in TOKEN.finditer(text[1:-1]):
                if each.lastgroup == "note":
                    voice.graced(each)
        else:
            self._ornament(voice, kind, text, line)

    def _ornament(self, voice: Voice, kind: str, text: str, line: int) -> None:
        """Pass over what adds no notes; tell of what is not known."""
        if kind == "symbol" and text not in self.symbols:
            self._warn(f"the letter {text} stands for nothing")
        elif kind == "mark":
            self._mark(voice, text)
        elif kind == "plus":
            self._plus(voice, text[1:-1], line)
        elif kind == "other":
            self._warn(f"{text!r} is not understood")

    def _mark(self, voice: Voice, text: str) -> None:
        sign = sign_of(text[1:-1])
        if sign is not None:
            voice.add(Sign(sign))
        elif not is_known(text[1:-1]):
            self._warn(f"the decoration {text[:40]} is not known")

    def _plus(self, voice: Voice, text: str, line: int) -> None:
        """Pass over a decoration between plus signs, or read a chord as they once were written."""
        if text in DECORATIONS or not NOTES_OF_OLD.fullmatch(text):
            if text not in DECORATIONS:
                self._warn(f"the decoration +{text[:40]}+ is not known")
            return
        self._warn(f"+{text[:40]}+ is read as a chord")
        voice.open_chord(line)
        for match in TOKEN.finditer(text):
            voice.note(match, line)
            self._count(line)
        voice.close_chord("")

    def _count(self, line: int) -> None:
        self._sounds += 1
        if self._sounds > MAX_NOTES:
            raise UnreadableError(f"line {line}: more than {MAX_NOTES} notes in a tune")
