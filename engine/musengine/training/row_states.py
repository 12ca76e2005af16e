"""The states that a model carries from batch to batch, of which each process has its own rows'."""

from __future__ import annotations

import torch
from torch import Tensor

from musengine.distributed.ranks import Ranks
from musengine.interfaces.model import State, joined_states
from musengine.training.checkpoint import map_tensors


def gathered_rows(state: State, ranks: Ranks) -> State:
    """Return the states of all rows at every process, each of which has those of its own."""
    if ranks.alone:
        return state
    parts = [part for part in ranks.gathered(map_tensors(state, Tensor.cpu)) if part is not None]
    if not parts:
        return None
    return joined_states(parts, torch.arange(sum(map(_rows, parts))))


def own_rows(state: State, ranks: Ranks, device: torch.device) -> State:
    """Return the states of a process's own rows, of those of all; None where it has no row."""
    if ranks.alone or state is None:
        return state
    own = range(_rows(state))[ranks.share(_rows(state))]
    if not own:
        return None
    return joined_states([state], torch.tensor(own, dtype=torch.long, device=device))


def _rows(state: State) -> int:
    """Return of how many rows a state is: 0 where there is no tensor in it."""
    if isinstance(state, Tensor):
        return len(state)
    parts = state.values() if isinstance(state, dict) else state
    return max(map(_rows, parts), default=0) if isinstance(state, (dict, list, tuple)) else 0
