"""Samplers that map every probability by itself."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from musengine.api import Config, Grid, GridSampler, History, PieceRandom, TokenSampler
from musengine_samplers.config import (
    AdaptiveConfig,
    TemperatureConfig,
    TemperedConfig,
    ThresholdConfig,
)
from musengine_samplers.sounding import sounding

C = TypeVar("C", bound=Config)


class Threshold(GridSampler[ThresholdConfig]):
    """f(p) is 0 at or below the threshold, p above it; f⁻¹(u) = max(u, threshold)."""

    heeds_padding = True
    reads_settings = False

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        """Return the thresholds, none lower than the setting."""
        return thresholds.clamp_min(self.config.threshold)


class Adaptive(GridSampler[AdaptiveConfig]):
    """f(p) = p ** c on the sound channel, so f⁻¹(u) = u ** (1/c); c follows what sounds.

    As the biaxial net's generation does it (Johnson 2015): after a step in which too few notes
    sound, c is capped and something is taken off; after any other it goes part of the way back.
    """

    heeds_padding = True
    reads_settings = False

    def begin(self, history: History, random: PieceRandom) -> None:
        """Start every piece afresh; what sounds in its prompt does not count."""
        assert isinstance(self.layout, Grid)
        self.grid = self.layout
        pieces, device = len(history.steps), history.steps.device
        self.power_N = torch.full((pieces,), self.config.start, device=device)

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        """Return u ** (1/c) where notes sound, onsets as they are."""
        # Onsets stay: one counts only where its note sounds, which this decides already.
        sound = thresholds[..., :1] ** (1 / self.power_N)[:, None, None]
        return torch.cat([sound, thresholds[..., 1:]], dim=-1)

    def observe(self, choice: Tensor) -> None:
        """Move c."""
        config = self.config
        few_N = sounding(choice, self.grid).sum(dim=1) < config.fewest
        # Where too little sounds c falls: with a smaller power p ** c is larger, and more notes
        # sound.
        lowered_N = self.power_N.clamp_max(config.conservativity) - config.lowered_by
        back_N = self.power_N + config.moved_back * (config.conservativity - self.power_N)
        self.power_N = torch.where(few_N, lowered_N, back_N).clamp_min(config.least)


class _Power(GridSampler[C], TokenSampler[C]):
    """Logits times a power A.

    For tokens that is p ** A, renormalised. For an element of a grid, which is 1 or 0, it is
    p ** A renormalised against (1 - p) ** A: the odds to the power A.
    """

    heeds_padding = True
    reads_settings = False

    def power(self, dimensions: int) -> Tensor | float:
        """Return A, for all pieces or (N, 1, ...) with so many dimensions."""
        raise NotImplementedError

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        """Return f⁻¹(u), f(p) = σ(A · logit(p)): σ(logit(u) / A)."""
        # A threshold of 1, a forbidden element, has an infinite logit and comes out as 1.
        return torch.sigmoid(torch.logit(thresholds) / self.power(thresholds.dim()))

    def logits(self, logits: Tensor, history: History) -> Tensor:
        """Return the logits times A."""
        return logits * self.power(logits.dim())


class Temperature(_Power[TemperatureConfig]):
    """The power is 1 / temperature."""

    def power(self, dimensions: int) -> float:
        """Return the same for all pieces."""
        return 1 / self.config.temperature


class Tempered(_Power[TemperedConfig]):
    """Each piece has a power of its own, drawn once from Normal(mu, sigma).

    A draw at or below 0, which would prefer what is unlikely, is drawn again: so the power has
    the normal distribution given that it is above 0.
    """

    def begin(self, history: History, random: PieceRandom) -> None:
        """Draw the powers, from numbers of their own that nothing else depends on."""
        own = random.apart("tempered")
        again_N = torch.ones(len(history.steps), dtype=torch.bool, device=history.steps.device)
        power_N = torch.zeros(len(history.steps), device=history.steps.device)
        while bool(again_N.any()):
            uniform = own.redraw(again_N.nonzero()[:, 0], ()).cpu()  # not every device has ndtri
            # A number of exactly 0 would be minus infinity.
            normal = torch.special.ndtri(uniform.clamp_min(torch.finfo(uniform.dtype).tiny))
            power = self.config.mu + self.config.sigma * normal
            power_N[again_N] = power.to(power_N)
            again_N = power_N <= 0
        self.power_N = power_N

    def power(self, dimensions: int) -> Tensor:
        """Return each piece's."""
        return self.power_N.reshape(-1, *[1] * (dimensions - 1))
