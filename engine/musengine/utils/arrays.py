"""The types of arrays that annotations name, and which of an array's values are equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""A NumPy array of any type of element."""
IntArray = npt.NDArray[np.int64]
"""A NumPy array of whole numbers of 64 bits."""
Int32Array = npt.NDArray[np.int32]
"""A NumPy array of whole numbers of 32 bits: what a corpus has one of for each file or piece."""
FloatArray = npt.NDArray[np.float64]
"""A NumPy array of real numbers of 64 bits."""

_BLOCK = 2**12


def distinct(values: Array) -> tuple[Int32Array, Int32Array]:
    """Return (D,) and (N,): where each different value is first, and which of them each value is.

    The different values are sorted. `numpy.unique` finds the same, and sorts a copy of them.

    Args:
        values: (N,) anything that can be sorted.
    """
    order = np.argsort(values, kind="stable")
    new = np.ones(len(values), dtype=bool)
    for start in range(1, len(values), _BLOCK):
        block = values[order[start - 1 : start + _BLOCK]]
        new[start : start + _BLOCK] = block[1:] != block[:-1]
    number = np.empty(len(values), dtype=np.int32)
    number[order] = np.cumsum(new, dtype=np.int32)
    number -= 1
    return order[new].astype(np.int32), number


def occurrences(values: Array) -> IntArray:
    """Return (N,): how many of the values up to each one, itself included, are equal to it.

    Args:
        values: (N,) anything that can be sorted.
    """
    _, number = distinct(values)
    order = np.argsort(number, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(number))[:-1]])
    result = np.empty(len(values), dtype=np.int64)
    result[order] = np.arange(len(values)) - first[number[order]] + 1
    return result
