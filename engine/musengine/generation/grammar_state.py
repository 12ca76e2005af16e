"""Where each of some pieces stands in the grammar of its tokens, and so what may come next."""

from __future__ import annotations

import torch
from torch import Tensor

from musengine.encoding.layouts import Tokens
from musengine.interfaces.model import may_come
from musengine.interfaces.sampler import History


class GrammarState:
    """Follows N pieces of a layout; one without a grammar or a begin token forbids nothing."""

    def __init__(self, layout: Tokens) -> None:
        self.layout = layout
        # S states of the grammar, V tokens: one row lookup per step instead of a loop over the
        # pieces.
        self._forbidden_SV: Tensor | None = None
        self._leads_to_SV: Tensor | None = None
        self._state_N: Tensor | None = None

    def begin(self, history: History) -> None:
        """Start with the pieces' prompts."""
        if not self.layout.restricted:
            return
        device = history.steps.device
        self._forbidden_SV = ~may_come(self.layout).to(device)
        pieces = len(history.steps)
        if self.layout.grammar is None:
            self._state_N = torch.zeros(pieces, dtype=torch.long, device=device)
            return
        grammar = self.layout.grammar
        self._leads_to_SV = torch.from_numpy(grammar.leads_to).to(device)
        rows = history.steps.cpu().numpy()
        # Padding is no token: reading it would lead into a wrong state.
        skipped = [0] * pieces if history.padding is None else history.padding.tolist()
        ends = [grammar.states(row[n:])[-1] for row, n in zip(rows, skipped, strict=True)]
        self._state_N = torch.tensor(ends, device=device)

    def forbidden(self) -> Tensor | None:
        """Return (N, size) bool, True at the tokens that may not come; None where all may."""
        if self._forbidden_SV is None or self._state_N is None:
            return None
        return self._forbidden_SV.index_select(0, self._state_N)

    def observe(self, choice: Tensor) -> None:
        """Move on by the tokens (N,) that were chosen."""
        if self._leads_to_SV is not None:
            self._state_N = self._leads_to_SV[self._state_N, choice]
