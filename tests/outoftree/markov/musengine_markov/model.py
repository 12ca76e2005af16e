"""The model: transition counts, mixed over several chords back.

With N_k(a, b) the number of times chord b came k steps after chord a,

    P(b | a_1, a_2, ...) = sum over k of w_k Q_k(b | a_k)
    Q_k(b | a) = (N_k(a, b) + s) / (N_k(a) + s V)

where s is the smoothing, V the number of symbols and w_k proportional to 1 / 2^k (a mixture
transition distribution, Raftery 1985).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from musengine.api import Batch, Layout, Model, Output
from musengine_markov.config import ChordSymbols, MarkovConfig


class Markov(Model[MarkovConfig]):
    """Predicts the next chord from the last few."""

    counts: Tensor
    """(order, size + 1, size): steps back, chord there (the last row: before the piece), chord."""

    def __init__(self, config: MarkovConfig, layout: Layout) -> None:
        super().__init__(config, layout)
        assert isinstance(layout, ChordSymbols)
        self.nothing = layout.size
        # A buffer is saved in every checkpoint, and its shape must be known before it is loaded.
        shape = (config.order, layout.size + 1, layout.size)
        self.register_buffer("counts", torch.zeros(shape, dtype=torch.int64))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Count."""
        for batch in batches:
            before_KL = self._before(batch)[batch.mask]
            chosen_K = batch.targets[batch.mask]
            for lag, counts in enumerate(self.counts):
                pairs = (before_KL[:, lag], chosen_K)
                counts.index_put_(pairs, torch.ones_like(chosen_K), accumulate=True)

    def forward(self, batch: Batch) -> Output:
        """Return the negative log-likelihood of every step, which measures the chain exactly."""
        before_BTL = self._before(batch)
        probability_BT = sum(
            weight * table[before_BTL[..., lag], batch.targets]
            for lag, (weight, table) in enumerate(self._mixture())
        )
        return Output(nll=-torch.log(torch.as_tensor(probability_BT)), mask=batch.mask)

    def start(self, pieces: int) -> Tensor:
        """Return the state (N, order): the last chords, the newest first; nothing yet."""
        shape = (pieces, self.config.order)
        return torch.full(shape, self.nothing, device=self.counts.device)

    def step(
        self, last: Tensor | None, state: Tensor, conditioning: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return log-probabilities (N, size) of the next chord, and the new state."""
        if last is not None:
            state = torch.cat([last[:, None], state[:, :-1]], dim=1)
        mixed = sum(
            weight * table[state[:, lag]] for lag, (weight, table) in enumerate(self._mixture())
        )
        return torch.log(torch.as_tensor(mixed)), state

    def _mixture(self) -> list[tuple[float, Tensor]]:
        """Return each lag's weight and its table (size + 1, size) of probabilities."""
        smoothed = self.counts.float() + self.config.smoothing
        tables = smoothed / smoothed.sum(dim=-1, keepdim=True)
        weights = [0.5**lag for lag in range(self.config.order)]
        return [
            (weight / sum(weights), table) for weight, table in zip(weights, tables, strict=True)
        ]

    def _before(self, batch: Batch) -> Tensor:
        """Return (B, T, order): the chords one, two, ... steps before each step to predict."""
        order, count = self.config.order, batch.targets.shape[1]
        # The first of the steps precedes those to predict; where the piece begins it is padding.
        first = batch.steps[:, :1].masked_fill(batch.begins[:, None], self.nothing)
        known = torch.cat([first, batch.steps[:, 1:]], dim=1)
        known = functional.pad(known, (order - 1, 0), value=self.nothing)
        back = [known[:, order - 1 - lag :][:, :count] for lag in range(order)]
        return torch.stack(back, dim=-1)
