"""The files of a corpus, before anything of them is read, in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

from musengine.data.manifest import Skipped
from musengine.data.storage.listing import identity_of
from musengine.interfaces.reader import Item
from musengine.plugins.registry import Component

Task = tuple[int, Item]
"""A file with the index of its reader, which takes fewer bytes to send than the reader."""


class FoundFiles:
    """Files and the readers that read them.

    An `Item` with its path takes a kilobyte; here a file takes its id and three references.
    """

    def __init__(self) -> None:
        self.readers: list[Component] = []
        self._reader = array("q")
        self._id: list[str] = []
        self._folder: list[str] = []
        self._style: list[str] = []
        self._same: dict[str, str] = {}

    @classmethod
    def of(cls, items: Iterable[tuple[Component, Item]]) -> FoundFiles:
        """Return some files, each with its reader."""
        found = cls()
        for component, item in items:
            found._add(component, item)
        return found

    def _add(self, component: Component, item: Item) -> None:
        if component not in self.readers:
            self.readers.append(component)
        self._reader.append(self.readers.index(component))
        path = str(item.path)
        # Most are named after their path in a folder, which need not be kept for each.
        folder = path[: -len(item.id)] if item.id and path.endswith(item.id) else f"{path}\0"
        self._id.append(item.id)
        self._folder.append(self._same.setdefault(folder, folder))
        self._style.append(self._same.setdefault(item.style, item.style))

    def __len__(self) -> int:
        return len(self._id)

    def path(self, number: int) -> str:
        """Return the path of a file."""
        folder = self._folder[number]
        return folder[:-1] if folder.endswith("\0") else folder + self._id[number]

    def reader_of(self, number: int) -> int:
        """Return the index of a file's reader."""
        return self._reader[number]

    def task(self, number: int) -> Task:
        """Return a file with the index of its reader."""
        item = Item(Path(self.path(number)), self._id[number], self._style[number])
        return self._reader[number], item

    def identity(self, number: int, now: int) -> bytes:
        """Return what a file is recognised by without being read; see `identity_of`."""
        names = (str(self._reader[number]), self._id[number], self._style[number])
        return identity_of(self.path(number), names, now)

    def readable(self, skipped: list[Skipped]) -> Sequence[int]:
        """Return the files whose reader has the libraries that it needs; the others are skipped."""
        lacking = [component.entry.missing_requirements() for component in self.readers]
        if not any(lacking):
            return range(len(self))
        skipped.extend(
            Skipped(self.path(number), lacking[reader][0])
            for number, reader in enumerate(self._reader)
            if lacking[reader]
        )
        return [number for number, reader in enumerate(self._reader) if not lacking[reader]]
