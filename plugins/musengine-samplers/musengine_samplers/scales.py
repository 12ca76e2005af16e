"""Keys and scales by name, as pitch classes; no torch."""

from __future__ import annotations

from typing import Literal

Key = Literal[
    "C", "C#", "Db", "D", "D#", "Eb", "E", "F", "F#", "Gb", "G", "G#", "Ab", "A", "A#", "Bb", "B"
]  # fmt: skip
"""A tonic; `#` is a sharp, `b` a flat."""

ScaleName = Literal[
    "major", "natural minor", "harmonic minor", "melodic minor",
    "dorian", "phrygian", "lydian", "mixolydian", "locrian",
    "major pentatonic", "minor pentatonic", "blues", "whole tone", "chromatic",
]  # fmt: skip

TONICS = {
    "C": 0, "C#": 1, "Db": 1, "D": 2, "D#": 3, "Eb": 3, "E": 4, "F": 5, "F#": 6, "Gb": 6,
    "G": 7, "G#": 8, "Ab": 8, "A": 9, "A#": 10, "Bb": 10, "B": 11,
}  # fmt: skip
"""Pitch class of each tonic, C = 0."""

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "natural minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "chromatic": tuple(range(12)),
}
"""Semitones above the tonic."""


def pitch_classes(key: str, scale: str) -> frozenset[int]:
    """Return the pitch classes, C = 0, of a scale on a tonic."""
    return frozenset((TONICS[key] + interval) % 12 for interval in SCALES[scale])
