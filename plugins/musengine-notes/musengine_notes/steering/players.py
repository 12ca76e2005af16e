"""Who plays the new notes of a piece: which of its tracks, or new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from musengine.api import Infill, IntArray, Track
from musengine.errors import UserError

if TYPE_CHECKING:
    from musengine_notes.encoder import Notes


@dataclass(frozen=True)
class Players:
    """Which tracks new notes go to.

    Attributes:
        tracks: those of the piece.
        track_of: for an instrument's number, the index of a track of the piece.
        new: for an instrument's number, a track that is none yet.
    """

    tracks: tuple[Track, ...]
    track_of: dict[int, int]
    new: dict[int, Track]

    @classmethod
    def asked(cls, encoder: Notes, infill: Infill) -> Players:
        """Return those that are asked for.

        Raises:
            UserError: no such instrument was learned.
        """
        tracks = infill.score.tracks
        if infill.added:
            number, track = encoder.called(infill.added)
            return cls(tracks, {}, {number: track})
        playing = cls._playing(encoder, infill)
        chosen = dict(encoder.called(name) for name in infill.steering.instruments)
        if chosen:
            new = {number: track for number, track in chosen.items() if number not in playing}
            return cls(tracks, {n: playing[n] for n in chosen if n in playing}, new)
        if not playing:
            raise UserError(
                "no instrument like that of the part was learned", code="unknown-instrument"
            )
        return cls(tracks, playing, {})

    @staticmethod
    def _playing(encoder: Notes, infill: Infill) -> dict[int, int]:
        """Return for each instrument that plays the one of its tracks with the most notes."""
        numbers = encoder.numbers_of(infill.score.tracks)
        notes = np.bincount(infill.score.track, minlength=len(numbers))
        by_notes = sorted(infill.tracks, key=lambda track: (notes[track], -track))
        return {int(numbers[each]): each for each in by_notes if numbers[each] >= 0}

    @property
    def numbers(self) -> list[int]:
        """The numbers of the instruments that play: those of given tracks, then new ones."""
        return [*self.track_of, *self.new]

    def of(self, numbers: IntArray) -> tuple[tuple[Track, ...], IntArray]:
        """Return the tracks, new ones where they play, and for each note the index of its."""
        used = [each for each in self.new if (numbers == each).any()]
        places = {each: len(self.tracks) + k for k, each in enumerate(used)} | self.track_of
        index = np.array([places[each] for each in numbers.tolist()], dtype=np.int64)
        return (*self.tracks, *(self.new[each] for each in used)), index
