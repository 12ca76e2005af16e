"""The files of a corpus, before anything of them is read, in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

from musengine.data.manifest import Skipped
from musengine.data.storage.listing import identity_of
from musengine.interfaces.reader import Item
from musengine.plugins.registry import Component
from musengine.utils.lazy import LazySequence

Task = tuple[int, Item]
"""A file with the index of its reader, which takes fewer bytes to send than the reader."""

_Kind = tuple[int, str, str]
"""What many files have in common: the index of their reader, their folder and their style."""


class FoundFiles:
    """Files and the readers that read them.

    An `Item` with its path takes a kilobyte; here a file takes the bytes of its id and two numbers.
    """

    def __init__(self) -> None:
        self.readers: list[Component] = []
        self._ids, self._ends = bytearray(), array("I")
        self._kinds: list[_Kind] = []
        self._kind_of = array("I")

    @classmethod
    def of(cls, items: Iterable[tuple[Component, Item]]) -> FoundFiles:
        """Return some files, each with its reader."""
        found = cls()
        known: dict[_Kind, int] = {}
        for component, item in items:
            found._add(component, item, known)
        found._kinds = list(known)
        return found

    def _add(self, component: Component, item: Item, known: dict[_Kind, int]) -> None:
        if component not in self.readers:
            self.readers.append(component)
        path = str(item.path)
        # Most are named after their path in a folder, which need not be kept for each.
        folder = path[: -len(item.id)] if item.id and path.endswith(item.id) else f"{path}\0"
        kind = (self.readers.index(component), folder, item.style)
        self._kind_of.append(known.setdefault(kind, len(known)))
        self._ids += item.id.encode("utf-8", "surrogatepass")  # of names that are no UTF-8
        self._ends.append(len(self._ids))

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def ids(self) -> Sequence[str]:
        """The id of each file."""
        return LazySequence(self._id, range(len(self)))

    def _id(self, number: int) -> str:
        start = self._ends[number - 1] if number else 0
        return self._ids[start : self._ends[number]].decode("utf-8", "surrogatepass")

    def path(self, number: int) -> str:
        """Return the path of a file."""
        _, folder, _ = self._kinds[self._kind_of[number]]
        return folder[:-1] if folder.endswith("\0") else folder + self._id(number)

    def reader_of(self, number: int) -> int:
        """Return the index of a file's reader."""
        return self._kinds[self._kind_of[number]][0]

    def task(self, number: int) -> Task:
        """Return a file with the index of its reader."""
        reader, _, style = self._kinds[self._kind_of[number]]
        return reader, Item(Path(self.path(number)), self._id(number), style)

    def identity(self, number: int, now: int) -> bytes:
        """Return what a file is recognised by without being read; see `identity_of`."""
        reader, _, style = self._kinds[self._kind_of[number]]
        return identity_of(self.path(number), (str(reader), self._id(number), style), now)

    def readable(self, skipped: list[Skipped]) -> Sequence[int]:
        """Return the files whose reader has the libraries that it needs; the others are skipped."""
        lacking = [component.entry.missing_requirements() for component in self.readers]
        if not any(lacking):
            return range(len(self))
        skipped.extend(
            Skipped(self.path(number), lacking[self.reader_of(number)][0])
            for number in range(len(self))
            if lacking[self.reader_of(number)]
        )
        return [number for number in range(len(self)) if not lacking[self.reader_of(number)]]
