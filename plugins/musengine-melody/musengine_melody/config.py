"""Settings of the melody encoder and the melody model; no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from musengine.api import (
    CorpusSurvey,
    EncoderConfig,
    GridStep,
    Layout,
    ModelConfig,
    SuggestedSize,
    Suggestion,
    Tokens,
    setting,
)

REST = 0
FIRST_PITCH = 1
"""The class of MIDI pitch 0."""
PITCHES = 128
HOLD = FIRST_PITCH + PITCHES
_TUNES = 0.8
"""Share of single lines among the pieces of a collection of tunes."""

_TRAINING = {
    "batch_size": 32,
    "sequence_length": 64,
    "learning_rate": 0.003,
    "schedule": "cosine",
}
"""What is proposed for any music."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class MelodyEncoderConfig(EncoderConfig):
    """One class for each step of a melody: a rest, one of 128 pitches, or what was before, held."""

    step: GridStep = setting(
        GridStep(Fraction(1, 4), "beat"), doc="Length of one step; half-way goes to the later one."
    )
    hold: bool = setting(
        True,
        doc="A class of its own says that a note goes on, so that one struck again is not held "
        "(130 classes); without it equal classes in a row are one note (129).",
    )
    tolerance: float = setting(
        1.0,
        doc="A track is a melody if several of its notes sound in at most so many percent of the "
        "time in which it sounds; the next note then ends the one before. 0 is strict.",
        low=0.0,
        high=100.0,
    )
    skyline: bool = setting(
        False, doc="Take the top line of every track, however many notes sound at once."
    )
    fewest_notes: int = setting(21, doc="Tracks with fewer notes than this are left out.", low=1)

    def layout(self) -> Layout:
        """Return the layout: every token is one step and means a rest, a pitch or to hold."""
        meanings = {REST: ("rest", 0)}
        meanings |= {FIRST_PITCH + pitch: ("pitch", pitch) for pitch in range(PITCHES)}
        if self.hold:
            meanings[HOLD] = ("hold", 0)
        return Tokens(size=len(meanings), step=self.step, meanings=meanings)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class MelodyModelConfig(ModelConfig):
    """LSTM layers on one token after another, and a softmax over the next."""

    layers: tuple[int, ...] = setting(
        (128,), doc="Units of each LSTM layer, first to last.", low=1, high=8192
    )
    dropout: float = setting(
        0.2, doc="Share of each layer's outputs that is dropped in training.", low=0.0, below=1.0
    )

    @classmethod
    def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
        """Propose itself for tunes; of other music it learns the single lines alone."""
        if survey.only_drums or max(survey.single_lines, survey.melodies) < 0.1:
            return None
        tunes = survey.single_lines >= _TUNES
        why = "it is made for single lines" if tunes else "of all this it learns the melodies"
        return Suggestion(
            why=why,
            sizes=tuple(
                SuggestedSize(
                    tables=_tables(survey, layers), fit=fit if tunes else fit / 4, steps=steps
                )
                for layers, fit, steps in (([128], 0.7, 500), ([256, 256], 0.8, 3000))
            ),
        )

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield an empty stack."""
        if not self.layers:
            yield "layers", "name the units of at least one layer, as [128]"


def _tables(survey: CorpusSurvey, layers: list[int]) -> dict[str, Any]:
    """Return what is proposed for some music with layers of so many units."""
    time = "beats" if survey.on_beat else "seconds"
    return {
        "corpus": {"key": "common", "transpose": "-2..2" if survey.few else []},
        "encoder": {
            "type": "melody",
            "step": survey.step,
            "fewest_notes": 12,
            # A chord now and then does not make a tune unusable.
            "skyline": survey.single_lines >= _TUNES,
        },
        "model": {"type": "melody", "layers": layers, "dropout": 0.3},
        "training": dict(_TRAINING),
        "sampler": [
            {"type": "min-p", "p": 0.02},
            {"type": "longest-note", "length": f"8 {time}"},
            {"type": "longest-rest", "length": f"4 {time}"},
        ],
    }
