"""A sequence whose elements are made when they are asked for, so that none takes memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, overload

from musengine.utils.arrays import Int32Array, IntArray

T = TypeVar("T")


class LazySequence(Sequence[T], Generic[T]):
    """A sequence that keeps of each element a number alone.

    Args:
        make: makes an element of its number, each time anew.
        numbers: of the elements, in order.
    """

    def __init__(self, make: Callable[[int], T], numbers: range | IntArray | Int32Array) -> None:
        self._make, self._numbers = make, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return LazySequence(self._make, self._numbers[index])
        return self._make(int(self._numbers[index]))

    def __iter__(self) -> Iterator[T]:
        return (self._make(int(number)) for number in self._numbers)
