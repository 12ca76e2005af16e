"""LSTM layers with the variations recurrent models of music need, once and for all of them.

`layers` holds the equations and the stack, `kernels` the fast ways to run a layer, `drawing` the
loop in which each step depends on what was drawn at the step before.
"""

from __future__ import annotations

from musengine.nn.autoregressive import draw_along
from musengine.nn.lstm import (
    Candidate,
    LayerState,
    LayerTrace,
    LSTMLayer,
    LSTMStack,
    StackOutput,
    StackState,
    Start,
)

__all__ = [
    "Candidate",
    "LSTMLayer",
    "LSTMStack",
    "LayerState",
    "LayerTrace",
    "StackOutput",
    "StackState",
    "Start",
    "draw_along",
]
