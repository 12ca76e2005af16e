"""What a recurrent layer learns, as the ways to run it take it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Weights:
    """One layer's weights.

    Attributes:
        input: (4 * units, inputs).
        hidden: (4 * units, units).
        bias: (4 * units,).
        peepholes: (3, units) of the input, forget and output gate, or None.
    """

    input: Tensor
    hidden: Tensor
    bias: Tensor
    peepholes: Tensor | None = None
