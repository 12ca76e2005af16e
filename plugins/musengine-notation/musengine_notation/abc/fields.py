"""What the fields of a tune say: keys, meters, unit lengths, tempos, voices and part orders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

LARGEST = 1024
"""No number of a meter, unit length or beat is larger."""
LONGEST_ORDER = 10_000
"""Parts that a `P:` field may ask for; nested repeats multiply."""

LETTERS = "CDEFGAB"
NATURAL = (0, 2, 4, 5, 7, 9, 11)
"""Semitones of the letters above C."""
_SHARP_ORDER = (3, 0, 4, 1, 5, 2, 6)
"""Places in LETTERS of the first to the seventh sharp; flats go the other way."""
_FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
_MODES = {
    "maj": 0,
    "ion": 0,
    "mix": -1,
    "dor": -2,
    "m": -3,
    "min": -3,
    "aeo": -3,
    "phr": -4,
    "loc": -5,
    "lyd": 1,
}
"""Sharps that a mode has more than major."""
ACCIDENTALS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
_CLEFS = re.compile(r"(treble|alto|tenor|bass|perc|none|[GCF])[1-5]?([+-](?:8|15))?[1-5]?")
_OCTAVE_OF_CLEF = {"+8": 12, "-8": -12, "+15": 24, "-15": -24}
_KEY = re.compile(r"([A-G])([#b]?)")
_WORD = re.compile(r'[A-Za-z-]+\s*=\s*(?:"[^"]*"|[^\s"]*)|"[^"]*"|[^\s"]+')
_KEY_WORD = re.compile(r'[A-Za-z-]+=(?:"[^"]*"|[^\s"]*)|"[^"]*"|[^\s"]+')
"""In a key `D =c` is a key and an accidental."""
_TAIL = re.compile(r"([A-Za-z]*)((?:(?:\^\^|__|\^|_|=)[a-gA-G])*)")
_KEY_ACCIDENTAL = re.compile(r"(\^\^|__|\^|_|=)([a-gA-G])")
_FRACTION = re.compile(r"(\d{1,4})\s*/\s*(\d{1,4})")
_METER = re.compile(r"\(?\s*(\d{1,4}(?:\s*\+\s*\d{1,4}){0,15})\s*\)?\s*/\s*(\d{1,4})")
_TEMPO = re.compile(r"([^=]*?)\s*=\s*(\d{1,4}(?:\.\d{1,6})?)")
_OLD_BEAT = re.compile(r"[Cc](\d{0,4})(?:/(\d{0,4}))?")


class FieldError(Exception):
    """A field, or a word of it, that is not understood; the rest of it counts."""


@dataclass(frozen=True)
class Key:
    """A key signature.

    Attributes:
        signature: (7,) semitones that each letter of CDEFGAB is raised by.
        sharps: of the key as MIDI has it, flats negative; None where it is no such key.
        minor: whether its mode is minor.
    """

    signature: tuple[int, ...] = (0,) * 7
    sharps: int | None = 0
    minor: bool = False


@dataclass
class Properties:
    """What a key or voice field says besides the key: what is not said is None.

    Attributes:
        transpose: semitones.
        octave: octaves.
        clef: semitones that the clef moves the music, as `treble-8` does.
        name: of the voice.
        problems: words that are not understood.
    """

    transpose: int | None = None
    octave: int | None = None
    clef: int | None = None
    name: str | None = None
    problems: list[str] = field(default_factory=list)


_PRINTED_WORDS = """
snm subname stem stems gstem dyn lyrics middle m stafflines staffscale cue merge up down space
score sound shift gchords instr instrument style map brace bracket staffsep
"""
_PRINTED = frozenset(_PRINTED_WORDS.split())
"""Words of key and voice fields that say how the music is printed."""


def words_of(text: str) -> list[str]:
    """Return the words of a voice field; `name = "of two words"` is one of them."""
    return [re.sub(r"\s*=\s*", "=", word, count=1) for word in _WORD.findall(text)]


def properties_of(words: Sequence[str]) -> Properties:
    """Return what the words of a voice field, or of a key field after its key, say."""
    found = Properties()
    for word in words:
        name, equals, value = word.partition("=")
        value = value.strip('"')
        name = name.lower()
        if not equals:
            _clef(word, found)
        elif name in ("clef", "cl"):
            _clef(value, found)
        elif name in ("transpose", "t", "octave"):
            if not re.fullmatch(r"[+-]?\d{1,3}", value):
                found.problems.append(word)
            elif name == "octave":
                found.octave = max(-10, min(int(value), 10))
            else:
                found.transpose = max(-120, min(int(value), 120))
        elif name in ("name", "nm"):
            found.name = value.replace("\\n", " ").strip()
        elif name not in _PRINTED:
            found.problems.append(word)
    return found


def _clef(word: str, found: Properties) -> None:
    match = _CLEFS.fullmatch(word)
    if match is not None:
        found.clef = _OCTAVE_OF_CLEF.get(match[2] or "", 0)
    elif word.lower() not in _PRINTED and not re.fullmatch(r"(treble|bass|alto|tenor).*", word):
        found.problems.append(word)


def parse_key(text: str) -> tuple[Key | None, Properties]:
    """Return the key that a `K:` field gives, None where it gives none, and what else it says."""
    words = _KEY_WORD.findall(text)
    if not words:
        return Key(), Properties()
    first = words[0]
    if first in ("HP", "Hp"):
        return _signed(2, False, (), explicit=False), properties_of(words[1:])
    if first.lower() == "none":
        return Key(), properties_of(words[1:])
    fifths, minor, explicit = 0, False, False
    match = _KEY.match(first)
    tail = _TAIL.fullmatch(first, match.end()) if match else None
    given = tail is not None and _mode(tail[1]) is not None
    rest = words
    if match is not None and tail is not None and given:
        mode, rest = tail[1], [*filter(None, [tail[2]]), *words[1:]]
        if not mode and rest and _mode(rest[0]) is not None:
            mode, rest = rest[0], rest[1:]
        more, minor = _mode(mode) or (0, False)
        fifths = _FIFTHS[match[1]] + {"": 0, "#": 7, "b": -7}[match[2]] + more
    accidentals: list[tuple[int, int]] = []
    others = []
    for word in rest:
        if word.lower() == "exp":
            explicit = given = True
        elif pairs := _key_accidentals(word):
            accidentals += pairs
            given = True
        else:
            others.append(word)
    key = _signed(fifths, minor, accidentals, explicit=explicit) if given else None
    return key, properties_of(others)


def _mode(text: str) -> tuple[int, bool] | None:
    """Return the sharps a mode has more than major, and whether it is minor; None for no mode."""
    lowered = text.lower()
    if not lowered:
        return 0, False
    # The standard: the first three letters count, and capitals do not.
    name = lowered if lowered == "m" else lowered[:3]
    if name not in _MODES or not lowered.isalpha() or lowered in ("ma", "mi"):
        return None
    return _MODES[name], name in ("m", "min", "aeo")


def _key_accidentals(word: str) -> list[tuple[int, int]]:
    """Return the letters' places and semitones of a word such as `^f_b`; none for another word."""
    found = _KEY_ACCIDENTAL.findall(word)
    if sum(len(a) + 1 for a, _ in found) != len(word):
        return []
    return [(LETTERS.index(letter.upper()), ACCIDENTALS[sign]) for sign, letter in found]


