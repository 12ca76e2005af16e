"""A piece that is being drawn, kept near as much coming back as does in people's pieces.

What is added to copying for every piece alike settles how much comes back in their mean. Left to
that, pieces differ: once bars have come back, all they say is that bars come back, and some pieces
end as a loop and others never return to anything. So for each lag l

    x_l + G log((r_l + e) / (s_l + e))

is added, where r_l is how alike bars of the training part are that lie l apart, by the mean Jaccard
index of their notes, and s_l the same of the piece so far, told by the share h_l of its notes that
had been there l bars before: h / (2 - h), as two bars of n notes each that share h n have that
index. Before many notes are there, h_l is held at what it is in music by some notes more of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from musengine_notes.layout import NoteEvents

PULL = 0.7
"""G: with it songs and tunes differ from each other by about as much as human ones."""
_PRIOR_NOTES = 16
_LITTLE = 0.01
"""e: where nothing has come back the logarithm ends."""


def returns_of(
    layout: NoteEvents, lags: int, copy: float | Literal["auto"]
) -> tuple[float, ...] | None:
    """Return how much is to come back after each of a model's lags, None for any share.

    Args:
        layout: knows how much does in the training part.
        lags: that the model looks back by, 0 where it does not.
        copy: the sampler's key; set by hand it asks for no share.
    """
    known = copy == "auto" and 0 < lags == len(layout.returns)
    return layout.returns if known else None


def pull_of(heard: Tensor, returns: Sequence[float]) -> Tensor:
    """Return (N, lags) what is added to copying, 0 for lags of which nothing is known.

    Args:
        heard: (N, lags, 2) notes that were so many bars after the first, and those of them that had
            been there so many bars before.
        returns: for each lag how alike bars are to be.
    """
    # On the processor, as the compiled loop does it: not every device has float64.
    wanted = torch.tensor(returns, dtype=torch.float64)
    notes, again = heard.cpu().double().unbind(dim=-1)
    prior = _PRIOR_NOTES * (2 * wanted / (1 + wanted))
    share = (prior + again) / (_PRIOR_NOTES + notes)
    more = PULL * torch.log((wanted + _LITTLE) / (share / (2 - share) + _LITTLE))
    return torch.where(wanted > 0, more, 0.0).float().to(heard.device)
