"""Loops: notes that go round and round, which people write for so long and no longer.

Where only the likeliest values are drawn, notes that go round do so for ever: to leave is at each
of them less likely than what is left out. So each note is compared, by the wait before it, its part
and its pitch, with the one p notes before, for each period p: a_p, 0 at first, rises by 1 where
they are the same, and falls by 8 to no less than 0 where they are not, so that one other note among
many ends no loop. a_p >= 3 p / 2 says that some notes are heard for the third time, half of them at
least: a loop of a_p notes.

From a bound on, no note that would go on with a loop is drawn. The first other one sets a_p to
-p / 2, from where it rises to 0 with each note, whatever it is; as long as it is below, none goes
on with the loop, either: one other note is soon forgotten, half a round of them is something else.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musengine.api import IntArray

PERIODS = 384
"""Notes after which a loop begins again, at most: ten to twenty bars of most music."""
_FALL = 8
_LEAST_ELSE = 8
"""Other notes after a loop at the least, where half its period is less."""
_SHORTEST_BOUND = 32
"""Notes of a loop that may always be drawn: a corpus without any does not forbid to say a thing
three times."""
_PERCENTILE = 95
"""Of the longest loops of training pieces, beyond which none goes on."""


def keys_of_notes(waits: IntArray, parts: IntArray, pitches: IntArray) -> IntArray:
    """Return what is the same for notes that are; as `copies.note_hashes` takes them."""
    result: IntArray = waits * 2**20 + parts * 2**9 + pitches
    return result


def longest_loop(keys_M: IntArray) -> int:
    """Return of how many notes the longest loop of a piece is, 0 for none."""
    longest = 0
    for period in range(1, min(PERIODS, 2 * len(keys_M) // 5) + 1):
        same = keys_M[period:] == keys_M[:-period]
        # Nearly always too few, which is seen soonest.
        if 2 * np.count_nonzero(same) < max(3 * period, 2 * longest):
            continue
        walk = np.where(same, 1, -_FALL).cumsum()
        # a_p: the walk above the lowest point that it had, which never is above 0.
        again = int((walk - np.minimum(np.minimum.accumulate(walk), 0)).max())
        if 2 * again >= 3 * period:
            longest = max(longest, again)
    return longest


def loop_bound(longest: list[int]) -> int:
    """Return how long a loop may be, given the longest one of each training piece."""
    if not longest:
        return _SHORTEST_BOUND
    return max(_SHORTEST_BOUND, int(np.percentile(longest, _PERCENTILE, method="higher")))


class LoopWatch:
    """Follows whether the notes of N pieces go round while they are made; prompts do not count.

    Args:
        pieces: how many.
        longest: notes of a loop that may be drawn.

    Attributes:
        recent_NP: the last notes, the latest first; -1 where there was none.
        again_NP: a_p of each period.
    """

    def __init__(self, pieces: int, longest: int) -> None:
        self.recent_NP = np.full((pieces, PERIODS), -1, dtype=np.int64)
        self.again_NP = np.zeros((pieces, PERIODS), dtype=np.int64)
        periods = np.arange(1, PERIODS + 1)
        self._least_P = np.maximum((3 * periods + 1) // 2, longest)
        self._else_P = np.maximum(periods // 2, _LEAST_ELSE)

    def begin(self, piece: int, keys_M: IntArray) -> None:
        """Take in the notes of a piece's prompt."""
        last = keys_M[::-1][:PERIODS]
        self.recent_NP[piece, : len(last)] = last

    def observe(self, keys_N: IntArray, note_N: npt.NDArray[np.bool_]) -> None:
        """Take in the next note of those pieces that have one."""
        again_NP, ended_NP = self.again_NP, self.again_NP >= self._least_P
        fallen = np.where(ended_NP, -self._else_P, np.maximum(again_NP - _FALL, 0))
        rises = (self.recent_NP == keys_N[:, None]) | (again_NP < 0)
        moved = np.concatenate([keys_N[:, None], self.recent_NP[:, :-1]], axis=1)
        here = note_N[:, None]
        self.again_NP = np.where(here, np.where(rises, again_NP + 1, fallen), again_NP)
        self.recent_NP = np.where(here, moved, self.recent_NP)

    def barred(self) -> npt.NDArray[np.bool_]:
        """Return (N, periods): whether no note may be the one so many before."""
        result: npt.NDArray[np.bool_] = (self.again_NP >= self._least_P) | (self.again_NP < 0)
        return result
