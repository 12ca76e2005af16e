"""Readers turn a source into pieces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from musengine.config.fields import Config
from musengine.errors import UnreadableError

if TYPE_CHECKING:
    from musengine.music.piece import Piece

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Item:
    """One file to read: its path, the id its pieces are named after, and their style."""

    path: Path
    id: str
    style: str = ""

    def read_bytes(self, limit: int) -> bytes:
        """Return the file's bytes, at most so many.

        Raises:
            UnreadableError: there are none, or more than the limit.
        """
        with self.path.open("rb") as file:
            data = file.read(limit + 1)
        if not data:
            raise UnreadableError("the file is empty", code="file-empty")
        if len(data) > limit:
            raise UnreadableError(
                f"larger than the {limit} bytes a file may have", code="too-large"
            )
        return data

    def read_text(self, limit: int) -> str:
        """Return a UTF-8 file's text, without a byte order mark, lines ended by a line feed alone.

        Raises:
            UnreadableError: the file is empty, larger than so many bytes, or not UTF-8; says where.
        """
        data = self.read_bytes(limit)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            # Places are counted after the mark, which the codec leaves out.
            place = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
            line = data.count(b"\n", 0, place) + 1
            raise UnreadableError(
                f"not UTF-8: byte {place} is 0x{data[place]:02x}, in line {line}; save it as UTF-8",
                code="not-utf-8",
            ) from error
        return text.replace("\r\n", "\n").replace("\r", "\n")


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
