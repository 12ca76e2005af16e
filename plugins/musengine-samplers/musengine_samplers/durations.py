"""Musical lengths in whole steps of a layout."""

from __future__ import annotations

import math

from musengine.api import DecodeSettings, Grid, GridStep, Layout, Length, Tokens


def whole_steps(length: Length, layout: Layout, settings: DecodeSettings) -> int:
    """Return how many steps fit into a length; a layout's steps must say how long they are."""
    if length.unit == "steps":
        return int(length.number)
    assert isinstance(layout, (Grid, Tokens))
    assert layout.step is not None
    beats = length.number
    if length.unit == "bars":
        beats *= float(settings.meter.beats_per_bar)
    elif length.unit == "seconds":
        beats *= settings.tempo / 60
    # A billionth of slack: 0.3 seconds are three steps of 0.1.
    return math.floor(beats / _beats_of(layout.step, settings.tempo) + 1e-9)


def _beats_of(step: GridStep, tempo: float) -> float:
    size = float(step.size)
    return size * tempo / 60 if step.unit == "seconds" else size
