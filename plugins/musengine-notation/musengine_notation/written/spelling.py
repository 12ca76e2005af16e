"""How pitches are spelled in a key, and which accidentals stand before notes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from musengine.api import Score

_STEPS = "FCGDAEB"
"""On the line of fifths, F being -1."""
_SEMITONE = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_LOWEST, _HIGHEST = -3, 8
"""The fifths from a major key's tonic that are used: a flat third to a sharp fifth."""

Spelled = tuple[str, int, int]
"""Step, semitones that it is altered by, and octave."""


def spelled(pitch: int, sharps: int) -> Spelled:
    """Return a pitch as it is spelled in a key.

    Args:
        pitch: a MIDI number.
        sharps: of the key, flats negative.
    """
    # The pitch's place on the line of fifths, from C; enharmonic spellings lie 12 apart.
    fifths = pitch * 7 % 12
    # The highest such place that is no more than _HIGHEST above the tonic.
    fifths += 12 * ((sharps + _HIGHEST - fifths) // 12)
    step = _STEPS[(fifths + 1) % 7]
    alter = (fifths + 1) // 7
    return step, alter, (pitch - alter - _SEMITONE[step]) // 12 - 1


def key_of_notes(score: Score) -> int:
    """Return the sharps, flats negative, of the key in which most of a score's notes are."""
    pitched = ~score.is_drum
    weight_12 = np.bincount(
        score.pitch[pitched] % 12, weights=score.duration[pitched], minlength=12
    )
    by_fifths = weight_12[np.arange(12) * 7 % 12]

    def inside(sharps: int) -> float:
        return float(by_fifths[np.arange(sharps - 1, sharps + 6) % 12].sum())

    return max(range(-6, 7), key=lambda sharps: (inside(sharps), -abs(sharps), sharps))


def shown_accidentals(notes: Iterable[tuple[Spelled, bool]], sharps: int) -> list[bool]:
    """Return before which of a bar's notes an accidental stands.

    Args:
        notes: in the order in which they sound, each with whether it goes on from the bar before.
        sharps: of the key.
    """
    of_key = {_STEPS[place % 7]: 1 for place in range(max(sharps, 0))}
    of_key |= {_STEPS[6 - place % 7]: -1 for place in range(max(-sharps, 0))}
    valid: dict[tuple[str, int], int] = {}
    shown = []
    for (step, alter, octave), goes_on in notes:
        differs = alter != valid.get((step, octave), of_key.get(step, 0))
        shown.append(differs and not goes_on)
        if not goes_on:
            valid[step, octave] = alter
    return shown
