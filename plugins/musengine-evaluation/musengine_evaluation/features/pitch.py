"""Which pitches a piece uses; drums are left out, lengths and octaves of notes do not count."""

from __future__ import annotations

import math

import numpy as np

from musengine.api import FloatArray, IntArray, Score

_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_SCALES_RC = np.array([[(pc - root) % 12 in _MAJOR for pc in range(12)] for root in range(12)])
"""(12, 12): which pitch classes belong to each major scale; the natural minor scales are these."""


def pitched(score: Score) -> Score:
    """Return the score without drums."""
    return score.take(~score.is_drum)


def pitch_class_histogram(score: Score) -> FloatArray:
    """Return (12,) the share of notes of each pitch class, C first; NaN without notes."""
    return _shares(pitched(score).pitch % 12, 12)


def pitch_entropy(score: Score) -> float:
    """Return the entropy in bits of the pitches' shares, 0 to 7; NaN without notes."""
    return _entropy(_shares(pitched(score).pitch, 128))


def pitch_class_entropy(score: Score) -> float:
    """Return the entropy in bits of the pitch classes' shares, 0 to log2 12; NaN without notes."""
    return _entropy(pitch_class_histogram(score))


def pitch_range(score: Score) -> float:
    """Return the semitones from the lowest to the highest note; NaN without notes."""
    pitch_N = pitched(score).pitch
    return float(np.ptp(pitch_N)) if len(pitch_N) else math.nan


def pitches_used(score: Score) -> float:
    """Return how many different pitches there are, 0 to 128."""
    return float(len(np.unique(pitched(score).pitch)))


def pitch_classes_used(score: Score) -> float:
    """Return how many different pitch classes there are, 0 to 12."""
    return float(len(np.unique(pitched(score).pitch % 12)))


def scale_consistency(score: Score) -> float:
    """Return the share of notes within the scale that holds most of them; NaN without notes.

    Major and natural minor scales on every root are tried (Mogren 2016).
    """
    # NaN stays NaN through the product; a share is 1 at most whatever its sum rounds to.
    return float(np.minimum((_SCALES_RC @ pitch_class_histogram(score)).max(), 1.0))


def _shares(values_N: IntArray, count: int) -> FloatArray:
    if not len(values_N):
        return np.full(count, np.nan)
    result: FloatArray = np.bincount(values_N, minlength=count) / len(values_N)
    return result


def _entropy(share_C: FloatArray) -> float:
    # NaN is not 0, so that an undefined histogram has an undefined entropy.
    present = share_C[share_C != 0]
    return float(np.abs(np.sum(present * np.log2(present))))
