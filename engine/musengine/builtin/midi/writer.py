"""Standard MIDI files out."""

from __future__ import annotations

import itertools
import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from musengine.builtin.midi.drums import DRUM_BANKS, DRUM_CHANNEL
from musengine.interfaces.writer import Writable, Writer
from musengine.music.note_tables import BEND
from musengine.music.score import Score, Track
from musengine.music.timing import LONGEST_BEAT_US
from musengine.music.transforms import at_resolution, until_next_strike
from musengine.plugins.configs import NoSettings
from musengine.utils.arrays import IntArray

Event = tuple[int, bytes]
"""Its tick, and its bytes without the time before it."""

FINEST = 2**15 - 1
"""The most ticks to a beat that a file's header can say."""
ROUNDED = 27_720
"""Ticks to a beat of what must be made coarser: divides evenly by every number up to 12."""
LONGEST_WAIT = 2**28 - 1
"""The most ticks that may lie between two events: what four bytes of seven bits can say."""
_NOTHING = b"\xff\x01\x00"
"""An empty text, which only lets time pass."""
_TEXTS = {"title": 0x03}
"""The kinds of meta events that texts are; others are markers."""
_PITCHED = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
_PORTS = 128
_BANK = (0, 32)
"""The numbers of the controllers that choose what the next program is of."""


class MidiWriter(Writer[NoSettings]):
    """Writes a Score with its maps, track names, programs and controllers."""

    @property
    def suffix(self) -> str:
        """`.mid`."""
        return ".mid"

    def write(self, content: Writable, path: Path) -> None:
        """Write a MIDI file of format 1; every note is ended, re-strikes are separated."""
        if not isinstance(content, Score):
            raise TypeError("the MIDI writer writes scores")
        path.write_bytes(midi_bytes(content))


def midi_bytes(score: Score) -> bytes:
    """Return a Score as a Standard MIDI File of format 1: one track of maps, one for each part.

    The first track has the title and, as markers, chord symbols and other texts.

    Each part keeps its channel where it can (see `places`), drums are on channel 9. A note that is
    still held when its part strikes its pitch again ends there. Silence at the end is kept by the
    time at which the first track ends; maps and controllers after it are left out. Where the
    resolution is too fine for the format everything moves to the nearest coarser tick, and a meter
    whose bar MIDI cannot write becomes the nearest that it can.
    """
    score = _writable(score)
    # A key that is struck again while it is held cannot be told apart in MIDI: the first is ended.
    duration = np.minimum(score.duration, until_next_strike(score))
    notes_4N = np.stack([score.onset, duration, score.pitch, score.velocity])
    controls_3C = np.stack([score.control_tick, *score.control[:, 1:].T])
    track_C = np.where(score.control_tick <= score.length, score.control[:, 0], -1)
    # One sort and slices of it, instead of a mask for each of perhaps hundreds of tracks.
    order = np.argsort(score.track, kind="stable")
    bounds = np.searchsorted(score.track[order], np.arange(len(score.tracks) + 1))
    chunks = [track_chunk([*_maps(score)], score.length)]
    for index, (track, place) in enumerate(zip(score.tracks, places(score), strict=True)):
        notes = notes_4N[:, order[bounds[index] : bounds[index + 1]]]
        chunks.append(part_chunk(track, place, notes, controls_3C[:, track_C == index]))
    header = struct.pack(
        ">4sIHHH", b"MThd", 6, 1, min(len(chunks), 2**16 - 1), score.ticks_per_beat
    )
    return header + b"".join(chunks)


def _writable(score: Score) -> Score:
    """Return the score at a resolution that the header can say, exactly where that is possible."""
    if score.ticks_per_beat <= FINEST:
        return score
    texts = np.array([each.tick for each in score.texts], dtype=np.int64)
    maps = (score.tempo_tick, score.meter_tick, score.key_tick, score.control_tick, texts)
    single = np.array([score.ticks_per_beat, score.length])
    common = int(np.gcd.reduce(np.concatenate([score.onset, score.duration, *maps, single])))
    exact = score.ticks_per_beat // common
    return at_resolution(score, exact if exact <= FINEST else ROUNDED)


