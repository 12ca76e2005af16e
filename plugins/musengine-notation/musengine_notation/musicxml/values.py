"""What the values of MusicXML's elements are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from xml.etree.ElementTree import Element

from musengine.errors import UnreadableError
from musengine_notation.abc.events import QUARTER, WHOLE

LONGEST = 1024 * WHOLE
"""Units of time. A note or rest that lasts longer is refused."""
_LARGEST_METER = 255
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_BEATS = {
    name: Fraction(4, 2**power)
    for power, name in enumerate(
        ("whole", "half", "quarter", "eighth", *("16th", "32nd", "64th", "128th", "256th"))
    )
} | {"breve": Fraction(8), "long": Fraction(16)}
_NUMBER = re.compile(r"[+-]?\d{1,12}(?:\.\d{1,12})?")
_NUMBER_IN = re.compile(r"\d{1,6}(?:\.\d{1,6})?")


def number(text: str | None) -> Fraction | None:
    """Return a number, None where the text is none."""
    text = (text or "").strip()
    # Only after the pattern: `Fraction` also takes exponents, and `1e999999999` fills memory.
    return Fraction(text) if _NUMBER.fullmatch(text) else None


def units(text: str | None, divisions: Fraction) -> int | None:
    """Return a duration in units of time; None for what is none.

    Raises:
        UnreadableError: longer than is read.
    """
    value = number(text)
    if value is None or value < 0:
        return None
    found = round(value * QUARTER / divisions)
    if found > LONGEST:
        raise UnreadableError("it has a note or rest of more than 1,024 whole notes")
    return found


def pitch_of(element: Element) -> int | None:
    """Return the MIDI number of a pitch as it is written, None where it is none."""
    step = _STEPS.get((element.findtext("step") or "").strip())
    octave = number(element.findtext("octave"))
    alter = number(element.findtext("alter") or "0")
    if step is None or octave is None or alter is None:
        return None
    return round(12 * (octave + 1) + step + alter)


def meter_of(element: Element) -> tuple[int, int] | None:
    """Return a time signature, added up where it has several parts; None for one without meter.

    Raises:
        UnreadableError: its numbers are larger than those that are read.
    """
    upper = [child.text or "" for child in element.findall("beats")]
    lower = [child.text or "" for child in element.findall("beat-type")]
    if not upper or len(upper) != len(lower):
        return None
    total = Fraction(0)
    denominator = 1
    for beats, beat in zip(upper, lower, strict=True):
        for text in (beats, beat):
            numbers = re.findall(r"\d+", text)
            # The length first, as `int` takes its time with long numbers.
            if any(len(each) > 4 or int(each) > _LARGEST_METER for each in numbers):
                raise UnreadableError(f"a meter of {text.strip()[:40]} is not read")
        if not re.fullmatch(r"\s*\d+(\s*\+\s*\d+)*\s*", beats) or not beat.strip().isdecimal():
            return None
        if not int(beat):
            return None
        denominator = max(denominator, int(beat))
        total += Fraction(sum(map(int, beats.split("+"))), int(beat))
    numerator = total * denominator
    if numerator.denominator > 1:
        denominator, numerator = total.denominator, Fraction(total.numerator)
    if not 0 < numerator <= _LARGEST_METER or denominator > _LARGEST_METER:
        return None
    return int(numerator), denominator


def key_of(element: Element, semitones: int) -> tuple[int, bool] | None:
    """Return the sharps of a key signature at sounding pitch and whether it is minor."""
    fifths = number(element.findtext("fifths"))
    if fifths is None or not -7 <= fifths <= 7:
        return None
    sharps = int(fifths)
    if semitones % 12:
        # A semitone is seven fifths, and twelve fifths lead back: five flats to six sharps.
        sharps = (sharps + 7 * semitones + 5) % 12 - 5
    return sharps, (element.findtext("mode") or "").strip() == "minor"


def semitones_of(transpose: Element | None) -> int:
    """Return by how much what sounds is higher than what is written."""
    if transpose is None:
        return 0
    chromatic = number(transpose.findtext("chromatic")) or Fraction(0)
    octaves = number(transpose.findtext("octave-change")) or Fraction(0)
    return max(-127, min(127, round(chromatic + 12 * octaves)))


def metronome_of(element: Element) -> tuple[Fraction, bool] | None:
    """Return what a metronome mark says, None where it is not understood.

    Returns:
        Quarter notes per minute and False; or, where it sets one length of note equal to another,
        by what the tempo is multiplied, and True.
    """
    sides: list[Fraction] = []
    for child in element:
        if child.tag == "beat-unit":
            sides.append(_BEATS.get((child.text or "").strip(), Fraction(0)))
            dot = sides[-1] / 2
        elif child.tag == "beat-unit-dot" and sides:
            sides[-1] += dot
            dot /= 2
        elif child.tag == "beat-unit-tied" and sides:
            sides[-1] += _length(child, "beat-unit", "beat-unit-dot")
    found = _NUMBER_IN.search(element.findtext("per-minute") or "")
    if found and sides and sides[0]:
        return Fraction(found[0]) * sides[0], False
    if not sides and element.find("metronome-relation") is not None:
        sides = _sides(element)
    if len(sides) == 2 and all(sides):
        return sides[1] / sides[0], True
    return None


def _length(element: Element, unit: str, dots: str) -> Fraction:
    beat = _BEATS.get((element.findtext(unit) or "").strip(), Fraction(0))
    return beat * (2 - Fraction(1, 2 ** min(len(element.findall(dots)), 8)))


def _sides(element: Element) -> list[Fraction]:
    """Return how long the notes on both sides of an equation are."""
    sides, ratio = [Fraction(0)], Fraction(1)
    for child in element:
        if child.tag == "metronome-relation":
            sides.append(Fraction(0))
        elif child.tag == "metronome-note":
            tuplet = child.find("metronome-tuplet")
            if tuplet is not None and tuplet.get("type") == "start":
                actual, normal = (number(tuplet.findtext(f"{n}-notes")) for n in _TUPLET)
                ratio = normal / actual if actual and normal else Fraction(1)
            sides[-1] += ratio * _length(child, "metronome-type", "metronome-dot")
            if tuplet is not None and tuplet.get("type") == "stop":
                ratio = Fraction(1)
    return sides


_TUPLET = ("actual", "normal")


_KINDS = {
    "major": "",
    "minor": "m",
    "augmented": "aug",
    "diminished": "dim",
    "dominant": "7",
    "major-seventh": "maj7",
    "minor-seventh": "m7",
    "diminished-seventh": "dim7",
    "augmented-seventh": "aug7",
    "half-diminished": "m7b5",
    "major-minor": "m(maj7)",
    "major-sixth": "6",
    "minor-sixth": "m6",
    "dominant-ninth": "9",
    "major-ninth": "maj9",
    "minor-ninth": "m9",
    "dominant-11th": "11",
    "major-11th": "maj11",
    "minor-11th": "m11",
    "dominant-13th": "13",
    "major-13th": "maj13",
    "minor-13th": "m13",
    "suspended-second": "sus2",
    "suspended-fourth": "sus4",
    "power": "5",
}
"""What kinds of chords are written as behind the root."""
KIND_OF = {written: kind for kind, written in _KINDS.items()}
"""The kinds of chords by what stands behind the root."""


def chords_of(harmony: Element) -> Iterator[str]:
    """Yield the chord symbols of a harmony that have a root: one, or several in a row."""
    bass = _root(harmony.find("bass"), "bass")
    for root, kind in zip(harmony.findall("root"), harmony.findall("kind"), strict=False):
        letter, name = _root(root, "root"), (kind.text or "").strip()
        if letter and name != "none":
            quality = _KINDS.get(name)
            if quality is None or (name == "other" and kind.get("text")):
                quality = kind.get("text") or ""
            for degree in harmony.iterfind("degree"):
                quality += _degree(degree)
            yield f"{letter}{quality}" + (f"/{bass}" if bass else "")


def _root(element: Element | None, name: str) -> str:
    if element is None:
        return ""
    letter = (element.findtext(f"{name}-step") or "").strip()
    alter = number(element.findtext(f"{name}-alter")) or Fraction(0)
    return letter + {1: "#", -1: "b"}.get(int(alter), "") if letter in list("ABCDEFG") else ""


def _degree(element: Element) -> str:
    """Return what a degree that is added, altered or left out adds to the symbol."""
    value = (element.findtext("degree-value") or "").strip()
    alter = {1: "#", -1: "b"}.get(int(number(element.findtext("degree-alter")) or 0), "")
    kind = (element.findtext("degree-type") or "").strip()
    word = {"add": "add", "subtract": "no"}.get(kind, "")
    return f"({word}{alter}{value})" if value.isdigit() else ""
