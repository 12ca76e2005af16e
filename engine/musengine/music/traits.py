"""What a score is like in a few numbers: how many notes sound at once, on which grid they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musengine.music.score import Score
from musengine.music.transforms import overlap
from musengine.utils.arrays import FloatArray

GRIDS = (2, 3, 4, 6, 8, 12)
"""Steps to a beat that are looked at."""
SINGLE_LINE = 0.02
"""Share of the time in which several notes may sound in a single line, which is played so."""


@dataclass(frozen=True)
class Traits:
    """Numbers about one score; lengths in beats (quarter notes) unless said otherwise.

    Attributes:
        notes: how many.
        drums: how many of them are drums.
        melody_notes: how many of them are in tracks that are single lines.
        beats: length.
        seconds: length.
        tempo: quarter notes per minute, on the whole.
        polyphony: notes sounding at once where any does; drums count where there is nothing else.
        single_line: hardly two notes sound at once, in all tracks together.
        grids: (6,) for each of `GRIDS` how closely the onsets keep to so many steps a beat, 0 to 1.
        pitches: (128,) how many notes of each pitch; drums where there is nothing else.
    """

    notes: int
    drums: int
    melody_notes: int
    beats: float
    seconds: float
    tempo: float
    polyphony: float
    single_line: bool
    grids: FloatArray
    pitches: FloatArray


def traits_of(score: Score) -> Traits | None:
    """Return what a score is like; None for one without notes."""
    if not len(score):
        return None
    drums, notes = int(score.is_drum.sum()), len(score)
    pitched = score if drums in (0, notes) else score.take(~score.is_drum)
    length = float(pitched.end.max())
    beats = length / score.ticks_per_beat
    seconds = float(score.seconds(length))
    shared = overlap(pitched)
    alone = shared <= SINGLE_LINE
    polyphony, several = _sounding(pitched)
    return Traits(
        notes=notes,
        drums=drums,
        melody_notes=int(alone[pitched.track].sum()) if drums < notes else 0,
        beats=beats,
        seconds=seconds,
        # Over the whole length: played music changes its tempo at every beat.
        tempo=60 * beats / seconds if seconds else 120.0,
        polyphony=polyphony,
        single_line=several <= SINGLE_LINE,
        grids=_closeness(pitched),
        pitches=np.bincount(pitched.pitch, minlength=128).astype(np.float64),
    )


def _sounding(score: Score) -> tuple[float, float]:
    """Return how many notes sound at once where any does, and the share of time with several."""
    time = np.concatenate([score.onset, score.end])
    change = np.repeat([1, -1], len(score))
    # Ends before starts at one tick: the running sum is then never too high.
    order = np.lexsort((change, time))
    count = np.cumsum(change[order])[:-1]
    span = np.diff(time[order]).astype(np.float64)
    heard = span[count > 0].sum()
    return float((count * span).sum() / heard), float(span[count > 1].sum() / heard)


def _closeness(score: Score) -> FloatArray:
    """Return, for each of `GRIDS`, the mean resultant length of the onsets' phases.

    1 where all onsets lie on such a grid, also on one that begins a little late, as in a recording
    whose first beat is not at its start; near 0 where they lie anywhere.
    """
    beat_N = score.onset / score.ticks_per_beat
    # (6, N): each onset as a point on a circle that goes round once a grid step. Their mean is long
    # where they point the same way, whichever way that is.
    phases = np.exp(2j * np.pi * np.outer(GRIDS, beat_N))
    closeness: FloatArray = np.abs(phases.mean(axis=1))
    return closeness
