from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.testing.strategies import few
from musengine.utils import arrays
from musengine.utils.arrays import distinct, occurrences


@pytest.mark.parametrize("block", [1, 2, 4096])
@given(values=st.lists(st.binary(max_size=2), max_size=9))
@few(100)
def test_different_values_are_those_of_numpy(block, values):
    array = np.array(values, dtype="S2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_BLOCK", block)
        first, number = distinct(array)
    _, expected_first, expected_number = np.unique(array, return_index=True, return_inverse=True)
    assert first.tolist() == expected_first.tolist()
    assert number.tolist() == expected_number.tolist()


def test_the_first_of_equal_values_is_given():
    first, number = distinct(np.array([7, 3, 7, 3, 5]))
    assert (first.tolist(), number.tolist()) == ([1, 4, 0], [2, 0, 2, 0, 1])


def test_equal_values_are_counted_in_their_order():
    assert occurrences(np.array([7, 3, 7, 3, 7, 5])).tolist() == [1, 1, 2, 2, 3, 1]
    assert occurrences(np.array([], dtype="S4")).tolist() == []
