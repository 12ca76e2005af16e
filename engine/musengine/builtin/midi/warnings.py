"""What was wrong with a file, gathered into a line for each kind of fault."""

from __future__ import annotations

from dataclasses import dataclass, field

from musengine.utils.format import counted

_NAMED = 5
"""How many tracks are named in a line; more are only counted."""


@dataclass
class Warnings:
    """The faults of a file; a kind of fault is one line, however often it is met.

    Attributes:
        once: whole lines.
        counts: how often what: (`note`, `never released`).
        tracks: the numbers of the tracks by what they do: `ends too early`.
    """

    once: list[str] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    tracks: dict[str, list[int]] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Note something that is met once."""
        self.once.append(line)

    def count(self, noun: str, what: str, times: int = 1) -> None:
        """Note something that may be met often: `3 notes never released`."""
        if times:
            self.counts[noun, what] = self.counts.get((noun, what), 0) + times

    def of_track(self, kind: str, number: int) -> None:
        """Note something about a track, the first being 1."""
        self.tracks.setdefault(kind, []).append(number)

    def copy(self) -> Warnings:
        """Return what was noted so far, to go on from by itself."""
        tracks = {kind: list(numbers) for kind, numbers in self.tracks.items()}
        return Warnings(list(self.once), dict(self.counts), tracks)

    def lines(self) -> tuple[str, ...]:
        """Return a line for each kind."""
        tracks = [_of_tracks(kind, numbers) for kind, numbers in self.tracks.items()]
        counts = [f"{counted(times, noun)} {what}" for (noun, what), times in self.counts.items()]
        return (*self.once, *tracks, *counts)


def _of_tracks(kind: str, numbers: list[int]) -> str:
    named = [f"track {number} {kind}" for number in numbers[:_NAMED]]
    if len(numbers) > _NAMED:
        return f"{', '.join(named)}, and {len(numbers) - _NAMED} tracks more"
    return ", ".join(named)
