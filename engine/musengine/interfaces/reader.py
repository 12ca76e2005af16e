"""Readers turn a source into pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from musengine.config.fields import Config
from musengine.music.score import Piece

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Item:
    """One file to read: its path, the id its pieces are named after, and their style."""

    path: Path
    id: str
    style: str = ""


class Reader(ABC, Generic[C]):
    """Reads one file at a time, in a worker process; it keeps no state between files."""

    def __init__(self, config: C) -> None:
        self.config = config

    @abstractmethod
    def read(self, item: Item) -> Iterable[Piece]:
        """Return the pieces of one file; a file may hold many.

        Raises:
            UnreadableError: the file holds no usable music; the message says why.
        """

    def expand(self, name: str) -> list[Item]:
        """Return the files of the built-in corpus `SCHEME:name`, for readers with a scheme.

        Raises:
            UserError: there is no such corpus; names the nearest one.
        """
        raise NotImplementedError(f"{type(self).__name__} has no built-in corpora")

    def library(self) -> str:
        """Return the library it reads through and its version, such as `music21 10.5.1`.

        Recorded in the run, and part of what a cached piece is found by.
        """
        return ""

    def notice(self, items: list[Item]) -> str:
        """Return the terms that come with the files, a line to show, or an empty string."""
        return ""
