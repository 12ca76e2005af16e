"""The piano-roll encoder: a Score to a grid of 0 and 1 and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from musengine.builtin.configs import PianoRollConfig
from musengine.encoding import pianoroll
from musengine.encoding.layouts import Grid
from musengine.encoding.left_out import LeftOut, left_out_of_grid
from musengine.errors import UnreadableError
from musengine.interfaces.encoder import DecodeSettings, Encoded, Encoder
from musengine.music.piece import Text
from musengine.music.score import Score
from musengine.utils.arrays import Array


class PianoRoll(Encoder[PianoRollConfig]):
    """Notes to steps × pitches × channels; times go to the nearest step."""

    @property
    def grid(self) -> Grid:
        """The layout."""
        layout = self.layout
        assert isinstance(layout, Grid)
        return layout

    def encode(self, content: Score | Text) -> Encoded:
        """Return the roll (T, pitches, channels); notes outside the range are counted."""
        if not isinstance(content, Score):
            raise UnreadableError(
                "a piano-roll is made from notes, not from text", code="text-not-score"
            )
        score = pianoroll.pitched_notes(content, drums=self.config.drums)
        roll_TPC, dropped = pianoroll.encode_piano_roll(score, self.grid)
        return Encoded(steps=roll_TPC, dropped=dropped)

    def left_out(self, content: Score | Text) -> Mapping[str, LeftOut]:
        """Return what a roll has no place for."""
        config = self.config
        return left_out_of_grid(
            content,
            step=config.step,
            lowest=config.lowest,
            highest=config.highest,
            onsets=config.notes == "onsets",
            drums=config.drums,
        )

    def decode(self, steps: Array, settings: DecodeSettings) -> Score:
        """Return the roll's notes on one track; a note still sounding at the end is ended."""
        return pianoroll.decode_piano_roll(
            steps, self.grid, tempo=settings.tempo, meter=settings.meter
        )

    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> npt.NDArray[np.float64]:
        """Return (T,): steps are all equally long."""
        return pianoroll.grid_times(len(steps), self.config.step, unit, settings.tempo)
