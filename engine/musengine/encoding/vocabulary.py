"""The tokens of an encoder by name: fixed, learned from a corpus, or another library's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from musengine.config.quantities import GridStep
from musengine.encoding.grammar import Grammar
from musengine.encoding.layouts import Tokens

MOST_TOKENS = 2**20
"""A vocabulary of more is refused, in a state from a stranger's run folder, too."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by name, in order of their numbers.

    Attributes:
        names: of each token, no two the same.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse names that do not tell tokens apart.

        Raises:
            ValueError: two tokens have one name, or there are too many.
        """
        if len(self.names) > MOST_TOKENS:
            raise ValueError(f"a vocabulary may have {MOST_TOKENS} tokens, not {len(self.names)}")
        if len(set(self.names)) < len(self.names):
            twice = next(name for name, count in Counter(self.names).items() if count > 1)
            raise ValueError(f"two tokens of a vocabulary are called {twice!r}")

    @classmethod
    def learned(
        cls,
        pieces: Iterable[Iterable[str]],
        *,
        special: Sequence[str] = (),
        most: int | None = None,
        fewest: int = 1,
    ) -> Vocabulary:
        """Return the names that occur in pieces, the frequent ones first, ties by name.

        Args:
            pieces: the names of each piece's tokens.
            special: names that come before them, whether they occur or not.
            most: how many are kept at the most, special ones not counted; None for all.
            fewest: how often a name must occur to be kept.
        """
        counted = Counter(name for piece in pieces for name in piece)
        # Ties by name, so that the order of the pieces does not matter.
        frequent = sorted(counted, key=lambda name: (-counted[name], name))
        kept = [n for n in frequent if counted[n] >= fewest and n not in special]
        return cls((*special, *kept[:most]))

    @classmethod
    def from_state(cls, state: object) -> Vocabulary:
        """Return what `state` returned.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(state, list) or not all(isinstance(name, str) for name in state):
            raise ValueError("the state of a vocabulary is a list of names")
        return cls(tuple(state))

    def state(self) -> list[str]:
        """Return it as JSON, for an encoder's own `state`."""
        return list(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.numbers

    def __getitem__(self, name: str) -> int:
        """Return a token's number.

        Raises:
            KeyError: there is no token of that name.
        """
        return self.numbers[name]

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The number of each name: its place in `names`."""
        return {name: number for number, name in enumerate(self.names)}

    def encode(self, names: Iterable[str], unknown: str | None = None) -> npt.NDArray[np.int64]:
        """Return (T,): the numbers of names.

        Args:
            names: of the tokens.
            unknown: the token that stands for a name that is not in it; None for an error.

        Raises:
            KeyError: a name is not in it, and nothing stands for it.
        """
        numbers = self.numbers
        if unknown is None:
            return np.array([numbers[name] for name in names], dtype=np.int64)
        other = numbers[unknown]
        return np.array([numbers.get(name, other) for name in names], dtype=np.int64)

    def decode(self, tokens: npt.NDArray[Any]) -> list[str]:
        """Return the names of tokens (T,)."""
        return [self.names[token] for token in tokens.tolist()]

    def layout(
        self,
        *,
        meanings: Mapping[str, tuple[str, int]] | None = None,
        begin: str | None = None,
        end: str | None = None,
        step: GridStep | None = None,
        grammar: Grammar | None = None,
        conditioning: tuple[str, ...] = (),
    ) -> Tokens:
        """Return the layout of sequences of its tokens, which are given by name.

        Args:
            meanings: what tokens mean, as in `Tokens`.
            begin: the token before the first of a piece.
            end: the token after the last.
            step: how long a step lasts, where time is even.
            grammar: which tokens may follow which.
            conditioning: the names of the conditioning channels.

        Raises:
            KeyError: a token is not in it.
        """
        return Tokens(
            size=len(self),
            step=step,
            meanings={self[name]: meaning for name, meaning in (meanings or {}).items()},
            begin=None if begin is None else self[begin],
            end=None if end is None else self[end],
            grammar=grammar,
            conditioning=conditioning,
        )
