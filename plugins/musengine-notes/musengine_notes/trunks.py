"""What reads the notes so far: LSTM layers or a transformer, with one way to run them.

A trunk takes inputs (B, T, width) and a state, and returns outputs (B, T, width) and the state
after them; one step is a sequence of one. So step by step it gives what it gives of a whole.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from musengine.api import LSTMStack, StackOutput
from musengine_notes.config import NotesModelConfig


class Trunk(nn.Module):
    """Base of both."""

    def forward(self, inputs_BTW: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the outputs and the state after them."""
        raise NotImplementedError

    def initial_state(self, pieces: int) -> Any:
        """Return the state before the first step; the first axis of each tensor is the piece."""
        raise NotImplementedError

    def fresh_where(self, reset_B: Tensor, state: Any) -> Any:
        """Return the state, the initial one where `reset_B` is true."""
        raise NotImplementedError


def trunk_of(config: NotesModelConfig) -> Trunk:
    """Return the trunk that the settings name."""
    return RecurrentTrunk(config) if config.trunk == "recurrent" else TransformerTrunk(config)


class RecurrentTrunk(Trunk):
    """LSTM layers."""

    def __init__(self, config: NotesModelConfig) -> None:
        super().__init__()
        self.stack = LSTMStack(config.width, [config.width] * config.layers, dropout=config.dropout)

    def forward(self, inputs_BTW: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the last layer's hidden states and the state after them."""
        # Libraries take longer to set up a sequence of one than to compute it.
        if inputs_BTW.shape[1] == 1 and not torch.is_grad_enabled():
            one: StackOutput = self.stack.step(inputs_BTW[:, 0], state)
            return one.last[:, None], one.state
        run: StackOutput = self.stack(inputs_BTW, state)
        return run.last, run.state

    def initial_state(self, pieces: int) -> Any:
        """Return zeros."""
        return self.stack.initial_state(pieces)

    def fresh_where(self, reset_B: Tensor, state: Any) -> Any:
        """Return the state, zeros where a row begins anew."""
        return self.stack.fresh_where(reset_B, state)


class TransformerTrunk(Trunk):
    """Decoder-only transformer (Vaswani et al. 2017) of which each layer sees `context` events.

    Layers are normalised before (Xiong et al. 2020), positions are rotations of queries and keys
    (RoPE, Su et al. 2021). The state holds the last keys and values of each layer, each at the
    place of its number modulo the window, and how many notes there were.
    """

    def __init__(self, config: NotesModelConfig) -> None:
        super().__init__()
        self.window, self.width, self.heads = config.context, config.width, config.heads
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, inputs_BTW: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the last layer's outputs and the state after them."""
        outputs = []
        # No more than the window at once: more steps would not each have a place in the cache.
        for part in torch.split(inputs_BTW, self.window, dim=1):
            out, state = self._read(part, state)
            outputs.append(out)
        return torch.cat(outputs, dim=1), state

    def _read(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read at most as many steps as the window has."""
        caches, count_B = state
        steps = x.shape[1]
        position_BT = count_B[:, None] + torch.arange(steps, device=x.device)
        rotation = rotations(position_BT, self.width // self.heads, x.dtype)
        seen = self._seen(position_BT, count_B)
        place_BT = position_BT % self.window
        after = []
        for block, cache in zip(self.blocks, caches, strict=True):
            x, cache = block(x, cache, rotation, seen, place_BT)
            after.append(cache)
        return self.norm(x), (tuple(after), count_B + steps)

    def _seen(self, position_BT: Tensor, count_B: Tensor) -> Tensor:
        """Return (B, 1, T, window + T) bool: which of the kept and the new notes each step sees."""
        slots = torch.arange(self.window, device=position_BT.device)
        # The number of the latest note before those read here that lies at each place.
        last = count_B[:, None] - 1
        kept_BW = last - (last - slots) % self.window
        numbers = torch.cat([kept_BW, position_BT], dim=1)[:, None]
        here = position_BT[:, :, None]
        return ((numbers >= 0) & (numbers <= here) & (numbers > here - self.window))[:, None]

    def initial_state(self, pieces: int) -> Any:
        """Return empty caches."""
        shape = (pieces, self.heads, self.window, self.width // self.heads)
        weight = self.norm.weight
        caches = tuple((weight.new_zeros(shape), weight.new_zeros(shape)) for _ in self.blocks)
        return caches, torch.zeros(pieces, dtype=torch.int64, device=weight.device)

    def fresh_where(self, reset_B: Tensor, state: Any) -> Any:
        """Return the state, forgotten where a row begins anew: nothing before 0 is seen."""
        caches, count_B = state
        return caches, torch.where(reset_B, 0, count_B)


Cache = tuple[Tensor, Tensor]


class Block(nn.Module):
    """One layer: attention, then a feed-forward net of four times the width."""

    def __init__(self, config: NotesModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for out in (self.project, self.down):
            # As in GPT-2: what all layers add up to keeps its size with their number.
            nn.init.normal_(out.weight, std=0.02 / math.sqrt(2 * config.layers))

    def forward(
        self, x: Tensor, cache: Cache, rotation: Tensor, seen: Tensor, place_BT: Tensor
    ) -> tuple[Tensor, Cache]:
        """Return the outputs (B, T, width) and the cache with the keys and values of these steps.

        Args:
            x: (B, T, width).
            cache: keys and values, (B, heads, window, width of a head) each.
            rotation: (B, 1, T, half the width of a head) complex numbers.
            seen: (B, 1, T, window + T) bool.
            place_BT: where in the cache these steps go.
        """
        rows, steps, width = x.shape
        split = self.qkv(self.norm_1(x)).view(rows, steps, 3, self.heads, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        # In mixed precision all three are of the type that attention is computed in.
        query, key = (rotated(each, rotation).to(value.dtype) for each in (query, key))
        attended = functional.scaled_dot_product_attention(
            query,
            torch.cat([cache[0].to(key.dtype), key], dim=2),
            torch.cat([cache[1].to(value.dtype), value], dim=2),
            attn_mask=seen,
            dropout_p=self.dropout if self.training else 0.0,
        )
        x = x + self._dropped(self.project(attended.transpose(1, 2).reshape(rows, steps, width)))
        x = x + self._dropped(self.down(functional.gelu(self.up(self.norm_2(x)))))
        index = place_BT[:, None, :, None].expand_as(key)
        kept = (
            # Detached: gradients do not reach into the chunk before. New tensors: the state that
            # was handed in belongs to the caller.
            cache[0].scatter(2, index, key.detach().to(cache[0].dtype)),
            cache[1].scatter(2, index, value.detach().to(cache[1].dtype)),
        )
        return x, kept

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


def rotations(position_BT: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Return (B, 2, T, width / 2): cosine and sine of each position's angles."""
    rate = 10000.0 ** (-torch.arange(0, width, 2, device=position_BT.device) / width)
    # In float64: the later a note, the more of the fraction of its angle float32 would lose.
    angle = position_BT[..., None].double() * rate.double()
    return torch.stack([angle.cos(), angle.sin()], dim=1).to(dtype)


def rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """Return (B, heads, T, width) with each pair of halves turned by its angle."""
    cos, sin = rotation[:, 0, None], rotation[:, 1, None]
    one, two = x.chunk(2, dim=-1)
    return torch.cat([one * cos - two * sin, one * sin + two * cos], dim=-1)
