"""The model: each note from all before it, field by field, with what came bars ago in view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from musengine.api import Batch, Draw, Layout, Model, Output, Proposal
from musengine_notes.ahead import NotesAhead, NotesLoop
from musengine_notes.config import NotesModelConfig
from musengine_notes.fields import NEVER, NoteFields, Returned
from musengine_notes.form.lookback import Bars, channels, onsets_of
from musengine_notes.layout import (
    AT_ONCE,
    BAR,
    DELAY,
    EXPECTED,
    FIELDS,
    LONGEST_RUN,
    LOOKBACK,
    MOST_AT_ONCE,
    PART,
    PITCH,
    PLACE,
    PLACE_BEFORE,
    UNKNOWN,
    NoteEvents,
)
from musengine_notes.steering.slots import (
    Asked,
    Context,
    Pace,
    Slots,
    asked_in,
    drawn_from,
    of_scale,
)
from musengine_notes.stepping import BarsNow, Past, bars_now, read
from musengine_notes.trunks import trunk_of


@dataclass(frozen=True)
class _Seen:
    """Notes to be predicted, and what is known before.

    Attributes:
        before: (B, T, 5) the events before them.
        target: (B, T, 5) the events.
        begins: (B, T) bool, True where nothing is before.
        metre: (B, T, 4).
        lookback: (B, T, lags, 6).
    """

    before: Tensor
    target: Tensor
    begins: Tensor
    metre: Tensor
    lookback: Tensor


class NoteModel(Model[NotesModelConfig]):
    """Embedded fields into a trunk, and the fields of the next note out of it."""

    delays: Tensor
    """(delays,) the layout's table, grid steps."""
    ranges: Tensor
    """(parts, 2) lowest and highest pitch of parts that are transposed; a wide range for others."""
    moves: Tensor
    """(parts,) bool, True where a part's pitches are transposed."""

    def __init__(self, config: NotesModelConfig, layout: Layout) -> None:
        super().__init__(config, layout)
        assert isinstance(layout, NoteEvents)
        self.notes = layout
        self.lags = len(layout.lags) if config.form else 0
        sizes = layout.sizes
        # Rows for the values of each field, for nothing, for the place and length of the bar, and
        # for how many began at once.
        self.offsets = [sum(sizes[:field]) for field in range(len(FIELDS) + 1)]
        self.nothing = self.offsets[-1]
        self.fields_in = nn.EmbeddingBag(
            self.nothing + 1 + 2 * layout.places + MOST_AT_ONCE + 1, config.width, mode="sum"
        )
        nn.init.normal_(self.fields_in.weight, std=0.3)
        if self.lags:
            self.each_lag = self.nothing + LONGEST_RUN + 2
            rows = self.lags * self.each_lag
            self.expected_in = nn.EmbeddingBag(rows, config.width, mode="sum")
            self.expected_out = nn.EmbeddingBag(rows, config.width, mode="sum")
            nn.init.normal_(self.expected_in.weight, std=0.15)
            # Small, since it is added to the trunk's output, past all layers.
            nn.init.normal_(self.expected_out.weight, std=0.02)
        self.trunk = trunk_of(config)
        self.fields_out = NoteFields(config, layout)
        self.register_buffer("delays", torch.tensor(layout.delays), persistent=False)
        ranges = [(0, 0), (0, 0), *((p.lowest, p.highest) for p in layout.parts), (0, 0)]
        moves = [False, False, *(not p.drums for p in layout.parts), False]
        self.loop = NotesLoop(self)
        self.register_buffer("ranges", torch.tensor(ranges), persistent=False)
        self.register_buffer("moves", torch.tensor(moves), persistent=False)

    def forward(self, batch: Batch) -> Output:
        """Return the likelihood of every note of a batch, its state carried on if there is one."""
        seen = self._seen(batch)
        if self.training and self.config.transpose:
            seen = self._transposed(seen, batch.mask)
        state = batch.carried
        if state is None:
            state = self.trunk.initial_state(len(batch.steps))
        else:
            state = self.trunk.fresh_where(batch.reset, state)
        out_BTW, state = self._trunk(seen, state)
        flat = replace(seen, **{k: v.flatten(0, 1) for k, v in vars(seen).items()})
        nll = self.fields_out.nll(
            out_BTW.flatten(0, 1),
            flat.target,
            flat.before,
            flat.begins,
            flat.metre[:, PLACE],
            flat.lookback,
        ).view(batch.mask.shape)
        # Not a product with the mask: 0 times an infinity would be NaN.
        nll = torch.where(batch.mask, nll, 0.0)
        # An idle batch has no step that counts.
        loss = nll.sum() / batch.mask.sum().clamp(min=1)
        return Output(nll=nll, loss=loss, mask=batch.mask, state=state)

    def _trunk(self, seen: _Seen, state: Any) -> tuple[Tensor, Any]:
        inputs = self._embedded(seen.before, seen.begins, seen.metre)
        if self.lags:
            expected = self._expected_rows(seen.lookback)
            inputs = inputs + self._bag(self.expected_in, expected)
        inputs = functional.dropout(inputs, self.config.dropout, self.training)
        out, state = self.trunk(inputs, state)
        if self.lags:
            out = out + self._bag(self.expected_out, expected)
        return functional.dropout(out, self.config.dropout, self.training), state

    def _embedded(self, before: Tensor, begins: Tensor, metre: Tensor) -> Tensor:
        """Return (B, T, width) of the events before."""
        offsets = torch.tensor(self.offsets[:-1], device=before.device)
        rows = torch.where(begins[..., None], self.nothing, before + offsets)
        most = self.notes.places - 1
        place = metre[..., PLACE_BEFORE].clamp(0, most) + self.nothing + 1
        bar = metre[..., BAR].clamp(0, most) + self.nothing + 1 + self.notes.places
        at_once = metre[..., AT_ONCE].clamp(0, MOST_AT_ONCE) + self.nothing + 1
        others = torch.stack([place, bar, at_once + 2 * self.notes.places], dim=-1)
        return self._bag(self.fields_in, torch.cat([rows, others], dim=-1))

    def _expected_rows(self, lookback: Tensor) -> Tensor:
        """Return (B, T, lags * 6) rows of the tables of what is expected."""
        offsets = torch.tensor([*self.offsets[:-1], self.nothing], device=lookback.device)
        lag = torch.arange(self.lags, device=lookback.device)[:, None] * self.each_lag
        # Where nothing is expected, all columns say so.
        nothing = lookback[..., EXPECTED:] == 0
        rows = torch.where(nothing, self.nothing, lookback + offsets) + lag
        return rows.flatten(-2)

    def _bag(self, table: nn.EmbeddingBag, rows: Tensor) -> Tensor:
        """Return the sum of the rows (B, T, K) of a table, (B, T, width)."""
        summed: Tensor = table(rows.flatten(0, 1))
        return summed.view(*rows.shape[:2], -1)

    def _seen(self, batch: Batch) -> _Seen:
        before, target = batch.inputs, batch.targets
        begins = torch.zeros_like(batch.mask)
        begins[:, 0] = batch.begins
        metre, lookback = self._channels(batch)
        return _Seen(before, target, begins, metre, lookback)

    def _channels(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the channels of a batch; of pieces in even bars, they follow from the notes."""
        rows, steps = batch.mask.shape
        metre = batch.conditioning["metre"].long()
        if self.notes.in_beats:
            lookback = batch.conditioning["lookback"].long()
        else:
            lookback = metre.new_zeros(rows, steps, 0, LOOKBACK)
        # Rows whose channels `Encoder.conditioning` made: generated pieces that are scored, few at
        # a time.
        for row in (metre[:, 0, PLACE] == UNKNOWN).nonzero()[:, 0].tolist():
            events = batch.targets[row].cpu().numpy()
            last, bar = int(onsets_of(events, self.notes)[-1]), int(metre[row, 0, BAR])
            even = channels(events, Bars.even(bar, last) if bar else None, self.notes)
            metre[row] = torch.from_numpy(even["metre"].astype(np.int64))
            if bar:
                lookback[row] = torch.from_numpy(even["lookback"].astype(np.int64))
        return metre, lookback

    def _transposed(self, seen: _Seen, mask: Tensor) -> _Seen:
        """Move each row by some semitones, so far that every instrument stays in its range."""
        part, pitch = seen.target[..., PART], seen.target[..., PITCH]
        moving = self.moves[part] & mask
        # How far the whole row can go: one number for all parts, so that harmony stays.
        down = torch.where(moving, pitch - self.ranges[part, 0], 127).amin(dim=1).clamp(min=0)
        up = torch.where(moving, self.ranges[part, 1] - pitch, 127).amin(dim=1).clamp(min=0)
        most = self.config.transpose
        drawn = torch.randint(-most, most + 1, (len(mask),), device=mask.device)
        semitones = torch.minimum(torch.maximum(drawn, -down), up)
        return replace(
            seen,
            before=self._moved(seen.before, semitones[:, None]),
            target=self._moved(seen.target, semitones[:, None]),
            lookback=self._moved(seen.lookback, semitones[:, None, None]),
        )

    def _moved(self, events: Tensor, semitones: Tensor) -> Tensor:
        events = events.clone()
        moving = self.moves[events[..., PART]]
        pitch = (events[..., PITCH] + semitones).clamp(0, 127)
        events[..., PITCH] = torch.where(moving, pitch, events[..., PITCH])
        return events

    def start(self, pieces: int) -> Any:
        """Return the state before the first note: the trunk's, the past, and that none is drawn."""
        device = self.delays.device
        past = Past.empty(pieces, self.lags, device)
        fresh = torch.ones(pieces, dtype=torch.bool, device=device)
        pace = Pace.unbegun(pieces, device)
        return self.trunk.initial_state(pieces), past.as_tuple(), fresh, pace.as_tuple()

    def step(
        self, last: Tensor | None, state: Any, conditioning: Mapping[str, Tensor]
    ) -> tuple[Any, Any]:
        """Read one note; returns what the fields of the next one are drawn from."""
        trunk, kept, fresh, pace = state
        past = Past(*kept)
        bars, asked = bars_now(conditioning), asked_in(conditioning)
        if last is None:
            shape = (len(bars.length), len(FIELDS))
            last = torch.zeros(shape, dtype=torch.int64, device=bars.length.device)
            begins = torch.ones_like(bars.length, dtype=torch.bool)
        else:
            # What ends with its prompt, a whole piece, begins anew.
            begins = fresh & (last[:, PART] == self.notes.end)
            past = read(past, last, bars, self.notes, self.delays)
        if asked is not None:
            pace = Pace(*pace).after(last, past.time, asked, self.notes).as_tuple()
        seen = self._one(last, begins, past, bars)
        out, trunk = self._trunk(seen, trunk)
        hidden = self.fields_out.hidden(out[:, 0])
        full = past.at_once >= (self.notes.at_once or torch.iinfo(torch.int64).max)
        full &= last[:, PART] != self.notes.end
        context = Context(
            hidden,
            last,
            begins,
            past.time,
            bars,
            past.expected,
            past.heard,
            full,
            asked,
            Pace(*pace),
        )
        return context, (trunk, past.as_tuple(), torch.zeros_like(fresh), pace)

    def _one(self, last: Tensor, begins: Tensor, past: Past, bars: BarsNow) -> _Seen:
        before = torch.where(begins, 0, bars.place(past.time))
        at_once = past.at_once.clamp(max=MOST_AT_ONCE)
        metre = torch.stack([before, before, bars.length, at_once], dim=-1)[:, None]
        return _Seen(last[:, None], last[:, None], begins[:, None], metre, past.expected[:, None])

    def propose(self, context: Any, draw: Draw) -> Proposal:
        """Draw the fields of the next note one after another."""
        asked = context.asked or Asked()
        # Among given notes a passage keeps to them, and how much comes back is left as it is.
        length = context.bars.length
        bar = torch.full_like(length, -1) if asked.given is not None else length
        returned = Returned(bar, context.heard)
        # Fields not drawn yet are 0, and no field looks at those after it.
        drawn = torch.zeros_like(context.before)
        place = torch.zeros_like(context.time)
        hidden = context.hidden.chunk(len(FIELDS), dim=-1)
        slots = None
        said = []
        for field in range(len(FIELDS)):
            logits = self.fields_out.field(
                field,
                hidden[field],
                drawn,
                context.before,
                context.begins,
                place,
                context.expected,
                returned,
            )
            # Where as many events have begun together as hardly ever do, time must move on: such
            # piles could grow without end.
            if field == DELAY:
                logits.logits[context.full, 0] = NEVER
                if asked.free is not None:
                    shares = self._slots(context, logits.logits.softmax(dim=-1), hidden[PART])
                    slots = Slots.asked(shares, context, logits, self.notes, self.delays, draw)
            if slots is not None and field in (DELAY, PART):
                logits = slots.among(logits, drawn)
            if field == PITCH and asked.scale is not None:
                logits = of_scale(logits, asked.scale, self.moves[drawn[:, PART]])
            drawn[:, field] = drawn_from(draw, logits)
            said.append(logits.logits)
            if field == DELAY:
                # The place in the bar is known once the delay is.
                place = context.bars.place(context.time + self.delays[drawn[:, DELAY]])
        return Proposal(drawn, torch.cat(said, dim=-1))

    def choose_ahead(
        self, last: Tensor | None, state: Any, conditioning: Mapping[str, Tensor], draw: Any
    ) -> tuple[Proposal, Any] | None:
        """Draw several notes one after another in compiled code."""
        if not isinstance(draw, NotesAhead):
            return None
        return self.loop.draw(last, state, conditioning, draw)

    def _slots(self, context: Context, delays_ND: Tensor, hidden: Tensor) -> Tensor:
        """Return (N, delays, parts): how likely the next event has a delay and a part."""
        pieces, count = delays_ND.shape
        # Every delay of every piece as a row of its own, (N * delays): the part depends on the
        # delay.
        each = torch.arange(count, device=delays_ND.device).repeat(pieces)
        rows = torch.arange(pieces, device=delays_ND.device).repeat_interleave(count)
        drawn = torch.zeros_like(context.before[rows])
        drawn[:, DELAY] = each
        bars = context.bars
        place = BarsNow(bars.length[rows], bars.start[rows]).place(
            context.time[rows] + self.delays[each]
        )
        logits = self.fields_out.field(
            PART,
            hidden[rows],
            drawn,
            context.before[rows],
            context.begins[rows],
            place,
            context.expected[rows],
            Returned(torch.zeros_like(place), context.heard[rows]),
        ).logits
        shares: Tensor = delays_ND[..., None] * logits.softmax(dim=-1).view(pieces, count, -1)
        return shares

    def prefill(self, prompt: Tensor, state: Any, conditioning: Mapping[str, Tensor]) -> Any:
        """Read a prompt, its last note excepted."""
        trunk, kept, fresh, pace = state
        past = Past(*kept)
        seen = []
        last = torch.zeros_like(prompt[:, 0])
        # Look-back goes note by note; the trunk, which takes most of the time, then reads all at
        # once.
        for t in range(prompt.shape[1]):
            bars = bars_now({name: channel[:, t] for name, channel in conditioning.items()})
            begins = torch.full_like(bars.length, t == 0, dtype=torch.bool)
            if t:
                past = read(past, last, bars, self.notes, self.delays)
            seen.append(self._one(last, begins, past, bars))
            last = prompt[:, t]
        whole = _Seen(
            **{
                name: torch.cat([vars(each)[name] for each in seen], dim=1)
                for name in vars(seen[0])
            }
        )
        _, trunk = self._trunk(whole, trunk)
        return trunk, past.as_tuple(), fresh, pace
