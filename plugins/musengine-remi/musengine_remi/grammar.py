"""Which of MidiTok's tokens may follow which: by their types, and in a bar by their positions."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np

from musengine.api import Grammar


class State(NamedTuple):
    """What decides about the next token: the last one's type, where in which bar it is, drums."""

    kind: str
    position: int = -1
    positions: int = 0
    drums: bool = False


@functools.lru_cache(maxsize=4)
def known_grammar(
    names: tuple[str, ...], types: frozenset[tuple[str, frozenset[str]]], per_beat: int
) -> Grammar:
    """Return what `grammar_of` does, worked out once: a run makes its encoder several times."""
    return grammar_of(names, dict(types), per_beat)


def grammar_of(names: Sequence[str], types: Mapping[str, Set[str]], per_beat: int) -> Grammar:
    """Return the grammar of a tokeniser.

    MidiTok's graph of types lets a position stand before one that has passed or after the bar's
    end, a metre amid the bar, and drums on a violin; here they may not.

    Args:
        names: of the tokens, `Type_value`, where `BOS` begins and `PAD` is never used.
        types: of each type those that may follow, as MidiTok has them.
        per_beat: positions in a beat.
    """
    kinds = [name.partition("_")[0] for name in names]
    timed = "Position" in kinds
    # The graph would let anything begin; MidiTok begins with what holds from the start on.
    first = next(kind for kind in ("Bar", "TimeSig", "TimeShift") if kind in kinds)
    # Tokens that differ in nothing that matters here are one symbol: less to go through.
    alone = ("Position", "TimeSig") if timed else ()
    told = {name for name in names if name.startswith(alone) or name == "Program_-1"}
    symbols = [name if name in told else kind for name, kind in zip(names, kinds, strict=True)]
    distinct = sorted(set(symbols))
    parts = [symbol.partition("_") for symbol in distinct]
    allowed: dict[str, set[str]] = {kind: {*those} - {"PAD"} for kind, those in types.items()}
    allowed["BOS"] = {first}

    def after(state: State, symbol: int) -> State | None:
        kind, _, value = parts[symbol]
        if kind not in allowed[state.kind]:
            return None
        if state.kind == "Program" and (kind == "PitchDrum") != state.drums:
            return None
        drums = value == "-1"
        if kind == "Bar" or not timed:
            return State(kind, drums=drums)
        if kind == "TimeSig":
            positions = int(value.partition("/")[0]) * per_beat
            return State(kind, -1, positions) if state.kind == "Bar" else None
        place = int(value) if kind == "Position" else state.position
        inside = kind != "Position" or state.position < place < state.positions
        return State(kind, place, state.positions, drums) if inside else None

    found = Grammar.explored(State("BOS"), after, len(distinct))
    symbol_V = np.array([distinct.index(symbol) for symbol in symbols])
    return Grammar(found.may_come[:, symbol_V], found.leads_to[:, symbol_V], found.start)
