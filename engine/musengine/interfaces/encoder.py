"""Encoders turn a Score or Text into one array and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from musengine.config.quantities import Meter
from musengine.encoding.layouts import Grid, Layout
from musengine.encoding.left_out import LeftOut
from musengine.interfaces.steering import Guide, Infill, Steering
from musengine.music.piece import Piece, Text
from musengine.music.prevailing import Prevailing
from musengine.music.score import Score
from musengine.music.transforms import excerpt
from musengine.plugins.configs import EncoderConfig
from musengine.utils.arrays import Array

C = TypeVar("C", bound=EncoderConfig)


@dataclass(frozen=True)
class Encoded:
    """An encoded piece.

    Attributes:
        steps: (T, *layout.step_shape), the first axis is time.
        conditioning: conditioning channels by name, each (T, ...): what is known of a step before
            it is predicted, such as the position in the bar.
        dropped: what did not fit, counted by a word: `{"notes out of range": 3}`.
        keep: for what was dropped, the key of a pipeline that would keep it, if there is one.
        notes: how many the source has, as the engine counts them; 0 where that is not known.
    """

    steps: Array
    conditioning: Mapping[str, Array] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)
    notes: int = 0


@dataclass(frozen=True)
class EncodedPiece:
    """A piece as a model sees it.

    Attributes:
        id: unique in its corpus.
        encoded: its arrays.
        fingerprint: hash of what sounds; empty where it is not known.
        prevailing: what holds for most of it, where that is known.
        whole: how many steps the piece has, where these are its beginning alone.
    """

    id: str
    encoded: Encoded
    fingerprint: str
    prevailing: Prevailing = field(default_factory=Prevailing)
    whole: int | None = None

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

    def pieces(self, piece: Piece) -> Iterable[Piece]:
        """Return what is learned of one piece as pieces of their own, such as its single melodies.

        Asked before anything is moved, encoded or learned from. Ids must be unique: `#N` or the
        like added to the piece's own, with its style and part. All that come of one file stay in
        one part; copies among them are recognised like any copies. By default the piece itself.

        Raises:
            UnreadableError: there is nothing for this encoder in it; the message says why.
        """
        return [piece]

    def copy_key(self, content: Score | Text) -> str:
        """Return a hash by which copies of a piece are recognised; by default of the bare notes.

        An encoder that leaves out more than that, such as how notes are timed, may say so here:
        what it makes the same, or nearly so, must not be trained on and held out at once.
        """
        return content.notes_fingerprint()

    def fit(self, pieces: Iterable[Piece]) -> None:
        """Learn from the training part, before anything is encoded."""

    @abstractmethod
    def encode(self, content: Score | Text) -> Encoded:
        """Encode one piece.

        Raises:
            UnreadableError: nothing of the piece fits; the message says why.
        """

    def left_out(self, content: Score | Text) -> Mapping[str, LeftOut]:
        """Return what of a piece its arrays have no place for, by a word; by default nothing.

        Told once for all pieces of a run, and by `musengine inspect` before there is one. It may
        name again what `encode` counts as dropped, and then takes its place.
        """
        return {}

    def encode_prompt(self, text: str) -> Encoded:
        """Encode the first characters of a piece (`generate.prompt_text`), for encoders of texts.

        By default what `encode` makes of a text of that notation; an encoder that adds something
        where a piece ends leaves it out here.

        Raises:
            UnreadableError: nothing begins so; the message says why.
        """
        return self.encode(Text(text, self.config.notation() or "plain"))

    @abstractmethod
    def decode(self, steps: Array, settings: DecodeSettings) -> Score | Text:
        """Turn an array back into music; never fails on an array of the layout's shape."""

    def decode_after(self, before: Array, steps: Array, settings: DecodeSettings) -> Score | Text:
        """Turn steps that go on from others, such as a prompt, into music without the others.

        By default the whole is decoded and a score's part after `before` returned, so that what
        was set there still holds: programs, tempo, a note that sounds on. A text, and the score
        of an encoder that does not tell the time, is of `steps` alone.

        Args:
            before: (P, ...) what goes before, one step at least.
            steps: (T, ...) what is returned as music.
            settings: tempo and meter.
        """
        if "text" in self.config.produces() or not self.config.tells_time():
            return self.decode(steps, settings)
        # To the type of `steps`: a stored prompt may be of narrower numbers, which new tokens
        # overflow.
        whole = self.decode(np.concatenate([before.astype(steps.dtype), steps]), settings)
        if isinstance(whole, Text):
            return whole
        return excerpt(whole, float(self.elapsed(before, "beats", settings)[-1]), math.inf)

    def score_of(self, text: Text, settings: DecodeSettings) -> Score:
        """Return the score that a decoded text stands for, where the encoder produces both.

        Raises:
            UnreadableError: there is no music in the text; the message says why.
        """
        return self.from_text(text)

    @abstractmethod
    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> npt.NDArray[np.float64]:
        """Return (T,): the musical time that has passed at the end of each step."""

    def to_text(self, score: Score) -> Text:
        """Write a score in the notation that `config.notation()` names; encoders with one do.

        Raises:
            UnreadableError: nothing of the score can be written; the message says why.
        """
        raise NotImplementedError(f"{type(self).__name__} is no text notation")

    def dropped_in_text(self, score: Score) -> Mapping[str, int]:
        """Return what `to_text` leaves out of a score, counted by a word."""
        return {}

    def from_text(self, text: Text) -> Score:
        """Read a score from a text in that notation; what is not of the notation is skipped.

        Raises:
            UnreadableError: the text holds nothing of the notation.
        """
        raise NotImplementedError(f"{type(self).__name__} is no text notation")

    def conditioning(self, first: int, count: int, settings: DecodeSettings) -> Mapping[str, Array]:
        """Return the conditioning channels, (count, ...) each, of generated steps from `first` on.

        The same names as `encode` gives; the meter is constant. Most encoders have none.
        """
        return {}

    def steered(
        self, steering: Steering, count: int, settings: DecodeSettings
    ) -> Mapping[str, Array]:
        """Return the channels, (count, ...) each, that tell a model what is asked of its draws.

        They come beside those of `conditioning`. Of encoders whose models declare `steering`.

        Raises:
            UserError: there is no such instrument, or no bar to count notes in.
        """
        raise NotImplementedError(f"{type(self).__name__}.steered")

    def guide(self, infill: Infill, passages: int, settings: DecodeSettings) -> Guide:
        """Return what leads the draws of so many passages. Of encoders whose models infill.

        Raises:
            UserError: there is no such instrument.
        """
        raise NotImplementedError(f"{type(self).__name__}.guide")

    def state(self) -> dict[str, Any]:
        """Return what was learned, as JSON values."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""

    def empty(self) -> Array:
        """Return an array of no steps: bytes for a grid, else whole numbers of any size."""
        dtype = np.uint8 if isinstance(self.layout, Grid) else np.int64
        return np.zeros((0, *self.layout.step_shape), dtype=dtype)
