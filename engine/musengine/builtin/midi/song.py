"""What was found in a MIDI file, and the Score it makes, by the same rules for all files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from musengine.builtin.midi.oddities import Oddities
from musengine.builtin.midi.pairing import cut_at_next_strike
from musengine.score import Score, Track
from musengine.timing import IntArray

DRUM_CHANNEL = 9
LONGEST_SILENCE = 1000
"""Beats. A track that ends later than so long after the last note does so by mistake."""


@dataclass(frozen=True)
class Part:
    """The notes of one program on one channel of one of the file's tracks.

    Attributes:
        source: the number of the track in the file.
        channel: 0 to 15.
        program: General MIDI, 0 to 127.
        name: the track's.
    """

    source: int
    channel: int
    program: int
    name: str


@dataclass(frozen=True, kw_only=True)
class Song:
    """Notes, those of each channel of a track in order of onset, and the maps of the file.

    Attributes:
        onset: (N,) ticks.
        end: (N,) ticks.
        pitch: (N,) 0 to 127.
        velocity: (N,) 1 to 127.
        part: (N,) index into `parts`.
        parts: in the order the Score's tracks will have.
        ticks_per_beat: resolution.
        length: ticks; where the longest track ends.
        tempos: (tick, quarter notes per minute).
        meters: (tick, numerator, denominator).
        keys: (tick, sharps with flats negative, whether minor).
    """

    onset: IntArray
    end: IntArray
    pitch: IntArray
    velocity: IntArray
    part: IntArray
    parts: Sequence[Part]
    ticks_per_beat: int
    length: int
    tempos: Sequence[tuple[int, float]] = field(default=())
    meters: Sequence[tuple[int, int, int]] = field(default=())
    keys: Sequence[tuple[int, int, bool]] = field(default=())

    def score(self, odd: Oddities) -> Score:
        """Return the Score.

        A note is cut where its pitch is struck again on its channel and track, and lasts a tick
        at least.
        """
        voices: dict[tuple[int, int], int] = {}
        voice_of_part = [
            voices.setdefault((part.source, part.channel), len(voices)) for part in self.parts
        ]
        key_N = np.array(voice_of_part, dtype=np.int64)[self.part] << 7 | self.pitch
        end_N, cut = cut_at_next_strike(self.onset, self.end, key_N)
        duration_N = end_N - self.onset
        odd.count("note", "struck again before release, and cut there", cut)
        empty = int(np.count_nonzero(duration_N < 1))
        odd.count("note", "without length, made one tick long", empty)
        return Score.from_notes(
            self.onset,
            duration_N,
            self.pitch,
            self.velocity,
            self.part,
            ticks_per_beat=self.ticks_per_beat,
            tracks=[
                Track(part.name, part.program, part.channel == DRUM_CHANNEL, part.channel)
                for part in self.parts
            ],
            tempos=self.tempos,
            meters=self.meters,
            keys=self.keys,
            length=self._length(int(end_N.max(initial=0)), odd),
        )

    def _length(self, music_ends: int, odd: Oddities) -> int:
        beats = (self.length - music_ends) // self.ticks_per_beat
        if beats <= LONGEST_SILENCE:
            return self.length
        odd.say(f"{beats:,} beats of silence at the end left out")
        return music_ends
