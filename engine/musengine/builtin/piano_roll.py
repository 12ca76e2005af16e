"""The piano-roll encoder: a Score to a grid of 0 and 1 and back."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from musengine.builtin.configs import PianoRollConfig
from musengine.components.encoders import Array, DecodeSettings, Encoded, Encoder
from musengine.errors import UnreadableError
from musengine.score import Score, Text

MAX_STEPS = 2**20
"""Longer pieces are refused before anything is allocated: 18 hours of sixteenths at 120 BPM."""

TICKS_PER_BEAT = 480


class PianoRoll(Encoder[PianoRollConfig]):
    """Notes to steps × pitches × channels; times go to the nearest step."""

    def encode(self, content: Score | Text) -> Encoded:
        """Return the roll (T, pitches, channels); notes outside the range are counted."""
        if not isinstance(content, Score):
            raise UnreadableError("a piano-roll is made from notes, not from text")
        score = content if self.config.drums else content.select(~content.is_drum)
        row = score.pitch - self.config.lowest
        inside = (row >= 0) & (score.pitch <= self.config.highest)
        lost = {"notes out of range": int((~inside).sum())} if not inside.all() else {}
        score, row = score.select(inside), row[inside]
        if not len(score):
            raise UnreadableError("no notes in the encoder's pitch range")
        first, after, total = score.quantise(self.config.step)
        if total > MAX_STEPS:
            raise UnreadableError(
                f"{total} time steps are more than the {MAX_STEPS} a piece may have"
            )
        roll_TPC = np.zeros((total, *self.layout.step_shape), dtype=np.uint8)
        roll_TPC[..., 0] = _filled(first, after, row, roll_TPC.shape[:2])
        if self.config.notes == "onsets":
            roll_TPC[first, row, 1] = 1
        if self.config.silence_marker:
            roll_TPC[~roll_TPC[..., 0].any(axis=1), 0, 0] = 1
        return Encoded(steps=roll_TPC, lost=lost)

    def decode(self, steps: Array, settings: DecodeSettings) -> Score:
        """Return the roll's notes on one track; a note still sounding at the end is ended."""
        sound_TP = steps[..., 0].astype(bool)
        onset_TP = np.zeros_like(sound_TP)
        if self.config.notes == "onsets":
            onset_TP = steps[..., 1].astype(bool) & sound_TP
        if self.config.silence_marker:
            only_marker = sound_TP[:, 0] & (sound_TP.sum(axis=1) == 1)
            sound_TP = sound_TP.copy()
            sound_TP[only_marker, 0] = False
        first, after, row = _runs(sound_TP, onset_TP)
        ticks = self._ticks(np.arange(len(steps) + 1), settings.tempo)
        meter = settings.meter
        return Score.from_notes(
            onset=ticks[first],
            duration=ticks[after] - ticks[first],
            pitch=row + self.config.lowest,
            ticks_per_beat=TICKS_PER_BEAT,
            tempos=[(0, settings.tempo)],
            meters=[(0, meter.numerator, meter.denominator)],
            length=int(ticks[-1]),
        )

    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> npt.NDArray[np.float64]:
        """Return (T,): steps are all equally long."""
        size = float(self.config.step.size)
        in_beats = self.config.step.unit == "beat"
        if in_beats and unit == "seconds":
            size *= 60.0 / settings.tempo
        elif not in_beats and unit == "beats":
            size *= settings.tempo / 60.0
        return np.arange(1, len(steps) + 1, dtype=np.float64) * size

    def _ticks(self, step_numbers: Array, tempo: float) -> npt.NDArray[np.int64]:
        """Each step's tick is rounded by itself, so that no remainder accumulates."""
        size = self.config.step.size
        if self.config.step.unit == "seconds":
            return np.rint(step_numbers * float(size) * tempo / 60 * TICKS_PER_BEAT).astype(
                np.int64
            )
        scaled = 2 * step_numbers.astype(np.int64) * TICKS_PER_BEAT * size.numerator
        result: npt.NDArray[np.int64] = (scaled + size.denominator) // (2 * size.denominator)
        return result


def _filled(first: Array, after: Array, row: Array, shape: tuple[int, ...]) -> Array:
    """Return (T, P) bool, True from each note's first step to before its last."""
    change_TP = np.zeros((shape[0] + 1, shape[1]), dtype=np.int32)
    np.add.at(change_TP, (first, row), 1)
    np.add.at(change_TP, (after, row), -1)
    filled: Array = np.cumsum(change_TP[:-1], axis=0) > 0
    return filled


def _runs(sound_TP: Array, onset_TP: Array) -> tuple[Array, Array, Array]:
    """Return first step, step after the last, and row of every run; an onset begins a new run."""
    before = np.zeros_like(sound_TP)
    before[1:] = sound_TP[:-1]
    starts_PT = (sound_TP & (~before | onset_TP)).T
    # A run ends where the next step is silent or a new run begins there.
    goes_on = np.zeros_like(sound_TP)
    goes_on[:-1] = sound_TP[1:] & ~starts_PT.T[1:]
    ends_PT = (sound_TP & ~goes_on).T
    # By pitch, then time: the k-th start and the k-th end belong together.
    row, first = np.nonzero(starts_PT)
    _, last = np.nonzero(ends_PT)
    return first, last + 1, row
