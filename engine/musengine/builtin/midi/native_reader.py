"""Sound MIDI files read by a compiled module, where the package was built with a C compiler."""

from __future__ import annotations

import threading

import numpy as np

from musengine.builtin.midi import _scan
from musengine.builtin.midi.assemble import MAX_NOTES, Song, is_silence
from musengine.builtin.midi.chunks import Chunks
from musengine.builtin.midi.drums import may_move
from musengine.builtin.midi.parts import Part
from musengine.music.note_tables import LAST_TICK
from musengine.utils.arrays import IntArray
from musengine.utils.built import current

if not current(_scan):
    raise ImportError("the compiled reader is not of these sources")

_MOST_PARTS = 2**8
_MOST_METAS = 2**12
_MOST_CONTROLS = 2**18
_USUAL_NOTES = 50_000
"""Notes and controllers for which a thread keeps tables; of larger files each gets its own."""


class _Tables:
    """What the compiled code writes into: it allocates nothing itself.

    Args:
        notes: rows of notes, and of controllers.
    """

    def __init__(self, notes: int) -> None:
        # `empty` touches no page before it is written.
        self.notes_7N = np.empty((7, min(notes, MAX_NOTES)), dtype=np.int64)
        self.parts_2P = np.empty((2, _MOST_PARTS), dtype=np.int64)
        self.controls_4C = np.empty((4, min(notes, _MOST_CONTROLS)), dtype=np.int64)
        self.metas_5M = np.empty((5, _MOST_METAS), dtype=np.int64)


class _UsualTables(_Tables, threading.local):
    """The tables of a thread: their pages are there from the file before, which saves a third."""

    def __init__(self) -> None:
        super().__init__(_USUAL_NOTES)


_usual = _UsualTables()


def song_of(chunks: Chunks) -> Song | None:
    """Return the song in a file, or None where it is odd in any way but what its metas say.

    A note that is never released is odd, and so is more than the tables here hold. Where drums
    may lie elsewhere than on the tenth channel, or where a track ends the notes of another, is left
    to others, too.
    """
    if chunks.format == 2:
        return None
    # A note takes at least three bytes, under running status time, pitch and velocity.
    data, most = chunks.data, len(chunks.data) // 3
    tables = _usual if most <= _USUAL_NOTES else _Tables(most)
    notes_7N, parts_2P, metas_5M = tables.notes_7N, tables.parts_2P, tables.metas_5M
    found = np.zeros(9, dtype=np.int64)
    try:
        _scan.Scan(data, notes_7N, parts_2P, tables.controls_4C, metas_5M, found).read(
            chunks.tracks
        )
    except (IndexError, ValueError):  # full tables are an IndexError
        return None
    n_notes, n_parts, n_controls, n_metas, length, cut, banks, silences, messages = found.tolist()
    parts = [Part(*each) for each in parts_2P[:, :n_parts].T.tolist()]
    # Copies, since the next file is read into the same tables. Rows 5 and 6 are what the scan
    # itself needs of a note.
    notes_5N = notes_7N[:5, :n_notes].copy()
    controls_4C = tables.controls_4C[:, :n_controls].copy()
    if (banks or messages) and _drums_may_move(data, parts, controls_4C):
        return None
    if silences and _silenced(notes_7N[:, :n_notes], parts, controls_4C):
        return None
    # The scan numbers parts as it meets them; all readers give them by channel.
    order = sorted(range(n_parts), key=lambda place: parts[place].channel)
    if order != list(range(n_parts)):
        place_of = np.argsort(order)
        notes_5N[4] = place_of[notes_5N[4]]
        there = controls_4C[1] >= 0
        controls_4C[1, there] = place_of[controls_4C[1, there]]
    return Song(
        notes_5N,
        parts=[parts[place] for place in order],
        controls=controls_4C,
        metas=[
            (track, tick, kind, data[begin:stop])
            for track, tick, kind, begin, stop in metas_5M[:, :n_metas].T.tolist()
        ],
        length=length,
        cut=cut,
    )


def _silenced(notes_7N: IntArray, parts: list[Part], controls_4C: IntArray) -> bool:
    """Return whether a controller may end a note of another track; those of its own it does not."""
    silent = is_silence(controls_4C[2])
    if silent is None:
        return False
    tick, part, _, _ = controls_4C[:, silent]
    onset, duration, *_, limit = notes_7N
    end = onset + duration
    # One that is struck again at that time was longer before.
    end = end + (end == limit)
    channel_P = np.array([part.channel % 16 for part in parts], dtype=np.int64)
    channel = np.where(part < 0, -1 - part, channel_P[np.maximum(part, 0)] if parts else 0)
    for each in set(channel.tolist()):
        there = np.sort(tick[channel == each])
        mine = channel_P[notes_7N[4]] == each
        place = there.searchsorted(onset[mine], side="right")
        if (np.append(there, LAST_TICK + 1)[place] < end[mine]).any():
            return True
    return False


def _drums_may_move(data: bytes, parts: list[Part], controls_4C: IntArray) -> bool:
    is_bank = controls_4C[2] == 0
    if not np.count_nonzero(is_bank):
        return may_move(data, None, None)
    _, part, _, value = controls_4C[:, is_bank]
    channel = -1 - part
    there = part >= 0
    if there.any():
        channel[there] = np.array([part.channel for part in parts])[part[there]]
    return may_move(data, channel, value)
