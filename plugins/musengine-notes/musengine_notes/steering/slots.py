"""Draws among the events that are asked for: of some instruments, so many, between given notes.

Events come in slots, in their order: by delay, and of those that begin at once by part. With P(s)
what the model gives the slot s to hold the next event, an event comes in s, once none has come
before, with the probability

    h(s) = P(s) / sum over s' from s on of P(s')

Where only some slots are free, the next event of those that are asked for is in the free slot s
with the probability

    Q(s) = h(s) product over free s' before s of (1 - h(s'))

so that they come as often as beside the others, which are left out or given; what remains of 1 says
that none comes. For more notes, or fewer, each h of a note becomes h x / (1 - h + h x), where

    x = exp(c (notes that were due by then - notes that were drawn) / notes of a bar)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from musengine.api import Draw
from musengine_notes.fields import NEVER, FieldLogits
from musengine_notes.layout import DELAY, FIRST_PART, PART, REST, NoteEvents
from musengine_notes.stepping import BarsNow

_STRENGTH = 4.0
"""The number c above: a quarter of a bar's notes behind, notes are 2.7 times as likely."""
_MOST = 4.0
"""The logarithm of x is no further from 0."""
_SURE = 1 - 1e-6


@dataclass(frozen=True)
class Asked:
    """What is asked of the next event of N pieces.

    Attributes:
        free: (N, delays, parts) bool, the slots in which it may be; None for all.
        density: (N, 2) how many notes are wanted in a bar, and a bar in grid steps, or None.
        given: (N,) bool, whether the event before was given; None where none ever is.
        scale: (N, 256) bool, the pitches that it may have where it is no drum; None for all.
    """

    free: Tensor | None = None
    density: Tensor | None = None
    given: Tensor | None = None
    scale: Tensor | None = None


def asked_in(conditioning: Mapping[str, Tensor]) -> Asked | None:
    """Return what the channels of a step ask for, None where they ask for nothing."""
    masks = (conditioning.get(name) for name in ("free", "given", "scale"))
    free, given, scale = (None if mask is None else mask.bool() for mask in masks)
    if free is scale is None:
        return None
    return Asked(free, conditioning.get("density"), given, scale)


@dataclass(frozen=True)
class Pace:
    """How many notes were drawn.

    Attributes:
        begun: (N,) grid steps since when notes are counted, -1 for not yet.
        made: (N,) notes since then.
    """

    begun: Tensor
    made: Tensor

    @classmethod
    def unbegun(cls, pieces: int, device: torch.device) -> Pace:
        """Return that nothing is counted yet."""
        begun = torch.full((pieces,), -1, dtype=torch.int64, device=device)
        return cls(begun, torch.zeros_like(begun))

    def as_tuple(self) -> tuple[Tensor, ...]:
        """Return the tensors, as a model's state has them."""
        return (self.begun, self.made)

    def after(self, last: Tensor, time: Tensor, asked: Asked, layout: NoteEvents) -> Pace:
        """Return the pace with an event (N, 5) that begins at (N,) counted."""
        fresh = self.begun < 0
        note = (last[:, PART] >= FIRST_PART) & (last[:, PART] < layout.end)
        if asked.given is not None:
            note &= ~asked.given
        made = torch.where(fresh, 0, self.made + note)
        return Pace(torch.where(fresh, time, self.begun), made)


@dataclass(frozen=True)
class Context:
    """What a note is drawn from.

    Attributes:
        hidden: (N, 5 * hidden).
        before: (N, 5) as in `NoteFields.nll`, and so `begins` and `expected`.
        begins: (N,).
        time: (N,) grid steps at which the event before begins.
        bars: those about it.
        expected: (N, lags, 6).
        heard: (N, lags, 2) as in `Past`.
        full: (N,) bool, True where as many events have begun at once as hardly ever do.
        asked: what is asked for, if anything.
        pace: what was drawn so far, where a density is asked for.
    """

    hidden: Tensor
    before: Tensor
    begins: Tensor
    time: Tensor
    bars: BarsNow
    expected: Tensor
    heard: Tensor
    full: Tensor
    asked: Asked | None
    pace: Pace


