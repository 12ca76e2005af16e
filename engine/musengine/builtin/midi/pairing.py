"""Which release ends which strike, for all notes of a track at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musengine.timing import IntArray

BoolArray = npt.NDArray[np.bool_]


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


def cut_at_next_strike(onset_N: IntArray, end_N: IntArray, key_N: IntArray) -> tuple[IntArray, int]:
    """Return the ends, none later than the next strike of the key, and how many were later.

    Strikes of a key at one time do not end each other: they all last until the next one.

    Args:
        onset_N: ticks, in order for each key.
        end_N: ticks.
        key_N: at least 0.
    """
    # NumPy counts short numbers instead of comparing them.
    short = key_N.astype(np.uint16) if key_N.max(initial=0) < 2**16 else key_N
    by_key = np.argsort(short, kind="stable")
    key, onset, end = short[by_key], onset_N[by_key], end_N[by_key]
    again, following = key[1:] == key[:-1], onset[1:]
    together = again & (following == onset[:-1])
    if together.any():
        # Each strike is followed by what follows the last of those struck with it.
        last = np.flatnonzero(~np.append(together, False))
        last = np.repeat(last, np.diff(last, prepend=-1))[:-1]
        again, following = np.append(again, False)[last], np.append(following, 0)[last]
    cut = np.flatnonzero(again & (following < end[:-1]))
    if not len(cut):
        return end_N, 0
    result = end_N.copy()
    result[by_key[cut]] = following[cut]
    return result, len(cut)
