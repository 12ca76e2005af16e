"""How much of a corpus comes back: how alike bars are that lie some bars apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from musengine.api import FloatArray, IntArray, Score
from musengine.errors import UnreadableError
from musengine_notes.events import bars_of
from musengine_notes.form.lookback import KEY, keys_of
from musengine_notes.layout import NoteEvents

BARS = 32
"""Bars of each piece that are looked at: about as many as new pieces are tried with."""
_MOST = 64
_LONGEST = 2**20
"""Grid steps of pieces that are looked at."""


class Returns:
    """Counts, for pieces in any order, how much of them was there before."""

    def __init__(self, layout: NoteEvents) -> None:
        self.layout = layout
        self.shares: list[list[float]] = []
        self.together = np.zeros(_MOST + 1, dtype=np.int64)

    def add(self, score: Score) -> None:
        """Count a piece: the mean Jaccard index of the notes of bars, of those that have any."""
        if not len(score):
            return
        _, together = np.unique(
            score.nearest_steps(score.onset, self.layout.step), return_counts=True
        )
        self.together += np.bincount(np.minimum(together, _MOST), minlength=_MOST + 1)
        if not self.layout.in_beats:
            return
        try:
            bars, shift = bars_of(score, self.layout, _LONGEST)
        except UnreadableError:
            return
        assert bars is not None
        onset = score.nearest_steps(score.onset, self.layout.step) + shift
        number, place, _ = bars.of(onset)
        # The notes of a bar as a set: each place, track and pitch once, the bar before them.
        content = keys_of(number * _LONGEST + place, np.minimum(score.track, 999), score.pitch)
        content = np.unique(content[number < BARS])
        if not len(content):
            return
        every = np.arange(content[-1] // (KEY * _LONGEST) + 1)
        self.shares.append(likeness(content, every, _LONGEST, self.layout.lags))

    def at_once(self) -> int:
        """Return than how many events hardly ever more begin together: one time in a thousand."""
        passed = self.together.cumsum()
        return int(np.searchsorted(passed, 0.999 * passed[-1])) if passed[-1] else 0

    def means(self) -> tuple[float, ...]:
        """Return the mean of the pieces for each lag, 0 where no piece is long enough."""
        rows = np.array(self.shares).reshape(len(self.shares), len(self.layout.lags))
        return tuple(0.0 if math.isnan(mean) else mean for mean in means_of(rows))


def likeness(content: IntArray, bars: IntArray, length: int, lags: Sequence[int]) -> list[float]:
    """Return for each lag the mean Jaccard index of bars that lie so far apart; NaN for none.

    Args:
        content: a number for each note, in ascending order, as `keys_of` makes them of the place in
            the bar plus `length` for each bar before it.
        bars: the numbers of the bars that are looked at, in ascending order.
        length: grid steps of a bar, or more.
        lags: bars.
    """
    bar = content // (KEY * length)
    count = int(max(bar.max(initial=0), bars.max(initial=0))) + 1
    size = np.bincount(bar, minlength=count)
    means = [math.nan] * len(lags)
    for k, lag in enumerate(lags):
        # Moved back by so many bars the note must be there: bars are the highest digit of the
        # number.
        later = bar[np.isin(content - lag * KEY * length, content)]
        shared = np.bincount(later, minlength=count)
        now = bars[bars >= lag]
        union = size[now] + size[now - lag] - shared[now]
        now, union = now[union > 0], union[union > 0]
        if len(now):
            means[k] = float((shared[now] / union).mean())
    return means


def means_of(alike_NL: FloatArray) -> tuple[float, ...]:
    """Return for each lag the mean of pieces, NaN where no bars lie so far apart.

    Args:
        alike_NL: (N, lags) for each piece how alike bars are that lie so far apart, NaN where none
            do.
    """
    # Added up exactly, so that the order of the pieces does not matter.
    columns = [column[np.isfinite(column)] for column in alike_NL.T]
    return tuple(math.fsum(each) / len(each) if len(each) else math.nan for each in columns)
