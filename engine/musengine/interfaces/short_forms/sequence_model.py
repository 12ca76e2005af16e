"""The short form of a model of tokens: one function from which all else follows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from musengine.encoding.layouts import Layout, Tokens
from musengine.interfaces.model import Batch, Model, Output, State, joined_states
from musengine.plugins.configs import ModelConfig

C = TypeVar("C", bound=ModelConfig)


class SequenceModel(Model[C]):
    """Base of models that read tokens one after the other and say what follows each.

    `read` is all that a model must have: training, likelihoods, the prompt and each step of
    generation follow from it. A model whose state is more than what it last returned, such as
    zeros to begin with, overrides `start` too.

    Attributes:
        size: how many tokens there are, and so logits.
        begin: the number that stands before the first token of a piece: the layout's own, or one
            of its own, `size`, where the layout has none.
        inputs: how many numbers `read` may be given: `size`, or one more.
    """

    def __init__(self, config: C, layout: Layout) -> None:
        super().__init__(config, layout)
        if not isinstance(layout, Tokens):
            raise TypeError(f"{type(self).__name__} reads tokens, not {layout.name}")
        self.size = layout.size
        self.begin = layout.size if layout.begin is None else layout.begin
        # One row of an embedding more where the layout has no begin token of its own.
        self.inputs = max(layout.size, self.begin + 1)

    @abstractmethod
    def read(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Read on from a state; what it says of one place depends on that and earlier ones alone.

        Args:
            tokens: (N, T) whole numbers, of a piece's first the number `begin`.
            state: what `start` or the last `read` returned.

        Returns:
            The logits (N, T, size) of the token after each, and the state.
        """

    def start(self, pieces: int) -> State:
        """Return the state before the first token of that many pieces; None unless overridden."""
        return None

    def forward(self, batch: Batch) -> Output:
        """Return the logits (B, T, size) of a batch, its state carried on where there is one."""
        # A clone, as `inputs` is a view of the batch's steps, whose targets must stay.
        tokens_BT = batch.inputs.clone()
        tokens_BT[:, 0].masked_fill_(batch.begins, self.begin)
        logits, state = self.read(tokens_BT, self._begun(batch))
        return Output(logits=logits, targets=batch.targets, mask=batch.mask, state=state)

    def _begun(self, batch: Batch) -> State:
        """Return the state with which each row begins: a fresh one, or the one carried on."""
        rows = len(batch.steps)
        fresh = self.start(rows)
        if batch.carried is None:
            return fresh
        here = torch.arange(rows, device=batch.reset.device)
        # Carried states come first and fresh ones after them: row k is at k, or at rows + k where
        # it resets.
        return joined_states([batch.carried, fresh], torch.where(batch.reset, rows + here, here))

    def step(
        self, last: Tensor | None, state: State, conditioning: Mapping[str, Tensor]
    ) -> tuple[Tensor, State]:
        """Read one token (N,); returns the logits (N, size) of the next."""
        if last is None:
            raise TypeError("a sequence model is stepped from `before_first` on, not from None")
        logits, state = self.read(last[:, None], state)
        return logits[:, -1], state

    def before_first(self, pieces: int) -> Tensor:
        """Return (pieces,): the number that stands before a piece's first token."""
        device = next(self.parameters()).device
        return torch.full((pieces,), self.begin, device=device)

    def prefill(self, prompt: Tensor, state: State, conditioning: Mapping[str, Tensor]) -> State:
        """Read a prompt (N, T) in one pass, all but its last token."""
        first = self.before_first(len(prompt))[:, None]
        return self.read(torch.cat([first, prompt[:, :-1]], dim=1), state)[1]
