"""Which tokens may follow which: a finite automaton over a vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from musengine.utils.arrays import Array, IntArray

S = TypeVar("S", bound=Hashable)

MOST_CELLS = 2**26
"""States times tokens that a grammar may have: its tables take nine bytes a cell."""


@dataclass(frozen=True, eq=False)
class Grammar:
    """Says in each state which tokens may come, and in which state each leaves the sequence.

    Make one with `of_kinds` or `explored`. What it forbids has probability 0 to every model: in
    training, in likelihoods and when tokens are drawn.

    Attributes:
        may_come: (states, size) bool, at least one token of each state.
        leads_to: (states, size) the state after a token; also after one that may not come, since a
            prompt may begin amid a piece.
        start: the state before the first token.
    """

    may_come: npt.NDArray[np.bool_]
    leads_to: IntArray
    start: int = 0

    def __post_init__(self) -> None:
        """Refuse tables that do not fit each other.

        Raises:
            ValueError: says what is wrong.
        """
        states, size = self.may_come.shape
        if self.leads_to.shape != (states, size) or not 0 <= self.start < states:
            raise ValueError("the tables of a grammar differ in shape, or its start is no state")
        if not self.may_come.any(axis=1).all():
            dead = int(np.flatnonzero(~self.may_come.any(axis=1))[0])
            raise ValueError(f"nothing may follow in state {dead} of a grammar")
        if self.leads_to.min() < 0 or self.leads_to.max() >= states:
            raise ValueError(f"a grammar leads to a state outside 0 to {states - 1}")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Grammar)
            and self.start == other.start
            and np.array_equal(self.may_come, other.may_come)
            and np.array_equal(self.leads_to, other.leads_to)
        )

    def __hash__(self) -> int:
        return hash((self.start, self.may_come.tobytes()))

    @classmethod
    def of_kinds(
        cls, kinds: Sequence[str], after: Mapping[str, Collection[str]], first: Collection[str]
    ) -> Grammar:
        """Return a grammar in which what may come depends on the kind of the last token alone.

        Args:
            kinds: of each token.
            after: for each kind the kinds that may follow.
            first: the kinds a sequence may begin with.

        Raises:
            ValueError: a kind is not known, or nothing may follow one.
        """
        known = sorted(set(kinds))
        unknown = {kind for those in (after, first, *after.values()) for kind in those} - set(known)
        if unknown or set(known) - set(after):
            named = ", ".join(sorted(unknown or set(known) - set(after)))
            raise ValueError(f"kinds of tokens that are not known, or followed by nothing: {named}")
        kind_V = np.array(kinds)
        rows = [np.isin(kind_V, sorted(those)) for those in (first, *(after[k] for k in known))]
        # One state for each kind, by the sorted kinds; state 0 is the start. The token alone
        # decides where it leads, hence the same row for all states.
        state_V = np.searchsorted(known, kind_V) + 1
        return cls(np.stack(rows), np.tile(state_V, (len(rows), 1)))

    @classmethod
    def explored(cls, start: S, after: Callable[[S, int], S | None], size: int) -> Grammar:
        """Return the grammar of all states that tokens lead to.

        Args:
            start: the state before the first token, anything hashable.
            after: for a state and a token the state that follows, None where it may not come.
            size: how many tokens there are.

        Raises:
            ValueError: there are too many states, or one in which nothing may come.
        """
        number, rows = {start: 0}, list[list[int]]()
        states = [start]
        for state in states:  # grows on the way
            row = []
            for token in range(size):
                following = after(state, token)
                if following is not None and following not in number:
                    number[following] = len(states)
                    states.append(following)
                row.append(-1 if following is None else number[following])
            rows.append(row)
            # Asked while it grows: a rule that counts without end would fill memory before the
            # tables are made.
            if len(states) * size > MOST_CELLS:
                raise ValueError(f"a grammar of over {MOST_CELLS // size} states is too large")
        following_SV = np.array(rows, dtype=np.int64)
        allowed_SV = following_SV >= 0
        # A token that may not come leads where it leads from the first state in which it may.
        somewhere_V = following_SV[allowed_SV.argmax(axis=0), np.arange(size)]
        somewhere_V = np.maximum(somewhere_V, 0)
        return cls(allowed_SV, np.where(allowed_SV, following_SV, somewhere_V))

    def states(self, tokens: Array) -> IntArray:
        """Return (T + 1,): the state before each token, and the one after the last."""
        found = np.empty(len(tokens) + 1, dtype=np.int64)
        state, leads_to = self.start, self.leads_to
        # A loop in Python: each state depends on the one before. Lists are faster here than arrays.
        for t, token in enumerate(tokens.tolist()):
            found[t] = state
            state = int(leads_to[state, token])
        found[-1] = state
        return found

    def allowed(self, tokens: Array) -> npt.NDArray[np.bool_]:
        """Return (size,): which tokens may follow these."""
        allowed_V: npt.NDArray[np.bool_] = self.may_come[self.states(tokens)[-1]]
        return allowed_V

    def violation(self, tokens: Array) -> int | None:
        """Return the index of the first token that may not stand where it does; None for none."""
        legal_T = self.may_come[self.states(tokens)[:-1], tokens]
        return None if legal_T.all() else int(np.argmin(legal_T))
