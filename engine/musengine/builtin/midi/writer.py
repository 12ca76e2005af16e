"""Standard MIDI files out."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from musengine.builtin.midi.channels import Place, places
from musengine.builtin.midi.events import Event, meta, notes_chunk, track_chunk
from musengine.interfaces.writer import Writable, Writer
from musengine.music.score import Score, Track
from musengine.music.timing import LONGEST_BEAT_US
from musengine.music.transforms import at_resolution, until_next_strike
from musengine.plugins.declarations import NoSettings
from musengine.utils.arrays import IntArray

FINEST = 2**15 - 1
"""The most ticks to a beat that a file's header can say."""
ROUNDED = 27_720
"""Ticks to a beat of what must be made coarser: divides evenly by every number up to 12."""


class MidiWriter(Writer[NoSettings]):
    """Writes a Score with its tempo, meter and key maps, track names and programs."""

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

    Each part keeps its channel where it can (see `channels.places`), drums are on channel 9. A
    note that is still held when its part strikes its pitch again ends there. Silence at the end
    is kept by the time at which the first track ends; what the maps say after it is left out.
    Where the resolution is too fine for the format the notes move to the nearest coarser tick,
    and a meter whose bar MIDI cannot write becomes the nearest that it can.
    """
    score = _writable(score)
    score = replace(score, duration=np.minimum(score.duration, until_next_strike(score)))
    order = np.argsort(score.track, kind="stable")
    bounds = np.searchsorted(score.track[order], np.arange(len(score.tracks) + 1))
    chunks = [track_chunk([*_maps(score)], score.length)]
    for index, (track, place) in enumerate(zip(score.tracks, places(score), strict=True)):
        mine = order[bounds[index] : bounds[index + 1]]
        notes = (score.onset[mine], score.duration[mine], score.pitch[mine], score.velocity[mine])
        chunks.append(notes_chunk(_opening(track, place), *notes, place.channel))
    header = struct.pack(
        ">4sIHHH", b"MThd", 6, 1, min(len(chunks), 2**16 - 1), score.ticks_per_beat
    )
    return header + b"".join(chunks)


def _writable(score: Score) -> Score:
    """Return the score at a resolution that the header can say, exactly where that is possible."""
    if score.ticks_per_beat <= FINEST:
        return score
    times: list[IntArray] = [score.onset, score.duration, score.tempo_tick, score.meter_tick]
    single = np.array([score.ticks_per_beat, score.length])
    common = int(np.gcd.reduce(np.concatenate([*times, score.key_tick, single])))
    exact = score.ticks_per_beat // common
    return at_resolution(score, exact if exact <= FINEST else ROUNDED)


def _opening(track: Track, place: Place) -> list[Event]:
    """Return what stands before a part's notes: name, port and program."""
    events: list[Event] = []
    if track.name:
        events.append((0, meta(0x03, track.name.encode("utf-8", "replace"))))
    if place.port:
        events.append((0, meta(0x21, bytes([place.port]))))
    events.append((0, bytes([0xC0 | place.channel, min(max(track.program, 0), 127)])))
    return events


def _maps(score: Score) -> list[Event]:
    events: list[Event] = []
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
    exponent = (denominator - 1).bit_length()
    upper = max((2 * numerator * 2**exponent + denominator) // (2 * denominator), 1)
    while upper > 255 and exponent:
        upper, exponent = (upper + 1) // 2, exponent - 1
    return min(upper, 255), exponent
