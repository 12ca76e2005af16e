"""Names of pitches, as musicians say them, and the MIDI numbers they stand for."""

from __future__ import annotations

import re

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def pitch_name(pitch: int) -> str:
    """Return the name of a MIDI number: 60 is C4, 21 is A0."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def parse_pitch(text: str) -> int:
    """Return the MIDI number of a number or a name such as `C4`, `F#3` or `Bb-1`.

    Raises:
        ValueError: neither, or not from 0 to 127.
    """
    # [0-9] and not \d, which digits of other scripts match too.
    match = re.fullmatch(r"(?:([0-9]{1,3})|([A-Ga-g])([#b]?)(-?[0-9]))", text.strip())
    if match is None:
        raise ValueError(f"expected a pitch such as 60 or C4, got {text!r}")
    if match[1]:
        pitch = int(match[1])
    else:
        accidental = {"#": 1, "b": -1, "": 0}[match[3]]
        pitch = _STEPS[match[2].upper()] + accidental + 12 * (int(match[4]) + 1)
    if not 0 <= pitch <= 127:
        raise ValueError(f"{text!r} is not from 0 (C-1) to 127 (G9)")
    return pitch


def parse_pitches(text: str) -> tuple[int, int]:
    """Return the ends of a range such as `21-108` or `A0-C8`.

    Raises:
        ValueError: not of that form, or upside down.
    """
    # The lower end is as short as it can be, since octaves may be negative: `C-1-C4`.
    match = re.fullmatch(r"\s*(\S+?[0-9])\s*-\s*(\S+)\s*", text)
    if match is None:
        raise ValueError(f"expected a range such as 21-108 or A0-C8, got {text!r}")
    low, high = parse_pitch(match[1]), parse_pitch(match[2])
    if low > high:
        raise ValueError(f"the range {text!r} is upside down")
    return low, high
