"""In which order the notes of a proposed step are kept."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d

from musengine.api import Grid, Limits, Proposal
from musengine_samplers.sounding import neighbours


def by_likelihood(proposal: Proposal, limits: Limits) -> Tensor:
    """Return (N, pitches), 0 for the first: forced notes, then the likeliest; forbidden last."""
    group_NP = torch.zeros_like(limits.forced[..., 0], dtype=torch.int64)
    return _ranked(proposal, group_NP, limits)


def by_choice(proposal: Proposal, limits: Limits, layout: Grid) -> Tensor:
    """Return (N, pitches), 0 for the first: forced, then sounding ones, then the likeliest."""
    group_NP = (proposal.choice[..., 0] > 0).long()
    if layout.silence_marker:
        # Alone it would be no note; beside others it is one like any, but there are others.
        group_NP[:, 0] = -1
    return _ranked(proposal, group_NP, limits)


def spaced(place_NP: Tensor, left_NP: Tensor, reach: int) -> Tensor:
    """Return (N, pitches) bool: taken in order of their places, those not too close to another.

    Args:
        place_NP: 0 for the first.
        left_NP: which there are to take.
        reach: how many semitones away a note is too close.
    """
    kept_NP = torch.zeros_like(left_NP)
    while bool(left_NP.any()):
        # Whatever comes before all its neighbours is taken, everywhere at once.
        place = torch.where(left_NP, place_NP, place_NP.shape[1])
        pooled = max_pool1d(-place.float(), 2 * reach + 1, stride=1, padding=reach)
        taken_NP = left_NP & (-place == pooled)
        kept_NP |= taken_NP
        left_NP = left_NP & ~taken_NP & ~neighbours(taken_NP, reach)
    return kept_NP


def _ranked(proposal: Proposal, group_NP: Tensor, limits: Limits) -> Tensor:
    group_NP = group_NP.masked_fill(limits.forced[..., 0], 2)
    group_NP = group_NP.masked_fill(limits.forbidden[..., 0], -2)
    logits_NP = proposal.logits[..., 0]
    # The argsort of an order is each one's place in it.
    place_NP = logits_NP.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    # Groups first, places within them: a place is less than the number of pitches.
    score_NP = group_NP * logits_NP.shape[1] - place_NP
    return score_NP.argsort(dim=1, descending=True).argsort(dim=1)
