"""Settings of the three-layer LSTM; no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from musengine.config import setting
from musengine.declarations import ModelConfig


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
    trained_start: bool = setting(False, doc="Train the state before the first step.")
    dropout: float = setting(
        0.3,
        doc="Share of the inputs of all layers but the first that is dropped, and of the output "
        "layer's; one draw for a sequence.",
        low=0.0,
        below=1.0,
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield an empty stack."""
        if not self.layers:
            yield "layers", "name the units of at least one layer, as [176, 176, 176]"
