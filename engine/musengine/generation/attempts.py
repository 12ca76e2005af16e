"""Pieces drawn again where one came out empty or stuck, and the best taken of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from musengine.generation.engine import GeneratedPiece

ATTEMPTS = 4
"""How many times a piece is drawn at the most, before it is taken as it is."""


@dataclass(frozen=True)
class Verdict:
    """What is thought of a piece.

    Attributes:
        faults: what makes it not worth keeping.
        distance: how far it is from the corpus in form and likelihood; 0 where nobody asked.
        measures: what was measured of it, by name.
    """

    faults: tuple[str, ...] = ()
    distance: float = 0.0
    measures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """A piece that was kept.

    Attributes:
        piece: its steps.
        verdict: what is thought of it.
        attempt: which of the draws it is, from 0.
        attempts: how many there were.
    """

    piece: GeneratedPiece
    verdict: Verdict
    attempt: int = 0
    attempts: int = 1

    def as_json(self) -> dict[str, Any]:
        """Return all but the piece as JSON values."""
        return {
            "attempt": self.attempt,
            "attempts": self.attempts,
            "faults": list(self.verdict.faults),
            "measures": self.verdict.measures,
        }


def kept_pieces(
    make: Callable[[Sequence[int], int], Sequence[GeneratedPiece]],
    judge: Callable[[int, GeneratedPiece], Verdict],
    count: int,
    *,
    redraw: bool,
    best_of: int,
) -> list[Kept]:
    """Return pieces, each the best of its draws: without faults, then nearest to the corpus.

    A piece's draws depend on nothing but its own number and theirs.

    Args:
        make: returns the given draw of the pieces of these numbers.
        judge: says what is thought of a piece, given its number.
        count: how many pieces.
        redraw: draw a piece with faults again, `ATTEMPTS` times at most in all.
        best_of: draws that are made of every piece.
    """
    kept: dict[int, Kept] = {}
    for attempt in range(max(best_of, ATTEMPTS if redraw else 1)):
        wanted = [
            index
            for index in range(count)
            if attempt < best_of or (attempt < ATTEMPTS and kept[index].verdict.faults)
        ]
        if not wanted:
            break
        for index, piece in zip(wanted, make(wanted, attempt), strict=True):
            # A strict order of draws: the first of equal ones stays, however many were drawn side
            # by side.
            new = Kept(piece, judge(index, piece), attempt, attempt + 1)
            old = kept.get(index, new)
            kept[index] = _better(old, new)
    return [kept[index] for index in range(count)]


def _better(old: Kept, new: Kept) -> Kept:
    """Return the better of two draws, the first of equals, with the number of both."""
    best = min(old, new, key=lambda kept: (len(kept.verdict.faults), kept.verdict.distance))
    return Kept(best.piece, best.verdict, best.attempt, new.attempts)
