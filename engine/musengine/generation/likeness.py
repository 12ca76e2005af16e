"""How near to the corpus pieces are in likelihood: as surprising to the model as held-out music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musengine.evaluation.likelihood import score_pieces
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece, Encoder
from musengine.interfaces.model import Model
from musengine.utils.arrays import Array


@dataclass(frozen=True)
class Likeness:
    """What the pieces of a corpus are worth to a model, in nats per step.

    Attributes:
        model: the model.
        middle: the mean over the pieces.
        spread: their standard deviation.
    """

    model: Model[Any]
    middle: float
    spread: float

    @classmethod
    def of(cls, model: Model[Any], pieces: Sequence[EncodedPiece]) -> Likeness | None:
        """Learn it from pieces by people, such as those whose beginnings a run keeps."""
        means = [piece.mean() for piece in score_pieces(model, pieces).pieces if len(piece)]
        if len(means) < 2:
            return None
        # Bounded from below, since it is divided by: pieces may be copies of each other.
        return cls(model, float(np.mean(means)), max(float(np.std(means, ddof=1)), 1e-9))

    def distance(
        self,
        steps: Array,
        prompt: Encoded,
        first: int,
        encoder: Encoder[Any],
        settings: DecodeSettings,
    ) -> float:
        """Return how many spreads a piece is from the middle, after its prompt.

        Args:
            steps: the piece's.
            prompt: what it goes on from.
            first: index within its piece of the prompt's first step.
            encoder: what made the prompt.
            settings: those it was made with.
        """
        if not len(steps):
            return float("inf")
        whole = np.concatenate([prompt.steps.astype(steps.dtype), steps])
        conditioning = encoder.conditioning(first, len(whole), settings)
        piece = EncodedPiece("", Encoded(whole, conditioning), "")
        (nll,) = score_pieces(self.model, [piece]).pieces
        # Both ways: a piece that is too likely is a loop, one that is too unlikely is noise.
        return abs(float(nll[len(prompt.steps) :].mean()) - self.middle) / self.spread
