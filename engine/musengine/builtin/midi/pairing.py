"""Which release ends which strike, for all notes of a track at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musengine.music.score import LAST_TICK
from musengine.utils.arrays import IntArray

BoolArray = npt.NDArray[np.bool_]
_KEY_SHIFT = (2 * LAST_TICK).bit_length()
"""Keys of so many bits, times of the others: those of as many notes as a file may have fit."""


def pair(
    tick_E: IntArray, key_E: IntArray, strike_E: BoolArray, track_end: int
) -> tuple[IntArray, IntArray, int]:
    """Return which events are strikes, when the note of each ends, and how many never do.

    A release belongs to a strike of its key before it. Where strikes and releases of a key
    balance, the first strike is the first released. Where releases are missing, strikes and
    releases are matched as brackets are, and the strikes left over are those never released: a
    note that hangs does not shift the releases of all later ones. It ends at the next strike of
    its key, else at the track's end. A release without a strike before it is passed over.

    Args:
        tick_E: when each strike or release is, in the order of the file.
        key_E: what it strikes or releases, at least 0: a channel's pitch.
        strike_E: whether it strikes.
        track_end: ticks.
    """
    by_key = np.argsort(key_E, kind="stable")
    by_key = by_key[~_idle(key_E[by_key], strike_E[by_key])]
    key, strike = key_E[by_key], strike_E[by_key]
    hangs = _hangs(key, strike)
    end = np.zeros(len(key), dtype=np.int64)
    end[strike & ~hangs] = tick_E[by_key[~strike]]
    struck, key, hangs = by_key[strike], key[strike], hangs[strike]
    next_strike = np.full(len(struck), track_end, dtype=np.int64)
    again = np.flatnonzero(key[1:] == key[:-1])
    next_strike[again] = tick_E[struck[again + 1]]
    end = np.where(hangs, next_strike, end[strike])
    in_file = np.argsort(struck)
    return struck[in_file], end[in_file], int(hangs.sum())


def _idle(key: IntArray, strike: BoolArray) -> BoolArray:
    """Return which events release what has not been struck: those of a depth never had before."""
    depth, apart = _depth(key, strike)
    # Each key's depths lie below those of the keys before it: a minimum over all is one within.
    lower = depth - apart * key
    before = lower - np.where(strike, 1, -1)
    result: BoolArray = lower < np.minimum.accumulate(before)
    return result


def _hangs(key: IntArray, strike: BoolArray) -> BoolArray:
    """Return which events are strikes after which the depth never falls below theirs again."""
    depth, apart = _depth(key, strike)
    higher = depth + apart * key
    result: BoolArray = strike & (np.minimum.accumulate(higher[::-1])[::-1] >= higher)
    return result


def _depth(key: IntArray, strike: BoolArray) -> tuple[IntArray, int]:
    """Return how many more strikes than releases of its key there were, and more than any depth.

    Args:
        key: (E,) in ascending order.
        strike: (E,) whether the event strikes.
    """
    total = np.cumsum(np.where(strike, 1, -1))
    begins = np.flatnonzero(np.diff(key, prepend=-1))
    before = np.concatenate([[0], total])[begins]
    depth: IntArray = total - np.repeat(before, np.diff(np.append(begins, len(key))))
    return depth, 2 * len(key) + 4


def cut_at_next_strike(onset_N: IntArray, duration_N: IntArray, key_N: IntArray) -> int:
    """Shorten the durations that reach beyond the next strike of the key; returns how many.

    Strikes of a key at one time do not end each other: they all last until the next one.

    Args:
        onset_N: ticks, in order for each key.
        duration_N: ticks; changed.
        key_N: at least 0.
    """
    if key_N.max(initial=0) < 2**16:
        # NumPy counts short numbers instead of comparing them.
        by_key = key_N.astype(np.uint16).argsort(kind="stable")
    else:
        key_N = np.unique(key_N, return_inverse=True)[1]
        by_key = key_N.argsort(kind="stable")
    # So the first strike of the next key is later than any note lasts.
    strike, duration = (key_N << _KEY_SHIFT | onset_N).take(by_key), duration_N.take(by_key)
    wait = strike[1:] - strike[:-1]
    (cut,) = (wait < duration[:-1]).nonzero()
    shorter = wait[cut]
    if not shorter.all():
        # Each of those struck together waits for what follows the last of them.
        wait = np.append(wait, 2**_KEY_SHIFT)
        (last,) = wait.nonzero()
        shorter = wait[last[last.searchsorted(cut)]]
        sooner = shorter < duration[cut]
        cut, shorter = cut[sooner], shorter[sooner]
    duration_N[by_key[cut]] = shorter
    return len(cut)
