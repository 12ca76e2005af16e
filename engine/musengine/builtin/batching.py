"""Four batching strategies: random segments, whole pieces, stateful chunks, sliding windows."""

from __future__ import annotations

import heapq
import math

import numpy as np
import numpy.typing as npt

from musengine.interfaces.batching import IDLE_ROW, BatchingStrategy, EpochPlan, Row
from musengine.plugins.configs import NoSettings

DEFAULT_CHUNK = 64
"""Steps of a segment or of a stateful chunk."""
DEFAULT_WINDOW = 20


class SegmentBatching(BatchingStrategy[NoSettings]):
    """Random segments of `sequence_length` steps that start at multiples of `align`, or at bars.

    An epoch holds as many segments as would cover every usable piece once. A piece is drawn with
    a probability proportional to the number of starts a segment can have in it, so that all
    segments are equally likely; a piece of exactly one segment works, shorter ones are left out.
    """

    @property
    def length(self) -> int:
        """Steps of a segment."""
        return self.training.sequence_length or DEFAULT_CHUNK

    @property
    def align(self) -> int:
        """Steps of whose multiples segments start; the engine moves them to bars."""
        return 1 if self.training.align == "bars" else self.training.align

    def _starts(self) -> npt.NDArray[np.int64]:
        """Return how many starts a segment can have in each piece."""
        return np.maximum((self.lengths - self.length) // self.align + 1, 0)

    def plan(self, random: np.random.Generator) -> EpochPlan:
        """Return the batches of one epoch, all of full size."""
        starts = self._starts()
        if not starts.any():
            return []
        usable, size = self.lengths[starts > 0], self.training.batch_size
        batches = max(1, round(float(np.ceil(usable / self.length).sum()) / size))
        # (batches, batch_size): drawn with replacement, all at once.
        pieces = random.choice(len(starts), size=(batches, size), p=starts / starts.sum())
        # One upper bound for each draw, that of its piece.
        first = random.integers(0, starts[pieces]) * self.align
        return [
            [
                Row(int(piece), int(start), int(start) + self.length)
                for piece, start in zip(batch_pieces, batch_starts, strict=True)
            ]
            for batch_pieces, batch_starts in zip(pieces, first, strict=True)
        ]

    def too_short(self) -> list[int]:
        """Return the pieces shorter than a segment."""
        return np.nonzero(self._starts() == 0)[0].tolist()


class WholePieceBatching(BatchingStrategy[NoSettings]):
    """Whole pieces, each once in every epoch.

    Without a `sequence_length` a batch is as long as its longest piece, and pieces of like length
    are put together. With one, longer pieces are cut at a random step, and shorter ones are
    padded and masked, or filled up by repeating themselves from the start.
    """

    def plan(self, random: np.random.Generator) -> EpochPlan:
        """Return the batches of one epoch."""
        rows = [self._row(int(piece), random) for piece in np.nonzero(self.lengths > 0)[0]]
        if self.training.sequence_length:
            return self.shuffled(rows, random)
        # Shuffled first, so that pieces of one length do not always meet the same others.
        rows = [rows[i] for i in random.permutation(len(rows))]
        rows.sort(key=lambda row: row.stop)
        size = self.training.batch_size
        batches = [rows[i : i + size] for i in range(0, len(rows), size)]
        # Sorted by length within batches, shuffled among them: no epoch runs from short to long.
        return [batches[i] for i in random.permutation(len(batches))]

    def _row(self, piece: int, random: np.random.Generator) -> Row:
        length, limit = int(self.lengths[piece]), self.training.sequence_length
        if not limit:
            return Row(piece, 0, length)
        start = int(random.integers(0, length - limit + 1)) if length > limit else 0
        repeat = self.training.fill == "repeat"
        return Row(
            piece, start, start + limit if repeat else min(length, start + limit), repeat=repeat
        )

    def too_short(self) -> list[int]:
        """Return the pieces of no steps."""
        return np.nonzero(self.lengths == 0)[0].tolist()


class StatefulBatching(BatchingStrategy[NoSettings]):
    """Every piece from its first step to its last in chunks, the state carried along.

    `batch_size` streams run side by side; when a piece ends, its stream begins the next one with a
    fresh state. A stream that has run out of pieces stays idle, its steps masked.
    """

    @property
    def length(self) -> int:
        """Steps of a chunk; the last one of a piece may be shorter."""
        return self.training.sequence_length or DEFAULT_CHUNK

    def rate_factor(self, piece: int) -> float:
        """Return, with `rate_per_piece`, 1 over the whole part of the root of its chunks."""
        if not self.training.rate_per_piece:
            return 1.0
        # A long piece makes many updates in a row: smaller ones keep it from pulling the weights
        # its way.
        chunks = math.ceil(int(self.lengths[piece]) / self.length)
        return 1.0 / max(math.isqrt(chunks), 1)

    def plan(self, random: np.random.Generator) -> EpochPlan:
        """Return the batches of one epoch, in order."""
        # Shuffled before the stable sort: pieces of one length then differ in order from epoch to
        # epoch.
        waiting = [int(i) for i in random.permutation(len(self.lengths)) if self.lengths[i] > 0]
        # The longest first, each to the stream with least to do: then few streams run idle at
        # the end.
        waiting.sort(key=lambda piece: -int(self.lengths[piece]))
        shares: list[list[list[Row]]] = [
            [] for _ in range(min(self.training.batch_size, len(waiting)))
        ]
        least = [(0, stream) for stream in range(len(shares))]
        for piece in waiting:
            chunks = self._chunks(piece)
            share, stream = least[0]
            shares[stream].append(chunks)
            # The heap's first is the stream with least to do; replacing it costs one sift instead
            # of two.
            heapq.heapreplace(least, (share + len(chunks), stream))
        # Within a stream in random order, so that not all streams begin with their longest piece.
        streams = [
            [row for piece in random.permutation(len(share)) for row in share[piece]]
            for share in (shares[stream] for stream in random.permutation(len(shares)))
        ]
        batches = max((len(stream) for stream in streams), default=0)
        return [
            [stream[i] if i < len(stream) else IDLE_ROW for stream in streams]
            for i in range(batches)
        ]

    def _chunks(self, piece: int) -> list[Row]:
        length = int(self.lengths[piece])
        return [
            Row(piece, start, min(start + self.length, length), reset=start == 0)
            for start in range(0, length, self.length)
        ]

    def too_short(self) -> list[int]:
        """Return the pieces of no steps."""
        return np.nonzero(self.lengths == 0)[0].tolist()


class WindowBatching(BatchingStrategy[NoSettings]):
    """Every window of `sequence_length` steps with the one step after it to predict."""

    @property
    def length(self) -> int:
        """Steps of a window."""
        return self.training.sequence_length or DEFAULT_WINDOW

    def plan(self, random: np.random.Generator) -> EpochPlan:
        """Return the batches of one epoch, windows of all pieces shuffled together."""
        rows = [
            # The first input is step `start - 1`, so that the inputs are exactly the window.
            Row(piece, start + 1, start + 1 + self.length, context=self.length - 1)
            for piece, length in enumerate(self.lengths.tolist())
            for start in range(0, length - self.length, self.training.stride)
        ]
        return self.shuffled(rows, random)

    def too_short(self) -> list[int]:
        """Return the pieces without a window and a step after it."""
        return np.nonzero(self.lengths <= self.length)[0].tolist()
