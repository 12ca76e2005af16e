"""The sampler: each field from its likeliest values, by one random number."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from musengine.api import History, LayoutSampler, PieceRandom
from musengine_notes.config import NotesSamplerConfig


class NotesSampler(LayoutSampler[NotesSamplerConfig]):
    """Draws one field after another: of each the values that together have the share `top_p`.

    That is nucleus sampling (Holtzman et al. 2020) of every field, given those before.
    """

    def draw(self, logits: Any, history: History, random: PieceRandom) -> Tensor:
        """Return (N,) values of a field from its `FieldLogits`."""
        share = self._logits(logits).softmax(dim=-1)
        share, value = share.sort(dim=-1, descending=True, stable=True)
        below = share.cumsum(dim=-1) - share
        share = torch.where(below < self.config.top_p, share, 0.0)
        reached = share.cumsum(dim=-1)
        number = random.uniform(())[:, None].to(share.dtype) * reached[:, -1:]
        place = torch.searchsorted(reached, number, right=True)
        # Rounding may let the number lie at the very end, beyond the last value that is left.
        most = (share > 0).sum(dim=-1, keepdim=True) - 1
        return value.gather(1, torch.minimum(place, most))[:, 0]

    def _logits(self, field: Any) -> Tensor:
        logits: Tensor = field.logits + (field.strength - 1) * field.copied
        return logits / self.config.temperature
