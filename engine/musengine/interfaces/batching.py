"""A batching strategy says which steps of which pieces make the batches of an epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from musengine.config.fields import Config
from musengine.interfaces.training import TrainingConfig

C = TypeVar("C", bound=Config)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a batch: the steps `start` to `stop` of a piece, each to be predicted.

    Attributes:
        piece: index of the piece, -1 for a stream that has run out of pieces.
        start: index of the first step to predict.
        stop: index after the last step to predict.
        reset: the row starts with a fresh state.
        context: how many of its first steps are read alone, and do not count for the loss.
        repeat: the piece starts again where it ends, so that `stop` may lie beyond its end.
    """

    piece: int
    start: int
    stop: int
    reset: bool = True
    context: int = 0
    repeat: bool = False


IDLE_ROW = Row(-1, 0, 0)
"""The row of a stream that has run out of pieces: all of it is masked."""

EpochPlan = list[list[Row]]
"""The batches of one epoch, in order; rows shorter than the longest of a batch are padded."""


class BatchingStrategy(ABC, Generic[C]):
    """Plans the batches of an epoch from the lengths of the pieces alone.

    Args:
        config: the strategy's own settings.
        training: `[training]`, with `batch_size`, `sequence_length` and the like.
        lengths: of each piece in steps.
    """

    def __init__(self, config: C, training: TrainingConfig, lengths: Sequence[int]) -> None:
        self.config = config
        self.training = training
        self.lengths = np.asarray(lengths, dtype=np.int64)

    @abstractmethod
    def plan(self, random: np.random.Generator) -> EpochPlan:
        """Return the batches of one epoch.

        It must follow from the lengths, the settings and `random` alone, whose seed is the run's
        and the epoch's: so training goes on at any batch of any epoch as if it had never stopped.
        """

    def too_short(self) -> list[int]:
        """Return the indices of pieces that are in no batch of any epoch."""
        return []

    def rate_factor(self, piece: int) -> float:
        """Return what the learning rate is multiplied by for a batch whose first row is a piece."""
        return 1.0

    def shuffled(self, rows: Sequence[Row], random: np.random.Generator) -> EpochPlan:
        """Return batches of `batch_size` rows each, in random order; the last may be smaller."""
        order, size = random.permutation(len(rows)), self.training.batch_size
        mixed = [rows[i] for i in order]
        return [mixed[i : i + size] for i in range(0, len(mixed), size)]
