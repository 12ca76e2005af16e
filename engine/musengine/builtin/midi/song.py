"""What was found in a MIDI file, and the Score it makes, by the same rules for all files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from musengine.builtin.midi.oddities import Oddities
from musengine.builtin.midi.pairing import cut_at_next_strike
from musengine.music.score import Score, Track
from musengine.utils.arrays import IntArray

DRUM_CHANNEL = 9
LONGEST_SILENCE = 1000
"""Beats. A track that ends later than so long after the last note does so by mistake."""


class Part(NamedTuple):
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


class Song(NamedTuple):
    """Notes, those of each channel of a track in order of onset, and the maps of the file.

    Attributes:
        notes: (5, N) onset and duration in ticks, pitch, velocity from 1, and index into `parts`.
        parts: in the order the Score's tracks will have.
        ticks_per_beat: resolution.
        length: ticks; where the longest track ends.
        tempos: (tick, quarter notes per minute).
        meters: (tick, numerator, denominator).
        keys: (tick, sharps with flats negative, whether minor).
        hanging: how many notes are never released.
        cut: how many notes have been cut where their pitch is struck again; None if not done yet.
    """

    notes: IntArray
    parts: Sequence[Part]
    ticks_per_beat: int
    length: int
    tempos: Sequence[tuple[int, float]] = ()
    meters: Sequence[tuple[int, int, int]] = ()
    keys: Sequence[tuple[int, int, bool]] = ()
    hanging: int = 0
    cut: int | None = None

    def score(self, odd: Oddities) -> Score:
        """Return the Score.

        A note is cut where its pitch is struck again on its channel and track, and lasts a tick
        at least: `notes` is changed so.
        """
        odd.count("note", "never released", self.hanging)
        cut = self._cut_all() if self.cut is None else self.cut
        odd.count("note", "struck again before release, and cut there", cut)
        duration_N = self.notes[1]
        length = self._length(odd)
        if duration_N.min(initial=1) < 1:
            empty = int(np.count_nonzero(duration_N < 1))
            odd.count("note", "without length, made one tick long", empty)
            np.maximum(duration_N, 1, out=duration_N)
        return Score.from_table(
            self.notes,
            ticks_per_beat=self.ticks_per_beat,
            tracks=[
                Track(part.name, part.program, part.channel == DRUM_CHANNEL, part.channel)
                for part in self.parts
            ],
            tempos=self.tempos,
            meters=self.meters,
            keys=self.keys,
            length=length,
        )

    def _cut_all(self) -> int:
        voices: dict[tuple[int, int], int] = {}
        voice_of_part = [
            voices.setdefault((part.source, part.channel), len(voices)) for part in self.parts
        ]
        onset_N, duration_N, pitch_N, _, part_N = self.notes
        voice_N = part_N if len(voices) == len(self.parts) else np.array(voice_of_part)[part_N]
        return cut_at_next_strike(onset_N, duration_N, voice_N << 7 | pitch_N)

    def _length(self, odd: Oddities) -> int:
        if self.length <= LONGEST_SILENCE * self.ticks_per_beat:
            return self.length
        music_ends = int((self.notes[0] + self.notes[1]).max(initial=0))
        beats = (self.length - music_ends) // self.ticks_per_beat
        if beats <= LONGEST_SILENCE:
            return self.length
        odd.say(f"{beats:,} beats of silence at the end left out")
        return music_ends
