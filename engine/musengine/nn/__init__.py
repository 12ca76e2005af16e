"""LSTM layers with the variations recurrent models of music need, once and for all of them.

`lstm` holds the equations and the stack, `lstm_kernels` the fast ways to run a layer.
"""

from __future__ import annotations

from musengine.nn.lstm import (
    Candidate,
    LayerState,
    LayerTrace,
    LSTMLayer,
    LSTMStack,
    StackOutput,
    StackState,
    Start,
    layer_states,
)
from musengine.nn.lstm_kernels import LSTMGates, step_in_place

__all__ = [
    "Candidate",
    "LSTMGates",
    "LSTMLayer",
    "LSTMStack",
    "LayerState",
    "LayerTrace",
    "StackOutput",
    "StackState",
    "Start",
    "layer_states",
    "step_in_place",
]
