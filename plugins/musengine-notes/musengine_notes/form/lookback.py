"""Look-back: what came at the same place some bars before, and how well that has told the notes.

For a lag of l bars, let t' be the place of the note before moved back by l bars. Expected is the
first event after (t', its part, its pitch), in the order of events: the one that followed the same
note then, or, where that note was not there, the next one; nothing is before the piece begins. Its
delay is counted from t'. A run is the number of notes in a row, up to the one before, that came as
they were expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musengine.api import Array, IntArray
from musengine_notes.layout import (
    AT_ONCE,
    BAR,
    DELAY,
    EXPECTED,
    LONGEST_RUN,
    LOOKBACK,
    METRE,
    MOST_AT_ONCE,
    PART,
    PITCH,
    PITCHES,
    PLACE,
    PLACE_BEFORE,
    NoteEvents,
)

_PARTS = 2**10
"""More than any layout has."""
KEY = PITCHES * _PARTS
"""Of two events the key of the later one is larger: time, then part, then pitch."""


def keys_of(onset: IntArray, part: IntArray, pitch: IntArray) -> IntArray:
    """Return what events are sorted by."""
    # 64 bits: KEY is 2**18, so that there is room for 2**45 grid steps.
    result: IntArray = onset * KEY + part * PITCHES + pitch
    return result


@dataclass(frozen=True)
class Bars:
    """Where the bars begin, in grid steps: the first at 0, the last beyond all events."""

    starts: IntArray

    @classmethod
    def even(cls, length: int, last: int) -> Bars:
        """Return bars of one length, until after a step."""
        return cls(np.arange(0, last + 2 * length + 1, length, dtype=np.int64))

    def of(self, onset: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Return for each step the number of its bar, its place there, and the bar's length."""
        number = np.searchsorted(self.starts, onset, side="right") - 1
        number = np.clip(number, 0, len(self.starts) - 2)
        return (
            number,
            onset - self.starts[number],
            self.starts[number + 1] - self.starts[number],
        )


def onsets_of(steps_TF: Array, layout: NoteEvents) -> IntArray:
    """Return (T,): when each event begins, in grid steps."""
    delays = np.array(layout.delays, dtype=np.int64)
    delay = np.clip(np.asarray(steps_TF[:, DELAY], dtype=np.int64), 0, len(delays) - 1)
    result: IntArray = np.cumsum(delays[delay])
    return result


def channels(steps_TF: Array, bars: Bars | None, layout: NoteEvents) -> dict[str, Array]:
    """Return the conditioning channels of a piece, without bars where it has no beat."""
    onset = onsets_of(steps_TF, layout)
    if bars is None:
        return {"metre": metre_channel(onset, bars)}
    return {
        "metre": metre_channel(onset, bars),
        "lookback": lookback_channel(steps_TF, onset, bars, layout),
    }


def metre_channel(onset: IntArray, bars: Bars | None) -> Array:
    """Return (T, 4) as `layout` names the columns."""
    channel = np.zeros((len(onset), METRE), dtype=np.int16)
    index = np.arange(len(onset))
    begins = np.append(True, np.diff(onset) > 0)[: len(onset)]
    at_once = index - np.maximum.accumulate(np.where(begins, index, 0)) + 1
    channel[1:, AT_ONCE] = np.minimum(at_once[:-1], MOST_AT_ONCE)
    if bars is not None:
        _, place, length = bars.of(onset)
        channel[:, PLACE], channel[:, BAR] = place, length
        channel[1:, PLACE_BEFORE] = place[:-1]
    return channel


def lookback_channel(steps_TF: Array, onset: IntArray, bars: Bars, layout: NoteEvents) -> Array:
    """Return (T, lags, 6): the fields that are expected, and 0, or 1 more than the run."""
    steps_TF = np.asarray(steps_TF, dtype=np.int64)
    channel = np.zeros((len(steps_TF), len(layout.lags), LOOKBACK), dtype=np.int16)
    if len(steps_TF) < 2:
        return channel
    key = keys_of(onset, steps_TF[:, PART], steps_TF[:, PITCH])
    number, place, _ = bars.of(onset[:-1])
    for k, lag in enumerate(layout.lags):
        then = np.maximum(number - lag, 0)
        moved = bars.starts[then] + place
        # A place that the bar of then does not have is in none.
        there = (number >= lag) & (moved < bars.starts[then + 1])
        wanted = keys_of(moved, steps_TF[:-1, PART], steps_TF[:-1, PITCH])
        # The first event after the wanted one, in the order that the keys have.
        found = np.searchsorted(key, wanted, side="right")
        # Only from what was there when the note was to be predicted: else the model would see what
        # it is to predict.
        there &= (found <= np.arange(len(wanted))) & ((found > 0) | (onset[0] <= moved))
        found = np.where(there, found, 0)
        delay, told = delay_index(onset[found] - moved, layout)
        there &= told
        fields = steps_TF[found]
        fields[:, DELAY] = delay
        right = there & (fields[:, : PITCH + 1] == steps_TF[1:, : PITCH + 1]).all(axis=1)
        channel[1:, k, :EXPECTED] = np.where(there[:, None], fields, 0)
        channel[1:, k, EXPECTED] = np.where(there, 1 + _runs_before(right), 0)
    return channel


def delay_index(delay: IntArray, layout: NoteEvents) -> tuple[IntArray, Array]:
    """Return the places of delays in the layout's table, and whether they are there."""
    table = np.array(layout.delays, dtype=np.int64)
    index = np.clip(np.searchsorted(table, delay), 0, len(table) - 1)
    return index, table[index] == delay


def _runs_before(right: Array) -> IntArray:
    """Return for each entry how many in a row before it are true."""
    index = np.arange(len(right))
    # (T,) the place of the last wrong one up to each.
    wrong = np.maximum.accumulate(np.where(right, -1, index))
    runs = np.zeros(len(right), dtype=np.int64)
    runs[1:] = index[:-1] - wrong[:-1]
    return np.minimum(runs, LONGEST_RUN)
