"""Writers turn music, or what a model computed on its way to it, into a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from musengine.config.fields import Config
from musengine.encoding.layouts import Layout
from musengine.music.piece import Text
from musengine.music.score import Score
from musengine.utils.arrays import Array

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Probabilities:
    """The probabilities a model gave at each step of a piece.

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


@dataclass(frozen=True)
class Activations:
    """What went on inside a model while it read or made a piece.

    Attributes:
        layout: of the steps.
        steps: (T, ...) the piece, its prompt included.
        prompt_steps: how many of the steps are the prompt's.
        arrays: by name, each with the names of its axes, the first of which are the T steps.
    """

    layout: Layout
    steps: Array
    prompt_steps: int
    arrays: Mapping[str, tuple[Array, tuple[str, ...]]]


@dataclass(frozen=True)
class RunContent:
    """A run, finished or not.

    Attributes:
        folder: the run's, which holds all there is to know of it.
        problem: why the work on it ended before its time; empty where it did not.
        underway: whether it goes on as soon as this is written, so that it must not take long.
        pieces: the folder with its pieces, where they are not in `samples` of the run's, such as
            those of a trained model that came with a plugin.
    """

    folder: Path
    problem: str = ""
    underway: bool = False
    pieces: Path | None = None


Writable = Score | Text | Probabilities | Activations | RunContent
"""What a writer may be given; its declaration says which of them it takes."""


class Writer(ABC, Generic[C]):
    """Writes one piece at a time."""

    def __init__(self, config: C) -> None:
        self.config = config

    @property
    @abstractmethod
    def suffix(self) -> str:
        """The ending of the files it writes, with the dot."""

    @abstractmethod
    def write(self, content: Writable, path: Path) -> None:
        """Write a file; the engine hands a temporary path and renames it when whole.

        Raises:
            UnwritableError: this writer cannot write this piece, which is reported; others go on.
        """
