"""What a layout says of its notes: which tokens are pitches, which move time on; no torch."""

from __future__ import annotations

from collections.abc import Iterator

from musengine.api import Grid, Layout, Tokens


def all_pitches(layout: Layout) -> list[int]:
    """Return every pitch (MIDI number) a layout can write."""
    if isinstance(layout, Grid):
        return list(range(layout.lowest, layout.lowest + layout.pitches))
    if isinstance(layout, Tokens):
        return sorted(set(layout.tokens_of("pitch").values()))
    return []


def is_learned_later(layout: Layout) -> bool:
    """Return whether the layout's tokens are not known yet."""
    return isinstance(layout, Tokens) and layout.size == 0


def has_steps(layout: Tokens) -> bool:
    """Return whether time moves on by tokens of its own, so that notes sound together."""
    return bool(layout.tokens_of("step"))


def without_notes(layout: Layout) -> Iterator[str]:
    """Yield why nothing can be said of a layout's notes, if nothing can."""
    if not is_learned_later(layout) and not all_pitches(layout):
        yield "the encoder's tokens do not say which notes they mean"
