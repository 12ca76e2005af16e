"""Sound MIDI files read by a compiled module, where the package was built with a C compiler."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from musengine.builtin.midi import _scan
from musengine.builtin.midi.assemble import MAX_NOTES, Song, is_silence
from musengine.builtin.midi.chunks import Chunks
from musengine.builtin.midi.drums import (
    MAX_CHANGES,
    BoolArray,
    DrumChange,
    DrumChanges,
    drums_of,
    messages_may_move,
)
from musengine.builtin.midi.parts import Part, divide_drums
from musengine.music.note_tables import LAST_TICK
from musengine.utils.arrays import Array, IntArray
from musengine.utils.built import current

if not current(_scan):
    raise ImportError("the compiled reader is not of these sources")

_LIMIT = 3
"""The column of `Scan`'s notes that says when each is struck again later."""
_MOST_CONTROLS = 2**18
_MOST_TEMPOS = 2**16
_USUAL_NOTES = 50_000
"""Notes and controllers for which a thread keeps tables; of larger files each gets its own."""


class _Tables:
    """What the compiled code writes into: it allocates no arrays itself.

    Args:
        notes: rows of notes, and of controllers.
    """

    def __init__(self, notes: int) -> None:
        # `empty` touches no page before it is written.
        self.notes_N7 = np.empty((min(notes, MAX_NOTES), 7), dtype=np.uint32)
        self.controls_C4 = np.empty((min(notes, _MOST_CONTROLS), 4), dtype=np.int32)
        tempos_2K = np.empty((2, _MOST_TEMPOS), dtype=np.int64)
        self.scan = _scan.Scan(self.notes_N7, self.controls_C4, tempos_2K)


class _UsualTables(_Tables, threading.local):
    """The tables of a thread: their pages are there from the file before, which saves a third."""

    def __init__(self) -> None:
        super().__init__(_USUAL_NOTES)


_usual = _UsualTables()


def song_of(chunks: Chunks) -> Song | None:
    """Return the song in a file, or None where it is odd in any way but what its metas say.

    Notes that are never released are read, unless a controller ends all notes of a channel. More
    than the tables here hold is left to others, and so is a track that ends the notes of another.
    """
    if chunks.format == 2:
        return None
    # A note takes at least three bytes, under running status time, pitch and velocity.
    data, most = chunks.data, len(chunks.data) // 3
    tables = _usual if most <= _USUAL_NOTES else _Tables(most)
    scan = tables.scan
    try:
        metas, changes = scan.read(data, chunks.tracks)
    except (IndexError, ValueError):  # full tables are an IndexError
        return None
    notes_5N = np.empty((5, scan.n_notes), dtype=np.int64)
    controls_4C = np.empty((4, scan.n_controls), dtype=np.int64)
    tempos_K2 = np.empty((scan.n_tempos, 2))
    n_controls, cut, empty = scan.write(notes_5N, controls_4C, tempos_K2)
    if n_controls < scan.n_controls:
        controls_4C = controls_4C[:, :n_controls].copy()
    parts = [Part(*each) for each in scan.parts]
    if scan.silences and _silenced(notes_5N, tables.notes_N7[:, _LIMIT], parts, controls_4C):
        return None
    drums: Sequence[DrumChange] | None = ()
    if changes and (scan.drum_banks or messages_may_move(data, scan.tenth)):
        drums = _drums(data, changes)
        if drums is None:
            return None
    if drums:
        parts = divide_drums(_are_drums(drums, notes_5N, parts), parts, notes_5N[4])
        # The controllers anew, since those of a part may be of two now.
        controls_4C = tables.controls_C4[: scan.n_controls].T.astype(np.int64)
        controls_4C[0] &= 2**32 - 1  # ticks have no sign
        note_C = controls_4C[1]
        there = note_C >= 0
        note_C[there] = notes_5N[4, note_C[there]]
    return Song(
        notes_5N,
        parts,
        controls_4C,
        metas,
        scan.length,
        scan.hanging,
        cut,
        empty,
        whole=not drums,
        tempos=tempos_K2,
    )


def _silenced(
    notes_5N: IntArray, limit_N: Array, parts: Sequence[Part], controls_4C: IntArray
) -> bool:
    """Return whether a controller may end a note of another track; those of its own it does not.

    Args:
        notes_5N: as in Song.
        limit_N: when each is struck again later; longer than they are.
        parts: as in Song.
        controls_4C: as in Song, each with a part: what has none has no notes to end.
    """
    silent = is_silence(controls_4C[2])
    if silent is None:
        return False
    tick, part, _, _ = controls_4C[:, silent]
    onset, duration, *_ = notes_5N
    end = onset + duration
    # One that is struck again at that time was longer before.
    end = end + (end == limit_N[: len(end)])
    channel_P = np.array([part.channel % 16 for part in parts], dtype=np.int64)
    channel, channel_N = channel_P[part], channel_P[notes_5N[4]]
    for each in set(channel.tolist()):
        there = np.sort(tick[channel == each])
        mine = channel_N == each
        place = there.searchsorted(onset[mine], side="right")
        if (np.append(there, LAST_TICK + 1)[place] < end[mine]).any():
            return True
    return False


def _drums(
    data: bytes, changes: Sequence[tuple[int, int, int, int, int]]
) -> Sequence[DrumChange] | None:
    """Return what banks and exclusive messages say of drums; None for more than there may be."""
    drums = DrumChanges()
    for tick, track, channel, begin, stop in changes:
        if channel < 0:
            drums.message(tick, data[begin:stop])
        else:
            drums.bank(tick, track, channel, begin)
    return drums.rows if len(drums.rows) <= MAX_CHANGES else None


def _are_drums(drums: Sequence[DrumChange], notes_5N: IntArray, parts: Sequence[Part]) -> BoolArray:
    """Return (N,) which notes are drums."""
    channel_P = np.array([part.channel for part in parts], dtype=np.int64)
    return drums_of(drums, channel_P[notes_5N[4]], notes_5N[0])
