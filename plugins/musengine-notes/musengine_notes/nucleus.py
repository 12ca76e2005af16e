"""Draws of a field from its likeliest values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from musengine_notes.fields import FieldLogits


@dataclass(frozen=True)
class Nucleus:
    """Draws from the likeliest values that together have a share (Holtzman et al. 2020).

    Attributes:
        temperature: what logits are divided by.
        top_p: the share.
    """

    temperature: float
    top_p: float

    def __call__(self, field: FieldLogits, more: Tensor, numbers: Tensor) -> Tensor:
        """Return (N,) values, given (N, lags) added to copying and (N,) numbers in [0, 1)."""
        logits = field.with_copying(more) / self.temperature
        share, value = logits.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
        # The likeliest is below 0 of the share, so that one value is always left.
        below = share.cumsum(dim=-1) - share
        share = torch.where(below < self.top_p, share, 0.0)
        reached = share.cumsum(dim=-1)
        # Scaled to what is left, instead of dividing all shares by it.
        number = numbers[:, None].to(share.dtype) * reached[:, -1:]
        place = torch.searchsorted(reached, number, right=True)
        # Rounding may let the number lie at the very end, beyond the last value that is left.
        most = (share > 0).sum(dim=-1, keepdim=True) - 1
        return value.gather(1, torch.minimum(place, most))[:, 0]
