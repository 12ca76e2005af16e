"""A mean with its confidence interval, by Student's t."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean and the interval in which the true mean lies with the confidence asked for.

    Attributes:
        mean: NaN without values.
        low: the interval's lower end; NaN with fewer than two values.
        high: its upper end; NaN with fewer than two values.
        count: how many values there were.
    """

    mean: float
    low: float
    high: float
    count: int

    def apart_from(self, other: Estimate) -> bool:
        """Return whether the two intervals do not overlap; no, where one is unknown."""
        return self.high < other.low or other.high < self.low


def mean_and_interval(values: Iterable[float], level: float = 0.95) -> Estimate:
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
        return Estimate(float(kept[0]) if count else math.nan, math.nan, math.nan, count)
    mean = float(kept.mean())
    half = student_t(level, count - 1) * float(kept.std(ddof=1)) / math.sqrt(count)
    return Estimate(mean, mean - half, mean + half, count)


def student_t(level: float, degrees: int) -> float:
    """Return t such that Student's distribution has the probability `level` between -t and t.

    Args:
        level: above 0 and below 1.
        degrees: of freedom, at least 1.
    """
    low, high = 0.0, math.pi / 2
    # Bisection on the angle whose tangent is t / √degrees, to the last bit that matters.
    for _ in range(60):
        middle = (low + high) / 2
        if _within(middle, degrees) < level:
            low = middle
        else:
            high = middle
    return math.tan((low + high) / 2) * math.sqrt(degrees)


def _within(angle: float, degrees: int) -> float:
    """Return the probability between -t and t, t = √degrees · tan(angle).

    The finite sums of Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.
    """
    k = np.arange(1, (degrees - 1) // 2 if degrees % 2 else degrees // 2)
    ratio = 2 * k / (2 * k + 1) if degrees % 2 else (2 * k - 1) / (2 * k)
    total = 1.0 + float(np.cumprod(ratio * math.cos(angle) ** 2).sum())
    if degrees % 2 == 0:
        return math.sin(angle) * total
    rest = math.sin(angle) * math.cos(angle) * total if degrees > 1 else 0.0
    return 2 / math.pi * (angle + rest)
