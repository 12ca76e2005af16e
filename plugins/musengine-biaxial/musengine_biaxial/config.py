"""Settings of the biaxial encoder and model; no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from musengine.api import (
    CorpusSurvey,
    EncoderConfig,
    Grid,
    GridStep,
    Layout,
    ModelConfig,
    SuggestedSize,
    Suggestion,
    setting,
)

BEAT_WIDTHS = {"meter": 8, "classic": 5, "none": 0}
"""How many numbers stand for the beat, for each way of saying it."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class BiaxialEncoderConfig(EncoderConfig):
    """A grid of play and articulate, with where each step stands in its bar and beat."""

    lowest: int = setting(24, doc="Lowest pitch, a MIDI number.", low=0, high=127)
    highest: int = setting(101, doc="Highest pitch, a MIDI number.", low=0, high=127)
    step: GridStep = setting(
        GridStep(Fraction(1, 4), "beat"),
        doc="Length of one time step: a fraction of a beat (a quarter note), or seconds.",
    )
    notes: Literal["onsets", "merged"] = setting(
        "onsets",
        doc="`onsets`: a second channel says where each note is struck (articulate); `merged`: "
        "play alone, for music of which that is not known.",
    )
    meters: Literal["keep", "cut", "skip"] = setting(
        "keep",
        doc="What becomes of a piece in which a meter is not among the numerators: nothing "
        "(`keep`), it ends where that meter begins (`cut`), or it is left out (`skip`).",
    )
    numerators: tuple[int, ...] = setting(
        (2, 4), doc="With `cut` and `skip`: numerators of the meters that are wanted.", low=1
    )
    drums: bool = setting(False, doc="Read drum tracks as if they were pitched notes.")

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield a pitch range that is upside down, and an empty list of numerators."""
        if self.highest < self.lowest:
            yield "highest", f"must be at least lowest ({self.lowest}), got {self.highest}"
        if not self.numerators:
            yield "numerators", "name at least one, as [2, 4]"

    def layout(self) -> Layout:
        """Return the grid these settings describe."""
        return Grid(
            lowest=self.lowest,
            pitches=self.highest - self.lowest + 1,
            channels=("sound", "onset") if self.notes == "onsets" else ("sound",),
            step=self.step,
            conditioning=("beat",),
        )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class BiaxialConfig(ModelConfig):
    """LSTM layers along time, the same for every note, then layers from the lowest note up."""

    time_layers: tuple[int, ...] = setting(
        (300, 300), doc="Units of each layer along time, first to last.", low=1, high=8192
    )
    note_layers: tuple[int, ...] = setting(
        (100, 50), doc="Units of each layer from note to note, first to last.", low=1, high=8192
    )
    dropout: float = setting(
        0.5,
        doc="Share of the inputs of all layers but the first of each axis that is dropped; one "
        "draw for a sequence.",
        low=0.0,
        below=1.0,
    )
    beat: Literal["meter", "classic", "none"] = setting(
        "meter",
        doc="How a note knows the time: where its step stands in bar and beat (`meter`), the "
        "original's count of 16 steps (`classic`), or nothing.",
    )
    position: Literal["share", "index"] = setting(
        "share",
        doc="How a note knows its place: from 0 for the lowest to 1 for the highest (`share`), "
        "or its number from 0 up (`index`).",
    )
    candidate: Literal["tanh", "linear"] = setting(
        "tanh", doc="Nonlinearity on the cell input; `linear` for none."
    )
    start: Literal["zero", "trained", "fixed"] = setting(
        "zero",
        doc="The state before the first step or note: `zero`, `trained`, or `fixed`, normal "
        "constants drawn once, 1 / units their spread.",
    )
    initialisation: Literal["modern", "classic"] = setting(
        "modern",
        doc="`modern`: orthogonal hidden weights, forget biases 1; `classic`: all weights and "
        "biases normal, with a spread of 1 / outputs.",
    )

    @classmethod
    def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
        """Propose itself for pitched music of several notes at once."""
        if survey.only_drums or survey.polyphony < 1.5:
            return None
        return Suggestion(
            why="the notes of a chord know of each other",
            sizes=tuple(
                SuggestedSize(tables=_tables(survey, *layers), fit=fit, steps=steps)
                for layers, fit, steps in (
                    (([64, 64], [48]), 0.6, 150),
                    (([128, 128], [64, 32]), 0.7, 800),
                    (([200, 200], [100, 50]), 0.75, 3000),
                )
            ),
        )

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield an empty axis."""
        for key in ("time_layers", "note_layers"):
            if not getattr(self, key):
                yield key, "name the units of at least one layer, as [100, 50]"

    def incompatibilities(self, layout: Layout) -> Iterable[str]:
        """Yield a grid without the beat, and one with a silence marker."""
        if self.beat != "none" and "beat" not in layout.conditioning:
            yield (
                f'beat = "{self.beat}" needs an encoder that gives it: set encoder.type = '
                '"biaxial", or model.beat = "none"'
            )
        if isinstance(layout, Grid) and layout.silence_marker:
            yield "the silence marker would be a note to it: set encoder.silence_marker = false"


def _tables(
    survey: CorpusSurvey, time_layers: Sequence[int], note_layers: Sequence[int]
) -> dict[str, Any]:
    """Return what is proposed for some music with layers of so many units."""
    time = "beats" if survey.on_beat else "seconds"
    return {
        "encoder": {
            "type": "biaxial",
            "step": survey.step,
            "lowest": survey.lowest,
            "highest": survey.highest,
        },
        "model": {
            "type": "biaxial",
            "time_layers": list(time_layers),
            "note_layers": list(note_layers),
            "dropout": 0.2,
            "beat": "meter" if survey.on_beat else "none",
        },
        "training": {
            "batch_size": 4,
            "sequence_length": max(min(64, survey.steps(survey.shortest)), 8),
            "align": max(survey.steps(1), 1) if survey.on_beat else 1,
            "learning_rate": 0.005,
            "schedule": "cosine",
        },
        "sampler": [
            {"type": "adaptive"},
            {"type": "longest-note", "length": f"8 {time}"},
            {"type": "longest-rest", "length": f"2 {time}"},
        ],
    }
