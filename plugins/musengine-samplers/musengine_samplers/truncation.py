"""Samplers that leave out what is unlikely beside the rest."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from musengine.api import Grid, GridSampler, History, Limits, Proposal, TokenSampler
from musengine_samplers.config import MinPConfig, NucleusConfig, TopKConfig
from musengine_samplers.ranking import by_likelihood


class TopK(GridSampler[TopKConfig], TokenSampler[TopKConfig]):
    """Of tokens the k likeliest are left. Of a step's notes the k likeliest may sound.

    Which notes of a step those are is known when a model has proposed one. Where another sounds,
    all others are forbidden and the step is drawn once more from the same numbers: so each of the
    k is drawn with its probability.
    """

    heeds_padding = True
    reads_settings = False

    max_redraws = 0

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        """Return the thresholds as they are."""
        return thresholds

    def review(self, proposal: Proposal, history: History) -> Tensor | None:
        """Find pieces in which a note sounds that is not among the likeliest."""
        if not isinstance(self.layout, Grid):
            return None
        # Without the limits: a step that they explain is drawn once more in `insist`, to the same
        # end.
        logits_NP = proposal.logits[..., 0]
        k = min(self.config.k, logits_NP.shape[1])
        left_NP = torch.zeros_like(logits_NP, dtype=torch.bool)
        left_NP.scatter_(1, logits_NP.topk(k, dim=1).indices, True)
        return ((proposal.choice[..., 0] > 0) & ~left_NP).any(dim=1)

    def insist(self, limits: Limits, proposal: Proposal, history: History) -> Limits | None:
        """Forbid all notes but the likeliest of those not forbidden."""
        if not isinstance(self.layout, Grid):
            return None
        others_NP = by_likelihood(proposal, limits) >= self.config.k
        return limits.forbid((others_NP & ~limits.forced[..., 0])[..., None])

    def logits(self, logits: Tensor, history: History) -> Tensor:
        """Leave the k likeliest tokens, among equals the first."""
        k = min(self.config.k, logits.shape[1])
        kept = logits.topk(k, dim=1).indices
        return torch.full_like(logits, -torch.inf).scatter(1, kept, logits.gather(1, kept))


class Nucleus(TokenSampler[NucleusConfig]):
    """The likeliest tokens whose probabilities reach p together (Holtzman et al. 2020)."""

    heeds_padding = True
    reads_settings = False

    def logits(self, logits: Tensor, history: History) -> Tensor:
        """Leave as few tokens as reach p, the likeliest first."""
        ordered, order = logits.sort(dim=1, descending=True, stable=True)
        probability = ordered.softmax(dim=1)
        reached_before = probability.cumsum(dim=1) - probability
        # The first is always left, whatever rounding makes of a sum of nothing.
        left_out = (reached_before >= self.config.p).index_fill(
            1, torch.tensor([0], device=logits.device), False
        )
        return logits.masked_fill(
            torch.zeros_like(left_out).scatter(1, order, left_out), -torch.inf
        )


class MinP(TokenSampler[MinPConfig]):
    """Tokens with at least p times the likeliest token's probability (Nguyen et al. 2024)."""

    heeds_padding = True
    reads_settings = False

    def logits(self, logits: Tensor, history: History) -> Tensor:
        """Leave the tokens whose logit is at most -log(p) below the highest."""
        # As differences of logits: a softmax would round the smallest probabilities to 0.
        lowest = logits.amax(dim=1, keepdim=True) + math.log(self.config.p)
        return logits.masked_fill(logits < lowest, -torch.inf)
