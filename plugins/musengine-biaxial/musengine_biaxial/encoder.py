"""The biaxial encoder: play and articulate, and where each step stands in bar and beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from musengine.api import (
    Array,
    DecodeSettings,
    Encoded,
    Encoder,
    Grid,
    LeftOut,
    Score,
    Text,
    decode_piano_roll,
    encode_piano_roll,
    excerpt,
    grid_times,
    left_out_of_grid,
    pitched_notes,
)
from musengine.errors import UnreadableError
from musengine_biaxial.config import BiaxialEncoderConfig

Floats = npt.NDArray[np.float64]
Beat = npt.NDArray[np.float32]


class BiaxialEncoder(Encoder[BiaxialEncoderConfig]):
    """Notes to steps × pitches × (play, articulate); times go to the nearest step.

    Its conditioning channel `beat` is (T, 3): the step's number from 0, and where the step stands
    in its bar and in its beat, each from 0 to less than 1. A beat is what the meter's
    denominator says.
    """

    @property
    def grid(self) -> Grid:
        """The layout."""
        layout = self.layout
        assert isinstance(layout, Grid)
        return layout

    def encode(self, content: Score | Text) -> Encoded:
        """Return the state matrix; notes out of range and of unwanted meters are counted.

        Raises:
            UnreadableError: a meter that is not wanted from the start, or anywhere where such
                pieces are skipped; no notes in range; too long.
        """
        if not isinstance(content, Score):
            raise UnreadableError(
                "a state matrix is made from notes, not from text", code="text-not-score"
            )
        score = pitched_notes(content, drums=self.config.drums)
        kept = self._in_wanted_meters(score)
        roll_TPC, dropped = encode_piano_roll(kept, self.grid)
        if len(kept) < len(score):
            dropped["notes after a meter that is not wanted"] = len(score) - len(kept)
        return Encoded(
            steps=roll_TPC,
            conditioning={"beat": self._beat_of(kept, len(roll_TPC))},
            dropped=dropped,
        )

    def left_out(self, content: Score | Text) -> Mapping[str, LeftOut]:
        """Return what a state matrix has no place for."""
        config = self.config
        return left_out_of_grid(
            content,
            step=config.step,
            lowest=config.lowest,
            highest=config.highest,
            onsets=config.notes == "onsets",
            drums=config.drums,
        )

    def _in_wanted_meters(self, score: Score) -> Score:
        if self.config.meters == "keep":
            return score
        unwanted = np.nonzero(~np.isin(score.meter[:, 0], self.config.numerators))[0]
        if not len(unwanted):
            return score
        tick, (numerator, denominator) = score.meter_tick[unwanted[0]], score.meter[unwanted[0]]
        if self.config.meters == "skip" or tick == 0:
            raise UnreadableError(
                f"meter {numerator}/{denominator}, which is not wanted", code="meter-unwanted"
            )
        return excerpt(score, 0, int(tick), "ticks")

    def _beat_of(self, score: Score, count: int) -> Beat:
        times = np.arange(count) * float(self.config.step.size)
        in_beats = self.config.step.unit == "beat"
        ticks = times * score.ticks_per_beat if in_beats else score.ticks(times)
        meter = np.searchsorted(score.meter_tick, ticks, side="right") - 1
        return _beat(0, score.bars(ticks), score.meter[meter, 0])

    def decode(self, steps: Array, settings: DecodeSettings) -> Score:
        """Return the notes on one track; a note still sounding at the end is ended there."""
        return decode_piano_roll(steps, self.grid, tempo=settings.tempo, meter=settings.meter)

    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> Floats:
        """Return (T,): steps are all equally long."""
        return grid_times(len(steps), self.config.step, unit, settings.tempo)

    def conditioning(self, first: int, count: int, settings: DecodeSettings) -> Mapping[str, Array]:
        """Return `beat`, (count, 3): bars are counted from the piece's first step."""
        beats = np.arange(first, first + count) * float(self.config.step.size)
        if self.config.step.unit == "seconds":
            beats = beats * settings.tempo / 60
        bars: Floats = np.divide(beats, float(settings.meter.beats_per_bar))
        return {"beat": _beat(first, bars, np.array(settings.meter.numerator))}


def _beat(first: int, bars_T: Floats, numerator_T: npt.NDArray[np.int64]) -> Beat:
    """Return (T, 3): number of the step, share of the bar and of the beat that has passed."""
    # Rounded: what misses the end of a bar by a rounding error is the start of the next.
    in_bar_T = np.mod(np.round(bars_T, 9), 1.0)
    in_beat_T = np.mod(np.round(in_bar_T * numerator_T, 7), 1.0)
    number_T = np.arange(first, first + len(bars_T))
    return np.stack([number_T, in_bar_T, in_beat_T], axis=1).astype(np.float32)
