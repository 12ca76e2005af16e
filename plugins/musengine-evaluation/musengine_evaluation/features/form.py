"""What comes back in a piece: how alike bars are that lie apart, and bars heard before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from musengine.api import IntArray, Score, excerpt
from musengine_evaluation.features.structure import placed_notes

LAGS = (1, 2, 3, 4, 8, 16)
"""Bars between those that are compared."""
RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class _Contents:
    """The notes of each bar as one set.

    Attributes:
        content: (K,) bar · width + what begins there, ascending, each once.
        width: more than any number for what begins.
        bars: how many bars there are.
    """

    content: IntArray
    width: int
    bars: int


def bar_similarity(score: Score, lags: Sequence[int] = LAGS) -> list[float]:
    """Return for each lag how alike a bar and the one so many bars later are, 0 to 1.

    That is the Jaccard index of their sets of (place in the bar in sixteenths, pitch, track),
    averaged over all pairs in which a note begins. NaN where there is none. Four bars of a beat,
    as files have them that know of no bars, are one.
    """
    contents = _contents(score)
    number = contents.content // contents.width
    size_B = np.bincount(number, minlength=contents.bars)
    found = []
    for lag in lags:
        again = np.isin(contents.content + lag * contents.width, contents.content)
        pairs = max(contents.bars - lag, 0)
        shared_B = np.bincount(number[again], minlength=contents.bars)[:pairs]
        union_B = size_B[:pairs] + size_B[lag : lag + pairs] - shared_B
        some = union_B > 0
        found.append(float((shared_B[some] / union_B[some]).mean()) if some.any() else math.nan)
    return found


def bars_heard_before(score: Score) -> float:
    """Return the share of bars with notes that an earlier bar of the piece equals; NaN of none.

    Equal bars have the same notes at the same places on the same tracks.
    """
    contents = _contents(score)
    firsts = np.flatnonzero(np.diff(contents.content // contents.width)) + 1
    bars = np.split(contents.content % contents.width, firsts)
    if not len(contents.content):
        return math.nan
    return 1.0 - len({bar.tobytes() for bar in bars}) / len(bars)


def form(score: Score) -> dict[str, float]:
    """Return the bar similarity at each of `LAGS`, and the share of bars heard before."""
    similar = bar_similarity(score)
    named = {f"bar_similarity_{lag}": value for lag, value in zip(LAGS, similar, strict=True)}
    return {**named, "bars_heard_before": bars_heard_before(score)}


def whole_bars(score: Score) -> Score:
    """Return a score in which four bars of a beat, or less, are one, where there are so many."""
    until = np.append(score.meter_tick[1:], max(score.length, int(score.meter_tick[-1])))
    four = 16 * score.ticks_per_beat * score.meter[:, 0] // score.meter[:, 1]
    short = (score.meter[:, 0] * 4 <= score.meter[:, 1]) & (until - score.meter_tick >= four)
    return replace(score, meter=np.where(short[:, None], score.meter * [4, 1], score.meter))


def first_bars(score: Score, bars: int) -> Score:
    """Return the beginning of a piece, so many bars of it; all of it where it is shorter."""
    return excerpt(whole_bars(score), 0, bars, "bars")


def bootstrap(values: Sequence[float], count: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean of so many values, drawn from these with replacement.

    By the percentile method (Efron 1979), with always the same draws; NaN of fewer than two. What
    is undefined is left out. No more are drawn than there are: a mean of a hundred draws of twenty
    values looks more certain than twenty values make it.
    """
    known = np.array(values)[~np.isnan(values)]
    if len(known) < 2 or count < 1:
        return math.nan, math.nan
    random = np.random.default_rng(0)
    means = known[random.integers(0, len(known), (RESAMPLES, min(count, len(known))))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _contents(score: Score) -> _Contents:
    score = whole_bars(score)
    notes = placed_notes(score)
    tracks = max(len(score.tracks), 1)
    # One whole number for place, pitch and track: sets of notes become sorted arrays.
    width = (int(notes.position.max(initial=0)) + 1) * 128 * tracks
    begins = (notes.position * 128 + score.pitch) * tracks + score.track
    content = np.unique(notes.number * width + begins)
    return _Contents(content, width, int(notes.number.max(initial=-1)) + 1)
