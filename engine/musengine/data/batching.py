"""Batches of encoded pieces, as a batching strategy plans them: collated, padded and masked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from musengine.encoding.layouts import Layout, Tokens
from musengine.errors import UserError
from musengine.interfaces.batching import IDLE_ROW, BatchingStrategy, EpochPlan, Row
from musengine.interfaces.contracts.values import check_factor, check_plan
from musengine.interfaces.encoder import EncodedPiece
from musengine.interfaces.model import Batch, as_steps
from musengine.plugins.configs import Window
from musengine.utils.arrays import IntArray

_AHEAD, _AHEAD_BYTES = 16, 2**19
"""How many batches are put together at once, and how many bytes their steps may have."""


class Batches:
    """The batches of a part, epoch after epoch.

    Args:
        pieces: the part's encoded pieces.
        strategy: which plans the rows of each batch, made for the lengths of these pieces.
        layout: of the pieces' arrays.
        seed: with an epoch's number, all that its plan depends on.
        updates_per_batch: how many times in a row each batch stands in the plan.

    Raises:
        UserError: segments are to start at bars, but the layout does not say where these begin.
    """

    def __init__(
        self,
        pieces: Sequence[EncodedPiece],
        strategy: BatchingStrategy[Any],
        layout: Layout | None = None,
        *,
        seed: int = 0,
        updates_per_batch: int = 1,
    ) -> None:
        self.pieces = pieces
        self.strategy = strategy
        self.layout = layout
        self.seed, self.repeats = seed, updates_per_batch
        self._states = grammar_states(pieces, layout)
        self._bars: list[IntArray] | None = None
        if strategy.training.align == "bars":
            self._bars = [_bars_of(piece, layout) for piece in pieces]
            if not any(len(bars) for bars in self._bars):
                raise UserError(
                    'training.align = "bars": the encoder does not say where bars begin; leave it '
                    "out, or give a number of steps",
                    code="no-bars",
                )
        self._current: tuple[int, EpochPlan] | None = None

    def too_short(self) -> list[str]:
        """Return the ids of pieces that are never used."""
        return [self.pieces[i].id for i in self.strategy.too_short()]

    def plan(self, epoch: int) -> EpochPlan:
        """Return the rows of each batch of an epoch: always the same for a seed and an epoch."""
        # Seed and epoch alone, no state: a resumed run plans its epoch as if it had never stopped.
        # 0xBA7C keeps these draws apart from others of the same seed.
        made = self.strategy.plan(np.random.default_rng([self.seed, 0xBA7C, epoch]))
        plan = check_plan(self.strategy, made, self.strategy.lengths.tolist())
        if self._bars is not None:
            plan = [[_at_bar(row, self._bars) for row in rows] for rows in plan]
        return [rows for rows in plan for _ in range(self.repeats)]

    def is_last_update(self, batch: int) -> bool:
        """Return whether the batch of that index is followed by another than itself."""
        return (batch + 1) % self.repeats == 0

    def rate_factor(self, batch: Batch) -> float:
        """Return what the learning rate is multiplied by for a batch."""
        factor = self.strategy.rate_factor(int(batch.pieces[0]))
        return check_factor(self.strategy, "rate_factor", factor)

    def count(self, epoch: int) -> int:
        """Return how many batches an epoch has, repeats counted."""
        return len(self._planned(epoch))

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from the one of index `first` on."""
        planned = self._planned(epoch)[first:]
        made = (collate(rows, self.pieces, self.layout, self._states) for rows in planned)
        for batch in made:
            # After a model's step the processor's caches hold nothing that this needs: the first of
            # several small batches in a row takes four times as long as the others.
            several = max(1, min(_AHEAD, _AHEAD_BYTES // max(batch.steps.nbytes, 1)))
            yield from [batch, *itertools.islice(made, several - 1)]

    def _planned(self, epoch: int) -> EpochPlan:
        if self._current is None or self._current[0] != epoch:
            self._current = (epoch, self.plan(epoch))
        return self._current[1]


def grammar_states(pieces: Sequence[EncodedPiece], layout: Layout | None) -> list[IntArray] | None:
    """Return of each piece (T,) the states of the layout's grammar before each of its steps."""
    if not isinstance(layout, Tokens) or layout.grammar is None:
        return None
    grammar = layout.grammar
    # States of the whole part stay in memory: one byte each where the grammar has under 257.
    kind = np.min_scalar_type(len(grammar.may_come) - 1)
    # Without the state after the last step, which no step is predicted from.
    return [grammar.states(piece.encoded.steps)[:-1].astype(kind) for piece in pieces]


def _bars_of(piece: EncodedPiece, layout: Layout | None) -> IntArray:
    return np.zeros(0, np.int64) if layout is None else layout.bar_starts(piece.encoded.steps)


def _at_bar(row: Row, bars: Sequence[IntArray]) -> Row:
    """Return a row with a fresh state moved back to where the bar begins that it starts in."""
    # A row with a carried state must go on exactly where the one before it ended.
    if row.piece < 0 or not row.reset or row.repeat or not len(starts := bars[row.piece]):
        return row
    start = int(starts[np.searchsorted(starts, row.start, side="right") - 1])
    return replace(row, start=start, stop=row.stop - row.start + start)


def collate(
    rows: Sequence[Row],
    pieces: Sequence[EncodedPiece],
    layout: Layout | None = None,
    states: Sequence[IntArray] | None = None,
) -> Batch:
    """Collate rows into a batch of B rows and T steps, as long as the longest row.

    Shorter rows are padded with zeros and masked. Arrays keep their type: bytes for grids, real
    numbers as they are, all others int64.

    Args:
        rows: what the batch holds.
        pieces: what they are parts of.
        layout: of the pieces, whose begin token stands before each.
        states: what `grammar_states` returns of the pieces.
    """
    # By way of NumPy: PyTorch takes three times as long for a list.
    table = [(each.piece, each.start, each.stop, each.context, each.reset) for each in rows]
    piece_B, start_B, stop_B, context_B, reset_B = np.array(table, dtype=np.int64).T.copy()
    count_B = np.where(piece_B >= 0, stop_B - start_B, 0)
    length = int((stop_B - start_B).max())
    sample = pieces[next((row.piece for row in rows if row.piece >= 0), 0)].encoded
    # One step more than targets: inputs are all but the last, targets all but the first.
    steps = np.zeros((len(rows), length + 1, *sample.steps.shape[1:]), dtype=sample.steps.dtype)
    conditioning = {
        name: np.zeros((len(rows), length, *channel.shape[1:]), dtype=channel.dtype)
        for name, channel in sample.conditioning.items()
    }
    grammar_BT = None if states is None else np.zeros((len(rows), length), dtype=np.int64)
    begin = layout.begin if isinstance(layout, Tokens) else None
    for b, row in enumerate(rows):
        if row.piece < 0:
            continue
        encoded = pieces[row.piece].encoded
        count = row.stop - row.start
        wanted: slice | IntArray = slice(row.start, row.stop)
        if row.repeat:
            wanted = np.arange(row.start, row.stop) % len(encoded.steps)
        steps[b, 1 : count + 1] = encoded.steps[wanted]
        if row.start > 0:
            # The step before the row is its first input; before a piece that is zeros, or the begin
            # token.
            steps[b, 0] = encoded.steps[row.start - 1]
        elif begin is not None:
            steps[b, 0] = begin
        for name, channel in conditioning.items():
            channel[b, :count] = encoded.conditioning[name][wanted]
        if grammar_BT is not None and states is not None:
            grammar_BT[b, :count] = states[row.piece][wanted]
    # Context is read and not scored: it was scored in the window before.
    number_T = np.arange(length)
    mask_BT = (number_T >= context_B[:, None]) & (number_T < count_B[:, None])
    return Batch(
        steps=as_steps(steps),
        mask=torch.from_numpy(mask_BT),
        reset=torch.from_numpy(reset_B.astype(bool)),
        begins=torch.from_numpy(start_B == 0),
        position=torch.from_numpy(start_B),
        pieces=torch.from_numpy(piece_B),
        conditioning={name: torch.from_numpy(channel) for name, channel in conditioning.items()},
        grammar=None if grammar_BT is None else torch.from_numpy(grammar_BT),
    )


def windows(
    pieces: Sequence[EncodedPiece],
    layout: Layout | None = None,
    window: Window | None = None,
    most_steps: int = 2**13,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Yield every step of every piece once, for scoring; steps that do not count are masked.

    Pieces of like length share batches of at most `most_steps` steps, padding counted; a longer
    piece has its own. A piece longer than a window is read in several, one after the other. Where
    windows have no context, the rows of a group stay the same pieces until the last has ended, so
    that a state may be carried on from each batch to the next; a fresh one is marked as `reset`.

    Args:
        pieces: whole pieces.
        layout: of them.
        window: what is read at once; None for whole pieces.
        most_steps: of a batch.
        share: `(k, n)` yields the batches of the k-th group of pieces, from 0, and of every n-th
            after it alone: the batches of all shares are those of `(0, 1)`.
    """
    lengths = [len(piece) for piece in pieces]
    # Sorted by length: pieces of one batch need little padding.
    order = sorted(range(len(pieces)), key=lambda i: lengths[i])
    states = grammar_states(pieces, layout)
    groups: list[list[int]] = []
    for index in order:
        width = lengths[index] if window is None else min(lengths[index], window.steps)
        # `width` is that of the group's longest row, since lengths grow.
        if not groups or (len(groups[-1]) + 1) * width > most_steps:
            groups.append([])
        groups[-1].append(index)
    first, every = share
    for group in groups[first::every]:
        yield from _group(group, pieces, layout, window, states)


def _group(
    indices: list[int],
    pieces: Sequence[EncodedPiece],
    layout: Layout | None,
    window: Window | None,
    states: Sequence[IntArray] | None,
) -> Iterator[Batch]:
    longest = max(len(pieces[index]) for index in indices)
    context = 0 if window is None else window.context
    size = longest if window is None else window.steps
    # Windows overlap by the context. At least one window, also for pieces of no steps.
    for begin in range(0, max(longest - context, 1), max(size - context, 1)):
        read_again = context if begin else 0
        rows = []
        for index in indices:
            length = len(pieces[index])
            if not begin or length > begin + read_again:
                fresh = not begin or context > 0
                stop = min(begin + size, length)
                rows.append(Row(index, begin, stop, reset=fresh, context=read_again))
            elif not context:
                # A state is carried on, so that rows stay where they are.
                rows.append(IDLE_ROW)
        yield collate(rows, pieces, layout, states)
