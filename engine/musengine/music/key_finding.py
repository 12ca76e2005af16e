"""The key of a score, by correlation with the key profiles of Krumhansl and Kessler (1982)."""

from __future__ import annotations

import numpy as np

from musengine.music.score import Score

# Probe-tone ratings for major and minor, C = 0 (Krumhansl and Kessler 1982, table 1, as printed in
# Krumhansl, Cognitive Foundations of Musical Pitch, 1990, p. 30).
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def find_key(score: Score) -> tuple[int, bool]:
    """Return the tonic's pitch class (C = 0) and whether the key is minor.

    Each pitch class is weighted by how long it sounds; drums do not count. A score without notes
    is in C major.
    """
    pitched = score.take(~score.is_drum)
    weights = np.bincount(pitched.pitch % 12, weights=pitched.duration, minlength=12)
    # Equal weights have no variance, and so no correlation: all twelve tones alike say nothing.
    if not weights.any() or np.ptp(weights) == 0:
        return 0, False
    keys = [(tonic, minor) for minor in (False, True) for tonic in range(12)]
    profiles = [np.roll(MINOR if minor else MAJOR, tonic) for tonic, minor in keys]
    correlations = [np.corrcoef(weights, profile)[0, 1] for profile in profiles]
    return keys[int(np.argmax(correlations))]


def tonic_shift(score: Score) -> int:
    """Return the semitones, -6 to 5, that move a score to C major or A minor."""
    tonic, minor = find_key(score)
    target = 9 if minor else 0
    # The nearest way, up or down, so that pieces stay in their range as far as possible.
    return (target - tonic + 6) % 12 - 6
