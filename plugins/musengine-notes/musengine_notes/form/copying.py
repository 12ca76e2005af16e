"""How much is added to copying and quoting so that as much comes back as in people's pieces.

Likelihood does not settle form: drawn from their likeliest values, notes come back far more often
than in the music that was learned from, and otherwise less. So, once a model is trained, pieces are
drawn side by side, each to its end, with a number x_l, 0 at first, added for each lag l to the
logits of what the lag expects. With s_l how alike their bars are that lie l apart, by the mean
Jaccard index of their notes, and r_l that of the training part, a damped Gauss-Newton step
(Levenberg 1944) follows,

    x <- x + g_n (N'N + I / 10)^-1 N' d,    d_l = log(r_l / s_l)

and so again, some rounds, the first two whole and the n-th with g_n = 2 / n of it, since each s_l
is an estimate from a few pieces (Robbins and Monro 1951); their later values are averaged. M_kl is
how far log s_k moves with what is added for the lag l: what comes back after l bars comes back
after each multiple of l, too, so that it is larger where k is a multiple of l. Since every piece is
pulled towards r meanwhile (`balance`), log s moves with x by N = (I + G M)^-1 M.

Turns of the training music come by in the pieces of the same kind that nobody trained on, too, and
new pieces have fewer: what is likely is not what is usual. So a number y is added to the logits of
pitches with which the last eight notes stand in the training part, and found in the same rounds,

    y <- y + g_n log(r / s) / 0.25

where r is the mean length of the longest such runs in beginnings of pieces held out, and s that in
as many notes of new pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from musengine.api import FloatArray, IntArray
from musengine_notes.ahead import NotesAhead
from musengine_notes.copies import ANY_LENGTH, CopyIndex, CopyWatch, Limits
from musengine_notes.fields import FieldLogits
from musengine_notes.form.balance import PULL, pull_of, returns_of
from musengine_notes.form.lookback import keys_of
from musengine_notes.form.quoting import quoted
from musengine_notes.form.similarity import BARS, likeness, means_of
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
STEPS = 1200
ROUNDS = 6
AT_ONCE = 16
"""Steps that are drawn in one call."""
_MULTIPLE, _OTHER = 1.2, 0.4
"""M's entries. A model of pop songs, each number moved by 0.2 alone, had 1.5 to 2.0 on the
diagonal, 0.4 to 2.3 at multiples, and 0 to 0.8 elsewhere, pieces that got stuck among them; without
these it is less."""
_QUOTED = 0.25
"""How far the logarithm of the longest run moves with what is added to quoting: 0.1 to 0.3 with
models of chorales and tunes."""
_DAMPING = 0.1
_LARGEST = 0.8
_LARGEST_QUOTE = 2.0
"""No round moves a number further."""
_MOST_QUOTE = 8.0
"""With it nearly all is quoted that can be."""
_LITTLE = 0.01
"""Added to both, so that nothing coming back in a few pieces does not count for too much."""


@dataclass(frozen=True)
class Aims:
    """What is to be found.

    Attributes:
        copy: what is added to copying, `auto` where it is to be found.
        quote: the same of quoting.
        index: knows the runs of the training part and of pieces held out.
        longest_loop: notes that may go round.
    """

    copy: float | Literal["auto"]
    quote: float | Literal["auto"]
    index: CopyIndex | None = None
    longest_loop: int = ANY_LENGTH


def tried_additions(model: NoteModel, chooser: Nucleus, bar: int, aims: Aims) -> Tensor:
    """Return (lags + 1,) what is added to copying and to quoting.

    0 where there is nothing to aim at: the model has no look-back, nothing was learned of it, or no
    piece was held out.

    Args:
        model: the trained model, in evaluation mode.
        chooser: how fields are drawn.
        bar: grid steps of a bar, 0 where there are none.
        aims: what is set by hand, and what is to be found.
    """
    device = model.delays.device
    more = torch.zeros(model.lags + 1, device=device)
    more[:-1] = 0.0 if aims.copy == "auto" else aims.copy
    more[-1] = 0.0 if aims.quote == "auto" else aims.quote
    wanted = torch.tensor(model.notes.returns[: model.lags], device=device)
    copying = aims.copy == "auto" and 0 < model.lags == len(wanted) and bar > 0
    quoting = aims.quote == "auto" and aims.index is not None and len(aims.index.begun) > 0
    if not (copying or quoting):
        return more
    found = []
    # Fixed seeds: what is found depends on the weights alone.
    for seed in range(ROUNDS):
        tried = _tried(model, chooser, bar, more, seed, aims)
        step = torch.zeros_like(more)
        if copying:
            step[:-1] = _copying_step(tried, model.notes, bar, wanted)
        if quoting and aims.index is not None:
            step[-1] = aims.index.lacking(tried, model.notes) / _QUOTED
        largest = torch.full_like(more, _LARGEST)
        largest[-1] = _LARGEST_QUOTE
        more = more + (step * min(1.0, 2 / (seed + 1))).clamp(-largest, largest)
        more[-1] = more[-1].clamp(-_MOST_QUOTE, _MOST_QUOTE)
        found.append(more)
    # Each is off by what its few pieces happened to be; their mean is by less (Polyak and Juditsky
    # 1992).
    return torch.stack(found[ROUNDS // 3 :]).mean(dim=0)


def _copying_step(tried: IntArray, layout: NoteEvents, bar: int, wanted: Tensor) -> Tensor:
    """Return (lags,) how far to move, before damping by rounds."""
    lags = torch.tensor(layout.lags[: len(wanted)], device=wanted.device)
    response = torch.where(lags[:, None] % lags == 0, _MULTIPLE, _OTHER)
    # What a piece has less of, the pull adds to: s moves by M (x - G s), not by M x.
    every = torch.eye(len(lags), device=wanted.device)
    response = torch.linalg.solve(every + PULL * response, response)
    damped = response.T @ response + _DAMPING * every
    found = torch.tensor(means_of(alike(tried, layout, bar))).to(wanted)
    lacking = torch.log((wanted + _LITTLE) / (found + _LITTLE))
    # NaN where no two bars were so far apart: then nothing is known to be lacking.
    step: Tensor = torch.linalg.solve(damped, response.T @ lacking.nan_to_num(0.0))
    return step


def _tried(
    model: NoteModel,
    chooser: Nucleus,
    bar: int,
    more: Tensor,
    seed: int,
    aims: Aims,
) -> IntArray:
    """Return the events (N, T, 5) of some pieces, after their ends nothing but ends."""
    here = torch.zeros(PIECES, AT_ONCE, METRE, dtype=torch.int64, device=more.device)
    here[..., BAR] = bar
    random = torch.Generator().manual_seed(seed)
    delays = np.array(model.notes.delays, dtype=np.int64)
    state, last = model.start(PIECES), None
    nothing = np.zeros((0, len(FIELDS)), dtype=np.int64)
    index = aims.index
    limits = Limits(loop=aims.longest_loop)
    watch = None if index is None else CopyWatch(index, model.notes, [nothing] * PIECES, limits)
    returns = returns_of(model.notes, model.lags, aims.copy)
    trial = _Trial(model, chooser, more, watch, returns)
    made: list[IntArray] = []
    now, left = np.zeros(PIECES, dtype=np.int64), np.ones(PIECES, dtype=bool)
    with torch.inference_mode():
        while len(made) * AT_ONCE < STEPS and left.any():
            numbers = torch.rand((AT_ONCE, len(FIELDS), PIECES), generator=random)
            events, state = trial.drawn(last, state, here, numbers.permute(2, 0, 1).to(more.device))
            last = events[:, -1]
            made.append(events.cpu().numpy())
            now += delays[made[-1][..., DELAY]].sum(axis=1)
            left &= (made[-1][..., PART] != model.notes.end).all(axis=1)
            # Later bars are not in the corpus's figure.
            left &= bar < 1 or now // bar < BARS
    return np.concatenate(made, axis=1)


@dataclass
class _Trial:
    """Draws pieces; after one's end come ends.

    Attributes:
        model: of the pieces.
        chooser: draws their fields.
        more: (lags + 1,) added to copying and quoting.
        watch: follows runs of the training part, where they are known, and loops.
        returns: how much of a piece is to come back after each lag, None for any share.
    """

    model: NoteModel
    chooser: Nucleus
    more: Tensor
    watch: CopyWatch | None
    returns: tuple[float, ...] | None

    def drawn(
        self, last: Tensor | None, state: Any, metre: Tensor, numbers: Tensor
    ) -> tuple[Tensor, Any]:
        """Return the next events (N, T, 5), and the state after them."""
        ahead = NotesAhead(
            chooser=self.chooser,
            numbers=lambda: numbers,
            more=lambda bars, _: self.more.expand(*bars.shape, -1),
            watch=self.watch,
            returns=lambda lags: self.returns,
        )
        chosen = self.model.choose_ahead(last, state, {"metre": metre}, ahead)
        if chosen is not None:
            return chosen[0].choice, chosen[1]
        events = []
        for t in range(metre.shape[1]):
            context, state = self.model.step(last, state, {"metre": metre[:, t]})
            last = self.model.propose(context, self._draw_of(numbers[:, t])).choice
            events.append(last)
            if self.watch is not None:
                self.watch.observe(last.cpu().numpy())
        return torch.stack(events, dim=1), state

    def _draw_of(self, numbers: Tensor) -> Any:
        """Return what draws the fields of one event."""
        drawn: dict[str, Tensor] = {}

        def draw(of: FieldLogits) -> Tensor:
            copying = self.more[:-1]
            if self.returns is not None:
                copying = copying + pull_of(of.returned.heard, self.returns)
            if of.field == FIELDS[PITCH] and self.watch is not None:
                quoting = self.more[-1].expand(len(of.logits))
                of = quoted(of, quoting, self.watch, drawn)
            number = numbers[:, FIELDS.index(of.field)]
            drawn[of.field] = self.chooser(of, copying, number)
            return drawn[of.field]

        return draw


def alike(events_NTF: IntArray, layout: NoteEvents, bar: int) -> FloatArray:
    """Return (N, lags): the mean Jaccard index of bars that lie so far apart; NaN where none do.

    Args:
        events_NTF: of pieces up to their ends; what lies in the bar of a piece's last event does
            not count.
        layout: of the events.
        bar: grid steps of a bar.
    """
    delays = np.array(layout.delays, dtype=np.int64)
    found = np.full((len(events_NTF), len(layout.lags)), np.nan)
    for whole, means in zip(events_NTF, found, strict=True):
        events = whole[: (whole[:, PART] != layout.end).cumprod().sum()]
        time = np.cumsum(delays[events[:, DELAY]])
        # Bars in which anything begins, a rest too.
        begun = np.unique(time // bar)[:-1]
        begun = begun[begun < BARS]
        notes = events[:, PART] >= FIRST_PART
        there = np.unique(keys_of(time, events[:, PART], events[:, PITCH])[notes])
        means[:] = likeness(there, begun, bar, layout.lags)
    return found
