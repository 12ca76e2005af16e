"""What can be set where pieces are held against a corpus; commands and metrics share it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from musengine.api import Config, GridStep, setting

LONGEST_WINDOW = 1024
"""Steps of a window at most, so that what is compared at once stays small."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class SimilarityConfig(Config):
    """How pieces are compared with a corpus by the cosine of windows."""

    window: int = setting(64, doc="Steps of a window.", low=1, high=LONGEST_WINDOW)
    stride: int = setting(1, doc="Steps from one window of a piece to the next.", low=1, high=2**20)
    sample: int | None = setting(
        None,
        doc="Windows of each piece that are compared, drawn by `seed`; none given: all.",
        low=1,
        high=2**20,
    )
    step: GridStep = setting(
        GridStep(Fraction(1, 8), "beat"),
        doc="Length of one step: a fraction of a beat (a quarter note), or seconds.",
    )
    seed: int = setting(0, doc="Seed of the drawing.", low=0)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class OriginalityConfig(Config):
    """How passages of a corpus are looked for in pieces."""

    ngram: int = setting(
        8,
        doc="Elements of an n-gram of the line, two fewer than it has notes.",
        low=1,
        high=1024,
    )
    window: int = setting(
        64,
        doc="Steps of the windows whose notes are laid over each other.",
        low=1,
        high=LONGEST_WINDOW,
    )
    step: GridStep = setting(
        GridStep(Fraction(1, 4), "beat"),
        doc="Length of one step: a fraction of a beat (a quarter note), or seconds.",
    )