def _signed(
    fifths: int, minor: bool, accidentals: Sequence[tuple[int, int]], *, explicit: bool
) -> Key:
    signature = [0] * 7
    if not explicit:
        for place in range(abs(fifths)):
            # Beyond seven the signs are double.
            letter = _SHARP_ORDER[place % 7] if fifths > 0 else _SHARP_ORDER[6 - place % 7]
            signature[letter] += 1 if fifths > 0 else -1
    for letter, semitones in accidentals:
        signature[letter] = semitones
    if explicit or accidentals:
        fifths = _standard(signature, fifths)
    return Key(tuple(signature), fifths if abs(fifths) <= 7 else None, minor)


def _standard(signature: Sequence[int], otherwise: int) -> int:
    """Return the sharps of the signature that is just this one, else another number."""
    # By trying: fifteen signatures are quicker than a rule for all that can be signed by hand.
    for fifths in range(-7, 8):
        letters = _SHARP_ORDER[:fifths] if fifths > 0 else _SHARP_ORDER[7 + fifths :]
        sign = 1 if fifths > 0 else -1
        if fifths == 0:
            letters = ()
        if all(semitones == (sign if n in letters else 0) for n, semitones in enumerate(signature)):
            return fifths
    return otherwise


def parse_meter(text: str) -> tuple[int, int] | None:
    """Return the numerator and denominator of an `M:` field, None for free meter.

    Raises:
        FieldError: it is no meter.
    """
    text = text.strip()
    if text in ("", "none"):
        return None
    if text in ("C", "c"):
        return 4, 4
    if text in ("C|", "c|"):
        return 2, 2
    match = _METER.fullmatch(text)
    if match is None:
        raise FieldError(f"M:{text[:40]} is no meter")
    numerator, denominator = sum(map(int, match[1].split("+"))), int(match[2])
    if not 1 <= numerator <= LARGEST or not 1 <= denominator <= LARGEST:
        raise FieldError(f"M:{text[:40]} is no meter")
    # MIDI has powers of two alone.
    if denominator & (denominator - 1):
        raise FieldError(f"M:{text[:40]}: {denominator} is no power of two")
    return numerator, denominator


