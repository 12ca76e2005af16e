"""Plain draws and the most probable choice."""

from __future__ import annotations

import torch
from torch import Tensor

from musengine.interfaces.sampler import GridSampler, History, TokenSampler
from musengine.plugins.configs import NoSettings


class Bernoulli(GridSampler[NoSettings]):
    """Every element drawn with its own probability."""

    heeds_padding = True
    reads_settings = False

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        """Return the thresholds as they are: f is the identity."""
        return thresholds


class Categorical(TokenSampler[NoSettings]):
    """Every token drawn with its own probability."""

    heeds_padding = True
    reads_settings = False
    reshapes = False

    def logits(self, logits: Tensor, history: History) -> Tensor:
        """Return the logits as they are."""
        return logits


class Greedy(GridSampler[NoSettings], TokenSampler[NoSettings]):
    """The most probable choice: an element above 1/2, the first of the likeliest tokens."""

    heeds_padding = True
    reads_settings = False

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        """Return 1/2: f(p) is 1 above it and 0 elsewhere; 1 is exceeded by neither."""
        return torch.full_like(thresholds, 0.5).masked_fill(thresholds >= 1.0, 1.0)

    def logits(self, logits: Tensor, history: History) -> Tensor:
        """Leave only the likeliest token."""
        alone = torch.full_like(logits, -torch.inf)
        best = logits.argmax(dim=-1, keepdim=True)
        # All others at -inf, so that the noise added later cannot make another token win.
        return alone.scatter(-1, best, logits.gather(-1, best))
