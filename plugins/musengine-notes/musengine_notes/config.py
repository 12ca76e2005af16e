"""Settings of the encoder, the model and the sampler; no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from musengine.api import (
    Config,
    CorpusSurvey,
    EncoderConfig,
    GridStep,
    Kept,
    Layout,
    ModelConfig,
    SuggestedSize,
    Suggestion,
    Window,
    setting,
)
from musengine_notes.layout import NoteEvents

EXACT_STEPS = 64
"""Times up to so many grid steps are told exactly."""
_GROWTH = 1.05
"""Longer ones are each so many times the one before."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class NotesEncoderConfig(EncoderConfig):
    """One step for each note: when, which instrument, which pitch, how long, how loud."""

    step: GridStep = setting(
        GridStep(Fraction(1, 4), "beat"),
        doc="What times are rounded to: a fraction of a beat, or for music played freely some "
        'hundredths of a second, as "0.01 seconds".',
    )
    parts: Literal["auto", "families", "programs", "names", "one"] = setting(
        "auto",
        doc="What tells instruments apart: the sixteen families of General MIDI, its programs, the "
        "names of the tracks, or nothing but drums from pitches (`one`). `auto` takes the names "
        "where they tell more parts apart than the families do, else the families.",
    )
    most_parts: int = setting(
        32, doc="How many parts are learned, the frequent ones first.", low=1, high=128
    )
    velocities: int = setting(16, doc="How many degrees of loudness.", low=1, high=127)
    drums: bool = setting(True, doc="Read drums; without them they are left out.")
    pedal: bool = setting(
        True, doc="Read the sustain pedal of the part that uses it most, where one does."
    )
    longest_rest: float = setting(
        4.0,
        doc="Seconds that one note may follow another, where the step is in seconds; longer rests "
        "are several steps.",
        above=0.0,
        high=60.0,
    )
    longest_note: float = setting(
        16.0,
        doc="Beats, or seconds where the step is in seconds, that a note may last; longer ones are "
        "cut.",
        above=0.0,
        high=240.0,
    )
    lags: tuple[int, ...] = setting(
        (1, 2, 4, 8, 16),
        doc="So many bars back is looked for what came at the same place; not where the step is "
        "in seconds.",
        low=1,
        high=256,
    )

    def layout(self) -> NoteEvents:
        """Return the layout; its parts are not known yet."""
        in_beats = self.step.unit == "beat"
        longest_rest = 0.0 if in_beats else self.longest_rest / float(self.step.size)
        return NoteEvents(
            step=self.step,
            delays=(0, *_lengths(longest_rest)),
            durations=_lengths(self.longest_note / float(self.step.size)),
            velocities=self.velocities,
            lags=self.lags if in_beats else (),
            conditioning=("metre", "lookback") if in_beats else ("metre",),
        )

    def keeps(self) -> tuple[Kept, ...]:
        """Return that instruments, drums and velocities are kept."""
        return ("program", "velocity")

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield lags that are named twice, and none at all."""
        if not self.lags:
            yield "lags", "name at least one; model.form = false leaves them out of sight"
        if len(set(self.lags)) != len(self.lags):
            yield "lags", "one of them stands there twice"


def _lengths(longest: float) -> tuple[int, ...]:
    """Return the lengths that can be told, in grid steps: the first ones all, then ever fewer."""
    table = list(range(1, EXACT_STEPS + 1))
    # Geometric beyond the exact ones, as lengths are heard: a hundredth more matters in a short
    # note only.
    while table[-1] < int(longest):
        table.append(min(max(round(table[-1] * _GROWTH), table[-1] + 1), int(longest)))
    return tuple(table)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class NotesModelConfig(ModelConfig):
    """Predicts each note from all before it, field by field."""

    trunk: Literal["recurrent", "transformer"] = setting(
        "recurrent",
        doc="What reads the notes so far: LSTM layers, or a decoder-only transformer.",
    )
    layers: int = setting(2, doc="Layers of the trunk.", low=1, high=64)
    width: int = setting(384, doc="Units of each layer.", low=8, high=8192)
    heads: int = setting(4, doc="Heads of each layer of a transformer.", low=1, high=64)
    context: int = setting(
        512,
        doc="Events that each layer of a transformer sees, the last included.",
        low=2,
        high=65536,
    )
    hidden: int = setting(
        192, doc="Units of the hidden layer from which a field is drawn.", low=4, high=8192
    )
    form: bool = setting(
        True,
        doc="See what came at the same place some bars before (the encoder's `lags`), and be able "
        "to copy it.",
    )
    dropout: float = setting(
        0.1, doc="Share of inputs and outputs of the trunk dropped in training.", low=0.0, below=1.0
    )
    transpose: int = setting(
        6,
        doc="In training music is moved by up to so many semitones, down or up, as far as its "
        "instruments go; drums never.",
        low=0,
        high=12,
    )

    @classmethod
    def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
        """Propose itself for whatever is read as notes."""
        if "score" not in survey.contents or not survey.notes:
            return None
        why = "it keeps instruments, drums and loudness, and brings back what came bars ago"
        if not survey.on_beat:
            why = "it keeps the time, the touch and the pedal of what was played"
        sizes = (((2, 192), 0.72, 300), ((2, 384), 0.86, 900), ((2, 640), 0.88, 6000))
        return Suggestion(
            why=why,
            sizes=tuple(
                SuggestedSize(
                    tables=_tables(survey, layers, width),
                    fit=fit,
                    steps=steps,
                )
                for (layers, width), fit, steps in sizes
            ),
        )

    def window(self) -> Window:
        """Return that long pieces are scored in parts, the state carried on."""
        return Window(4096)

    def incompatibilities(self, layout: Layout) -> Iterable[str]:
        """Yield heads that do not divide a transformer's width evenly."""
        if self.trunk == "transformer" and self.width % (2 * self.heads):
            yield (
                f"model.width = {self.width} must be a multiple of 2 * model.heads = "
                f"{2 * self.heads}"
            )


