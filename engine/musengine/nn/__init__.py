"""LSTM layers with the variations recurrent models of music need, once and for all of them.

`lstm` holds the equations and the stack, `compiled` what runs a layer where it was compiled, and
`lstm_kernels` what does through PyTorch.
"""

from __future__ import annotations

from musengine.nn.bit_loop import drawn_bits
from musengine.nn.library import LibraryLSTM
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
from musengine.nn.note_loop import (
    CopiedRuns,
    NoteBars,
    NoteDraws,
    NoteLoop,
    NotePast,
    NoteRules,
    NoteWeights,
)
from musengine.nn.token_loop import TokenLoop, TokenWeights

__all__ = [
    "Candidate",
    "CopiedRuns",
    "LSTMGates",
    "LSTMLayer",
    "LSTMStack",
    "LayerState",
    "LayerTrace",
    "LibraryLSTM",
    "NoteBars",
    "NoteDraws",
    "NoteLoop",
    "NotePast",
    "NoteRules",
    "NoteWeights",
    "StackOutput",
    "StackState",
    "Start",
    "TokenLoop",
    "TokenWeights",
    "drawn_bits",
    "layer_states",
    "step_in_place",
]
