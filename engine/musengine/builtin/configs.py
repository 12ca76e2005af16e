"""Settings of the components the core ships; no torch, no numpy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from musengine.config.fields import Config, setting
from musengine.config.quantities import GridStep, Length
from musengine.encoding.layouts import Grid, Layout
from musengine.plugins.configs import EncoderConfig, ModelConfig


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class RollsReaderConfig(Config):
    """Piano-rolls with official splits, in `.npz` or `.json` files."""

    step: GridStep = setting(
        GridStep(Fraction(1), "beat"), doc="Musical length of one row of the roll."
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class PianoRollConfig(EncoderConfig):
    """A grid of time steps and pitches, 1 where a note sounds."""

    lowest: int = setting(21, doc="Lowest pitch, a MIDI number.", low=0, high=127)
    highest: int = setting(108, doc="Highest pitch, a MIDI number.", low=0, high=127)
    step: GridStep = setting(
        GridStep(Fraction(1, 4), "beat"),
        doc="Length of one time step: a fraction of a beat (a quarter note), or seconds.",
    )
    notes: Literal["merged", "onsets"] = setting(
        "merged",
        doc="`merged`: a repeated note is one long note; `onsets`: a second channel marks where "
        "each note is struck.",
    )
    silence_marker: bool = setting(
        False, doc="Mark a step in which nothing sounds by its lowest pitch, and read it back so."
    )
    drums: bool = setting(False, doc="Read drum tracks as if they were pitched notes.")

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield a pitch range that is upside down."""
        if self.highest < self.lowest:
            yield "highest", f"must be at least lowest ({self.lowest}), got {self.highest}"
        if self.silence_marker and self.notes == "onsets":
            yield "silence_marker", 'works with notes = "merged" only'

    def layout(self) -> Layout:
        """Return the grid these settings describe."""
        return Grid(
            lowest=self.lowest,
            pitches=self.highest - self.lowest + 1,
            channels=("sound", "onset") if self.notes == "onsets" else ("sound",),
            step=self.step,
            silence_marker=self.silence_marker,
        )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FrequenciesConfig(ModelConfig):
    """How often each note sounds: the yardstick every trained model must beat."""

    given: Literal["nothing", "pitch", "last"] = setting(
        "last",
        doc="What a note's probability depends on: `nothing` (one rate for all notes), its "
        "`pitch`, or its pitch and whether it sounded one step before (`last`).",
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class SamplesConfig(Config):
    """Pieces and checkpoints while training goes on, more often at first."""

    every: int = setting(500, doc="Steps from one to the next.", low=1, changeable=True)
    early_every: int = setting(100, doc="The same at first.", low=1, changeable=True)
    early_until: int = setting(1000, doc="Steps that count as first.", low=0, changeable=True)
    count: int = setting(1, doc="Pieces each time.", low=1, high=100, changeable=True)
    length: Length | None = setting(
        None, doc="Length of each; by default that of `generate.length`.", changeable=True
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class RecordConfig(Config):
    """What goes on inside the model while it reads a training batch."""

    every: int = setting(500, doc="Steps from one to the next.", low=1, changeable=True)
    format: Literal["npz", "png"] = setting(
        "npz",
        doc="`npz` for the numbers, or `png` for a picture, which an installed plugin draws.",
        changeable=True,
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ConsoleConfig(Config):
    """Progress of the training on the terminal."""

    every: float = setting(
        5.0,
        doc="Seconds between plain lines where there is no terminal to draw a bar on.",
        low=0.1,
        high=60.0,
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class EarlyStoppingConfig(Config):
    """The end of a training whose validation figure has not fallen for a while."""

    patience: int = setting(
        5,
        doc="Validations in a row without a lower figure after which training ends; "
        "`training.checkpoint_every` says how often there is one.",
        low=1,
        changeable=True,
    )
