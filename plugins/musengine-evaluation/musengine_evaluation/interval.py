"""Figures with their confidence intervals; those of a mean by Student's t."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from musengine.api import shown_number


@dataclass(frozen=True)
class Interval:
    """A number and the interval in which its true value lies with the confidence asked for.

    Attributes:
        mean: the number; NaN where it is not defined.
        low: the interval's lower end; NaN where it is not known.
        high: its upper end, likewise.
        count: how many values it is the mean of; 0 where that is not known.
    """

    mean: float
    low: float = math.nan
    high: float = math.nan
    count: int = 0

    def apart_from(self, other: Interval) -> bool:
        """Return whether the two intervals do not overlap; no, where one is unknown."""
        return self.high < other.low or other.high < self.low

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "-"
        shown = shown_number(self.mean, 4)
        return (
            shown
            if math.isnan(self.low)
            else f"{shown} ({shown_number(self.low, 3)} to {shown_number(self.high, 3)})"
        )


def mean_and_interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Return the mean of independent values and its two-sided interval, mean ± t · s / √n.

    Args:
        values: one for each piece; NaN, where a figure is undefined, is left out.
        level: the confidence, above 0 and below 1.

    Raises:
        ValueError: a level out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"the level must lie between 0 and 1, got {level}")
    given = np.fromiter(values, dtype=np.float64)
    kept = given[~np.isnan(given)]
    count = len(kept)
    if count < 2:
        return Interval(float(kept[0]) if count else math.nan, math.nan, math.nan, count)
    mean = float(kept.mean())
    half = float(stats.t.interval(level, count - 1)[1]) * float(kept.std(ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half, count)
