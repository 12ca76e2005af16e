"""Clean MIDI files by our own reading, compiled where the package was built with a C compiler."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

import numpy as np

from musengine.builtin.midi._scan import Scan
from musengine.builtin.midi.chunks import clean_header
from musengine.builtin.midi.oddities import Oddities
from musengine.builtin.midi.repair import MAX_NOTES
from musengine.builtin.midi.song import Part, Song
from musengine.builtin.midi.tolerant import Maps, read_metas
from musengine.utils.arrays import IntArray

_MOST_PARTS = 2**8
_MOST_METAS = 2**12


def song_of(data: bytes, odd: Oddities) -> Song | None:
    """Return the song in a file, or None where it is odd in any way but what its metas say.

    A note that is never released is odd.
    """
    header = clean_header(data)
    if header is None:
        return None
    _, n_tracks, ticks_per_beat = header
    notes_7N = np.empty((7, min(len(data) // 3, MAX_NOTES)), dtype=np.int64)
    parts_3P = np.empty((3, _MOST_PARTS), dtype=np.int64)
    metas_5M = np.empty((5, _MOST_METAS), dtype=np.int64)
    found = np.zeros(5, dtype=np.int64)
    try:
        Scan(data, notes_7N, parts_3P, metas_5M, found).read(n_tracks)
    except (IndexError, ValueError):
        return None
    n_notes, n_parts, n_metas, end, cut = found.tolist()
    maps = Maps([], [], [])
    names = _names(data, metas_5M[:, :n_metas], maps, odd)
    parts = [
        Part(track, channel, program, names.get(track, ""))
        for track, channel, program in parts_3P[:, :n_parts].T.tolist()
    ]
    return Song(
        notes=notes_7N[:5, :n_notes],
        parts=_by_channel(parts, notes_7N[4, :n_notes]),
        ticks_per_beat=ticks_per_beat,
        length=end,
        tempos=maps.tempos,
        meters=maps.meters,
        keys=maps.keys,
        cut=cut,
    )


def _names(data: bytes, metas_5M: IntArray, maps: Maps, odd: Oddities) -> dict[int, str]:
    """Return the names of the tracks that have metas; what else these say goes into the maps."""
    return {
        track: read_metas(
            [(tick, kind, data[begin:stop]) for _, tick, kind, begin, stop in own], maps, odd
        )
        for track, own in groupby(metas_5M.T.tolist(), key=itemgetter(0))
    }


def _by_channel(parts: list[Part], part_N: IntArray) -> list[Part]:
    """Return a file's parts by track and channel; the notes' places among them are changed."""
    order = sorted(range(len(parts)), key=lambda place: parts[place][:2])
    if order != list(range(len(parts))):
        part_N[:] = np.argsort(order)[part_N]
    return [parts[place] for place in order]
