"""How much is added to copying so that as much comes back as in the training part.

Likelihood does not settle form: drawn from their likeliest values, notes come back far more often
than in the music that was learned from, and otherwise less. So, once a model is trained, pieces are
drawn side by side, with a number x_l, 0 at first, added for each lag l to the logits of what the
lag expects. With s_l how alike their bars are that lie l apart, by the mean Jaccard index of their
notes, and r_l that of the training part, a damped Gauss-Newton step (Levenberg 1944) follows,

    x <- x + (M'M + I)^-1 M' d / n,    d_l = log(r_l / s_l)

and so again, some rounds, in the n-th with 1 / n of it, since each s_l is an estimate from a few
pieces (Robbins and Monro 1951). M_kl is how far log s_k moves with x_l: what comes back after l
bars comes back after each multiple of l, too, so that it is larger where k is a multiple of l.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from musengine_notes.fields import NEVER, Chooser, FieldLogits
from musengine_notes.form.lookback import KEY
from musengine_notes.form.similarity import BARS
from musengine_notes.layout import BAR, FIELDS, FIRST_PART, METRE, PART, PITCH, PITCHES
from musengine_notes.stepping import Past

if TYPE_CHECKING:
    from musengine_notes.model import NoteModel

PIECES = 32
STEPS = 720
ROUNDS = 3
_MULTIPLE, _OTHER = 1.7, 0.5
"""M's entries. A model of pop songs, each number moved by 0.2 alone, had 1.5 to 2.0 on the
diagonal, 0.4 to 2.3 at multiples, and 0 to 0.8 elsewhere."""
_LARGEST = 0.4
"""No round moves a number further."""
_LITTLE = 0.01
"""Added to both, so that nothing coming back in a few pieces does not count for too much."""


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
    lags = torch.tensor(model.notes.lags, device=device)
    response = torch.where(lags[:, None] % lags == 0, _MULTIPLE, _OTHER)
    damped = response.T @ response + torch.eye(len(lags), device=device)
    # Fixed seeds: what is found depends on the weights alone.
    for seed in range(ROUNDS):
        alike = _tried(model, chooser, bar, more, seed)
        # NaN where no two bars were so far apart: then nothing is known to be lacking.
        lacking = torch.log((wanted + _LITTLE) / (alike + _LITTLE)).nan_to_num(0.0)
        step = torch.linalg.solve(damped, response.T @ lacking) / (seed + 1)
        more = more + step.clamp(-_LARGEST, _LARGEST)
    return more


def _tried(model: NoteModel, chooser: Chooser, bar: int, more: Tensor, seed: int) -> Tensor:
    """Return (lags,): how alike bars of pieces are that lie so far apart; NaN where none do."""
    device = model.delays.device
    random = torch.Generator().manual_seed(seed)
    state, last = model.start(PIECES), None
    here = {"metre": torch.zeros(PIECES, METRE, dtype=torch.int64, device=device)}
    here["metre"][:, BAR] = bar
    bars = _Bars(model, bar)
    with torch.inference_mode():
        for _ in range(STEPS):
            context, state = model.step(last, state, here)
            if last is not None:
                bars.add(Past(*state[1]), last)
                # Later bars, in which a piece may have got stuck, are not in the corpus's figure.
                if bool((bars.now >= BARS).all()):
                    break
            last = model.propose(context, _drawing(chooser, more, random, model)).choice
    return bars.total / bars.count


def _drawing(chooser: Chooser, more: Tensor, random: torch.Generator, model: NoteModel) -> Any:
    def draw(of: FieldLogits) -> Tensor:
        if of.field == FIELDS[PART]:
            # Pieces that have ended tell nothing.
            logits = of.logits.clone()
            logits[:, model.notes.end] = NEVER
            of = replace(of, logits=logits)
        numbers = torch.rand(len(of.logits), generator=random).to(of.logits.device)
        return chooser(of, more, numbers)

    return draw


class _Bars:
    """How many notes each bar of the pieces has, and how many of them the bars before it have."""

    def __init__(self, model: NoteModel, bar: int) -> None:
        device = model.delays.device
        self.bar, self.lags = bar, torch.tensor(model.notes.lags, device=device)
        most = STEPS * max(model.notes.delays) // bar + 2
        self.size = torch.zeros(PIECES, most, device=device)
        self.shared = torch.zeros(PIECES, len(self.lags), device=device)
        self.now = torch.zeros(PIECES, dtype=torch.int64, device=device)
        self.rows = torch.arange(PIECES, device=device)
        self.total = torch.zeros(len(self.lags), device=device)
        self.count = torch.zeros(len(self.lags), device=device)

    def add(self, past: Past, event: Tensor) -> None:
        """Count an event (N, 5), the last of the past, and the bars that it leaves behind."""
        number = past.time // self.bar
        over = number > self.now
        then = self.now[:, None] - self.lags
        # The Jaccard index: shared notes over those of both bars together.
        size = self.size[self.rows, self.now][:, None]
        union = size + self.size.gather(1, then.clamp(min=0)) - self.shared
        counted = over[:, None] & (self.now < BARS)[:, None] & (then >= 0) & (union > 0)
        self.total += torch.where(counted, self.shared / union.clamp(min=1.0), 0.0).sum(dim=0)
        self.count += counted.sum(dim=0)
        self.shared[over] = 0.0
        self.now = number
        note = event[:, PART] >= FIRST_PART
        self.size[self.rows, number] += note
        self.shared += self._were_there(past, event) & note[:, None]

    def _were_there(self, past: Past, event: Tensor) -> Tensor:
        """Return (N, lags) bool: whether the note was there so many bars before."""
        then = past.time[:, None] - self.lags * self.bar
        key = then * KEY + (event[:, PART] * PITCHES + event[:, PITCH])[:, None]
        found = torch.searchsorted(past.key, key).clamp(max=past.key.shape[1] - 1)
        there: Tensor = past.key.gather(1, found) == key
        return there & (then >= 0)
