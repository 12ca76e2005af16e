"""The sampler: how the next chord is drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from musengine.api import History, LayoutSampler, PieceRandom
from musengine_markov.config import NextChordConfig


class NextChord(LayoutSampler[NextChordConfig]):
    """Draws the next chord; one that has lasted too long is forbidden."""

    def draw(self, logits: Tensor, history: History, random: PieceRandom) -> Tensor:
        """Return the symbols (N,) for logits (N, size)."""
        logits = logits / self.config.temperature
        recent = history.steps[:, -self.config.longest :]
        if recent.shape[1] == self.config.longest:
            last = recent[:, -1:]
            held = (recent == last).all(dim=1, keepdim=True)
            here = torch.arange(logits.shape[1], device=logits.device) == last
            logits = logits.masked_fill(held & here, -torch.inf)
        # A draw from a softmax is the largest of the logits with Gumbel noise added. The numbers
        # come from `random`, which has a generator for each piece: so pieces do not change each
        # other, and the same seed gives the same piece.
        noise = -torch.log(-torch.log(random.uniform((logits.shape[1],))))
        return (logits + noise).argmax(dim=-1)
