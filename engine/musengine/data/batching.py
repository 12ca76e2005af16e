"""The four batching strategies: random segments, whole pieces, stateful stretches, sliding windows.

Each is a plan, made anew for every epoch from the seed and the epoch's number alone: a list of
batches, each a list of rows (piece, first step to predict, steps). So training can go on at any
batch of any epoch exactly as if it had never stopped.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from musengine.interfaces.encoder import EncodedPiece
from musengine.interfaces.model import Batch, as_steps
from musengine.pipeline.sections import TrainingConfig

DEFAULT_SEGMENT = 64
DEFAULT_WINDOW = 20


@dataclass(frozen=True)
class Row:
    """One row of a batch.

    Attributes:
        piece: index of the piece, -1 for a stream that has run out of pieces.
        start: index of the first step to predict.
        stop: index after the last step to predict.
        reset: the row starts with a fresh state.
        only_last: only the last step counts.
        repeat: the piece starts again where it ends.
    """

    piece: int
    start: int
    stop: int
    reset: bool = True
    only_last: bool = False
    repeat: bool = False


IDLE = Row(-1, 0, 0)
Plan = list[list[Row]]


class BatchingStrategy(ABC):
    """One way of turning pieces into batches.

    Args:
        lengths: the pieces' lengths in steps.
        config: batch size, sequence length and the like.
    """

    carries_state = False

    def __init__(self, lengths: Sequence[int], config: TrainingConfig) -> None:
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.config = config
        self.size = config.batch_size

    @abstractmethod
    def plan(self, random: np.random.Generator) -> Plan:
        """Return the batches of one epoch."""

    def too_short(self) -> list[int]:
        """Return the indices of pieces this batching strategy has no use for."""
        return []

    def rate_factor(self, piece: int) -> float:
        """Return what the learning rate is multiplied by for a batch that begins with a piece."""
        return 1.0

    def _batched(self, rows: list[Row], random: np.random.Generator) -> Plan:
        order = random.permutation(len(rows))
        shuffled = [rows[i] for i in order]
        return [shuffled[i : i + self.size] for i in range(0, len(shuffled), self.size)]


class Segments(BatchingStrategy):
    """Random segments of `sequence_length` steps that start at multiples of `align`.

    An epoch holds as many segments as would cover every usable piece once. A piece is drawn with
    a probability proportional to the number of places a segment can start in it; a piece of
    exactly one segment works, shorter ones are left out.
    """

    @property
    def length(self) -> int:
        """Steps of a segment."""
        return self.config.sequence_length or DEFAULT_SEGMENT

    def _places(self) -> npt.NDArray[np.int64]:
        return np.maximum((self.lengths - self.length) // self.config.align + 1, 0)

    def plan(self, random: np.random.Generator) -> Plan:
        """Return the batches of one epoch, all of full size."""
        places = self._places()
        if not places.any():
            return []
        usable = self.lengths[places > 0]
        batches = max(1, round(float(np.ceil(usable / self.length).sum()) / self.size))
        pieces = random.choice(len(places), size=(batches, self.size), p=places / places.sum())
        starts = random.integers(0, places[pieces]) * self.config.align
        return [
            [
                Row(int(piece), int(start), int(start) + self.length)
                for piece, start in zip(batch_pieces, batch_starts, strict=True)
            ]
            for batch_pieces, batch_starts in zip(pieces, starts, strict=True)
        ]

    def too_short(self) -> list[int]:
        """Return the pieces shorter than a segment."""
        return np.nonzero(self._places() == 0)[0].tolist()


class Pieces(BatchingStrategy):
    """Whole pieces, all of them in each epoch.

    Without a `sequence_length` a batch is as long as its longest piece, and pieces of like length
    are put together. With one, longer pieces are cut at a random place, and shorter ones are
    padded and masked, or filled up by repeating themselves from the start.
    """

    def plan(self, random: np.random.Generator) -> Plan:
        """Return the batches of one epoch; every piece occurs once."""
        limit = self.config.sequence_length
        usable = np.nonzero(self.lengths > 0)[0]
        rows = []
        for piece in usable:
            length = int(self.lengths[piece])
            start = int(random.integers(0, length - limit + 1)) if limit and length > limit else 0
            stop = min(length, start + limit) if limit else length
            if limit and self.config.fill == "repeat":
                stop = start + limit
            rows.append(Row(int(piece), start, stop, repeat=self.config.fill == "repeat"))
        if limit:
            return self._batched(rows, random)
        # Shuffled first, so that pieces of one length do not always meet the same others.
        shuffled = [rows[i] for i in random.permutation(len(rows))]
        shuffled.sort(key=lambda row: row.stop)
        batches = [shuffled[i : i + self.size] for i in range(0, len(shuffled), self.size)]
        return [batches[i] for i in random.permutation(len(batches))]

    def too_short(self) -> list[int]:
        """Return the pieces of no steps."""
        return np.nonzero(self.lengths == 0)[0].tolist()


class Stateful(BatchingStrategy):
    """Every piece from its first step to its last in stretches, the state carried along.

    `batch_size` streams run side by side; when a piece ends, its stream begins the next one with a
    fresh state. A stream that finds no more pieces stays idle, its steps masked.
    """

    carries_state = True

    @property
    def length(self) -> int:
        """Steps of a stretch."""
        return self.config.sequence_length or DEFAULT_SEGMENT

    def rate_factor(self, piece: int) -> float:
        """Return, with `rate_per_piece`, one over the root of its number of stretches, rounded."""
        if not self.config.rate_per_piece:
            return 1.0
        stretches = math.ceil(int(self.lengths[piece]) / self.length)
        return 1.0 / max(math.isqrt(stretches), 1)

    def plan(self, random: np.random.Generator) -> Plan:
        """Return the batches of one epoch, in order."""
        waiting = [int(i) for i in random.permutation(len(self.lengths)) if self.lengths[i] > 0]
        # The longest first, each to the stream with least to do: then few streams run idle at
        # the end.
        waiting.sort(key=lambda piece: -int(self.lengths[piece]))
        shares: list[list[list[Row]]] = [[] for _ in range(min(self.size, len(waiting)))]
        least = [(0, stream) for stream in range(len(shares))]
        for piece in waiting:
            stretches = self._stretches(piece)
            share, stream = least[0]
            shares[stream].append(stretches)
            heapq.heapreplace(least, (share + len(stretches), stream))
        streams = [
            [row for piece in random.permutation(len(share)) for row in share[piece]]
            for share in (shares[stream] for stream in random.permutation(len(shares)))
        ]
        batches = max((len(stream) for stream in streams), default=0)
        return [
            [stream[i] if i < len(stream) else IDLE for stream in streams] for i in range(batches)
        ]

    def _stretches(self, piece: int) -> list[Row]:
        length = int(self.lengths[piece])
        return [
            Row(piece, start, min(start + self.length, length), reset=start == 0)
            for start in range(0, length, self.length)
        ]

    def too_short(self) -> list[int]:
        """Return the pieces of no steps."""
        return np.nonzero(self.lengths == 0)[0].tolist()


class Windows(BatchingStrategy):
    """Every window of `sequence_length` steps with the one step after it to predict."""

    @property
    def length(self) -> int:
        """Steps of a window."""
        return self.config.sequence_length or DEFAULT_WINDOW

    def plan(self, random: np.random.Generator) -> Plan:
        """Return the batches of one epoch, windows of all pieces shuffled together."""
        rows = [
            # The first input is step `start - 1`, so that the inputs are exactly the window.
            Row(piece, start + 1, start + 1 + self.length, only_last=True)
            for piece, length in enumerate(self.lengths.tolist())
            for start in range(0, length - self.length, self.config.stride)
        ]
        return self._batched(rows, random)

    def too_short(self) -> list[int]:
        """Return the pieces without a window and a step after it."""
        return np.nonzero(self.lengths <= self.length)[0].tolist()


STRATEGIES: dict[str, type[BatchingStrategy]] = {
    "segments": Segments,
    "pieces": Pieces,
    "stateful": Stateful,
    "windows": Windows,
}


class Batches:
    """The batches of a part, epoch after epoch, by one batching strategy."""

    def __init__(self, pieces: Sequence[EncodedPiece], config: TrainingConfig) -> None:
        self.pieces = pieces
        self.seed, self.repeats = config.seed, config.updates_per_batch
        self.batching = STRATEGIES[config.batching]([len(piece) for piece in pieces], config)
        self._current: tuple[int, Plan] | None = None

    def too_short(self) -> list[str]:
        """Return the ids of pieces that are never used."""
        return [self.pieces[i].id for i in self.batching.too_short()]

    def plan(self, epoch: int) -> Plan:
        """Return the batches of an epoch: always the same for the same seed and epoch.

        Each batch stands there `updates_per_batch` times in a row.
        """
        plan = self.batching.plan(np.random.default_rng([self.seed, 0xBA7C, epoch]))
        return [rows for rows in plan for _ in range(self.repeats)]

    def is_last_update(self, batch: int) -> bool:
        """Return whether the batch of that index is another one than the next."""
        return (batch + 1) % self.repeats == 0

    def rate_factor(self, batch: Batch) -> float:
        """Return what the learning rate is multiplied by for a batch."""
        return self.batching.rate_factor(int(batch.pieces[0]))

    def count(self, epoch: int) -> int:
        """Return how many batches an epoch has."""
        return len(self._planned(epoch))

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from the given one on."""
        for rows in self._planned(epoch)[first:]:
            yield assemble(rows, self.pieces)

    def _planned(self, epoch: int) -> Plan:
        if self._current is None or self._current[0] != epoch:
            self._current = (epoch, self.plan(epoch))
        return self._current[1]


def assemble(rows: Sequence[Row], pieces: Sequence[EncodedPiece]) -> Batch:
    """Build the batch of some rows; short rows are padded with zeros and masked."""
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

    Pieces of like length share a batch of at most `most_steps` steps (a longer piece stands
    alone).
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
    rows: list[Any] = [Row(index, 0, len(pieces[index])) for index in indices]
    return assemble(rows, pieces)
