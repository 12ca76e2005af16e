"""Which values a field may have after the fields before it, so that every note drawn is valid.

Notes that begin at once are in the order of parts, then pitches. After a rest time moves on, and
rests have the longest delay. After an end there are only ends. Drums have drums' pitches; rests and
ends have no pitch, duration or velocity, and drums no duration.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from musengine_notes.layout import (
    DELAY,
    DRUM_PITCHES,
    DURATION,
    PART,
    PEDAL,
    PITCH,
    PITCHES,
    REST,
    VELOCITY,
    NoteEvents,
)

_KINDS = 5
_REST, _PEDAL, _PITCHED, _DRUMS, _END = range(_KINDS)


class Grammar(nn.Module):
    """Masks, True where a value is forbidden, for events (..., 5) and those before them."""

    kinds: Tensor
    """(parts,) which kind each part is."""
    pitches: Tensor
    durations: Tensor
    velocities: Tensor
    """(kinds, size): what each kind may not have."""

    def __init__(self, layout: NoteEvents) -> None:
        super().__init__()
        self.layout, self.end = layout, layout.end
        kinds = [_REST, _PEDAL, *(_DRUMS if p.drums else _PITCHED for p in layout.parts), _END]
        sizes = layout.sizes
        pitches = torch.ones(_KINDS, PITCHES, dtype=torch.bool)
        pitches[_PITCHED, :DRUM_PITCHES] = False
        pitches[_DRUMS, DRUM_PITCHES:] = False
        pitches[[_REST, _END], 0] = False
        pitches[_PEDAL, :2] = False
        durations = torch.ones(_KINDS, sizes[DURATION], dtype=torch.bool)
        durations[:, 0], durations[_PITCHED] = False, False
        velocities = torch.ones(_KINDS, sizes[VELOCITY], dtype=torch.bool)
        velocities[:, 0], velocities[[_PITCHED, _DRUMS]] = False, False
        for name, table in (
            ("kinds", torch.tensor(kinds)),
            ("pitches", pitches),
            ("durations", durations),
            ("velocities", velocities),
        ):
            # Not saved: they follow from the layout.
            self.register_buffer(name, table, persistent=False)

    def forward(self, field: int, drawn: Tensor, before: Tensor, begins: Tensor) -> Tensor:
        """Return (..., size) of a field.

        Args:
            field: which.
            drawn: (..., 5), of which the fields before this one count.
            before: (..., 5) the event before.
            begins: (...) bool, True where there is none.
        """
        if field == DELAY:
            return self._delay(before, begins)
        if field == PART:
            return self._part(drawn, before, begins)
        kind = self.kinds[drawn[..., PART]]
        if field == PITCH:
            return self.pitches[kind] | self._not_after(drawn, before, begins)
        return self.durations[kind] if field == DURATION else self.velocities[kind]

    def _delay(self, before: Tensor, begins: Tensor) -> Tensor:
        value = torch.arange(self.layout.sizes[DELAY], device=before.device)
        rest = (~begins & (before[..., PART] == REST))[..., None]
        end = (~begins & (before[..., PART] == self.end))[..., None]
        return (rest & (value == 0)) | (end & (value > 0))

    def _part(self, drawn: Tensor, before: Tensor, begins: Tensor) -> Tensor:
        part = torch.arange(self.end + 1, device=before.device)
        at_once = (drawn[..., DELAY] == 0)[..., None]
        longest = (drawn[..., DELAY] == self.layout.sizes[DELAY] - 1)[..., None]
        first = begins[..., None]
        # The highest pitch of a part leaves room for later parts alone.
        most = torch.where(self.kinds == _DRUMS, PITCHES - 1, DRUM_PITCHES - 1)
        most[PEDAL] = 1
        last = before[..., PART]
        full = (before[..., PITCH] >= most[last]) & (last != self.end)
        lowest = (last + full)[..., None]
        forbidden = at_once & ~first & (part < lowest)
        forbidden = forbidden | ((part == REST) & ~longest)
        forbidden = forbidden | ((part == self.end) & (first | ~at_once))
        if not self.layout.pedal:
            forbidden = forbidden | (part == PEDAL)
        return forbidden

    def _not_after(self, drawn: Tensor, before: Tensor, begins: Tensor) -> Tensor:
        """Return (..., pitches), True for pitches that are not above one struck at once with it."""
        pitch = torch.arange(PITCHES, device=before.device)
        struck = (drawn[..., PART] >= PEDAL) & (drawn[..., PART] < self.end)
        same = struck & (drawn[..., DELAY] == 0) & (drawn[..., PART] == before[..., PART])
        return (same & ~begins)[..., None] & (pitch <= before[..., PITCH, None])
