"""What holds for most of a piece beside its notes: tempo, meter, key, instrument and velocity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from musengine.music.piece import Text
from musengine.music.score import Score
from musengine.utils.arrays import Array, IntArray

DRUMS = 128
"""Stands for drums where a program, 0 to 127, stands for an instrument."""


@dataclass(frozen=True, kw_only=True)
class Prevailing:
    """What holds for most of a piece, or of most pieces; None for what is not known.

    Attributes:
        tempo: quarter notes per minute, to a hundredth.
        meter: numerator and denominator; not known where bars are a beat long.
        key: sharps (flats negative), and 0 for major or 1 for minor.
        program: General MIDI, or `DRUMS` where there is nothing else.
        velocity: 1 to 127.
    """

    tempo: float | None = None
    meter: tuple[int, int] | None = None
    key: tuple[int, int] | None = None
    program: int | None = None
    velocity: int | None = None

    @classmethod
    def of(cls, content: Score | Text) -> Prevailing:
        """Return those of a piece: of tempos, meters and keys what lasts longest, else most notes'.

        A text has none, and neither has a piece without notes.
        """
        if isinstance(content, Text) or not len(content):
            return cls()
        meter = _longest(content.meter_tick, content.meter, content.length)
        if meter is not None and 4 * meter[0] <= meter[1]:
            # Bars of a beat or less are written by programs that know of no bars.
            meter = None
        key = _longest(content.key_tick, content.key, content.length)
        # Rounded, or the many tempos of played music would all count as different.
        tempo = _longest(content.tempo_tick, content.tempo_bpm.round(2)[:, None], content.length)
        return cls(
            tempo=None if tempo is None else float(tempo[0]),
            meter=None if meter is None else (int(meter[0]), int(meter[1])),
            key=None if key is None else (int(key[0]), int(key[1])),
            program=_program(content),
            velocity=int(np.bincount(content.velocity).argmax()),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Prevailing:
        """Return what `as_json` returned; what is not known of is left out."""
        known = {field.name: values.get(field.name) for field in fields(cls)}
        found: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in known.items()
        }
        for name, value in found.items():
            kinds = (int, float) if name == "tempo" else (int,)
            parts = value if name in ("meter", "key") and value is not None else (value,)
            # By `type`, as True is an int too; the file may be a stranger's.
            if not all(part is None or type(part) in kinds for part in parts):
                raise TypeError(f"{name} is {str(value)[:100]}")
        return cls(**found)

    def as_json(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return asdict(self)


def most_frequent(pieces: Iterable[Prevailing]) -> Prevailing:
    """Return the most frequent of each; of several equally frequent the first."""
    counts: dict[str, Counter[Any]] = {field.name: Counter() for field in fields(Prevailing)}
    for each in pieces:
        for name, counter in counts.items():
            if (value := getattr(each, name)) is not None:
                counter[value] += 1
    return Prevailing(
        **{name: counter.most_common(1)[0][0] for name, counter in counts.items() if counter}
    )


def _longest(ticks: IntArray, values_KV: Array, length: int) -> Array | None:
    """Return the row of the values that holds for the longest time."""
    if not len(ticks):
        return None
    # A map may go on beyond the end of the piece: its last entry then lasts no time.
    lasting = np.diff(ticks, append=max(length, int(ticks[-1])))
    rows, number = np.unique(values_KV, axis=0, return_inverse=True)
    longest: Array = rows[np.bincount(number.ravel(), lasting).argmax()]
    return longest


def _program(score: Score) -> int:
    notes = np.bincount(score.track, minlength=len(score.tracks))
    counts: Counter[int] = Counter()
    for track, count in zip(score.tracks, notes.tolist(), strict=True):
        counts[DRUMS if track.is_drum else track.program] += count
    pitched = Counter({program: n for program, n in counts.items() if n and program != DRUMS})
    return pitched.most_common(1)[0][0] if pitched else DRUMS
