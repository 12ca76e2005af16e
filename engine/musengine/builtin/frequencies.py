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
from musengine.components.models import Batch, Model, Output, onset_weights
from musengine.layouts import Layout


class Frequencies(Model[FrequenciesConfig]):
    """Independent notes with counted probabilities."""

    counts: Tensor
    """(3, 2, pitches, channels): given nothing before / silent before / sounding before; steps,
    steps in which the element is 1."""

    def __init__(self, config: FrequenciesConfig, layout: Layout) -> None:
        super().__init__(config, layout)
        self.register_buffer("counts", torch.zeros(3, 2, *layout.step_shape, dtype=torch.int64))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Count."""
        for batch in batches:
            targets, inputs = batch.targets.long(), batch.inputs.long()
            weights = onset_weights(batch.targets, self.layout)
            counted = torch.ones_like(targets) if weights is None else weights.long()
            counted = counted * batch.mask[..., None, None]
            known = torch.ones_like(batch.mask)
            known[:, 0] = ~batch.begins
            known_BTPC = known[..., None, None].long()
            cases = (torch.ones_like(inputs), known_BTPC * (1 - inputs), known_BTPC * inputs)
            for case, share in enumerate(cases):
                self.counts[case, 0] += (share * counted).sum(dim=(0, 1))
                self.counts[case, 1] += (share * counted * targets).sum(dim=(0, 1))

    def _probabilities(self) -> Tensor:
        """Return (3, pitches, channels): given nothing, silence before, sound before."""
        # Apple's GPUs have no float64.
        exact = torch.float32 if self.counts.device.type == "mps" else torch.float64
        steps, ones = self.counts.to(exact).unbind(1)
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
        self, last: Tensor | None, state: Tensor, sides: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the logits given the step before."""
        if last is None:
            plain = torch.logit(self._probabilities()[0])
            return plain.expand(len(state), *plain.shape), state
        return self._logits(last), state
