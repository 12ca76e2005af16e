"""Writers turn a Score or Text into a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from musengine.config.fields import Config
from musengine.encoding.layouts import Layout
from musengine.music.score import Score, Text
from musengine.utils.arrays import Array

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Probabilities:
    """What a model thought while it made a piece.

    Attributes:
        layout: of the steps.
        prompt: (P, ...) the prompt's steps.
        steps: (T, ...) the steps that were chosen.
        probabilities: (T, ...) for a grid that of each element to be 1, for tokens (T, size) that
            of each token; the model's own, before any sampler.
    """

    layout: Layout
    prompt: Array
    steps: Array
    probabilities: Array


class Writer(ABC, Generic[C]):
    """Writes one piece at a time."""

    def __init__(self, config: C) -> None:
        self.config = config

    @property
    @abstractmethod
    def suffix(self) -> str:
        """The ending of the files it writes, with the dot."""

    @abstractmethod
    def write(self, content: Score | Text | Probabilities, path: Path) -> None:
        """Write a file; the engine hands a temporary path and renames it when whole.

        Raises:
            UnwritableError: this writer cannot write this piece; it is told, and the others go on.
        """
