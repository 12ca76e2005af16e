"""Loops: notes that go round, found in a piece and followed while one is made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_notes_copies import LAYOUT, events

from musengine_notes.copies import CopyIndex
from musengine_notes.form.loops import LoopWatch, keys_of_notes, longest_loop, loop_bound


@pytest.mark.parametrize(
    ("notes", "longest"),
    [
        ([1, 2, 3] * 2 + [1], 0),  # 4, and 4.5 are asked
        ([1, 2, 3] * 2 + [1, 2], 5),
        ([1, 2, 3] * 4, 9),  # all but the first three are as three before
        ([7] * 10, 9),
        ([1, 2] * 10 + [9, 2] + [1, 2] * 3, 18),  # then 10, 11, 3, 4, 5 and so on
        ([1, 2] * 20 + [1, 9] + [1, 2] * 10, 42),  # 38, 39, 31, 32, 24, and 18 more
    ],
)
def test_loops_by_hand(notes: list[int], longest: int) -> None:
    assert longest_loop(np.array(notes)) == longest


@given(st.lists(st.integers(0, 2), max_size=80))
def test_following_a_piece_says_what_looking_back_does(notes: list[int]) -> None:
    watch, found = LoopWatch(1, 2**62), 0
    for note in notes:
        watch.observe(np.array([note]), np.array([True]))
        long = 2 * watch.again_NP[0] >= 3 * np.arange(1, 385)
        found = max(found, int(watch.again_NP[0][long].max(initial=0)))
    assert longest_loop(np.array(notes)) == found
    assert not watch.barred().any()


def test_what_is_no_note_changes_nothing() -> None:
    watch = LoopWatch(2, 4)
    for note in (5, 6, 5, 6, 5, 6):
        watch.observe(np.array([note, note]), np.array([True, note == 5]))
    assert watch.recent_NP[:, :7].tolist() == [[6, 5, 6, 5, 6, 5, -1], [5, 5, 5, -1, -1, -1, -1]]
    assert watch.again_NP[:, :3].tolist() == [[0, 4, 0], [2, 1, 0]]
    assert watch.barred()[:, :3].tolist() == [[False, True, False], [False, False, False]]


def test_after_a_loop_comes_something_else_for_half_a_round() -> None:
    watch = LoopWatch(1, 30)
    period = 20
    for note in [*range(period)] * 2 + [*range(9)]:
        watch.observe(np.array([note]), np.array([True]))
        assert not watch.barred().any()
    watch.observe(np.array([9]), np.array([True]))
    assert np.flatnonzero(watch.barred()[0]).tolist() == [period - 1]
    # Whatever comes, ten notes later all may come again.
    for number, note in enumerate([99, 11, 12, 99, 14, 15, 16, 17, 18, 19, 0]):
        watch.observe(np.array([note]), np.array([True]))
        assert watch.again_NP[0, period - 1] == number - 10
        assert bool(watch.barred()[0, period - 1]) == (number < 10)


def test_a_prompt_is_remembered_and_not_counted() -> None:
    watch = LoopWatch(1, 32)
    watch.begin(0, np.array([1, 2] * 300))
    assert watch.recent_NP[0, :3].tolist() == [2, 1, 2]
    assert not watch.again_NP.any()
    watch.observe(np.array([1]), np.array([True]))
    assert watch.again_NP[0, :4].tolist() == [0, 1, 0, 1]


def test_the_bound_is_of_95_in_100_and_not_too_small() -> None:
    assert loop_bound([]) == loop_bound([0] * 10) == 32
    assert loop_bound(list(range(101))) == 95
    assert loop_bound([0] * 90 + [70] * 10) == 70


def test_other_waits_parts_and_pitches_are_other_notes() -> None:
    waits, parts, pitches = np.meshgrid([0, 1, 4000], [2, 3, 1000], [0, 127, 255])
    keys = keys_of_notes(waits.ravel(), parts.ravel(), pitches.ravel())
    assert len(np.unique(keys)) == 27


def test_the_bound_is_kept_with_the_index_and_may_be_missing() -> None:
    piece = events([60, 62, 64] * 30)
    index = CopyIndex.of([piece], [], LAYOUT)
    # All but the first three, and one that nobody waited for.
    assert index.loop == 86
    state = index.as_arrays()
    assert CopyIndex.from_arrays(state).loop == 86
    # As a run of an earlier version has it.
    assert CopyIndex.from_arrays({**state, "loop": np.zeros(0, dtype=np.int64)}).loop is None
    del state["loop"]
    assert CopyIndex.from_arrays(state).loop is None
    with pytest.raises(ValueError, match="index"):
        CopyIndex.from_arrays({**state, "loop": np.zeros((1, 1), dtype=np.int64)})
