"""Where notes stand in written music: in bars, on divisions of the beat that can be written."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from musengine.api import FloatArray, IntArray, Score, one_note_per_key
from musengine.errors import UnwritableError

BEAT = 1680
"""Units of a quarter note: divides evenly by 16, 24, 5 and 7."""
MOST_BARS = 20_000
_FINEST_METER = 64

_EXACT = (1, 2, 4, 3, 8, 6, 16, 12, 5, 24, 7, 10, 14)
"""Equal parts of a beat that can be written, the plainest first."""
_PLAIN = {1: 0.0, 2: 0.01, 4: 0.02, 3: 0.03, 8: 0.05, 6: 0.05}
"""Parts for music that is on no grid, with the share of a beat by which each must be nearer."""


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        start: in units from the start of the piece.
        length: in units.
        meter: numerator and denominator, a power of two.
        upbeat: whether it is a first bar that is not full.
    """

    start: int
    length: int
    meter: tuple[int, int]
    upbeat: bool = False

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + self.length

    @property
    def pulse(self) -> int:
        """Units of a beat as it is counted: three eighths in 6/8."""
        numerator, denominator = self.meter
        compound = denominator >= 8 and numerator % 3 == 0
        return 3 * 4 * BEAT // denominator if compound else BEAT


def bars_of(score: Score) -> list[Bar]:
    """Return the bars of a score, the last of which is full.

    Raises:
        UnwritableError: there are more than anyone reads.
    """
    starts = [_units(tick, score.ticks_per_beat) for tick in score.meter_tick.tolist()]
    meters = [_meter(*meter) for meter in score.meter.tolist()]
    end = max(_units(score.length, score.ticks_per_beat), 1)
    upbeat = score.upbeat > 0
    bars: list[Bar] = []
    for index, (start, meter) in enumerate(zip(starts, meters, strict=True)):
        after = starts[index + 1] if index + 1 < len(starts) else None
        if start >= end:
            break
        full = 4 * BEAT * meter[0] // meter[1]
        stop = end if after is None else min(after, end)
        if len(bars) + (stop - start) // full > MOST_BARS:
            raise UnwritableError(
                f"more than {MOST_BARS} bars are not written", code="piece-too-long"
            )
        for begin in range(start, stop, full):
            length = full if after is None else min(full, after - begin)
            first = upbeat and index == 0
            bars.append(Bar(begin, length, meters[1] if first else meter, first))
    return bars


def on_grid(score: Score, bars: list[Bar]) -> Score:
    """Return the notes at times that can be written, `BEAT` ticks to a beat.

    What is on halves, thirds, fifths or sevenths of a beat, or parts of these, stays as it is; of
    other music each beat gets the plain division that is nearest. No pitch of a track sounds twice
    at once.
    """
    starts = np.array([bar.start for bar in bars])
    ends = np.array([bar.end for bar in bars])
    # Times in 1 / (BEAT * ticks_per_beat) of a quarter note: whole numbers on either grid.
    exact = np.concatenate([score.onset, score.end]) * BEAT
    bar = np.searchsorted(starts * score.ticks_per_beat, exact, side="right") - 1
    beat, part = np.divmod(exact - starts[bar] * score.ticks_per_beat, BEAT * score.ticks_per_beat)
    window = starts[bar] + beat * BEAT
    divisors = _divisors(
        window, part / (BEAT * score.ticks_per_beat), len(score), set(ends.tolist())
    )
    step = BEAT // np.array([divisors[each] for each in window.tolist()], dtype=np.int64)
    parts = np.floor(part / (score.ticks_per_beat * step) + 0.5).astype(np.int64) * step
    placed = np.minimum(window + parts, ends[bar])
    onset, end = placed[: len(score)], placed[len(score) :]
    # Notes that a coarse grid has left no time get one part of their beat.
    for index in np.nonzero(end <= onset)[0].tolist():
        mine = bars[int(np.searchsorted(starts, onset[index], side="right")) - 1]
        begin = int(onset[index] - (onset[index] - mine.start) % BEAT)
        end[index] = min(onset[index] + BEAT // divisors.get(begin, 4), mine.end)
    return one_note_per_key(
        Score.from_notes(
            onset,
            end - onset,
            score.pitch,
            score.velocity,
            score.track,
            ticks_per_beat=BEAT,
            tracks=score.tracks,
        )
    )


def _divisors(window: IntArray, part: FloatArray, n_onsets: int, ends: set[int]) -> dict[int, int]:
    """Return into how many equal parts each beat is divided, by its start.

    Args:
        window: (N,) the start of the beat that each place is in.
        part: (N,) how much of the beat has gone by.
        n_onsets: how many of the places, which are the first, are those where notes begin.
        ends: of the bars; a beat that one of them cuts short has no tuplets.
    """
    order = np.argsort(window, kind="stable")
    cuts = [0, *(np.nonzero(np.diff(window[order]))[0] + 1).tolist(), len(order)]
    found = {}
    for first, after in itertools.pairwise(cuts):
        mine = order[first:after]
        start = int(window[mine[0]])
        short = any(start + cut in ends for cut in range(BEAT // 16, BEAT, BEAT // 16))
        begins = part[mine[mine < n_onsets]]
        found[start] = _divisor(part[mine], begins, (1, 2, 4, 8, 16) if short else _EXACT)
    return found


def _divisor(part: FloatArray, begins: FloatArray, allowed: tuple[int, ...]) -> int:
    """Return into how many equal parts a beat is divided so that these places are on them.

    Where no division has them all, it is the plain one that is nearest to where notes begin.
    """
    for divisor in allowed:
        if not (_away(part, divisor) > 1e-9).any():
            return divisor
    plain = [divisor for divisor in _PLAIN if divisor in allowed]
    mean = {each: float(_away(begins, each).sum()) / max(len(begins), 1) for each in plain}
    return min(plain, key=lambda each: mean[each] + _PLAIN[each])


def _away(part: FloatArray, divisor: int) -> FloatArray:
    """Return how far places in a beat are from the nearest of so many equal parts."""
    away: FloatArray = np.abs(part * divisor - np.floor(part * divisor + 0.5)) / divisor
    return away


def _units(tick: int, ticks_per_beat: int) -> int:
    """Return a tick in units, on a 64th."""
    finest = BEAT // 16
    return round(Fraction(tick * 16, ticks_per_beat)) * finest


def _meter(numerator: int, denominator: int) -> tuple[int, int]:
    """Return the nearest meter that can be written: its denominator a power of two, at most 64."""
    power = min(1 << max((denominator - 1).bit_length(), 0), _FINEST_METER)
    return max(round(Fraction(numerator * power, denominator)), 1), power
