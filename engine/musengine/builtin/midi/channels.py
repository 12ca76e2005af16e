"""Which channel each part of a MIDI file has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from musengine.music.score import Score, Track

DRUMS = 9
PITCHED = tuple(channel for channel in range(16) if channel != DRUMS)
_PORTS = 128


@dataclass(frozen=True)
class Place:
    """A channel, 0 to 15, of a port, 0 to 127; most files use port 0 alone."""

    port: int
    channel: int


def places(score: Score) -> list[Place]:
    """Return a place for each track of a score.

    Drums are on channel 9. A pitched part keeps the channel it names, together with others that
    name it, as long as they have one program and no pitch of one is struck while another holds it;
    else it gets a free channel. Where the fifteen are taken, further parts get those of another
    port, if possible on a channel that has their program on port 0, so that players that know
    no ports come near.
    """
    found: list[Place | None] = [Place(0, DRUMS) if t.is_drum else None for t in score.tracks]
    wishes: dict[int, list[int]] = defaultdict(list)
    for index, track in enumerate(score.tracks):
        if not track.is_drum and track.channel in PITCHED:
            wishes[track.channel].append(index)
    for channel, wishing in wishes.items():
        for index in _sharing(score, wishing):
            found[index] = Place(0, channel)
    return _handed_out(score.tracks, found)


def _sharing(score: Score, wishing: Sequence[int]) -> list[int]:
    """Return which of the tracks that name one channel can be on it together."""
    program = score.tracks[wishing[0]].program
    alike = [index for index in wishing if score.tracks[index].program == program]
    return alike if len(alike) < 2 or not _collide(score, alike) else alike[:1]


def _collide(score: Score, tracks: Sequence[int]) -> bool:
    """Return whether one of these tracks strikes a pitch that another holds or just lets go."""
    notes = score.take(np.isin(score.track, tracks))
    notes = notes.take(np.lexsort((notes.onset, notes.pitch)))
    # Where any two notes of a pitch meet, some two neighbours do.
    meet = (notes.onset[1:] <= notes.end[:-1]) & (notes.pitch[1:] == notes.pitch[:-1])
    return bool((meet & (notes.track[1:] != notes.track[:-1])).any())


def _handed_out(tracks: Sequence[Track], found: Iterable[Place | None]) -> list[Place]:
    """Return the places with the missing ones filled in."""
    given = list(found)
    programs = {
        place.channel: track.program
        for track, place in zip(tracks, given, strict=True)
        if place is not None
    }
    port, free = 0, [channel for channel in PITCHED if channel not in programs]
    filled: list[Place] = []
    for track, place in zip(tracks, given, strict=True):
        if place is None:
            if not free:
                port, free = (port + 1) % _PORTS, list(PITCHED)
            alike = [channel for channel in free if programs.get(channel) == track.program]
            channel = (alike or free)[0]
            free.remove(channel)
            programs.setdefault(channel, track.program)
            place = Place(port, channel)
        filled.append(place)
    return filled
