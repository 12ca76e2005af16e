"""Settings of the reader; no NumPy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from musengine.api import Config, Length, setting


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FlattenedConfig(Config):
    """What is read of each file, and how long a note may be."""

    longest_note: Length = setting(
        Length(4.0, "beats"),
        doc="Notes held longer are ended: beats of the result, bars or seconds.",
    )
    keep_drums: bool = setting(
        False, doc="Keep drums, on a track of their own; encoders have a say in them too."
    )
    channels: tuple[int, ...] = setting(
        (), doc="MIDI channels that are read; an empty list: all.", low=1, high=16
    )
    mute_channels: tuple[int, ...] = setting(
        (), doc="MIDI channels that are not read.", low=1, high=16
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield a length that notes cannot have."""
        if self.longest_note.unit not in ("beats", "bars", "seconds"):
            yield "longest_note", "expected beats, bars or seconds"
        elif not self.longest_note.number:
            yield "longest_note", "must be more than nothing"
