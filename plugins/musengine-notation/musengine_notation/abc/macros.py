"""Macros of a tune: text in its music that stands for other text."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from musengine.errors import UnreadableError
from musengine_notation.abc.fields import LETTERS

LONGEST_LINE = 1_000_000
"""Characters of a line in which macros are written out."""
_LONGEST = 200
_QUOTED = re.compile(r'("[^"]*")')


@dataclass(frozen=True)
class Macro:
    """One macro: what it stands for, where `n` in its target is any note letter if `moves`."""

    pattern: re.Pattern[str]
    text: str
    moves: bool


def macro_of(text: str) -> Macro | None:
    """Return the macro of an `m:` field, such as `~G2 = {A}G{F}G`; None where it is none.

    One whose target has an `n` stands for any note: letters h to z of its text are then notes as
    many steps above or below that one as they are from n in the alphabet.
    """
    target, equals, replacement = text.partition("=")
    target, replacement = target.strip(), replacement.strip()
    if not equals or not target or max(len(target), len(replacement)) > _LONGEST:
        return None
    moves = "n" in target
    # A tune is a stranger's: what it names is looked for as it stands, never as an expression.
    pattern = re.escape(target)
    if moves:
        pattern = pattern.replace("n", "([A-Ga-g][,']*)", 1)
    return Macro(re.compile(pattern), replacement, moves)


def expanded(line: str, macros: list[Macro]) -> str:
    """Return a line with its macros written out, those in quotation marks left alone.

    Raises:
        UnreadableError: it becomes longer than a line may be.
    """
    for macro in macros:
        # Bounded before it is written out: macros within macros multiply.
        if len(line) * max(len(macro.text), 1) > LONGEST_LINE and macro.pattern.search(line):
            raise UnreadableError("macros make a line of more than a million characters")
        pieces = _QUOTED.split(line) if '"' in line else [line]
        for place in range(0, len(pieces), 2):
            pieces[place] = macro.pattern.sub(functools.partial(_text, macro), pieces[place])
        line = "".join(pieces)
    return line


def _text(macro: Macro, match: re.Match[str]) -> str:
    if not macro.moves:
        return macro.text
    note = match[1]
    # Small letters are an octave above capitals.
    step = LETTERS.index(note[0].upper()) + (7 if note[0].islower() else 0)
    step += 7 * (note.count("'") - note.count(","))
    return re.sub("[h-z]", lambda letter: _letter(step + ord(letter[0]) - ord("n")), macro.text)


def _letter(step: int) -> str:
    """Return the note so many steps above C."""
    octave, place = divmod(step, 7)
    if octave < 1:
        return LETTERS[place] + "," * -octave
    return LETTERS[place].lower() + "'" * (octave - 1)
