"""The signs of a line of music in ABC notation."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Literal

from musengine.errors import UnreadableError

# The order counts: what begins like another sign, such as `[K:G]` and `[|` like a chord, comes
# first. Fields in a line are bounded: without an end each would be searched to the end of the line.
TOKEN = re.compile(
    r"""
    (?P<note>(?:(?P<sign>\^\^|\^|__|_|=)(?P<micro>\d{1,3}/\d{0,3}|/\d{0,3}|\d{1,3})?)?
      (?P<letter>[A-Ga-g])(?P<octave>[,']*)(?P<length>[\d/]*))
    |(?P<space>[\s`$\\]+)
    |(?P<inline>\[\s?[A-Za-z]:[^\]]{0,1000}\])
    |(?P<bar>(?P<lines>(?:\[(?=\|))?(?:\||:[:|])[:|\]]*)
      (?P<endings>\[?[1-9]\d*(?:[,-][1-9]\d*)*)?)
    |(?P<ending>\[[1-9]\d*(?:[,-][1-9]\d*)*|\[(?="))
    |(?P<rest>[zx](?P<rest_length>[\d/]*))
    |(?P<broken>>{1,4}|<{1,4})
    |(?P<tuplet>\(\d+(?::\d*){0,2})
    |(?P<tie>-)
    |(?P<quoted>"[^"]*")
    |(?P<grace>\{[^{}]*\})
    |(?P<overlay>\(&|&\)|&+)
    |(?P<slur>\.?[()])
    |(?P<chord>\[)
    |(?P<close>\](?P<chord_length>[\d/]*))
    |(?P<bars>[ZX](?P<count>\d*))
    |(?P<spacer>y[\d/.]*)
    |(?P<mark>![^!|]*!)
    |(?P<plus>\+[^+|]*\+)
    |(?P<break>!)
    |(?P<symbol>[~.H-Wh-w])
    |(?P<other>.)
    """,
    re.VERBOSE,
)
NOTES_OF_OLD = re.compile(r"(?:[\^_=]*[A-Ga-g][,']*[\d/]*){2,}")
"""What a chord between plus signs holds, as ABC had them before its decorations."""
_DECORATION_NAMES = """
. ~ trill trill( trill) lowermordent uppermordent mordent pralltriller roll turn turnx
invertedturn invertedturnx arpeggio > accent emphasis fermata invertedfermata tenuto 0 1 2 3 4 5
+ plus snap slide wedge upbow downbow open thumb breath pppp ppp pp p mp mf f ff fff ffff sfz
crescendo( <( crescendo) <) diminuendo( >( diminuendo) >) segno coda D.S. D.C. D.S D.C dacoda
dacapo fine shortphrase mediumphrase longphrase editorial courtesy nil none marcato ^ v umarcato
staccato cresc( cresc) dim( dim) - / // /// //// xstem beambr1 beambr2 rbstop sfp fz fp rfz
crescendo diminuendo cresc dim slur tremolo D.C.alfine D.C.alcoda D.S.alfine D.S.alcoda dalsegno
daccapo ped ped-up 8va( 8va) 8vb( 8vb) 15ma( 15ma) 15mb( 15mb) gmark head-x
"""
DECORATIONS = frozenset(_DECORATION_NAMES.split())
_WORDS_OF_SIGNS = frozenset(
    ["d.c", "d.s", "dc", "ds", "da", "dal", "al", "capo", "segno", "fine", "coda", "to"]
)
"""Words of decorations such as `!D.C. al fine!`, the only ones with blanks."""
SYMBOLS = frozenset("~.HLMOPSTuv")
"""Letters that stand for a decoration without being defined by the tune."""
_LONGEST_NUMBER = 5


# A book of tunes has the same few lengths over and over.
@functools.lru_cache(maxsize=4096)
def length_of(text: str) -> tuple[int, int]:
    """Return the numerator and denominator of a note's length: `3/2`, `/`, `//`, `2`.

    Raises:
        UnreadableError: a number that no note is so long or so short by.
    """
    if not text:
        return 1, 1
    above, *below = text.split("/")
    if len(below) > _LONGEST_NUMBER or any(len(part) > _LONGEST_NUMBER for part in (above, *below)):
        raise UnreadableError(f"a note of the length {text[:20]}")
    denominator = 1
    for part in below:
        denominator *= int(part) if part else 2
    numerator = int(above) if above else 1
    # QUARTER divides by what music is divided by; much finer lengths would be rounded to nothing.
    if not numerator or not denominator or denominator > 2**20:
        raise UnreadableError(f"a note of the length {text[:20]}")
    return numerator, denominator


def tokens_of(line: str) -> Iterator[re.Match[str]]:
    """Yield the signs of a line in turn, each a match whose `lastgroup` says its kind.

    Text between exclamation marks is one sign only where it can be a decoration; otherwise the
    first of them ends a line of print, as it once did.
    """
    place, end = 0, len(line)
    match_at = TOKEN.match
    while place < end:
        match = match_at(line, place)
        assert match is not None  # the last alternative takes any character
        if match.lastgroup == "mark" and not is_decoration(match["mark"][1:-1]):
            place += 1
            continue
        yield match
        place = match.end()


def is_decoration(name: str) -> bool:
    """Return whether text between two exclamation marks is a decoration, known or not."""
    words = name.split()
    if len(words) > 1:
        return all(word.lower().strip(".") in _WORDS_OF_SIGNS for word in words)
    return words == [name]


def sign_of(name: str) -> Literal["capo", "segno", "from", "fine", "coda", "dacoda"] | None:
    """Return what a decoration such as `D.S. al coda` or `fine` tells players to do."""
    words = re.sub(r"[^a-z]", "", name.lower())
    if words.startswith(("dc", "dacapo")) and not words.startswith("dacoda"):
        return "capo"
    if words.startswith(("ds", "dalsegno")):
        return "segno"
    if words in ("dacoda", "tocoda"):
        return "dacoda"
    if words == "segno":
        return "from"
    if words == "fine":
        return "fine"
    return "coda" if words == "coda" else None


def is_known(name: str) -> bool:
    """Return whether a decoration is one that the standard or common programs have."""
    return name in DECORATIONS or " " in name


def without_comment(line: str) -> str:
    r"""Return a line up to its comment; `\%` begins none."""
    if "%" not in line:
        return line
    return re.split(r"(?<!\\)%", line, maxsplit=1)[0]


def ending_numbers(text: str) -> tuple[int, ...]:
    """Return the passes that an ending such as `1,3` or `2-4` is played in; at most 100."""
    numbers: set[int] = set()
    for part in text.strip("[ ").split(","):
        first, _, last = part.partition("-")
        low = min(int(first[:4]), 100)
        numbers.update(range(low, min(int((last or first)[:4]), 100) + 1))
    return tuple(sorted(numbers))
