"""The three-layer LSTM (after Graves 2013, arXiv 1308.0850) on a piano-roll."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor, nn

from musengine.components.models import Batch, Model, Output, onset_weights
from musengine.layouts import Layout
from musengine.recurrent import LSTMStack, StackOutput, StackState
from musengine_lstm3.config import Lstm3Config


class Lstm3(Model[Lstm3Config]):
    """Predicts every note of the next step from the steps before, notes independent.

    The input at a step is the step before it, flat; zeros where the piece begins.
    """

    def __init__(self, config: Lstm3Config, layout: Layout) -> None:
        super().__init__(config, layout)
        width = prod(layout.step_shape)
        self.stack = LSTMStack(
            width,
            config.layers,
            skip_inputs=config.skip_connections,
            peepholes=config.peepholes,
            candidate=config.candidate,
            dropout=config.dropout,
            trained_start=config.trained_start,
        )
        joined = sum(config.layers) if config.skip_connections else config.layers[-1]
        self.output = nn.Linear(joined, width)

    def _input(self, steps: Tensor) -> Tensor:
        """Return steps (..., pitches, channels) flat, in the weights' precision."""
        return steps.flatten(-len(self.layout.step_shape)).to(self.output.weight.dtype)

    def _logits(self, stack: StackOutput) -> Tensor:
        hidden = stack.joined if self.config.skip_connections else stack.last
        if self.training and self.config.dropout > 0:
            hidden = self.stack.dropped(hidden)
        return self.output(hidden).unflatten(-1, self.layout.step_shape)  # type: ignore[no-any-return]

    def forward(self, batch: Batch) -> Output:
        """Return logits for every step of a batch, its state carried on where there is one."""
        state: StackState | None = batch.carried
        if state is not None:
            state = self.stack.fresh_where(batch.reset, state)
        stack = self.stack(self._input(batch.inputs), state)
        return Output(
            logits=self._logits(stack),
            targets=batch.targets,
            mask=batch.mask,
            weights=onset_weights(batch.targets, self.layout),
            state=stack.state,
        )

    def start(self, pieces: int) -> StackState:
        """Return the initial state."""
        return self.stack.initial_state(pieces)

    def step(
        self, last: Tensor | None, state: StackState, sides: Mapping[str, Tensor]
    ) -> tuple[Tensor, StackState]:
        """Read one step; returns the logits (N, pitches, channels) of the next."""
        if last is None:
            last = torch.zeros(
                (len(state[0][0]), *self.layout.step_shape), device=self.output.weight.device
            )
        stack = self.stack.step(self._input(last), state)
        return self._logits(stack), stack.state

    def prefill(self, prime: Tensor, state: StackState, sides: Mapping[str, Tensor]) -> StackState:
        """Read a primer in one pass, all but its last step."""
        before = torch.cat([torch.zeros_like(prime[:, :1]), prime[:, :-1]], dim=1)
        result: StackOutput = self.stack(self._input(before), state)
        return result.state
