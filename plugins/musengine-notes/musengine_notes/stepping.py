"""What came so far, kept for look-back while notes are drawn one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from musengine_notes.form.lookback import KEY, keys_of
from musengine_notes.layout import (
    BAR,
    DELAY,
    EXPECTED,
    FIELDS,
    FIRST_PART,
    LONGEST_RUN,
    LOOKBACK,
    PART,
    PITCH,
    NoteEvents,
)

KEPT = 4096
"""Events that look-back reaches at the most; half of them are forgotten at once."""
_LATE = 2**62
"""The key of what has not come yet: later than all."""


@dataclass(frozen=True)
class Past:
    """The events of N pieces; the tensors are written to in place.

    Attributes:
        key: (N, KEPT) what they are sorted by.
        fields: (N, KEPT, 5).
        count: (N,) how many of them there are.
        time: (N,) grid steps at which the last one begins.
        expected: (N, lags, 6) what look-back said of the event to come.
        at_once: (N,) how many events began when the last one did, up to it.
        heard: (N, lags, 2) how many notes lay so many bars after others could, and how many of them
            had been there so many bars before, too.
    """

    key: Tensor
    fields: Tensor
    count: Tensor
    time: Tensor
    expected: Tensor
    at_once: Tensor
    heard: Tensor

    @classmethod
    def empty(cls, pieces: int, lags: int, device: torch.device) -> Past:
        """Return that nothing has come."""
        # Without look-back nothing is kept; tensors of a state keep their shape.
        kept = KEPT if lags else 1
        return cls(
            torch.full((pieces, kept), _LATE, device=device),
            torch.zeros(pieces, kept, len(FIELDS), dtype=torch.int64, device=device),
            torch.zeros(pieces, dtype=torch.int64, device=device),
            torch.zeros(pieces, dtype=torch.int64, device=device),
            torch.zeros(pieces, lags, LOOKBACK, dtype=torch.int64, device=device),
            torch.zeros(pieces, dtype=torch.int64, device=device),
            torch.zeros(pieces, lags, 2, dtype=torch.int64, device=device),
        )

    def as_tuple(self) -> tuple[Tensor, ...]:
        """Return the tensors, as a model's state has them."""
        return tuple(vars(self).values())


@dataclass(frozen=True)
class BarsNow:
    """The bars about the last event of N pieces.

    Attributes:
        length: (N,) of the bar that it lies in, in grid steps; 0 where there are none.
        start: (N,) when that bar begins, or another of its length.
        ago: (N, lags) the event's place so many bars before, -1 where there is none; None where all
            bars are alike.
    """

    length: Tensor
    start: Tensor
    ago: Tensor | None = None

    def place(self, time: Tensor) -> Tensor:
        """Return (N,) where in its bar a time lies, not before the bar of the last event."""
        inside = (time - self.start) % self.length.clamp(min=1)
        return torch.where(self.length > 0, inside, 0)


def bars_now(conditioning: Mapping[str, Tensor]) -> BarsNow:
    """Return the bars that the channels of a step tell: alike, but where they say more."""
    length = conditioning["metre"][:, BAR].long()
    start = conditioning.get("bar_start")
    ago = conditioning.get("ago")
    return BarsNow(
        length,
        torch.zeros_like(length) if start is None else start.long(),
        None if ago is None else ago.long(),
    )


def read(past: Past, event: Tensor, bars: BarsNow, layout: NoteEvents, delays: Tensor) -> Past:
    """Return the past with one more event (N, 5), and what is expected next.

    Args:
        past: what came before it.
        event: the one that was drawn.
        bars: those about the event.
        layout: of the events.
        delays: (delays,) the layout's table.
    """
    delay = delays[event[:, DELAY].clamp(0, len(delays) - 1)]
    first = (delay > 0) | (past.count == 0)
    past = replace(past, at_once=torch.where(first, 1, past.at_once + 1))
    time = past.time + delay
    if not past.expected.shape[1]:
        return replace(past, time=time, count=past.count + 1)
    right = (past.expected[..., : PITCH + 1] == event[:, None, : PITCH + 1]).all(dim=-1)
    right &= past.expected[..., EXPECTED] > 0
    run = torch.where(right, past.expected[..., EXPECTED].clamp(max=LONGEST_RUN), 0)
    past = _appended(past, event, time)
    expected, heard = _looked_back(past, event, bars, run, layout, delays)
    return replace(past, expected=expected, heard=heard)


def _appended(past: Past, event: Tensor, time: Tensor) -> Past:
    count, kept = past.count, past.key.shape[1]
    # Half at once: moving everything by one place at every step would cost more.
    if bool((count >= kept).any()):
        half = kept // 2
        full = count >= kept
        past.key[full] = torch.cat(
            [past.key[full][:, half:], torch.full_like(past.key[full][:, :half], _LATE)], dim=1
        )
        past.fields[full] = past.fields[full].roll(-half, dims=1)
        count = torch.where(full, count - half, count)
    key = time * KEY + (keys_of_part(event))
    past.key.scatter_(1, count[:, None], key[:, None])
    past.fields[torch.arange(len(event), device=event.device), count] = event
    return replace(past, count=count + 1, time=time)


def keys_of_part(event: Tensor) -> Tensor:
    """Return (N,) what events that begin at once are sorted by."""
    zero = torch.zeros_like(event[:, PART])
    result: Tensor = keys_of(zero, event[:, PART], event[:, PITCH])  # type: ignore[arg-type,assignment]
    return result


def _looked_back(
    past: Past, event: Tensor, bars: BarsNow, run: Tensor, layout: NoteEvents, delays: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what is expected, and how much of the piece was there before, the event counted."""
    then = bars.ago
    if then is None:
        lags = torch.tensor(layout.lags, device=event.device)
        then = past.time[:, None] - lags * bars.length[:, None]
    wanted = then * KEY + keys_of_part(event)[:, None]
    # Places that are not filled have the key _LATE, so that each row stays sorted.
    found = torch.searchsorted(past.key, wanted, right=True)
    # Nothing before the piece, or what is still known of it, begins.
    known = (found > 0) | (torch.div(past.key[:, :1], KEY, rounding_mode="floor") <= then)
    known &= then >= 0
    again = past.key.gather(1, (found - 1).clamp(min=0)) == wanted
    heard = past.heard + torch.stack([known, known & again & (found > 0)], dim=-1) * _counts(
        event, bars, layout
    )
    there = known & (found < past.count[:, None])
    found = torch.where(there, found, 0)
    key = past.key.gather(1, found)
    delay = torch.where(there, key // KEY - then, 0)
    index = torch.searchsorted(delays, delay).clamp(max=len(delays) - 1)
    there &= delays[index] == delay
    fields = past.fields.gather(1, found[..., None].expand(-1, -1, len(FIELDS))).clone()
    fields[..., DELAY] = index
    expected = torch.cat([fields, (run + 1)[..., None]], dim=-1)
    return torch.where(there[..., None], expected, 0), heard


def _counts(event: Tensor, bars: BarsNow, layout: NoteEvents) -> Tensor:
    """Return (N, 1, 1) 1 for notes in bars, 0 for other events."""
    note = (event[:, PART] >= FIRST_PART) & (event[:, PART] < layout.end)
    if bars.ago is None:
        note &= bars.length > 0
    return note.long()[:, None, None]
