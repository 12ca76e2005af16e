"""From the events of a MIDI file to a Score, by the same rules however they were read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from musengine.builtin.midi.chunks import DEFAULT_TICKS_PER_BEAT
from musengine.builtin.midi.drums import DrumChange, drums_of
from musengine.builtin.midi.note_pairing import KeyArray, Silences, pair
from musengine.builtin.midi.parts import Part, assign_controls, divide_drums, divide_notes
from musengine.builtin.midi.warnings import Warnings
from musengine.music import timing
from musengine.music.note_tables import BEND
from musengine.music.score import Score, Track
from musengine.music.texts import TextEvent, text_at
from musengine.utils.arrays import IntArray

MAX_NOTES = 2**21
"""Files with more notes are refused: they take memory."""
MAX_CHANGES = 2**18
"""Files with more names, programs, tempos, meters and keys are refused."""
NAME, MARKER, PORT, END, TEMPO, METER, KEY = 0x03, 0x06, 0x21, 0x2F, 0x51, 0x58, 0x59
KEPT = frozenset((NAME, MARKER, PORT, TEMPO, METER, KEY))
"""The meta events that a Score can hold, and what says whose channels a track has."""
LONGEST_SILENCE = 1000
"""Beats. A track that ends later than so long after the last note does so by mistake."""

_USUAL_NAME = 64
"""Characters of the names of tracks that are kept; others may be as large as their files."""
_SILENT = np.zeros(BEND + 1, dtype=np.bool_)
"""Which controllers end notes, by number; 121 resets them, 122 is the local keyboard."""
_SILENT[[120, *range(123, BEND)]] = True
_FILM_SPEEDS = (24, 25, 29, 30)
_LARGEST_POWER = 15
"""Of two, as the denominator of a meter."""
# Kana (also of half width), kanji, full-width letters and Japanese marks, at least two in a row:
# single ones are what an accented letter of Western Europe and its neighbour look like.
_JAPANESE = re.compile(r"(?:[\x00-\x7f]|[\u3000-\u30ff\u4e00-\u9fff\uff01-\uff9f]{2,})*")


Meta = tuple[int, int, int, bytes]
"""A meta event: its track, the first being 0, its tick, its kind, and its data."""


class Events(NamedTuple):
    """The events of a song, those of each track in order.

    A channel here is one of a track: the track's number, from 0, × 16 + the MIDI channel.

    Attributes:
        tick: (E,) of each event.
        key: (E,) channel × 128 + pitch; `no_note` where it is another event.
        velocity: (E,) 0 for a note-off.
        programs: (how many events stand before it, channel, program) of each change.
        controls: (5, C) how many events stand before it, tick, channel, number and value of each
            controller; bends have the number `BEND`.
        metas: those of `KEPT`.
        ends: the tick at which each track ends.
        drums: which channels become drums or notes, as in `DrumChanges`.
    """

    tick: IntArray
    key: KeyArray
    velocity: npt.NDArray[np.uint8]
    programs: Sequence[tuple[int, int, int]]
    controls: IntArray
    metas: Sequence[Meta]
    ends: Sequence[int]
    drums: Sequence[DrumChange] = ()


class Song(NamedTuple):
    """The notes of a song, and what else a Score is made of.

    Attributes:
        notes: (5, N) onset, duration, pitch, velocity from 1, and index into `parts`, in the order
            of the file.
        parts: in the order that the Score's tracks will have.
        controls: (4, C) tick, part, number and value of each controller or bend. Where its track
            has no notes on its channel, the part is -1 less the MIDI channel, unless `whole`.
        metas: as in Events.
        length: ticks; where the longest track ends.
        hanging: how many notes have no note-off.
        cut: how many notes end because their pitch is struck again before their note-off.
        empty: how many notes have no length; None where they were not counted.
        whole: whether all controllers have parts.
        tempos: all of them, if they are not among `metas`, in the order of the file.
    """

    notes: IntArray
    parts: Sequence[Part]
    controls: IntArray
    metas: Sequence[Meta]
    length: int
    hanging: int = 0
    cut: int = 0
    empty: int | None = None
    whole: bool = False
    tempos: timing.Tempos = ()


class _Maps(NamedTuple):
    """The names of the tracks, the changes of tempo, meter and key with their ticks, and texts."""

    names: dict[int, str]
    tempos: list[tuple[int, float]]
    meters: list[tuple[int, int, int]]
    keys: list[tuple[int, int, bool]]
    texts: list[TextEvent]


def song_of(events: Events) -> Song:
    """Return the song that events make: note-ons and note-offs paired, notes divided into parts."""
    ends = np.array(events.ends, dtype=np.int64)
    silences = _silences(events) if events.controls.size else None
    paired = pair(events.tick, events.key, events.velocity, ends, silences)
    note_on = paired.note_on
    # One table, filled row by row: most files have few notes, where each array made costs more than
    # what is computed.
    notes_5N = np.empty((5, len(note_on)), dtype=np.int64)
    # With `out` NumPy buffers unless the mode is not "raise"; no index is out of bounds.
    events.tick.take(note_on, out=notes_5N[0], mode="clip")
    notes_5N[1] = paired.duration
    key = paired.key.astype(np.int64)
    # The pitch is the lowest seven bits of a key, the channel of its track what is above.
    np.bitwise_and(key, 127, out=notes_5N[2])
    notes_5N[3] = events.velocity.take(note_on)
    channel_N = key >> 7
    parts = divide_notes(channel_N, note_on, events.programs, notes_5N[4])
    if events.drums:
        parts = divide_drums(drums_of(events.drums, channel_N, notes_5N[0]), parts, notes_5N[4])
    controls = events.controls[1:]
    if controls.size:
        controls = assign_controls(
            events.controls, parts, channel_N, note_on, notes_5N[4], len(events.ends)
        )
    length = max(events.ends, default=0)
    return Song(notes_5N, parts, controls, events.metas, length, paired.hanging, paired.cut)


def is_silence(number: IntArray) -> npt.NDArray[np.bool_] | None:
    """Return which controllers, by their numbers, end all notes of their channel; None for none.

    All sound off, all notes off, and those that change the mode, which end them, too.
    """
    silent = _SILENT.take(number)
    # `count_nonzero` is faster than `any` on small arrays.
    return silent if np.count_nonzero(silent) else None


def _silences(events: Events) -> Silences | None:
    silent = is_silence(events.controls[3])
    if silent is None:
        return None
    port = np.zeros(len(events.ends), dtype=np.int64)
    for track, _, kind, data in events.metas:
        if kind == PORT and data:
            port[track] = data[0]
    order, tick, channel = events.controls[:3, silent]
    return Silences(order, tick, channel, port)


def score_of(song: Song, division: int, warnings: Warnings) -> Score:
    """Return the Score of a song.

    Every note lasts a tick at least.

    Args:
        song: its notes are changed so.
        division: the header's, 1 to 65,535.
        warnings: takes what was wrong.
    """
    ticks_per_beat, tempo = _time_division(division, warnings)
    maps = _read(song.metas, warnings)
    tempos = song.tempos if len(song.tempos) else maps.tempos
    if tempo is not None:
        warnings.count("tempo change", "ignored, since times are in frames", len(tempos))
    if song.hanging:
        warnings.count("note", "never released", song.hanging)
    if song.cut:
        warnings.count("note", "struck again before release, and cut there", song.cut)
    length = _length(song, ticks_per_beat, warnings)
    # The first track of most files has no notes, and its name is that of the piece.
    # `channel >> 4` is the track, by which the parts are in order: none of them is of the first.
    if 0 in maps.names and not (song.parts and song.parts[0].channel < 16):
        maps.texts.append(TextEvent(0, "title", maps.names[0]))
    duration_N, empty = song.notes[1], song.empty
    if empty is None:
        empty = int(np.count_nonzero(duration_N < 1))
    if empty:
        warnings.count("note", "without length, made one tick long", empty)
        np.maximum(duration_N, 1, out=duration_N)
    return Score.from_table(
        song.notes,
        ticks_per_beat=ticks_per_beat,
        tracks=[_track(part, maps.names) for part in song.parts],
        tempos=tempos if tempo is None else [(0, tempo)],
        meters=maps.meters,
        keys=maps.keys,
        controls_4C=_controls(song) if song.controls.size else None,
        texts=maps.texts,
        length=length,
    )


def _track(part: Part, names: dict[int, str]) -> Track:
    name = names.get(part.channel >> 4, "")
    make = _usual_track if len(name) <= _USUAL_NAME else Track
    return make(name, part.program, part.is_drum, part.channel & 15)


# Tracks of one collection are often called alike, and one object then serves them all.
_usual_track = lru_cache(maxsize=1024)(Track)


def _time_division(division: int, warnings: Warnings) -> tuple[int, float | None]:
    """Return ticks per beat, and the tempo where the division settles it: frames of film."""
    if division < 0x8000:
        return division, None
    # The upper byte is a negative number, minus the frames a second.
    frames, ticks = 256 - (division >> 8), division & 255
    if not ticks or frames not in _FILM_SPEEDS:
        warnings.say(
            f"the header's time division, {frames} frames a second of {ticks} ticks each, is none: "
            f"{DEFAULT_TICKS_PER_BEAT} ticks to a beat are taken"
        )
        return DEFAULT_TICKS_PER_BEAT, None
    warnings.say(
        f"times are in frames, {frames} a second of {ticks} ticks each: a second is taken as a beat"
    )
    # The speed called 29 has 30 frames in 1.001 seconds.
    return (30 * ticks, 60 / 1.001) if frames == 29 else (frames * ticks, 60.0)


def _length(song: Song, ticks_per_beat: int, warnings: Warnings) -> int:
    """Return the length without absurd silence at the end."""
    if song.length <= LONGEST_SILENCE * ticks_per_beat:
        return song.length
    music_ends = int((song.notes[0] + song.notes[1]).max(initial=0))
    beats = (song.length - music_ends) // ticks_per_beat
    if beats <= LONGEST_SILENCE:
        return song.length
    warnings.say(f"{beats:,} beats of silence at the end left out")
    return music_ends


def _controls(song: Song) -> IntArray:
    """Return the controllers, each with a part.

    Those of a channel that only other tracks have notes on go to the first part that has it; where
    none has, they are left out.
    """
    part_C = song.controls[1]
    if song.whole or not np.count_nonzero(absent := part_C < 0):
        return song.controls
    part_of = np.full(16, -1)
    channels = [part.channel % 16 for part in song.parts]
    # Backwards: of several values for one place the last one stays, which is the first part.
    part_of[channels[::-1]] = np.arange(len(channels))[::-1]
    part_C[absent] = part_of[-1 - part_C[absent]]
    return song.controls[:, part_C >= 0]


def _read(metas: Sequence[Meta], warnings: Warnings) -> _Maps:
    """Return what meta events say; a track has the last of its names."""
    maps = _Maps({}, [], [], [], [])
    for track, tick, kind, data in metas:
        if kind == TEMPO:  # of which there are most
            # Microseconds to a quarter note.
            beat_us = int.from_bytes(data[:3], "big") if len(data) >= 3 else 0
            if beat_us:
                maps.tempos.append((tick, 60e6 / beat_us))
            else:
                warnings.count("impossible tempo", "left out")
        elif kind == NAME:
            maps.names[track] = _decoded(data)
        elif kind == MARKER:
            maps.texts.append(text_at(tick, _decoded(data).strip()))
        elif kind == METER:
            if len(data) >= 2 and data[0] and data[1] <= _LARGEST_POWER:
                maps.meters.append((tick, data[0], 2 ** data[1]))
            else:
                warnings.count("impossible meter", "left out")
        elif kind == KEY:
            sharps = int.from_bytes(data[:1], "big", signed=True)
            if len(data) >= 2 and -7 <= sharps <= 7 and data[1] <= 1:
                maps.keys.append((tick, sharps, data[1] == 1))
            else:
                warnings.count("impossible key", "left out")
    return maps


def _decoded(name: bytes) -> str:
    """Return a name as text: UTF-8, else Shift-JIS where that looks right, else Windows-1252."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        japanese = name.decode("cp932")
        if _JAPANESE.fullmatch(japanese):
            return japanese
    except UnicodeDecodeError:
        pass
    try:
        # A few bytes stand for nothing in it; Latin-1 has something for every byte.
        return name.decode("cp1252")
    except UnicodeDecodeError:
        return name.decode("latin-1")
