"""Any MIDI file to songs, by our own reading of its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musengine.builtin.midi.chunks import DEFAULT_TICKS_PER_BEAT, Chunks
from musengine.builtin.midi.names import decoded
from musengine.builtin.midi.oddities import Oddities
from musengine.builtin.midi.pairing import pair
from musengine.builtin.midi.repair import KEY, METER, NAME, TEMPO, Events, Room, TrackReader
from musengine.builtin.midi.song import Part, Song
from musengine.utils.arrays import IntArray

_FILM_SPEEDS = (24, 25, 29, 30)
_LARGEST_POWER = 15
"""Of two, as the denominator of a meter."""


@dataclass
class Maps:
    """The changes of tempo, meter and key."""

    tempos: list[tuple[int, float]]
    meters: list[tuple[int, int, int]]
    keys: list[tuple[int, int, bool]]


def songs_of(chunks: Chunks, odd: Oddities) -> list[Song]:
    """Return the songs of a file: one, or one for each track in format 2, whose tracks are apart.

    Raises:
        UnreadableError: there are more notes than a file may have.
    """
    room = Room()
    tracks = [
        TrackReader(body, number, odd, room).read() for number, body in enumerate(chunks.tracks, 1)
    ]
    ticks_per_beat, tempo = _time_division(chunks.division, odd)
    groups = [[track] for track in tracks] if chunks.format == 2 else [tracks]
    return [_song(group, ticks_per_beat, tempo, odd) for group in groups]


def _time_division(division: int, odd: Oddities) -> tuple[int, float | None]:
    """Return ticks per beat, and the tempo where the division settles it: frames of film."""
    if division < 0x8000:
        return division, None
    frames, ticks = 256 - (division >> 8), division & 255
    if not ticks or frames not in _FILM_SPEEDS:
        odd.say(
            f"the header's time division, {frames} frames a second of {ticks} ticks each, is none: "
            f"{DEFAULT_TICKS_PER_BEAT} ticks to a beat are taken"
        )
        return DEFAULT_TICKS_PER_BEAT, None
    odd.say(
        f"times are in frames, {frames} a second of {ticks} ticks each: a second is taken as a beat"
    )
    # The speed called 29 has 30 frames in 1.001 seconds.
    return (30 * ticks, 60 / 1.001) if frames == 29 else (frames * ticks, 60.0)


def _song(
    tracks: Sequence[Events], ticks_per_beat: int, tempo: float | None, odd: Oddities
) -> Song:
    maps = Maps([], [], [])
    parts: list[Part] = []
    tables = [np.zeros((5, 0), dtype=np.int64)]
    for source, track in enumerate(tracks):
        name = read_metas(track.metas, maps, odd)
        if track.ticks:
            found, notes_5N = _parts(track, source, name, odd)
            notes_5N[4] += len(parts)
            tables.append(notes_5N)
            parts.extend(found)
    if tempo is not None:
        odd.count("tempo change", "ignored, since times are in frames", len(maps.tempos))
        maps.tempos = [(0, tempo)]
    return Song(
        notes=np.concatenate(tables, axis=1),
        parts=parts,
        ticks_per_beat=ticks_per_beat,
        length=max((track.end for track in tracks), default=0),
        tempos=maps.tempos,
        meters=maps.meters,
        keys=maps.keys,
    )


def _parts(track: Events, source: int, name: str, odd: Oddities) -> tuple[list[Part], IntArray]:
    """Return a track's parts, and onset, duration, pitch, velocity and part of its notes.

    A note is of the program that its channel has when it is struck.
    """
    tick_E = np.array(track.ticks, dtype=np.int64)
    code_E = np.array(track.codes, dtype=np.int64)
    key_E, velocity_E = code_E >> 7, code_E & 127
    struck, end_N, hanging = pair(tick_E, key_E, velocity_E > 0, track.end)
    odd.count("note", "never released", hanging)
    channel_N = key_E[struck] >> 7
    voice_N = channel_N * 128 + _programs(track.programs, struck, channel_N)
    voices, first, number_N = np.unique(voice_N, return_index=True, return_inverse=True)
    # Parts come by channel, those of one channel in the order of their first strikes.
    order = np.lexsort((first, voices // 128))
    place = np.argsort(order)
    parts = [Part(source, voice // 128, voice % 128, name) for voice in voices[order].tolist()]
    onset_N = tick_E[struck]
    columns = (onset_N, end_N - onset_N, key_E[struck] & 127, velocity_E[struck], place[number_N])
    return parts, np.stack(columns)


def _programs(
    changes: Sequence[tuple[int, int, int]], struck: IntArray, channel_N: IntArray
) -> IntArray:
    """Return (N,) the program in force on the channel of each note when it is struck."""
    program_N = np.zeros(len(struck), dtype=np.int64)
    table = np.array(changes, dtype=np.int64).reshape(-1, 3)
    for channel in np.unique(table[:, 1]):
        position, _, program = table[table[:, 1] == channel].T
        notes = np.flatnonzero(channel_N == channel)
        changed = np.searchsorted(position, struck[notes], side="right")
        program_N[notes] = np.concatenate([[0], program])[changed]
    return program_N


def read_metas(metas: Sequence[tuple[int, int, bytes]], maps: Maps, odd: Oddities) -> str:
    """Add a track's changes to the maps; returns its name, the last where it has several."""
    name = b""
    for tick, kind, data in metas:
        if kind == NAME:
            name = data
        elif kind == TEMPO:
            beat_us = int.from_bytes(data[:3], "big") if len(data) >= 3 else 0
            if beat_us:
                maps.tempos.append((tick, 60e6 / beat_us))
            else:
                odd.count("impossible tempo", "left out")
        elif kind == METER:
            if len(data) >= 2 and data[0] and data[1] <= _LARGEST_POWER:
                maps.meters.append((tick, data[0], 2 ** data[1]))
            else:
                odd.count("impossible meter", "left out")
        elif kind == KEY:
            sharps = int.from_bytes(data[:1], "big", signed=True)
            if len(data) >= 2 and -7 <= sharps <= 7 and data[1] <= 1:
                maps.keys.append((tick, sharps, data[1] == 1))
            else:
                odd.count("impossible key", "left out")
    return decoded(name)
