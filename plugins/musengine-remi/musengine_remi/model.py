"""A decoder-only transformer: rotary positions, and a cache of the keys and values it has read."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from musengine.api import Layout, SequenceModel
from musengine_remi.config import TransformerConfig


class Cache(NamedTuple):
    """What was read, of each piece: as many places as there is context, the latest last.

    Attributes:
        keys: of each layer (N, heads, context, size), already rotated.
        values: of each layer, alike.
        read: (N,) how many tokens were read; places before them hold nothing.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    read: Tensor


class Attention(nn.Module):
    """Attention of each token to those that a mask lets it see."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.project = nn.Linear(config.units, 3 * config.units, bias=False)
        self.output = nn.Linear(config.units, config.units, bias=False)

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None, before: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what it makes of x (N, T, units), and the keys and values of all that it saw.

        Args:
            x: what stands for the tokens.
            turn: cosine and sine of their positions, (N, 1, T, size / 2) each.
            mask: (N, 1, T, seen) True where a token sees another; None for all up to itself.
            before: keys and values of earlier tokens; none where x begins the sequence.
        """
        N, T, _ = x.shape
        # (3, N, heads, T, size).
        q, k, v = self.project(x).view(N, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotated(q, turn), rotated(k, turn)
        if before:
            k, v = torch.cat([before[0], k], dim=2), torch.cat([before[1], v], dim=2)
        dropout = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=mask is None
        )
        return self.output(seen.transpose(1, 2).reshape(N, T, -1)), k, v


class Block(nn.Module):
    """A layer: attention, then a network on each token alone, each added to what came in."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.norms = nn.ModuleList(nn.LayerNorm(config.units) for _ in range(2))
        self.network = nn.Sequential(
            nn.Linear(config.units, 4 * config.units),
            nn.GELU(),
            nn.Linear(4 * config.units, config.units),
        )
        self.drop = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None, before: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (N, T, units), and the layer's keys and values."""
        seen, k, v = self.attention(self.norms[0](x), turn, mask, before)
        x = x + self.drop(seen)
        return x + self.drop(self.network(self.norms[1](x))), k, v


class Transformer(SequenceModel[TransformerConfig]):
    """Predicts the next token from the `context` latest ones."""

    def __init__(self, config: TransformerConfig, layout: Layout) -> None:
        super().__init__(config, layout)
        self.embedding = nn.Embedding(self.inputs, config.units)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.units)
        self.output = nn.Linear(config.units, self.size, bias=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                # What is added up along the layers keeps its size with their number (GPT-2).
                deep = name.endswith(("attention.output.weight", "network.2.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * config.layers) ** 0.5 if deep else 0.02)

    def read(self, tokens: Tensor, state: Cache | None) -> tuple[Tensor, Cache]:
        """Return the logits (N, T, size) of the token after each, and what was read."""
        (N, T), C = tokens.shape, self.config.context
        read = tokens.new_zeros(N) if state is None else state.read
        turn = angles(read[:, None] + torch.arange(T, device=tokens.device), self.config)
        # Without a mask PyTorch can take its fastest kernel.
        mask = None if state is None and T <= C else visible(read, T, C, cached=state is not None)
        x, keys, values = self.embedding(tokens), [], []
        for layer, block in enumerate(self.blocks):
            before = [] if state is None else [state.keys[layer], state.values[layer]]
            x, k, v = block(x, turn, mask, before)
            keys.append(latest(k, C))
            values.append(latest(v, C))
        return self.output(self.norm(x)), Cache(tuple(keys), tuple(values), read + T)


def visible(read: Tensor, T: int, C: int, *, cached: bool) -> Tensor:
    """Return (N, 1, T, seen): which of the cached and the new tokens each new one sees.

    It sees the C latest, itself among them, but no place of the cache before the first token.
    """
    before = C if cached else 0
    new = torch.arange(T, device=read.device)[:, None]
    place = torch.arange(before + T, device=read.device) - before
    mask_TS = (place <= new) & (place > new - C)
    # Places of the cache count backwards from -1; those below -read were never filled.
    return (mask_TS & (place >= -read[:, None, None]))[:, None]


def latest(x: Tensor, C: int) -> Tensor:
    """Return the C latest of (N, heads, T, size), with zeros before them where T is less."""
    missing = C - x.shape[2]
    return functional.pad(x, (0, 0, missing, 0)) if missing > 0 else x[:, :, -C:]


def angles(position: Tensor, config: TransformerConfig) -> tuple[Tensor, Tensor]:
    """Return cosine and sine, (N, 1, T, size / 2) each, of positions (N, T) (RoFormer, 2021)."""
    size = config.units // config.heads
    exponent = torch.arange(0, size, 2, device=position.device) / size
    angle = position[:, None, :, None] * 10000.0**-exponent
    return angle.cos(), angle.sin()


def rotated(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Return (N, heads, T, size) with each pair of numbers turned by its angle."""
    cos, sin = (part.to(x.dtype) for part in turn)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