_GRIDS = {
    "1/8 beat": "1/8 beat",
    "1/3 beat": "1/12 beat",
    "1/6 beat": "1/12 beat",
    "1/12 beat": "1/12 beat",
}
"""The grids of music that sixteenths do not keep."""


def _tables(survey: CorpusSurvey, layers: int, width: int) -> dict[str, Any]:
    """Return what is proposed for some music with layers of so many units."""
    # Sixteenths, where nothing finer is needed: notes are no more on a finer grid.
    step = _GRIDS.get(survey.step, "1/4 beat") if survey.on_beat else "0.01 seconds"
    return {
        "encoder": {"type": "notes", "step": step},
        "model": {
            "type": "notes",
            "layers": layers,
            "width": width,
            "dropout": 0.3 if survey.few else 0.1,
        },
        "training": {
            "batch_size": max(2, min(12, survey.pieces)),
            "sequence_length": 128,
            "learning_rate": 0.002,
            "schedule": "cosine",
        },
        "sampler": [{"type": "notes"}],
    }


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class NotesSamplerConfig(Config):
    """Draws the fields of a note one after another."""

    temperature: float = setting(
        1.0, doc="Above 1 more adventurous, below 1 more predictable.", above=0.0, high=10.0
    )
    top_p: float = setting(
        0.95,
        doc="Of each field only the likeliest values that together have this share are drawn.",
        above=0.0,
        high=1.0,
    )
    copy: float | Literal["auto"] = setting(
        "auto",
        doc="What is added to the logits of repeating what came bars ago: above 0 more comes back, "
        "below less, 0 leaves it to the model. `auto` finds for each lag what makes as much come "
        "back as in the training part.",
    )
    quote: float | Literal["auto"] = setting(
        "auto",
        doc="What is added to the logit of a pitch with which the last eight notes stand in the "
        "training part: above 0 more of its turns are heard, below fewer, 0 leaves it to the "
        "model. `auto` finds what makes the longest such runs of notes as long as in pieces of "
        "the validation part.",
    )
    longest_copy: int | Literal["auto"] = setting(
        "auto",
        doc="So many notes in a row at the most are drawn as they stand in the training part, from "
        "any of its pieces and in any key; 0 lets any number come. `auto` is what 95 of 100 pieces "
        "of the validation part have at the most.",
        low=0,
        high=100_000,
    )
    longest_loop: int | Literal["auto"] = setting(
        "auto",
        doc="Notes that go round and round do so for so many notes at the most, then others come; "
        "0 lets them go on. `auto` is what 95 of 100 training pieces have at the most, 32 at "
        "least.",
        low=0,
        high=100_000,
    )
