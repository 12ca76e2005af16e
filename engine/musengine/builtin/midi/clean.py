"""A clean MIDI file to a song, through a library."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from musengine.builtin.midi.libraries import Instrument, Library, Parsed
from musengine.builtin.midi.marking import FAR, Clean
from musengine.builtin.midi.names import decoded
from musengine.builtin.midi.pairing import pair
from musengine.builtin.midi.song import Part, Song
from musengine.utils.arrays import IntArray

_MARK = attrgetter("source", "channel")
_RELEASES = 8
"""So many notes of one pitch that are never released are found, less one."""
_NAME = re.compile(rb"\xff\x03([\x00-\x7f])", re.DOTALL)
_TEMPO = re.compile(rb"\xff\x51\x03(...)", re.DOTALL)
_METER = re.compile(rb"\xff\x58\x04(..)", re.DOTALL)
_KEY = re.compile(rb"\xff\x59\x02(..)", re.DOTALL)


def song_of(file: Clean, library: Library) -> Song | None:
    """Return the song in a file, or None where it turns out not to be clean.

    It is not where a channel changes its program between notes, where a note lasts absurdly long,
    where a track ends before its bytes do, where it is not told which strike a release ends, or
    where the library refuses it.
    """
    song = _song(file, library, all_channels=False)
    if song is None and file.several:
        song = _song(file, library, all_channels=True)
    return song


def _song(file: Clean, library: Library, *, all_channels: bool, releases: int = 1) -> Song | None:
    parsed = library.parse(file.marked(all_channels=all_channels, releases=releases), file)
    if parsed is None:
        return None
    changes = _changes(parsed, file)
    instruments = sorted(parsed.instruments, key=_MARK)
    marks = [_MARK(each) for each in instruments]
    if changes is None or marks != file.marks(all_channels=all_channels):
        return None
    tempos, meters, keys = changes
    instruments = [each for each in instruments if each.n_notes]
    notes_5N = _joined(instruments)
    hanging: int | None = 0
    if notes_5N[1].max(initial=0) >= FAR:
        if not library.in_order:
            return None
        if releases == 1:
            return _song(file, library, all_channels=all_channels, releases=_RELEASES)
        hanging = _end_hanging(notes_5N, [each.end for each in instruments])
    if hanging is None:
        return None
    return Song(
        notes=notes_5N,
        parts=[
            Part(each.source, each.channel, each.program, _name(each, file)) for each in instruments
        ],
        ticks_per_beat=file.ticks_per_beat,
        length=max([each.end for each in parsed.instruments]),
        tempos=[(tick, 60e6 / beat_us) for tick, beat_us in tempos],
        meters=meters,
        keys=keys,
        hanging=hanging,
    )


def _changes(parsed: Parsed, file: Clean) -> tuple[Sequence[tuple[Any, ...]], ...] | None:
    """Return the changes of tempo, meter and key in order, or None if that is not told."""
    tempos = _in_order(parsed.tempos, file, _TEMPO, lambda data: (int.from_bytes(data, "big"),))
    meters = _in_order(parsed.meters, file, _METER, lambda data: (data[0], 2 ** data[1]))
    keys = _in_order(parsed.keys, file, _KEY, _key)
    return None if tempos is None or meters is None or keys is None else (tempos, meters, keys)


def _joined(instruments: Sequence[Instrument]) -> IntArray:
    """Return (5, N) onset, duration, pitch, velocity of all notes, and the index of theirs."""
    notes_5N = np.empty((5, sum([each.n_notes for each in instruments])), dtype=np.int64)
    onset, duration, pitch, velocity, part = notes_5N
    after = 0
    for index, each in enumerate(instruments):
        first, after = after, after + each.n_notes
        columns = each.columns
        onset[first:after] = columns[0][:-1]
        duration[first:after] = columns[1][:-1]
        pitch[first:after] = columns[2][:-1]
        velocity[first:after] = columns[3][:-1]
        part[first:after] = index
    return notes_5N


def _end_hanging(notes_5N: IntArray, ends: Sequence[int]) -> int | None:
    """Let notes that are never released end as they do in our own reading of a file.

    The library gave the first release of a pitch to the first strike, and the last strikes none.

    Args:
        notes_5N: as in a Song; the durations are changed.
        ends: where the track of each part ends.

    Returns:
        how many there are, or None where the order of strikes and releases is not told.
    """
    onset, duration, pitch, _, part = notes_5N
    key_N = part << 7 | pitch
    hanging = 0
    for key in np.unique(key_N[duration >= FAR]).tolist():
        (mine,) = (key_N == key).nonzero()
        strikes, releases = onset[mine], (onset + duration)[mine]
        releases = releases[releases <= ends[key >> 7]]
        ticks = np.concatenate([strikes, releases])
        order = ticks.argsort()
        if len(strikes) - len(releases) >= _RELEASES or not np.diff(ticks[order]).all():
            return None
        keys = np.zeros(len(ticks), dtype=np.int64)
        _, end, hangs = pair(ticks[order], keys, order < len(strikes), ends[key >> 7])
        duration[mine] = end - strikes
        hanging += hangs
    return hanging if duration.max() < FAR else None


def _in_order(
    changes: Sequence[tuple[Any, ...]],
    file: Clean,
    event: re.Pattern[bytes],
    values: Callable[[bytes], tuple[Any, ...]],
) -> Sequence[tuple[Any, ...]] | None:
    """Return changes, those of one time in the order of the file, or None if that is not told.

    Libraries sort them by time alone. Where they are all in one track they are in order there.
    """
    if len(changes) < 2 or len({change[0] for change in changes}) == len(changes):
        return changes
    if len({change[0] for change in changes}) == len(set(changes)):
        return changes
    found = [event.findall(body) for body in file.bodies]
    (in_file,) = [matches for matches in found if matches] if sum(map(bool, found)) == 1 else [[]]
    ticks = sorted(change[0] for change in changes)
    ordered = [(tick, *values(data)) for tick, data in zip(ticks, in_file, strict=False)]
    return ordered if sorted(ordered) == sorted(changes) else None


def _key(data: bytes) -> tuple[int, bool]:
    return int.from_bytes(data[:1], "big", signed=True), data[1] == 1


def _name(instrument: Instrument, file: Clean) -> str:
    """Return its track's name, decoded anew from its bytes where it is not in UTF-8."""
    name = instrument.name
    if "\ufffd" not in name:
        return name
    body = file.bodies[instrument.source - 1]
    for event in reversed(list(_NAME.finditer(body))):
        raw = body[event.end() : event.end() + event[1][0]]
        if raw.decode("utf-8", "replace") == name:
            return decoded(raw)
    return name