def parse_length(text: str) -> Fraction:
    """Return the unit length of an `L:` field, as a fraction of a whole note.

    Raises:
        FieldError: it is no length.
    """
    text = text.strip()
    match = _FRACTION.fullmatch(text)
    if text == "1":
        return Fraction(1)
    if match is None or not int(match[1]) or not int(match[2]):
        raise FieldError(f"L:{text[:40]} is no length")
    length = Fraction(int(match[1]), int(match[2]))
    if length > 4 or length.denominator > LARGEST:
        raise FieldError(f"L:{text[:40]} is no length")
    return length


def default_length(meter: tuple[int, int] | None) -> Fraction:
    """Return the unit length of a tune that gives none: 1/16 where the meter is below 3/4."""
    small = meter is not None and Fraction(*meter) < Fraction(3, 4)
    return Fraction(1, 16) if small else Fraction(1, 8)


def parse_tempo(text: str, unit: Fraction) -> float | None:
    """Return the quarter notes per minute of a `Q:` field; None where it gives but words.

    `1/4=120`, several beats that are one (`1/4 3/8=40`), and the forms of old: `120` and `C=120`
    count unit lengths, `C3=40` three of them; `C3/2` and `C/2` are fractions of one.

    Raises:
        FieldError: it is no tempo.
    """
    bare = re.sub(r'"[^"]*"?', " ", text).strip()
    if not bare:
        return None
    wrong = FieldError(f"Q:{text.strip()[:40]} is no tempo")
    if re.fullmatch(r"\d{1,4}(\.\d{1,6})?", bare):
        beat, rate = unit, float(bare)
    else:
        match = _TEMPO.fullmatch(bare)
        if match is None:
            raise wrong
        beat, rate = _beat(match[1].strip(), unit, wrong), float(match[2])
    if not beat or not rate:
        raise wrong
    return float(beat * 4) * rate


def _beat(text: str, unit: Fraction, wrong: FieldError) -> Fraction:
    old = _OLD_BEAT.fullmatch(text)
    if old is not None:
        below = int(old[2] or 2) if old[2] is not None else 1
        if not below:
            raise wrong
        return unit * Fraction(int(old[1] or 1), below)
    beats = _FRACTION.findall(text)
    if not beats or _FRACTION.sub("", text).strip() or any(not int(low) for _, low in beats):
        raise wrong
    return sum((Fraction(int(high), int(low)) for high, low in beats), Fraction(0))


def parse_order(text: str) -> str:
    """Return the parts of a header's `P:` field in the order they are played.

    `A2B` is `AAB`, `((AB)3.C)2` is `ABABABCABABABC`; dots and blanks say nothing.

    Raises:
        FieldError: it is no order, or of more than 10,000 parts.
    """
    wrong = FieldError(f"P:{text.strip()[:40]} is no order of parts")
    stack: list[list[str]] = [[]]
    last = ""
    for token in re.findall(r"\d+|[^\s.]", text):
        if token.isalpha():
            stack[-1].append(token)
            last = token
        elif token == "(":
            stack.append([])
            last = ""
        elif token == ")" and len(stack) > 1:
            last = "".join(stack.pop())
            stack[-1].append(last)
        elif token.isdecimal() and last and len(token) <= 4 and len(last) <= LONGEST_ORDER:
            # Bounded before it is written out; the sum below then says that it is too much.
            stack[-1][-1] = last * min(int(token), LONGEST_ORDER // len(last) + 1)
            last = ""
        else:
            raise wrong
        if sum(len(part) for level in stack for part in level) > LONGEST_ORDER:
            raise FieldError(f"P: asks for more than {LONGEST_ORDER} parts")
    if len(stack) > 1 or not stack[0]:
        raise wrong
    return "".join(stack[0])
