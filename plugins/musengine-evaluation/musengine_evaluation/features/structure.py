"""How the bars of a piece resemble each other, through its meter map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from musengine.api import FloatArray, IntArray, Score

STEPS_PER_BEAT = 4
"""Onsets are compared on a grid of sixteenth notes, counted from the beginning of each bar."""


@dataclass(frozen=True, eq=False)
class _Bars:
    """The bars of a score and the places in them at which notes begin.

    Attributes:
        meter: (B,) which meter each bar with an onset belongs to, ascending.
        number: (B,) the number of that bar in the piece, ascending.
        bar: (N,) which of those B bars each note begins in.
        position: (N,) at which step of the bar.
        positions: (M,) how many steps the bars of each meter have.
        first: (M,) the number of the bar with which each meter begins.
        after: (M,) the number of the bar after its last; both at most the number of bars.
    """

    meter: IntArray
    number: IntArray
    bar: IntArray
    position: IntArray
    positions: IntArray
    first: IntArray
    after: IntArray


@dataclass(frozen=True, eq=False)
class PlacedNotes:
    """Where the notes of a score begin: (N,) number of the bar, and step of it."""

    number: IntArray
    position: IntArray


def placed_notes(score: Score) -> PlacedNotes:
    """Return in which bar of the piece each note begins, and at which sixteenth of it."""
    bars = _bars(score)
    return PlacedNotes(bars.number[bars.bar], bars.position)


def groove_consistency(score: Score) -> float:
    """Return 1 less the mean share of steps in which a bar and the next differ, 0 to 1.

    They differ in a step if a note, drums included, begins there in one of them only (Wu and Yang
    2020). Only neighbours of the same meter are compared. NaN without notes, and without two
    neighbouring bars of one meter.
    """
    bars = _bars(score)
    pairs = np.maximum(bars.after - bars.first - 1, 0).sum()
    if not len(score) or not pairs:
        return math.nan
    width = int(bars.positions.max())
    begins = np.unique(bars.bar * width + bars.position)
    meter_B, number_B = bars.meter, bars.number
    weight_B = 1.0 / bars.positions[meter_B]
    # A beginning differs from the bar before and from the bar after, where there is one ...
    before_B = number_B > bars.first[meter_B]
    after_B = number_B + 1 < bars.after[meter_B]
    differing = ((before_B.astype(int) + after_B) * weight_B)[begins // width].sum()
    # ... unless that has the same: then both counted a difference that is none.
    next_B = np.append(np.diff(number_B) == 1, False) & after_B
    shared = begins[next_B[begins // width]]
    shared = shared[np.isin(shared + width, begins)]
    differing -= 2 * weight_B[shared // width].sum()
    return float(1.0 - differing / pairs)


def repetition_rate(score: Score) -> float:
    """Return the share of bars whose notes all began alike in an earlier bar, 0 to less than 1.

    Two bars are alike if they have the same meter and the same pitches begin at the same steps,
    drums apart; lengths and velocities do not count. Bars in which no note begins are left out.
    NaN without notes.
    """
    if not len(score):
        return math.nan
    bars = _bars(score)
    width = int(bars.positions.max()) * 256
    content_N = (bars.position * 128 + score.pitch) * 2 + score.is_drum
    begins = np.unique(bars.bar * width + content_N)
    firsts = np.flatnonzero(np.diff(begins // width)) + 1
    contents = np.split(begins % width, firsts)
    meters = score.meter[bars.meter].tolist()
    different = {
        (*meter, content.tobytes()) for meter, content in zip(meters, contents, strict=True)
    }
    return 1.0 - len(different) / len(contents)


def _bars(score: Score) -> _Bars:
    bar_ticks_M = score.meter[:, 0] * 4.0 * score.ticks_per_beat / score.meter[:, 1]
    step = score.ticks_per_beat / STEPS_PER_BEAT
    number, position = _placed(np.append(score.onset, score.length), score, bar_ticks_M, step)
    # The last bar is the one that the length, rounded likewise, reaches into.
    count = max(number[-1] + (position[-1] > 0), number[:-1].max(initial=-1) + 1)
    first_M = _first_bars(score)
    number_B, bar_N = np.unique(number[:-1], return_inverse=True)
    return _Bars(
        meter=np.searchsorted(first_M, number_B, side="right") - 1,
        number=number_B,
        bar=bar_N,
        position=position[:-1],
        positions=np.maximum(np.ceil(bar_ticks_M / step - 1e-9), 1).astype(np.int64),
        first=np.minimum(first_M, count),
        after=np.minimum(np.append(first_M[1:], count), count),
    )


def _first_bars(score: Score) -> IntArray:
    return np.rint(score.bars(score.meter_tick)).astype(np.int64)


def _placed(
    tick_N: IntArray, score: Score, bar_ticks_M: FloatArray, step: float
) -> tuple[IntArray, IntArray]:
    """Return (N,) the bar and (N,) the step in it nearest to each tick; half-way goes up."""
    meter_N = np.searchsorted(score.meter_tick, tick_N, side="right") - 1
    offset_N = tick_N - score.meter_tick[meter_N]
    size_N = bar_ticks_M[meter_N]
    bar_N = np.floor(offset_N / size_N + 1e-9)
    position_N = np.maximum(np.floor((offset_N - bar_N * size_N) / step + 0.5), 0)
    # What is nearest to the next bar line, a change of meter may draw it near, belongs there.
    until_M = np.append(np.diff(score.meter_tick).astype(np.float64), np.inf)
    end_N = np.minimum((bar_N + 1) * size_N, until_M[meter_N])
    over_N = bar_N * size_N + position_N * step >= end_N - 1e-6
    number_N = _first_bars(score)[meter_N] + bar_N.astype(np.int64) + over_N
    return number_N, np.where(over_N, 0, position_N).astype(np.int64)
