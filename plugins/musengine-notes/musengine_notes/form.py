"""How much of a corpus comes back: the share of notes that were there some bars before."""

from __future__ import annotations

import math

import numpy as np

from musengine.api import Score
from musengine.errors import UnreadableError
from musengine_notes.events import bars_of
from musengine_notes.layout import NoteEvents
from musengine_notes.lookback import keys_of

_MOST = 64
_LONGEST = 2**22
"""Grid steps of pieces that are looked at."""


class Returns:
    """Counts, for pieces in any order, how much of them was there before."""

    def __init__(self, layout: NoteEvents) -> None:
        self.layout = layout
        self.shares: list[list[float]] = [[] for _ in layout.lags]
        self.together = np.zeros(_MOST + 1, dtype=np.int64)

    def add(self, score: Score) -> None:
        """Count a piece: of its notes that have so many bars before them, those that come again."""
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
        track = np.minimum(score.track, 999)
        key = np.unique(keys_of(onset, track, score.pitch))
        for lag, shares in zip(self.layout.lags, self.shares, strict=True):
            there = number >= lag
            if there.any():
                moved = bars.starts[number[there] - lag] + place[there]
                then = keys_of(moved, track[there], score.pitch[there])
                shares.append(float(np.isin(then, key).mean()))

    def at_once(self) -> int:
        """Return than how many events hardly ever more begin together: one time in a thousand."""
        passed = self.together.cumsum()
        return int(np.searchsorted(passed, 0.999 * passed[-1])) if passed[-1] else 0

    def means(self) -> tuple[float, ...]:
        """Return the mean share of each lag, 0 where no piece is long enough."""
        # Added up exactly, so that the order of the pieces does not matter.
        return tuple(math.fsum(each) / len(each) if each else 0.0 for each in self.shares)