@dataclass(frozen=True)
class Slots:
    """Q above, (N, delays, parts), and (N, lags) which lags expect an event in a free slot."""

    share: Tensor
    agrees: Tensor

    @classmethod
    def asked(
        cls,
        likely: Tensor,
        context: Context,
        delay: FieldLogits,
        layout: NoteEvents,
        delays: Tensor,
        draw: Draw,
    ) -> Slots:
        """Return how likely each slot is; that none holds an event, is told by a rest.

        Args:
            likely: (N, delays, parts) P above.
            context: of the draw.
            delay: the field's logits.
            layout: of the events.
            delays: (delays,) the layout's table.
            draw: settles whether there is a new event, where others are given.
        """
        asked = context.asked
        assert asked is not None
        assert asked.free is not None
        share = _thinned(likely, asked.free, _more(context, asked, layout, delays))
        none = (1 - share.sum(dim=(1, 2))).clamp(0, 1)
        # The slot of the longest delay and a rest, which stands for "none comes".
        rest = torch.zeros_like(share)
        rest[:, -1, REST] = 1.0
        if asked.given is None:
            share = share + rest * none[:, None, None]
        else:
            pair = torch.stack([none, 1 - none], dim=-1)
            whether = FieldLogits(
                "new",
                _logits(pair),
                torch.zeros_like(delay.expected),
                torch.zeros_like(delay.agrees),
                delay.returned,
                exact=True,
            )
            new = drawn_from(draw, whether)
            share = torch.where((new > 0)[:, None, None], share, rest)
        lag = torch.arange(len(share), device=share.device)[:, None]
        expected = context.expected[:, : delay.expected.shape[1]]
        agrees = share[lag, expected[..., DELAY], expected[..., PART]] > 0
        return cls(share, agrees)

    def among(self, field: FieldLogits, drawn: Tensor) -> FieldLogits:
        """Return what a delay, or a part given the delay, is drawn from."""
        if field.field == "delay":
            share = self.share.sum(dim=-1)
        else:
            share = self.share[torch.arange(len(drawn), device=drawn.device), drawn[:, DELAY]]
        return replace(field, logits=_logits(share), agrees=field.agrees & self.agrees)


def of_scale(field: FieldLogits, scale: Tensor, pitched: Tensor) -> FieldLogits:
    """Return what a pitch is drawn from: of the scale, where the grammar leaves one that is.

    Args:
        field: the pitch.
        scale: (N, 256) bool.
        pitched: (N,) bool, False for drums and what is no note.
    """
    within = field.logits.masked_fill(~scale, NEVER)
    some = (within > NEVER).any(dim=-1) & pitched
    return replace(field, logits=torch.where(some[:, None], within, field.logits))


def drawn_from(draw: Draw, logits: FieldLogits) -> Tensor:
    """Return (N,) values; a sampler for notes draws from what is more than a tensor."""
    choice: Tensor = draw(logits)  # type: ignore[arg-type]
    return choice


def _thinned(likely: Tensor, free: Tensor, more: Tensor | None) -> Tensor:
    """Return (N, delays, parts) Q above, given P, which slots are free, and the logarithm of x."""
    flat = likely.flatten(1)
    # Sums from each slot to the end; slots are in order since delays come first and parts within
    # them.
    tail = flat.flip(1).cumsum(dim=1).flip(1)
    hazard = (flat / tail.clamp(min=torch.finfo(flat.dtype).tiny)).clamp(max=1.0)
    if more is not None:
        times = more.flatten(1).exp()
        hazard = hazard * times / (1 - hazard + hazard * times)
    # Never quite sure, so that no logarithm is infinite.
    hazard = hazard.clamp(max=_SURE) * free.flatten(1)
    # The product of (1 - h) as a sum of logarithms, shifted by one: over the slots before.
    survival = torch.log1p(-hazard)
    before = (survival.cumsum(dim=1) - survival).exp()
    return (hazard * before).view_as(likely)


def _more(context: Context, asked: Asked, layout: NoteEvents, delays: Tensor) -> Tensor | None:
    """Return (N, delays, parts) the logarithm of x; of what is no note 0."""
    if asked.density is None:
        return None
    wanted, bar = asked.density[:, :1], asked.density[:, 1:]
    waited = context.time[:, None] + delays - context.pace.begun[:, None]
    missing = waited / bar - context.pace.made[:, None] / wanted
    more = (_STRENGTH * missing).clamp(-_MOST, _MOST)
    note = torch.zeros(layout.end + 1, device=delays.device)
    note[FIRST_PART : layout.end] = 1.0
    return more[..., None] * note


def _logits(share: Tensor) -> Tensor:
    return torch.where(share > 0, share.clamp(min=torch.finfo(share.dtype).tiny).log(), NEVER)
