"""The baseline that counts: note probabilities from relative frequencies in the training part.

Formulae (add-half smoothing, as is usual for Bernoulli frequencies), S steps of training data, n
sounding elements among the E considered:

    nothing   p = n / E over all pitches and steps
    pitch     p_k = (n_k + 1/2) / (S + 1)
    last      p_k|s = (n_k|s + 1/2) / (S_s + 1), s the pitch's own state one step before;
              the first step of a piece uses `pitch`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from musengine.builtin.configs import FrequenciesConfig
from musengine.encoding.layouts import Layout
from musengine.interfaces.model import Batch, Model, Output, onset_weights


class Frequencies(Model[FrequenciesConfig]):
    """Independent notes with counted probabilities."""

    counts: Tensor
    """(3, 2, pitches, channels): given nothing before / silent before / sounding before; steps,
    steps in which the element is 1."""

    def __init__(self, config: FrequenciesConfig, layout: Layout) -> None:
        super().__init__(config, layout)
        self.register_buffer("counts", torch.zeros(3, 2, *layout.step_shape, dtype=torch.int64))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Count how often each element is 1 after each of what can precede it."""
        for batch in batches:
            # Piece by piece: as int64 the arrays of a whole batch of long pieces fill memory.
            for row in range(len(batch.mask)):
                self._count(batch, row)

    def _count(self, batch: Batch, row: int) -> None:
        """Count the steps of one row of a batch."""
        targets_TPC, inputs_TPC = batch.targets[row].long(), batch.inputs[row].long()
        weights_TPC = onset_weights(targets_TPC, self.layout)
        counted_TPC = torch.ones_like(targets_TPC) if weights_TPC is None else weights_TPC
        counted_TPC = counted_TPC * batch.mask[row, :, None, None]
        known_T11 = torch.ones_like(batch.mask[row], dtype=torch.int64)[:, None, None]
        # The first step of a piece has no step before it that could be silent or sound.
        known_T11[0] = ~batch.begins[row]
        cases = (torch.ones_like(inputs_TPC), known_T11 * (1 - inputs_TPC), known_T11 * inputs_TPC)
        for case, share_TPC in enumerate(cases):
            share_TPC = share_TPC * counted_TPC
            self.counts[case, 0] += share_TPC.sum(dim=0)
            self.counts[case, 1] += (share_TPC * targets_TPC).sum(dim=0)

    def _probabilities(self) -> Tensor:
        """Return (3, pitches, channels): given nothing, silence before, sound before."""
        # Apple's GPUs have no float64.
        exact = torch.float32 if self.counts.device.type == "mps" else torch.float64
        steps, ones = self.counts.to(exact).unbind(1)
        # Never 0 or 1: held-out music with a note that was never heard has a finite likelihood.
        smoothed = (ones + 0.5) / (steps + 1.0)
        if self.config.given == "last":
            return smoothed
        if self.config.given == "nothing":
            total = ones[0].sum(dim=0) / steps[0].sum(dim=0).clamp(min=1.0)
            return total.expand_as(smoothed[0]).expand_as(smoothed)
        return smoothed[0].expand_as(smoothed)

    def _logits(self, last: Tensor) -> Tensor:
        _, off, on = torch.logit(self._probabilities())
        return torch.where(last.bool(), on, off)

    def forward(self, batch: Batch) -> Output:
        """Return logits that depend on the step before alone."""
        logits = self._logits(batch.inputs)
        plain = torch.logit(self._probabilities()[0])
        first = torch.where(batch.begins[:, None, None], plain, logits[:, 0])
        return Output(
            logits=torch.cat([first[:, None], logits[:, 1:]], dim=1),
            targets=batch.targets,
            mask=batch.mask,
            weights=onset_weights(batch.targets, self.layout),
        )

    def start(self, pieces: int) -> Tensor:
        """Return nothing to carry but the number of pieces."""
        return torch.zeros((pieces, 0), device=self.counts.device)

    def step(
        self, last: Tensor | None, state: Tensor, conditioning: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the logits given the step before."""
        if last is None:
            plain = torch.logit(self._probabilities()[0])
            return plain.expand(len(state), *plain.shape), state
        return self._logits(last), state
