"""The three-layer LSTM (after Graves 2013, arXiv 1308.0850) on a piano-roll."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from musengine.api import (
    Batch,
    Layout,
    LSTMStack,
    Model,
    Output,
    StackOutput,
    StackState,
    layer_states,
    onset_weights,
)
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
            start=config.start,
        )
        joined = sum(config.layers) if config.skip_connections else config.layers[-1]
        self.output = nn.Linear(joined, width)
        if config.initialisation == "classic":
            self._initialise_classically()
        for layer in self.stack.typed_layers:
            if config.start == "fixed" and layer.start is not None:
                nn.init.uniform_(layer.start, 0.0, config.start_range)

    def _initialise_classically(self) -> None:
        """Draw all weights from N(0, sigma), biases of gates from N(0.5 / units, sigma)."""
        sigma = self.config.weight_sigma
        for parameter in self.parameters():
            nn.init.normal_(parameter, 0.0, sigma)
        for layer in self.stack.typed_layers:
            i, f, _, o = layer.bias.detach().chunk(4)
            for gate in (i, f, o):
                # Not the candidate's, as in the original program.
                nn.init.normal_(gate, 0.5 / layer.units, sigma)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return a group for each layer and one for the output layer, each with its own rate."""
        parts: list[nn.Module] = [*self.stack.typed_layers, self.output]
        if not self.config.rates:
            return super().parameter_groups()
        return [
            {"params": list(part.parameters()), "lr": rate}
            for part, rate in zip(parts, self.config.rates, strict=True)
        ]

    def _penalty(self) -> Tensor | None:
        """Return L1 over the weights, biases and starts left out."""
        if not self.config.l1:
            return None
        weights = [p for name, p in self.named_parameters() if "weight" in name or "peep" in name]
        return self.config.l1 * torch.stack([weight.abs().sum() for weight in weights]).sum()

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
            penalty=self._penalty() if self.training else None,
            state=stack.state,
        )

    def start(self, pieces: int) -> StackState:
        """Return the initial state."""
        return self.stack.initial_state(pieces)

    def step(
        self, last: Tensor | None, state: StackState, conditioning: Mapping[str, Tensor]
    ) -> tuple[Tensor, StackState]:
        """Read one step; returns the logits (N, pitches, channels) of the next."""
        if last is None:
            last = torch.zeros(
                (len(state[0][0]), *self.layout.step_shape), device=self.output.weight.device
            )
        stack = self.stack.step(self._input(last), state)
        return self._logits(stack), stack.state

    def inside(self, state: StackState) -> dict[str, Tensor]:
        """Return every layer's hidden state and cell."""
        return layer_states(state)

    def prefill(
        self, prompt: Tensor, state: StackState, conditioning: Mapping[str, Tensor]
    ) -> StackState:
        """Read a prompt in one pass, all but its last step."""
        before = torch.cat([torch.zeros_like(prompt[:, :1]), prompt[:, :-1]], dim=1)
        result: StackOutput = self.stack(self._input(before), state)
        return result.state