def _maps(score: Score) -> list[Event]:
    events: list[Event] = []
    for tick, kind, text in score.texts:
        events.append((tick, meta(_TEXTS.get(kind, 0x06), text.encode("utf-8", "replace"))))
    for tick, bpm in zip(score.tempo_tick.tolist(), score.tempo_bpm.tolist(), strict=True):
        beat_us = round(min(max(60e6 / bpm, 1), LONGEST_BEAT_US))
        events.append((tick, meta(0x51, beat_us.to_bytes(3, "big"))))
    for tick, (numerator, denominator) in zip(
        score.meter_tick.tolist(), score.meter.tolist(), strict=True
    ):
        upper, exponent = _meter(numerator, denominator)
        # The click of a metronome: a quarter note is 24 MIDI clocks, and 8 thirty-seconds.
        events.append((tick, meta(0x58, bytes([upper, exponent, 24, 8]))))
    for tick, (sharps, minor) in zip(score.key_tick.tolist(), score.key.tolist(), strict=True):
        events.append((tick, meta(0x59, bytes([sharps & 0xFF, minor]))))
    events.sort(key=lambda event: event[0])
    return [event for event in events if event[0] <= score.length]


def _meter(numerator: int, denominator: int) -> tuple[int, int]:
    """Return the numerator and the denominator's power of two of the nearest that MIDI can write.

    The bar keeps its length as nearly as the next power of two allows: 4/3 becomes 5/4.
    """
    # The next power of two at or above the denominator.
    exponent = (denominator - 1).bit_length()
    upper = max((2 * numerator * 2**exponent + denominator) // (2 * denominator), 1)
    # The numerator has one byte.
    while upper > 255 and exponent:
        upper, exponent = (upper + 1) // 2, exponent - 1
    return min(upper, 255), exponent


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
    drums = Place(0, DRUM_CHANNEL)
    found: list[Place | None] = [drums if track.is_drum else None for track in score.tracks]
    requests: dict[int, list[int]] = defaultdict(list)
    for index, track in enumerate(score.tracks):
        if not track.is_drum and track.channel in _PITCHED:
            requests[track.channel].append(index)
    for channel, requesting in requests.items():
        for index in _sharing(score, requesting):
            found[index] = Place(0, channel)
    return _handed_out(score.tracks, found)


def _sharing(score: Score, requesting: Sequence[int]) -> list[int]:
    """Return which of the tracks that name one channel can be on it together."""
    program = score.tracks[requesting[0]].program
    alike = [index for index in requesting if score.tracks[index].program == program]
    return alike if len(alike) < 2 or not _collide(score, alike) else alike[:1]


def _collide(score: Score, tracks: Sequence[int]) -> bool:
    """Return whether one of these tracks strikes a pitch that another holds or just lets go."""
    notes = score.take(np.isin(score.track, tracks))
    notes = notes.take(np.lexsort((notes.onset, notes.pitch)))
    # Where any two notes of a pitch meet, some two neighbours do.
    # "<=": a note-off of one track at the tick of the other's note-on may end the wrong one.
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
    port, free = 0, [channel for channel in _PITCHED if channel not in programs]
    filled: list[Place] = []
    for track, place in zip(tracks, given, strict=True):
        if place is None:
            if not free:
                port, free = (port + 1) % _PORTS, list(_PITCHED)
            alike = [channel for channel in free if programs.get(channel) == track.program]
            channel = (alike or free)[0]
            free.remove(channel)
            programs.setdefault(channel, track.program)
            place = Place(port, channel)
        filled.append(place)
    return filled


def quantity(number: int) -> bytes:
    """Return a number, 0 to 2**28 - 1, in MIDI's variable length: 7 bits a byte, high ones first.

    Every byte but the last has its top bit set.
    """
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


def meta(kind: int, data: bytes) -> bytes:
    """Return a meta event without the time before it: FF, kind, length, data."""
    return bytes([0xFF, kind]) + quantity(len(data)) + data


def track_chunk(events: Sequence[Event], length: int) -> bytes:
    """Return a whole track of events in order, which ends at the tick `length`."""
    return _chunk(*_timed(events, 0, length))


def part_chunk(track: Track, place: Place, notes_4N: IntArray, controls_3C: IntArray) -> bytes:
    """Return a whole track: name, port, bank and program, then controllers and notes, all ended.

    Args:
        track: the part's.
        place: its channel.
        notes_4N: onset and duration in ticks, pitch and velocity.
        controls_3C: tick, number and value, a bend's number being `BEND`.
    """
    events: list[Event] = []
    if track.name:
        events.append((0, meta(0x03, track.name.encode("utf-8", "replace"))))
    if place.port:
        events.append((0, meta(0x21, bytes([place.port]))))
    # A bank of drums would make drums of a part that has other notes.
    if not track.is_drum:
        makes_drums = (controls_3C[1] == _BANK[0]) & np.isin(controls_3C[2], DRUM_BANKS)
        controls_3C = controls_3C[:, ~makes_drums]
    # A bank counts for the programs that are chosen after it.
    first = (controls_3C[0] == 0) & np.isin(controls_3C[1], _BANK)
    for number, value in controls_3C[1:, first].T.tolist():
        events.append((0, bytes([0xB0 | place.channel, number, value])))
    events.append((0, bytes([0xC0 | place.channel, min(max(track.program, 0), 127)])))
    start, at_once = _timed(events, 0, 0)
    tick, message_E3 = _in_order(notes_4N, controls_3C[:, ~first])
    message_E3[:, 0] |= place.channel
    wait = np.diff(tick, prepend=0)
    body = b"".join(
        _filled(message_E3[begin:stop], wait[begin:stop]) for begin, stop in _stretches(wait)
    )
    return _chunk(start + body, at_once)


def _in_order(notes_4N: IntArray, controls_3C: IntArray) -> tuple[IntArray, npt.NDArray[np.uint8]]:
    """Return (E,) ticks and (E, 3) messages for channel 0 of notes and controllers as in a chunk.

    At one tick notes end before controllers change and others begin. Of notes of one pitch that
    begin together the first to end begins first, since readers end the oldest first.
    """
    onset, duration, pitch, velocity = notes_4N
    when, number, value = controls_3C
    end, none = onset + duration, np.zeros_like(when)
    bend = number == BEND
    value = np.where(bend, value + 8192, value)
    columns = (
        np.repeat([0x80, 0xB0, 0x90], [len(end), len(when), len(onset)]),
        np.concatenate([pitch, np.where(bend, value & 127, number), pitch]),
        # 64 is the release velocity of keyboards that measure none.
        np.concatenate([np.full_like(end, 64), np.where(bend, value >> 7, value), velocity]),
    )
    message_E3 = np.stack(columns, axis=1).astype(np.uint8)
    message_E3[len(end) : len(end) + len(when), 0][bend] = 0xE0
    tick = np.concatenate([end, when, onset])
    rank = np.repeat([0, 1, 2], [len(end), len(when), len(onset)])
    # The last key counts most: tick, then rank, then pitch, then end.
    order = np.lexsort(
        (np.concatenate([end, none, end]), np.concatenate([pitch, none, pitch]), rank, tick)
    )
    return tick[order], message_E3[order]


def _stretches(wait: IntArray) -> list[tuple[int, int]]:
    """Return where the events divide so that only the first of each may wait too long."""
    cuts = [0, *np.nonzero(wait > LONGEST_WAIT)[0].tolist(), len(wait)]
    return [(first, after) for first, after in itertools.pairwise(cuts) if after > first]


def _filled(message_E3: npt.NDArray[np.uint8], wait: IntArray) -> bytes:
    before, rest = _pause(int(wait[0]))
    return before + _messages(message_E3, np.concatenate([[rest], wait[1:]]))


def _messages(message_E3: npt.NDArray[np.uint8], wait: IntArray) -> bytes:
    """Return messages of three bytes, each after the time to wait before it."""
    width = 1 + np.searchsorted([1 << 7, 1 << 14, 1 << 21], wait, side="right")
    # (E,) where each message begins in the bytes: its time of 1 to 4 bytes, and three.
    begin = np.cumsum(width + 3) - (width + 3)
    data = np.empty(int((width + 3).sum()), dtype=np.uint8)
    for place in range(4):
        mine = np.nonzero(width > place)[0]
        left = width[mine] - 1 - place
        group = (wait[mine] >> (7 * left)) & 0x7F
        data[begin[mine] + place] = group | np.where(left > 0, 0x80, 0)
    for place in range(3):
        data[begin + width + place] = message_E3[:, place]
    return data.tobytes()


def _timed(events: Sequence[Event], tick: int, length: int) -> tuple[bytes, bytes]:
    """Return the events after a tick, and the wait from the last of them to the end."""
    parts = []
    for when, event in events:
        before, rest = _pause(when - tick)
        parts.append(before + quantity(rest) + event)
        tick = when
    before, rest = _pause(length - tick)
    return b"".join(parts), before + quantity(rest)


def _pause(ticks: int) -> tuple[bytes, int]:
    """Return events that let time pass, and what is left to wait, not too long for one event."""
    fillers, rest = divmod(ticks, LONGEST_WAIT)
    return (quantity(LONGEST_WAIT) + _NOTHING) * fillers, rest


def _chunk(body: bytes, end: bytes) -> bytes:
    whole = body + end + b"\xff\x2f\x00"
    return b"MTrk" + len(whole).to_bytes(4, "big") + whole
