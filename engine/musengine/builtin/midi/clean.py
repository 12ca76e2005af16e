"""A clean MIDI file to a song, through a library."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from musengine.builtin.midi.libraries import Library
from musengine.builtin.midi.marking import FAR, Clean
from musengine.builtin.midi.names import decoded
from musengine.builtin.midi.song import Part, Song

_NAME = re.compile(rb"\xff\x03([\x00-\x7f])", re.DOTALL)
_TEMPO = re.compile(rb"\xff\x51\x03(...)", re.DOTALL)
_METER = re.compile(rb"\xff\x58\x04(..)", re.DOTALL)
_KEY = re.compile(rb"\xff\x59\x02(..)", re.DOTALL)


def song_of(file: Clean, library: Library) -> Song | None:
    """Return the song in a file, or None where it turns out not to be clean.

    It is not where a note is never released or lasts absurdly long, where a channel changes its
    program between notes, where a track ends before its bytes do, or where the library refuses it.
    """
    song = _song(file, library, all_channels=False)
    if song is None and file.several:
        song = _song(file, library, all_channels=True)
    return song


def _song(file: Clean, library: Library, *, all_channels: bool) -> Song | None:
    parsed = library.parse(file.marked(all_channels=all_channels), file)
    if parsed is None:
        return None
    tempos = _in_order(parsed.tempos, file, _TEMPO, lambda data: (int.from_bytes(data, "big"),))
    meters = _in_order(parsed.meters, file, _METER, lambda data: (data[0], 2 ** data[1]))
    keys = _in_order(parsed.keys, file, _KEY, _key)
    if tempos is None or meters is None or keys is None:
        return None
    # A mark is of the track its velocity tells and of the channel its pitch tells.
    found = sorted((each.mark[2], each.mark[1], at) for at, each in enumerate(parsed.instruments))
    if [place[:2] for place in found] != file.marks(all_channels=all_channels):
        return None
    parts, columns = [], []
    for number, channel, at in found:
        each = parsed.instruments[at]
        if each.notes is not None:
            name = _name(each.name, file.bodies[number - 1])
            parts.append(Part(number, channel, each.program, name))
            columns.append(each.notes)
    if not columns:
        return None
    onset_N, duration_N, pitch_N, velocity_N = (
        np.concatenate(column, dtype=np.int64) for column in zip(*columns, strict=True)
    )
    if duration_N.max() >= FAR:
        return None
    return Song(
        onset=onset_N,
        end=onset_N + duration_N,
        pitch=pitch_N,
        velocity=velocity_N,
        part=np.repeat(np.arange(len(parts)), [len(column[0]) for column in columns]),
        parts=parts,
        ticks_per_beat=file.ticks_per_beat,
        length=max(each.mark[0] for each in parsed.instruments),
        tempos=[(tick, 60e6 / beat_us) for tick, beat_us in tempos],
        meters=meters,
        keys=keys,
    )


def _in_order(
    changes: Sequence[tuple[Any, ...]],
    file: Clean,
    event: re.Pattern[bytes],
    values: Callable[[bytes], tuple[Any, ...]],
) -> Sequence[tuple[Any, ...]] | None:
    """Return changes, those of one time in the order of the file, or None if that is not told.

    Libraries sort them by time alone. Where they are all in one track they are in order there.
    """
    if len({change[0] for change in changes}) == len(changes):
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


def _name(name: str, body: bytes) -> str:
    """Return a track's name, decoded anew from its bytes where it is not in UTF-8."""
    if "\ufffd" not in name:
        return name
    for event in reversed(list(_NAME.finditer(body))):
        raw = body[event.end() : event.end() + event[1][0]]
        if raw.decode("utf-8", "replace") == name:
            return decoded(raw)
    return name
