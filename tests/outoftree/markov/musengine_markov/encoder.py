"""The encoder: what sounds in each step, named by pitch classes, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from musengine.api import Array, DecodeSettings, Encoded, Encoder, GridStep, Piece, Score, Text
from musengine.errors import UnreadableError
from musengine_markov.config import ChordsConfig, ChordSymbols

Chord = tuple[int, ...]
"""Pitch classes, C = 0: the lowest sounding one first, then the others in order; () is silence."""

MOST_STEPS = 2**18
TICKS_PER_BEAT = 480
BASS, CHORD = 36, 60  # where a chord's first pitch class is written, and where its others are


class Chords(Encoder[ChordsConfig]):
    """A score to chord symbols and back."""

    def __init__(self, config: ChordsConfig) -> None:
        super().__init__(config)
        self.vocabulary: list[Chord] = [()]

    @property
    def layout(self) -> ChordSymbols:
        """The layout, with the number of symbols learned so far."""
        return ChordSymbols(size=len(self.vocabulary))

    def fit(self, pieces: Iterable[Piece]) -> None:
        """Learn the chords of the training part."""
        counted: Counter[Chord] = Counter()
        for piece in pieces:
            try:
                counted.update(self._chords(piece.content))
            except UnreadableError:
                continue  # `encode` will say why
        del counted[()]
        frequent = sorted(counted, key=lambda chord: (-counted[chord], chord))
        self.vocabulary = [(), *frequent[: self.config.most]]

    def encode(self, content: Score | Text) -> Encoded:
        """Return (T,) symbols; a chord that was not learned becomes the one most like it."""
        chords = self._chords(content)
        known = {chord: symbol for symbol, chord in enumerate(self.vocabulary)}
        new = [chord for chord in chords if chord not in known]
        known |= {chord: self._nearest(chord) for chord in new}
        symbols = np.array([known[chord] for chord in chords], dtype=np.int64)
        return Encoded(
            steps=symbols, dropped={"chords replaced by a known one": len(new)} if new else {}
        )

    def decode(self, steps: Array, settings: DecodeSettings) -> Score:
        """Return the chords as notes; a repeated chord is held."""
        changes = np.flatnonzero(np.diff(steps)) + 1
        bounds = sorted({0, *changes.tolist(), len(steps)})
        ticks = self.config.beats * TICKS_PER_BEAT
        notes = [
            (first * ticks, (after - first) * ticks, pitch)
            for first, after in pairwise(bounds)
            for pitch in _pitches(self.vocabulary[steps[first]])
        ]
        onset, duration, pitch = np.array(notes, dtype=np.int64).reshape(-1, 3).T
        return Score.from_notes(
            onset,
            duration,
            pitch,
            ticks_per_beat=TICKS_PER_BEAT,
            tempos=[(0, settings.tempo)],
            meters=[(0, settings.meter.numerator, settings.meter.denominator)],
            length=len(steps) * ticks,
        )

    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> Array:
        """Return (T,): all steps are equally long."""
        beats = np.arange(1, len(steps) + 1, dtype=np.float64) * self.config.beats
        return beats if unit == "beats" else beats * 60 / settings.tempo

    def state(self) -> dict[str, Any]:
        """Return the vocabulary: it is saved with the model."""
        return {"vocabulary": [list(chord) for chord in self.vocabulary]}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the vocabulary."""
        self.vocabulary = [tuple(chord) for chord in state["vocabulary"]]

    def _chords(self, content: Score | Text) -> list[Chord]:
        if not isinstance(content, Score):
            raise UnreadableError("chords are made from notes, not from text")
        score = content.take(~content.is_drum)
        if not len(score):
            raise UnreadableError("nothing but drums")
        first, after, total = score.quantise(GridStep(Fraction(self.config.beats), "beat"))
        if total > MOST_STEPS:
            raise UnreadableError(f"{total} steps are more than the {MOST_STEPS} a piece may have")
        sounding: list[set[int]] = [set() for _ in range(total)]
        for start, stop, pitch in zip(first, after, score.pitch.tolist(), strict=True):
            for step in range(start, stop):
                sounding[step].add(pitch)
        return [_chord(pitches) for pitches in sounding]

    def _nearest(self, chord: Chord) -> int:
        """Return the symbol of the chord that has most in common with an unknown one."""

        def likeness(symbol: int) -> float:
            known = set(self.vocabulary[symbol])
            return len(known & set(chord)) / len(known | set(chord))

        return max(range(len(self.vocabulary)), key=likeness)


def _chord(pitches: set[int]) -> Chord:
    if not pitches:
        return ()
    bass = min(pitches) % 12
    return (bass, *sorted({pitch % 12 for pitch in pitches} - {bass}))


def _pitches(chord: Chord) -> list[int]:
    return [BASS + chord[0], *(CHORD + other for other in chord[1:])] if chord else []
