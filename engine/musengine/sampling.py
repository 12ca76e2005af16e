"""A chain of samplers: thresholds or logits through each, first to last, then review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from musengine.components.models import Model, Proposal
from musengine.components.samplers import (
    Draw,
    GridDraw,
    GridSampler,
    History,
    LayoutSampler,
    PieceRandom,
    Sampler,
    TokenSampler,
)
from musengine.layouts import Grid, Layout, Tokens


@dataclass(frozen=True)
class _TokenDraw(Draw):
    noise: Tensor
    samplers: tuple[TokenSampler[Any], ...]
    history: History

    def __call__(self, logits: Tensor) -> Tensor:
        for sampler in self.samplers:
            logits = sampler.logits(logits, self.history)
        return (logits + self.noise).argmax(dim=-1)


@dataclass(frozen=True)
class _LayoutDraw(Draw):
    sampler: LayoutSampler[Any]
    random: PieceRandom
    history: History

    def __call__(self, logits: Tensor) -> Tensor:
        return self.sampler.draw(logits, self.history, self.random)


class _Redraw(PieceRandom):
    """The numbers of a redraw: fresh ones for the pieces sent back, none taken from the others."""

    def __init__(self, random: PieceRandom, again_N: Tensor) -> None:
        self.device, self._random, self._again_N = random.device, random, again_N

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Return (N, *shape); pieces that keep their step get numbers that are not used."""
        numbers = torch.full((len(self._again_N), *shape), 0.5, device=self.device)
        pieces = self._again_N.nonzero()[:, 0]
        numbers[pieces] = self.redraw(pieces, shape)
        return numbers

    def redraw(self, pieces: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return (K, *shape) for K chosen pieces."""
        return self._random.redraw(pieces, shape)


class Chain:
    """Draws step after step for N pieces of one layout."""

    def __init__(self, samplers: Sequence[Sampler[Any]], layout: Layout) -> None:
        self.samplers = tuple(samplers)
        self.layout = layout

    def begin(self, history: History, random: PieceRandom) -> None:
        """Start N pieces whose primers are in the history."""
        self.random = random
        for sampler in self.samplers:
            sampler.begin(history, random)

    def choose(self, model: Model[Any], context: Any, history: History) -> Proposal:
        """Let the model propose a step; draw again the pieces that a sampler sends back."""
        proposal = model.propose(context, self._draw(history))
        for redraws in range(max((sampler.max_redraws for sampler in self.samplers), default=0)):
            again_N = self._reviewed(proposal, history, redraws)
            if again_N is None or not bool(again_N.any()):
                break
            redrawn = model.propose(context, self._draw(history, again_N))
            pick = again_N.reshape(-1, *[1] * (proposal.choice.dim() - 1))
            choice = torch.where(pick, redrawn.choice, proposal.choice)
            pick = again_N.reshape(-1, *[1] * (proposal.logits.dim() - 1))
            proposal = Proposal(choice, torch.where(pick, redrawn.logits, proposal.logits))
        for sampler in self.samplers:
            sampler.observe(proposal.choice)
        return proposal

    def _reviewed(self, proposal: Proposal, history: History, redraws: int) -> Tensor | None:
        asking = [sampler for sampler in self.samplers if redraws < sampler.max_redraws]
        verdicts = [sampler.review(proposal, history) for sampler in asking]
        wanted = [verdict for verdict in verdicts if verdict is not None]
        return torch.stack(wanted).any(dim=0) if wanted else None

    def _draw(self, history: History, again_N: Tensor | None = None) -> Draw:
        random = self.random if again_N is None else _Redraw(self.random, again_N)
        if isinstance(self.layout, Grid):
            thresholds = random.uniform(self.layout.step_shape)
            # u < f2(f1(p)) is f1⁻¹(f2⁻¹(u)) < p: inverses apply from the last to the first.
            for sampler in reversed(self.samplers):
                thresholds = cast(GridSampler[Any], sampler).thresholds(thresholds, history)
            return GridDraw(torch.logit(thresholds), self.layout)
        if isinstance(self.layout, Tokens):
            numbers = random.uniform((self.layout.size,))
            # A number of exactly 0 would make the noise -inf, and the token a forbidden one.
            numbers = numbers.clamp_min(torch.finfo(numbers.dtype).tiny)
            noise = -torch.log(-torch.log(numbers))
            samplers = cast(tuple[TokenSampler[Any], ...], self.samplers)
            return _TokenDraw(noise, samplers, history)
        return _LayoutDraw(cast(LayoutSampler[Any], self.samplers[0]), random, history)
