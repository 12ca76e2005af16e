"""The character model: embedding, recurrent layers, a softmax over the characters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from musengine.api import (
    Batch,
    Layout,
    LibraryLSTM,
    Model,
    Output,
    Proposal,
    StackState,
    TokenLoop,
    Tokens,
    TokensAhead,
    TokenWeights,
    layer_states,
)
from musengine_charrnn.config import CharRnnConfig

State = tuple[tuple[Tensor, ...], ...]


class CharRnn(Model[CharRnnConfig]):
    """Predicts every token from all before it in its piece.

    The state holds, for each layer, its hidden state and, of an LSTM, its cell, (N, units) each.
    An LSTM runs as the engine's layers do. Of a GRU whole sequences run through PyTorch's own
    layers, which are fastest for them, and a single step runs the same cells with the same weights
    one by one: the libraries behind the layers take far longer to prepare one step than to compute
    it.
    """

    def __init__(self, config: CharRnnConfig, layout: Layout) -> None:
        super().__init__(config, layout)
        assert isinstance(layout, Tokens)
        self.size = layout.size
        self.begin = layout.size if layout.begin is None else layout.begin
        # Tied weights are multiplied by the root of their width where they embed (Vaswani et al.
        # 2017, 3.4).
        self.scale = config.embedding**0.5 if config.tied else 1.0
        # The last row of the embedding stands for the beginning of a piece.
        self.embedding = nn.Embedding(self.size + 1, config.embedding)
        layers = nn.LSTM if config.cell == "lstm" else nn.GRU
        self.layers = layers(
            config.embedding,
            config.units,
            config.layers,
            batch_first=True,
            # PyTorch drops between layers only, and warns where there is but one.
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.lstm = LibraryLSTM(self.layers) if isinstance(self.layers, nn.LSTM) else None
        self.dropout = nn.Dropout(config.dropout)
        self.narrow: nn.Module = nn.Identity()
        if config.tied and config.units != config.embedding:
            self.narrow = nn.Linear(config.units, config.embedding)
        self.loop = TokenLoop(self._loop_weights)
        self.output = nn.Linear(config.embedding if config.tied else config.units, self.size)
        if config.tied:
            # The embedding's is used instead; a second one would be saved and never trained.
            del self.output.weight
        self._initialise()

    def _initialise(self) -> None:
        """Orthogonal hidden weights, Xavier input weights, biases 0, an LSTM's forget gates 1."""
        units = self.config.units
        # What the layers read has a variance of 1: with less, deep ones are slow to begin learning.
        # Logits of tied weights shall begin near 0 all the same, so these are scaled when read.
        nn.init.normal_(self.embedding.weight, 0.0, 1.0 / self.scale)
        for name, parameter in self.layers.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(parameter)
                # One of the two biases that are added up.
                if self.config.cell == "lstm" and name.startswith("bias_ih"):
                    parameter.data[units : 2 * units] = 1.0
                continue
            for gate in torch.split(parameter.data, units):
                hidden = name.startswith("weight_hh")
                (nn.init.orthogonal_ if hidden else nn.init.xavier_uniform_)(gate)
        nn.init.zeros_(self.output.bias)

    def forward(self, batch: Batch) -> Output:
        """Return logits (B, T, size) for every step, the state carried on where there is one."""
        # A copy: whoever else looks at the batch finds its tokens as they were.
        tokens = batch.inputs.clone()
        tokens[:, 0].masked_fill_(batch.begins, self.begin)
        state = self.start(len(tokens))
        if batch.carried is not None:
            reset = batch.reset[:, None]
            state = tuple(
                tuple(torch.where(reset, *pair) for pair in zip(fresh, old, strict=True))
                for fresh, old in zip(state, batch.carried, strict=True)
            )
        hidden, state = self._run(tokens, state)
        return Output(
            logits=self._logits(self.dropout(hidden)),
            targets=batch.targets,
            mask=batch.mask,
            state=state,
        )

    def start(self, pieces: int) -> State:
        """Return the state before the first step: zeros."""
        zeros = self.embedding.weight.new_zeros((pieces, self.config.units))
        return ((zeros,) * (2 if self.config.cell == "lstm" else 1),) * self.config.layers

    def step(
        self, last: Tensor | None, state: State, conditioning: Mapping[str, Tensor]
    ) -> tuple[Tensor, State]:
        """Read one token (N,); returns the logits (N, size) of the next."""
        if last is None:
            last = torch.full((len(state[0][0]),), self.begin, device=state[0][0].device)
        below = self._embedded(last)
        if self.lstm is not None:
            hidden, ends = self.lstm.step(below, cast(StackState, state))
            return self._logits(hidden), ends
        after: list[tuple[Tensor, ...]] = []
        # Of each layer the weights of input and hidden state, and two biases that are added up.
        for before, weights in zip(state, self.layers.all_weights, strict=True):
            below = torch.gru_cell(below, before[0], *weights)
            after.append((below,))
        return self._logits(below), tuple(after)

    def choose_ahead(
        self, last: Tensor | None, state: State, conditioning: Mapping[str, Tensor], draw: Any
    ) -> tuple[Proposal, State] | None:
        """Draw several tokens one after another in compiled code, of an LSTM."""
        if self.lstm is None or not isinstance(draw, TokensAhead):
            return None
        if last is None:
            last = torch.full((len(state[0][0]),), self.begin)
        noise = partial(draw.noise, self.size)
        made = self.loop.draw(self.parameters(), last, cast(StackState, state), noise)
        return None if made is None else (Proposal(made[0], made[1]), made[2])

    def _loop_weights(self) -> TokenWeights:
        assert self.lstm is not None
        weight = self.embedding.weight[: self.size] if self.config.tied else self.output.weight
        if isinstance(self.narrow, nn.Linear):
            # Two layers without anything between them are one.
            bias = functional.linear(self.narrow.bias, weight, self.output.bias)
            weight = weight @ self.narrow.weight
        else:
            bias = self.output.bias
        embedding = self.scale * self.embedding.weight
        return TokenWeights(self.lstm, embedding, weight, bias)

    def inside(self, state: State) -> dict[str, Tensor]:
        """Return every layer's hidden state and of an LSTM its cell."""
        return layer_states(state)

    def prefill(self, prompt: Tensor, state: State, conditioning: Mapping[str, Tensor]) -> State:
        """Read a prompt in one pass, all but its last step."""
        begin = torch.full_like(prompt[:, :1], self.begin)
        return self._run(torch.cat([begin, prompt[:, :-1]], dim=1), state)[1]

    def _run(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Run tokens (B, T); returns the last layer's hidden states (B, T, units), the state."""
        if self.lstm is not None:
            return self.lstm.sequence(self._embedded(tokens), cast(StackState, state))
        start = torch.stack([hidden for (hidden,) in state])
        hidden, end = self.layers(self._embedded(tokens), start)
        return hidden, tuple((each,) for each in end.unbind(0))

    def _embedded(self, tokens: Tensor) -> Tensor:
        return self.scale * self.embedding(tokens)  # type: ignore[no-any-return]

    def _logits(self, hidden: Tensor) -> Tensor:
        weight = self.embedding.weight[: self.size] if self.config.tied else self.output.weight
        return functional.linear(self.narrow(hidden), weight, self.output.bias)
