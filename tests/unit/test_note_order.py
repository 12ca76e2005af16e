"""The compiled order of notes and tempos is that of NumPy."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.music import compiled, timing
from musengine.music.note_tables import LAST_TICK, sorted_notes
from musengine.testing.strategies import few
from musengine.utils.arrays import IntArray

pytestmark = pytest.mark.skipif(compiled.order is None, reason="it is not compiled")

tick = st.sampled_from([0, 0, 1, 1, 2, 3, 95, 96, 2**20, 2**33, LAST_TICK])
note = st.tuples(
    tick, tick.map(lambda ticks: ticks or 1), st.integers(0, 127), st.integers(1, 127), st.just(0)
)
odd_note = st.tuples(
    st.integers(-1, LAST_TICK + 1), *[st.integers(-1, 129)] * 3, st.integers(-1, 4)
)


def table(notes: list[tuple[int, ...]]) -> IntArray:
    return np.array(notes, dtype=np.int64).reshape(-1, 5).T.copy()


def told(notes_5N: IntArray, n_tracks: int) -> object:
    """The notes in order and the end of the last, or what is wrong with them."""
    try:
        ordered, last = sorted_notes(notes_5N, n_tracks)
    except ValueError as error:
        return str(error)
    return ordered.tolist(), last


def is_as_numpy(notes_5N: IntArray, n_tracks: int) -> None:
    fast = told(notes_5N, n_tracks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "order", None)
        assert told(notes_5N, n_tracks) == fast


def test_two_chords_by_hand():
    notes = [(4, 2, 64, 80, 1), (4, 9, 60, 80, 0), (0, 1, 70, 1, 1), (4, 2, 60, 90, 0)]
    ordered, last = sorted_notes(table(notes), 2)
    expected = [(0, 1, 70, 1, 1), (4, 2, 60, 90, 0), (4, 9, 60, 80, 0), (4, 2, 64, 80, 1)]
    assert (list(zip(*ordered.tolist(), strict=True)), last) == (expected, 13)


@given(notes=st.lists(note | odd_note, max_size=12), n_tracks=st.integers(0, 5))
@few(300)
def test_few_notes_of_any_values(notes, n_tracks):
    is_as_numpy(table(notes), n_tracks)


@pytest.mark.parametrize("count", [31, 32, 33, 64, 65, 97, 1000, 4097])
@pytest.mark.parametrize("tracks", [1, 3])
def test_many_notes_track_by_track_and_in_no_order(count, tracks):
    random_ = random.Random(count)
    notes = [
        (random_.randrange(count), random_.randrange(1, 50), random_.randrange(128), 80, k % tracks)
        for k in range(count)
    ]
    is_as_numpy(table(notes), tracks)
    is_as_numpy(table(sorted(notes, key=lambda each: (each[4], each[0]))), tracks)
    is_as_numpy(table(sorted(notes, reverse=True)), tracks)


def test_tables_of_other_sizes_are_refused():
    assert compiled.order is not None
    with pytest.raises(ValueError, match="one size"):
        compiled.order.sort_notes(np.ones((5, 3), int), 9, 1, np.ones((5, 2), int))
    with pytest.raises(ValueError, match="one size"):
        compiled.order.sort_notes(np.ones((4, 3), int), 9, 1, np.ones((5, 3), int))
    with pytest.raises(ValueError, match="K"):
        compiled.order.tempo_changes(np.ones((3, 2)), 120, 9, np.ones(3, int), np.ones(3))


bpm = st.sampled_from([120.0, 120.0, 90.0, 0.0, -1.0, 1e-9, 1e9, np.inf, np.nan, 61.7])


@given(
    tempos=st.lists(st.tuples(st.integers(-1, 4), bpm), min_size=2, max_size=9), order=st.booleans()
)
@few(300)
def test_tempos_by_tick_and_in_no_order(tempos, order):
    rows = np.array(sorted(tempos, key=lambda each: each[0]) if order else tempos)
    ticks, bpms = timing.tempo_map(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "order", None)
        expected = timing.tempo_map(rows)
    assert ticks.tolist() == expected[0].tolist()
    assert bpms.tolist() == expected[1].tolist()
    pairs = timing.tempo_map([(int(tick), bpm) for tick, bpm in rows.tolist()])
    assert (ticks.tolist(), bpms.tolist()) == (pairs[0].tolist(), pairs[1].tolist())
    assert not ticks.flags.writeable
    assert not bpms.flags.writeable
