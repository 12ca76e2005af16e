"""Settings of the three-layer LSTM; no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from musengine.api import CorpusSurvey, ModelConfig, SuggestedSize, Suggestion, setting


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Lstm3Config(ModelConfig):
    """Stacked LSTM layers that see the input and each other, notes independent given the past."""

    layers: tuple[int, ...] = setting(
        (176, 176, 176), doc="Units of each layer, first to last.", low=1, high=8192
    )
    skip_connections: bool = setting(
        True, doc="The input goes to every layer, and every layer to the output."
    )
    peepholes: bool = setting(True, doc="The gates see the cell.")
    candidate: Literal["tanh", "linear"] = setting(
        "tanh", doc="Nonlinearity on the cell input; `linear` for none."
    )
    start: Literal["zero", "trained", "fixed"] = setting(
        "zero",
        doc="The state before the first step: `zero`, `trained`, or `fixed` constants drawn "
        "between 0 and start_range.",
    )
    start_range: float = setting(0.01, doc="Largest constant of a fixed start.", low=0.0)
    dropout: float = setting(
        0.3,
        doc="Share of the inputs of all layers but the first that is dropped, and of the output "
        "layer's; one draw for a sequence.",
        low=0.0,
        below=1.0,
    )

    l1: float = setting(
        0.0, doc="Weight of the sum of all weights' absolute values in the loss.", low=0.0
    )
    rates: tuple[float, ...] = setting(
        (),
        doc="Learning rate of each layer, first to last, then of the output layer; empty for "
        "training.learning_rate everywhere.",
        above=0.0,
        changeable=True,
        instead_of="learning_rate",
    )
    initialisation: Literal["modern", "classic"] = setting(
        "modern",
        doc="`modern`: orthogonal hidden weights, forget biases 1; `classic`: all weights and "
        "biases normal.",
    )
    weight_sigma: float = setting(
        0.1, doc="Standard deviation of the classic initialisation.", above=0.0
    )

    @classmethod
    def suits(cls, survey: CorpusSurvey) -> Suggestion | None:
        """Propose itself for whatever can be a piano-roll, drums included."""
        if not survey.notes:
            return None
        why = "it learns from any piano-roll, and fast"
        if survey.only_drums:
            why = "it learns drums as well as pitches: every one has a row of its own"
        # Larger ones are little better and need many more steps: with few minutes the small one is
        # taken.
        fits = {96: 0.4, 176: 0.5, 256: 0.52}
        steps = {96: 150, 176: 400, 256: 2000}
        return Suggestion(
            why=why,
            sizes=tuple(
                SuggestedSize(tables=_tables(survey, units), fit=fits[units], steps=steps[units])
                for units in fits
            ),
        )

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield an empty stack, and rates that do not fit the layers."""
        if not self.layers:
            yield "layers", "name the units of at least one layer, as [176, 176, 176]"
        if self.rates and len(self.rates) != len(self.layers) + 1:
            wanted, given = len(self.layers) + 1, len(self.rates)
            yield (
                "rates",
                f"expected {wanted}, one for each layer and one for the output layer, got {given}; "
                "or none (--set model.rates=) for training.learning_rate everywhere",
            )


def _tables(survey: CorpusSurvey, units: int) -> dict[str, Any]:
    """Return what is proposed for some music with so many units in each layer."""
    time = "beats" if survey.on_beat else "seconds"
    # What it learns of a pitch holds for that pitch alone, so that one key for all is most of what
    # helps.
    pitched = {"key": "common", "transpose": "-2..2" if survey.few else []}
    return {
        "corpus": {} if survey.only_drums else pitched,
        "encoder": {
            "type": "piano-roll",
            "step": survey.step,
            "lowest": survey.lowest,
            "highest": survey.highest,
            "notes": "onsets",
            "drums": survey.only_drums,
        },
        "model": {"type": "lstm3", "layers": [units] * 3, "dropout": 0.3},
        "training": {
            "batch_size": 32,
            "sequence_length": max(min(64, survey.steps(survey.shortest)), 8),
            # Segments begin on beats: nothing else tells where in the beat a step is.
            "align": max(survey.steps(1), 1) if survey.on_beat else 1,
            "learning_rate": 0.003,
            "schedule": "cosine",
        },
        # The notes of a step are drawn without knowing of each other: without these rare notes
        # gather, and one that sounds by mistake stays.
        "sampler": [
            {"type": "threshold", "threshold": 0.05},
            {"type": "notes-at-once", "at_most": max(round(1.5 * survey.polyphony), 1)},
            {"type": "longest-note", "length": f"8 {time}"},
            {"type": "longest-rest", "length": f"2 {time}"},
        ],
    }
