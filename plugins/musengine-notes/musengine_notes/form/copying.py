"""How much is added to copying so that as much comes back as in the training part.

Likelihood does not settle form: drawn from their likeliest values, notes come back far more often
than in the music that was learned from, and otherwise less. So, once a model is trained, pieces are
drawn side by side, with a number x_l, 0 at first, added for each lag l to the logits of what the
lag expects. With s_l how alike their bars are that lie l apart, by the mean Jaccard index of their
notes, and r_l that of the training part, a damped Gauss-Newton step (Levenberg 1944) follows,

    x <- x + g_n (M'M + I)^-1 M' d,    d_l = log(r_l / s_l)

and so again, some rounds, the first two whole and the n-th with g_n = 2 / n of it, since each s_l
is an estimate from a few pieces (Robbins and Monro 1951); their later values are averaged. M_kl is
how far log s_k moves with x_l: what comes back after l bars comes back after each multiple of l,
too, so that it is larger where k is a multiple of l.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from musengine.api import FloatArray, IntArray
from musengine_notes.ahead import NotesAhead
from musengine_notes.fields import NEVER, FieldLogits
from musengine_notes.form.lookback import keys_of
from musengine_notes.form.similarity import BARS, likeness, mean_of_unstuck
from musengine_notes.layout import (
    BAR,
    DELAY,
    FIELDS,
    FIRST_PART,
    METRE,
    PART,
    PITCH,
    NoteEvents,
)
from musengine_notes.nucleus import Nucleus

if TYPE_CHECKING:
    from musengine_notes.model import NoteModel

PIECES = 64
STEPS = 720
ROUNDS = 6
AT_ONCE = 16
"""Steps that are drawn in one call."""
_MULTIPLE, _OTHER = 1.2, 0.4
"""M's entries. A model of pop songs, each number moved by 0.2 alone, had 1.5 to 2.0 on the
diagonal, 0.4 to 2.3 at multiples, and 0 to 0.8 elsewhere, pieces that got stuck among them; without
these it is less."""
_LARGEST = 0.4
"""No round moves a number further."""
_LITTLE = 0.01
"""Added to both, so that nothing coming back in a few pieces does not count for too much."""


def tried_copying(model: NoteModel, chooser: Nucleus, bar: int) -> Tensor:
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
    found = []
    # Fixed seeds: what is found depends on the weights alone.
    for seed in range(ROUNDS):
        tried = alike(_tried(model, chooser, bar, more, seed), model.notes, bar)
        heard = torch.tensor(mean_of_unstuck(tried, model.notes.returns)).to(more)
        # NaN where no two bars were so far apart: then nothing is known to be lacking.
        lacking = torch.log((wanted + _LITTLE) / (heard + _LITTLE)).nan_to_num(0.0)
        step = torch.linalg.solve(damped, response.T @ lacking) * min(1.0, 2 / (seed + 1))
        more = more + step.clamp(-_LARGEST, _LARGEST)
        found.append(more)
    # Each is off by what its few pieces happened to be; their mean is by less (Polyak and Juditsky
    # 1992).
    return torch.stack(found[ROUNDS // 3 :]).mean(dim=0)


def _tried(model: NoteModel, chooser: Nucleus, bar: int, more: Tensor, seed: int) -> IntArray:
    """Return the events (N, T, 5) of some pieces."""
    here = torch.zeros(PIECES, AT_ONCE, METRE, dtype=torch.int64, device=more.device)
    here[..., BAR] = bar
    random = torch.Generator().manual_seed(seed)
    delays = np.array(model.notes.delays, dtype=np.int64)
    state, last = model.start(PIECES), None
    made: list[IntArray] = []
    now = np.zeros(PIECES, dtype=np.int64)
    with torch.inference_mode():
        # Later bars, in which a piece may have got stuck, are not in the corpus's figure.
        while len(made) * AT_ONCE < STEPS and (now // bar < BARS).any():
            numbers = torch.rand((AT_ONCE, len(FIELDS), PIECES), generator=random)
            events, state = _drawn(
                model, last, state, here, chooser, more, numbers.permute(2, 0, 1).to(more.device)
            )
            last = events[:, -1]
            made.append(events.cpu().numpy())
            now += delays[made[-1][..., DELAY]].sum(axis=1)
    return np.concatenate(made, axis=1)


def _drawn(
    model: NoteModel,
    last: Tensor | None,
    state: Any,
    metre: Tensor,
    chooser: Nucleus,
    more: Tensor,
    numbers: Tensor,
) -> tuple[Tensor, Any]:
    """Return the next events (N, T, 5) of pieces that never end, and the state after them."""
    ahead = NotesAhead(
        chooser=chooser,
        numbers=lambda: numbers,
        more=lambda bars, _: more.expand(*bars.shape, -1),
        endless=True,
    )
    chosen = model.choose_ahead(last, state, {"metre": metre}, ahead)
    if chosen is not None:
        return chosen[0].choice, chosen[1]
    events = []
    for t in range(metre.shape[1]):
        context, state = model.step(last, state, {"metre": metre[:, t]})
        last = model.propose(context, _drawing(chooser, more, numbers[:, t], model)).choice
        events.append(last)
    return torch.stack(events, dim=1), state


def _drawing(chooser: Nucleus, more: Tensor, numbers: Tensor, model: NoteModel) -> Any:
    def draw(of: FieldLogits) -> Tensor:
        if of.field == FIELDS[PART]:
            # Pieces that have ended tell nothing.
            logits = of.logits.clone()
            logits[:, model.notes.end] = NEVER
            of = replace(of, logits=logits)
        return chooser(of, more, numbers[:, FIELDS.index(of.field)])

    return draw


def alike(events_NTF: IntArray, layout: NoteEvents, bar: int) -> FloatArray:
    """Return (N, lags): the mean Jaccard index of bars that lie so far apart; NaN where none do.

    Args:
        events_NTF: of pieces; what lies in the bar of a piece's last event does not count.
        layout: of the events.
        bar: grid steps of a bar.
    """
    delays = np.array(layout.delays, dtype=np.int64)
    found = np.full((len(events_NTF), len(layout.lags)), np.nan)
    for events, means in zip(events_NTF, found, strict=True):
        time = np.cumsum(delays[events[:, DELAY]])
        # Bars in which anything begins, a rest too.
        begun = np.unique(time // bar)[:-1]
        begun = begun[begun < BARS]
        notes = events[:, PART] >= FIRST_PART
        there = np.unique(keys_of(time, events[:, PART], events[:, PITCH])[notes])
        means[:] = likeness(there, begun, bar, layout.lags)
    return found
