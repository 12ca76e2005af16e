"""How much is added to copying so that as much comes back as in the training part.

Likelihood does not settle form: drawn from their likeliest values, notes come back far more often
than in the music that was learned from, and otherwise less. So, once a model is trained, pieces are
drawn side by side while for each lag a number x_l, added to the logits of what the lag expects, is
moved towards where the share of notes that were there l bars before, s_l, is that of the training
part, r_l (stochastic approximation, Robbins and Monro 1951):

    x_l <- x_l + gain (r_l - s_l)

Its mean over the second half is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from musengine_notes.fields import NEVER, Chooser, FieldLogits
from musengine_notes.layout import BAR, FIELDS, FIRST_PART, METRE, PART, PITCH, PITCHES
from musengine_notes.lookback import KEY
from musengine_notes.stepping import Past

if TYPE_CHECKING:
    from musengine_notes.model import NoteModel

PIECES = 16
STEPS = 480
_GAIN = 0.1
_MOST = 8.0


def tried_copying(model: NoteModel, chooser: Chooser, bar: int) -> Tensor:
    """Return (lags,) numbers; zeros where the model has no look-back or nothing was learned of it.

    Args:
        model: the trained model, in evaluation mode.
        chooser: how fields are drawn.
        bar: grid steps of a bar.
    """
    device = model.delays.device
    wanted = torch.tensor(model.notes.returns[: model.lags], device=device)
    more = torch.zeros(model.lags, device=device)
    if not model.lags or len(wanted) != model.lags or bar < 1:
        return more
    random = torch.Generator().manual_seed(0)
    state, last = model.start(PIECES), None
    here = {"metre": torch.zeros(PIECES, METRE, dtype=torch.int64, device=device)}
    here["metre"][:, BAR] = bar
    total = torch.zeros_like(more)
    with torch.inference_mode():
        for step in range(STEPS):
            context, state = model.step(last, state, here)
            if last is not None:
                share = _share_that_returns(Past(*state[1]), last, bar, model)
                gain = _GAIN if step < STEPS // 4 else _GAIN / 3
                more = (more + gain * (wanted - share).nan_to_num(0.0)).clamp(-_MOST, _MOST)
            total += more if step >= STEPS // 2 else 0.0
            last = model.propose(context, _drawing(chooser, more, random, model)).choice
    return total / (STEPS - STEPS // 2)


def _drawing(chooser: Chooser, more: Tensor, random: torch.Generator, model: NoteModel) -> Any:
    def draw(field: FieldLogits) -> Tensor:
        logits = field.logits
        if field.field == FIELDS[PART]:
            # Pieces that have ended tell nothing.
            logits = logits.clone()
            logits[:, model.notes.end] = NEVER
            field = FieldLogits(field.field, logits, field.expected, field.agrees, field.copying)
        numbers = torch.rand(len(logits), generator=random).to(logits.device)
        return chooser(field, more, numbers)

    return draw


def _share_that_returns(past: Past, event: Tensor, bar: int, model: NoteModel) -> Tensor:
    """Return (lags,): the share of the last notes that was there so many bars before, or NaN."""
    lags = torch.tensor(model.notes.lags, device=event.device)
    then = past.time[:, None] - lags * bar
    key = then * KEY + (event[:, PART] * PITCHES + event[:, PITCH])[:, None]
    found = torch.searchsorted(past.key, key).clamp(max=past.key.shape[1] - 1)
    there = past.key.gather(1, found) == key
    counted = (then >= 0) & (event[:, PART, None] >= FIRST_PART)
    return (there & counted).sum(dim=0) / counted.sum(dim=0)
