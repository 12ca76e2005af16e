"""Settings of the three-layer LSTM; no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from musengine.api import ModelConfig, setting


@dataclass(frozen=True, kw_only=True)
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
    )
    initialisation: Literal["modern", "classic"] = setting(
        "modern",
        doc="`modern`: orthogonal hidden weights, forget biases 1; `classic`: all weights and "
        "biases normal.",
    )
    weight_sigma: float = setting(
        0.1, doc="Standard deviation of the classic initialisation.", above=0.0
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield an empty stack, and rates that do not fit the layers."""
        if not self.layers:
            yield "layers", "name the units of at least one layer, as [176, 176, 176]"
        if self.rates and len(self.rates) != len(self.layers) + 1:
            wanted = len(self.layers) + 1
            yield "rates", f"expected {wanted}: one for each layer and one for the output layer"
