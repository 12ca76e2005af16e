"""The melody model: LSTM layers on one-hot tokens, dropout after each, a softmax over the next."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from musengine.api import (
    Batch,
    Layout,
    LSTMStack,
    Model,
    Output,
    Proposal,
    StackOutput,
    StackState,
    TokenLoop,
    Tokens,
    TokensAhead,
    TokenWeights,
    layer_states,
)
from musengine_melody.config import MelodyModelConfig


class MelodyLSTM(Model[MelodyModelConfig]):
    """Predicts the next token from those before; before the first there is nothing, all zeros."""

    one_hot: Tensor
    """(size + 1, size): the input for each token, and in the last row for nothing."""

    def __init__(self, config: MelodyModelConfig, layout: Layout) -> None:
        super().__init__(config, layout)
        assert isinstance(layout, Tokens)
        self.nothing = layout.size if layout.begin is None else layout.begin
        self.stack = LSTMStack(layout.size, config.layers, dropout=config.dropout)
        self.output = nn.Linear(config.layers[-1], layout.size)
        self.loop = TokenLoop(self._loop_weights)
        # Frozen one-hot rows as an embedding: the same numbers as multiplying, without the ones and
        # zeros.
        table = torch.cat([torch.eye(layout.size), torch.zeros(1, layout.size)])
        self.register_buffer("one_hot", table, persistent=False)

    def _input(self, tokens: Tensor) -> Tensor:
        """Return tokens (...) as (..., size): a look-up is faster than writing ones."""
        return functional.embedding(tokens, self.one_hot)

    def forward(self, batch: Batch) -> Output:
        """Return logits for every step of a batch, its state carried on where there is one.

        Where only the last step of each row counts, for that one alone.
        """
        state: StackState | None = batch.carried
        if state is not None:
            state = self.stack.fresh_where(batch.reset, state)
        first_B1 = batch.inputs[:, :1].masked_fill(batch.begins[:, None], self.nothing)
        tokens = torch.cat([first_B1, batch.inputs[:, 1:]], dim=1)
        stack: StackOutput | None = self.stack.of_tokens(tokens, state)
        if stack is None:
            stack = self.stack(self._input(tokens), state)
        assert stack is not None
        hidden_BTU, targets, mask = stack.last, batch.targets, batch.mask
        # So it is with windows: the output layer then runs for one step of twenty.
        if not mask[:, :-1].any():
            hidden_BTU, targets, mask = hidden_BTU[:, -1:], targets[:, -1:], mask[:, -1:]
        if self.training and self.config.dropout > 0:
            hidden_BTU = self.stack.dropped(hidden_BTU)
        logits = self.output(hidden_BTU)
        return Output(logits=logits, targets=targets, mask=mask, state=stack.state)

    def start(self, pieces: int) -> StackState:
        """Return the initial state."""
        return self.stack.initial_state(pieces)

    def step(
        self, last: Tensor | None, state: StackState, conditioning: Mapping[str, Tensor]
    ) -> tuple[Tensor, StackState]:
        """Read one token; returns the logits (N, size) of the next."""
        if last is None:
            last = torch.full_like(state[0][0][:, 0], self.nothing, dtype=torch.int64)
        stack = self.stack.step(self._input(last), state)
        return self.output(stack.last), stack.state

    def choose_ahead(
        self, last: Tensor | None, state: StackState, conditioning: Mapping[str, Tensor], draw: Any
    ) -> tuple[Proposal, StackState] | None:
        """Draw several tokens one after another in compiled code."""
        if not isinstance(draw, TokensAhead):
            return None
        if last is None:
            last = torch.full((len(state[0][0]),), self.nothing)
        noise = partial(draw.noise, self.output.out_features)
        made = self.loop.draw(self.parameters(), last, state, noise)
        return None if made is None else (Proposal(made[0], made[1]), made[2])

    def _loop_weights(self) -> TokenWeights:
        return TokenWeights(self.stack, self.one_hot, self.output.weight, self.output.bias)

    def inside(self, state: StackState) -> dict[str, Tensor]:
        """Return every layer's hidden state and cell."""
        return layer_states(state)

    def prefill(
        self, prompt: Tensor, state: StackState, conditioning: Mapping[str, Tensor]
    ) -> StackState:
        """Read a prompt in one pass, all but its last token."""
        nothing = torch.full_like(prompt[:, :1], self.nothing)
        before = torch.cat([nothing, prompt[:, :-1]], dim=1)
        result: StackOutput = self.stack(self._input(before), state)
        return result.state
