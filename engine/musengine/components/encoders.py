"""Encoders turn a Score or Text into one array and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from musengine.declarations import EncoderConfig
from musengine.layouts import Grid, Layout
from musengine.quantities import Meter
from musengine.score import Piece, Score, Text

Array = npt.NDArray[Any]
C = TypeVar("C", bound=EncoderConfig)


@dataclass(frozen=True)
class Encoded:
    """An encoded piece.

    Attributes:
        steps: (T, *layout.step_shape), the first axis is time.
        sides: side channels by name, each (T, ...): what is known of a step before it is
            predicted, such as the position in the bar.
        lost: what did not fit, counted by a word: `{"notes out of range": 3}`.
    """

    steps: Array
    sides: Mapping[str, Array] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class EncodedPiece:
    """A piece as a model sees it."""

    id: str
    encoded: Encoded
    fingerprint: str

    def __len__(self) -> int:
        return len(self.encoded.steps)


@dataclass(frozen=True)
class DecodeSettings:
    """What an array does not say: the tempo in quarter notes per minute, and the meter."""

    tempo: float = 120.0
    meter: Meter = field(default_factory=lambda: Meter(4, 4))


class Encoder(ABC, Generic[C]):
    """Turns pieces into arrays of one layout and back.

    What it learns from the training part (a vocabulary) is its state: plain JSON, saved with the
    model.
    """

    def __init__(self, config: C) -> None:
        self.config = config

    @property
    def layout(self) -> Layout:
        """The layout of its arrays; after `fit`, complete."""
        return self.config.layout()

    def fit(self, pieces: Iterable[Piece]) -> None:
        """Learn from the training part, before anything is encoded."""

    @abstractmethod
    def encode(self, content: Score | Text) -> Encoded:
        """Encode one piece.

        Raises:
            UnreadableError: nothing of the piece fits; the message says why.
        """

    @abstractmethod
    def decode(self, steps: Array, settings: DecodeSettings) -> Score | Text:
        """Turn an array back into music; never fails on an array of the layout's shape."""

    @abstractmethod
    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> npt.NDArray[np.float64]:
        """Return (T,): the musical time that has passed at the end of each step."""

    def sides(self, first: int, count: int, settings: DecodeSettings) -> Mapping[str, Array]:
        """Return the side channels, (count, ...) each, of generated steps from index `first` on.

        The same names as `encode` gives; the meter is constant. Most encoders have none.
        """
        return {}

    def state(self) -> dict[str, Any]:
        """Return what was learned, as JSON values."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""

    def empty(self) -> Array:
        """Return an array of no steps: bytes for a grid, else whole numbers of any size."""
        dtype = np.uint8 if isinstance(self.layout, Grid) else np.int64
        return np.zeros((0, *self.layout.step_shape), dtype=dtype)
