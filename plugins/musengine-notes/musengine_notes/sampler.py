"""The sampler: each field from its likeliest values, by one random number."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from musengine.api import History, LayoutSampler, PieceRandom
from musengine_notes.config import NotesSamplerConfig
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
        """Return (N,) values, given what is added to copying and (N,) numbers in [0, 1)."""
        logits = field.with_copying(more) / self.temperature
        share, value = logits.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
        below = share.cumsum(dim=-1) - share
        share = torch.where(below < self.top_p, share, 0.0)
        reached = share.cumsum(dim=-1)
        number = numbers[:, None].to(share.dtype) * reached[:, -1:]
        place = torch.searchsorted(reached, number, right=True)
        # Rounding may let the number lie at the very end, beyond the last value that is left.
        most = (share > 0).sum(dim=-1, keepdim=True) - 1
        return value.gather(1, torch.minimum(place, most))[:, 0]


class NotesSampler(LayoutSampler[NotesSamplerConfig]):
    """Draws one field after another, of each its nucleus given those before."""

    heeds_padding = True

    def draw(self, logits: FieldLogits, history: History, random: PieceRandom) -> Tensor:
        """Return (N,) values of a field."""
        if logits.exact:
            more = torch.zeros(logits.expected.shape[1], device=logits.logits.device)
            return Nucleus(1.0, 1.0)(logits, more, random.uniform(()))
        chooser = Nucleus(self.config.temperature, self.config.top_p)
        more = self._copying(logits, chooser)
        return chooser(logits, more, random.uniform(()))

    def _copying(self, logits: FieldLogits, chooser: Nucleus) -> Tensor:
        if self.config.copy == "auto":
            return logits.copying(chooser)
        lags = logits.expected.shape[1]
        return torch.full((lags,), float(self.config.copy), device=logits.logits.device)
