"""Writers turn a Score or Text into a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Generic, TypeVar

from musengine.config import Config
from musengine.score import Score, Text

C = TypeVar("C", bound=Config)


class Writer(ABC, Generic[C]):
    """Writes one piece at a time."""

    def __init__(self, config: C) -> None:
        self.config = config

    @property
    @abstractmethod
    def suffix(self) -> str:
        """The ending of the files it writes, with the dot."""

    @abstractmethod
    def write(self, content: Score | Text, path: Path) -> None:
        """Write a file; the engine hands a temporary path and renames it when whole."""
