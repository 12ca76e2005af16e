"""Batches of encoded pieces, as a batching strategy plans them: collated, padded and masked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from musengine.interfaces.batching import BatchingStrategy, EpochPlan, Row
from musengine.interfaces.encoder import EncodedPiece
from musengine.interfaces.model import Batch, as_steps


class Batches:
    """The batches of a part, epoch after epoch.

    Args:
        pieces: the part's encoded pieces.
        strategy: which plans the rows of each batch, made for the lengths of these pieces.
        seed: with an epoch's number, all that its plan depends on.
        updates_per_batch: how many times in a row each batch stands in the plan.
    """

    def __init__(
        self,
        pieces: Sequence[EncodedPiece],
        strategy: BatchingStrategy[Any],
        *,
        seed: int = 0,
        updates_per_batch: int = 1,
    ) -> None:
        self.pieces = pieces
        self.strategy = strategy
        self.seed, self.repeats = seed, updates_per_batch
        self._current: tuple[int, EpochPlan] | None = None

    def too_short(self) -> list[str]:
        """Return the ids of pieces that are never used."""
        return [self.pieces[i].id for i in self.strategy.too_short()]

    def plan(self, epoch: int) -> EpochPlan:
        """Return the rows of each batch of an epoch: always the same for a seed and an epoch."""
        plan = self.strategy.plan(np.random.default_rng([self.seed, 0xBA7C, epoch]))
        return [rows for rows in plan for _ in range(self.repeats)]

    def is_last_update(self, batch: int) -> bool:
        """Return whether the batch of that index is followed by another than itself."""
        return (batch + 1) % self.repeats == 0

    def rate_factor(self, batch: Batch) -> float:
        """Return what the learning rate is multiplied by for a batch."""
        return self.strategy.rate_factor(int(batch.pieces[0]))

    def count(self, epoch: int) -> int:
        """Return how many batches an epoch has, repeats counted."""
        return len(self._planned(epoch))

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from the one of index `first` on."""
        for rows in self._planned(epoch)[first:]:
            yield collate(rows, self.pieces)

    def _planned(self, epoch: int) -> EpochPlan:
        if self._current is None or self._current[0] != epoch:
            self._current = (epoch, self.plan(epoch))
        return self._current[1]


def collate(rows: Sequence[Row], pieces: Sequence[EncodedPiece]) -> Batch:
    """Collate rows into a batch of B rows and T steps, as long as the longest row.

    Shorter rows are padded with zeros and masked. Arrays keep their type: bytes for grids, real
    numbers as they are, all others int64.
    """
    length = max(row.stop - row.start for row in rows)
    sample = pieces[next((row.piece for row in rows if row.piece >= 0), 0)].encoded
    steps = np.zeros((len(rows), length + 1, *sample.steps.shape[1:]), dtype=sample.steps.dtype)
    mask_BT = np.zeros((len(rows), length), dtype=bool)
    conditioning = {
        name: np.zeros((len(rows), length, *channel.shape[1:]), dtype=channel.dtype)
        for name, channel in sample.conditioning.items()
    }
    for b, row in enumerate(rows):
        if row.piece < 0:
            continue
        encoded = pieces[row.piece].encoded
        wanted = np.arange(row.start, row.stop)
        if row.repeat:
            wanted = wanted % len(encoded.steps)
        steps[b, 1 : len(wanted) + 1] = encoded.steps[wanted]
        if row.start > 0:
            steps[b, 0] = encoded.steps[row.start - 1]
        for name, channel in conditioning.items():
            channel[b, : len(wanted)] = encoded.conditioning[name][wanted]
        mask_BT[b, len(wanted) - 1 if row.only_last else 0 : len(wanted)] = True
    return Batch(
        steps=as_steps(steps),
        mask=torch.from_numpy(mask_BT),
        reset=torch.tensor([row.reset for row in rows]),
        begins=torch.tensor([row.start == 0 for row in rows]),
        position=torch.tensor([row.start for row in rows]),
        pieces=torch.tensor([row.piece for row in rows]),
        conditioning={name: torch.from_numpy(channel) for name, channel in conditioning.items()},
    )


def whole_pieces(
    pieces: Sequence[EncodedPiece], most_steps: int = 2**13
) -> Iterator[tuple[list[int], Batch]]:
    """Yield every piece once, whole, with the indices of each batch: for scoring.

    Pieces of like length share a batch of at most `most_steps` steps, padding counted; a longer
    piece has one to itself.
    """
    order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
    group: list[int] = []
    for index in order:
        if group and (len(group) + 1) * len(pieces[index]) > most_steps:
            yield group, _whole(group, pieces)
            group = []
        group.append(index)
    if group:
        yield group, _whole(group, pieces)


def _whole(indices: list[int], pieces: Sequence[EncodedPiece]) -> Batch:
    return collate([Row(index, 0, len(pieces[index])) for index in indices], pieces)
