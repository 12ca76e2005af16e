"""Whether a generated piece is worth keeping: empty or stuck, beside what the corpus is like.

A piece is measured as a score, in beats. What of it lies outside the range of the pieces that were
learned from, by a margin, is a fault; so music that stands still by nature is not blamed for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musengine.data.decoding import as_score
from musengine.interfaces.encoder import Encoder
from musengine.music.score import Score
from musengine.utils.arrays import Array, FloatArray, IntArray

MARGIN = 1.5
"""How far beyond the range of the corpus a piece may go: half as far again."""

_TAILS = (1.0, 50.0, 99.0)
"""The percentiles that are a range's ends and its middle, so that one odd piece widens nothing."""

_LONGEST_PERIOD = 128
"""Chords after which a loop begins again, at most."""


@dataclass(frozen=True)
class Measure:
    """Something that tells a piece that is worth keeping from another.

    Attributes:
        least: what it is at least before it is a fault at all, whatever the corpus is like; None
            where it is not the high values that are one.
        fault: what is said of a piece beyond the range.
    """

    least: float | None
    fault: str


MEASURES: dict[str, Measure] = {
    "notes_per_beat": Measure(None, "nearly empty"),
    "notes_at_once": Measure(None, ""),
    "longest_wait": Measure(8.0, "nothing new for bars"),
    "same_chord": Measure(12.0, "one chord again and again"),
    "loop": Measure(24.0, "an endless loop"),
}
"""What is measured of a piece, by name.

`notes_per_beat`; `notes_at_once`, how many are struck together on average; `longest_wait`, the most
beats in which nothing is struck; `same_chord`, how many times in a row the same pitches are struck;
`loop`, the most beats that repeat what was before them exactly, at least twice over.
"""

EMPTY = "empty"
UNREADABLE = "no music"


def measure(score: Score) -> dict[str, float]:
    """Return what is measured of a score by the names of `MEASURES`; drums count."""
    if not len(score):
        return {}
    beats = max(score.length, 1) / score.ticks_per_beat
    struck, chord = _chords(score)
    times = np.concatenate([[0], struck, [max(score.length, 1)]]) / score.ticks_per_beat
    return {
        "notes_per_beat": len(score) / beats,
        "notes_at_once": len(score) / len(struck),
        "longest_wait": float(np.diff(times).max()),
        "same_chord": float(_longest_run(chord[1:] == chord[:-1]) + 1),
        "loop": _loop(chord, times[1:]),
    }


def _chords(score: Score) -> tuple[IntArray, IntArray]:
    """Return when something is struck, and a number for the pitches struck: equal, the same."""
    struck, first = np.unique(score.onset, return_index=True)
    # Notes are sorted by onset, then pitch, so that equal chords are equal bytes.
    ends = np.append(first[1:], len(score))
    # Drums on keys of their own: a snare is no note.
    pitch = score.pitch + 128 * score.is_drum
    keys = [pitch[a:b].tobytes() for a, b in zip(first.tolist(), ends.tolist(), strict=True)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return struck, np.array([numbers[key] for key in keys], dtype=np.int64)


def _loop(chord: IntArray, times: FloatArray) -> float:
    """Return the most beats that repeat exactly what came before, at least twice.

    Args:
        chord: (N,) numbers of chords.
        times: (N + 1,) beats at which they are struck, and of the end.
    """
    # Rounded, since equal gaps at different beats differ in their last digits.
    gaps = np.round(np.diff(times), 6)
    longest = 0.0
    # At most a third of the piece: a loop is what is heard three times at least.
    for period in range(1, min(_LONGEST_PERIOD, len(chord) // 3) + 1):
        same = (chord[period:] == chord[:-period]) & (gaps[period:] == gaps[:-period])
        for first, after in zip(*_runs(same), strict=True):
            if after - first >= 2 * period:
                longest = max(longest, float(times[after + period] - times[first + period]))
    return longest


def _runs(flags: Array) -> tuple[IntArray, IntArray]:
    """Return where the stretches of True begin, and after which place they end."""
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def _longest_run(flags: Array) -> int:
    first, after = _runs(flags)
    return int((after - first).max(initial=0))


@dataclass(frozen=True)
class CorpusRange:
    """What the pieces of a corpus are like.

    Attributes:
        measures: for each name of `MEASURES` the low end of the range, the middle and the high
            end; nothing where no piece was measured.
    """

    measures: Mapping[str, tuple[float, float, float]]

    @classmethod
    def of(cls, scores: Iterable[Score]) -> CorpusRange:
        """Learn the range of some scores; those without notes do not count."""
        found = [measured for score in scores if (measured := measure(score))]
        if not found:
            return cls({})
        table = {name: [each[name] for each in found] for name in MEASURES}
        return cls(
            {
                name: tuple(float(end) for end in np.percentile(values, _TAILS))  # type: ignore[misc]
                for name, values in table.items()
            }
        )

    @classmethod
    def from_json(cls, value: Any) -> CorpusRange:
        """Return what `as_json` gave; what is not of it is left out."""
        known = value if isinstance(value, Mapping) else {}
        return cls(
            {
                name: (float(ends["low"]), float(ends["middle"]), float(ends["high"]))
                for name, ends in known.items()
                if name in MEASURES
            }
        )

    def as_json(self) -> dict[str, dict[str, float]]:
        """Return the ranges as JSON values."""
        names = ("low", "middle", "high")
        return {name: dict(zip(names, ends, strict=True)) for name, ends in self.measures.items()}

    def faults(self, measured: Mapping[str, float]) -> list[str]:
        """Return what makes a piece not worth keeping; nothing for one that is."""
        if not measured:
            return [EMPTY]
        found = []
        for name, (low, _, high) in self.measures.items():
            if not (declared := MEASURES[name]).fault:
                continue
            value = measured[name]
            # Where low values are the fault there is no `least`.
            too_low = declared.least is None and value * MARGIN < low
            if too_low or (
                declared.least is not None and value > max(declared.least, MARGIN * high)
            ):
                found.append(declared.fault)
        return found

    def distance(self, measured: Mapping[str, float]) -> float:
        """Return how far a piece is from the middle of the corpus: 1 is as far as its ends are."""
        distances = [
            abs(measured[name] - middle) / max((high - low) / 2, 1e-9)
            for name, (low, middle, high) in self.measures.items()
            if name in measured and high > low
        ]
        return float(np.mean(distances)) if distances else 0.0


def judged(
    steps: Array, encoder: Encoder[Any], corpus: CorpusRange
) -> tuple[Sequence[str], Mapping[str, float]]:
    """Return the faults of generated steps and what was measured; none of texts without music."""
    if "score" not in encoder.config.produces():
        return ([] if len(steps) else [EMPTY]), {}
    score = as_score(steps, encoder)
    if score is None:
        return [UNREADABLE], {}
    measured = measure(score)
    return corpus.faults(measured), measured
