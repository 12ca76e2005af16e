"""REMI tokens (Huang and Yang 2020) and a transformer for them in plain PyTorch: a baseline."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from musengine.api import EncodedPiece
from musengine_notes.form.lookback import onsets_of
from musengine_notes.layout import DURATION, FIRST_PART, PART, PITCH, VELOCITY, NoteEvents

BATCH = (8, 256)
CONTEXT = 512
RATE = 0.001
MOST_SEMITONES = 6
"""That a row is moved by in training, up or down, as the note model's are."""


class Remi:
    """Bars, positions, parts, pitches, durations and velocities as tokens."""

    def __init__(self, layout: NoteEvents) -> None:
        self.layout = layout
        # In the order of their numbers: bar, end, position, part, pitch, duration, velocity.
        sizes = (1, 1, layout.places, *layout.sizes[PART:])
        self.first = np.concatenate([[0], np.cumsum(sizes)])
        self.size = int(self.first[-1])

    def tokens(self, piece: EncodedPiece) -> npt.NDArray[np.int64]:
        """Return the tokens of a piece, its end last."""
        steps = piece.encoded.steps.astype(np.int64)
        onsets = onsets_of(steps, self.layout)
        metre = piece.encoded.conditioning["metre"].astype(np.int64)
        places = metre[:, 1]
        bars = np.cumsum(np.append(0, np.diff(onsets - places) > 0))
        found: list[int] = []
        bar, place = -1, -1
        for row, at, n in zip(steps.tolist(), places.tolist(), bars.tolist(), strict=True):
            part = row[PART]
            if not FIRST_PART <= part < self.layout.end:
                continue
            if n != bar:
                # An empty bar is a bar, too.
                found += [0] * (n - bar if bar >= 0 else 1)
                bar, place = n, -1
            if at != place:
                place = at
                found.append(int(self.first[2]) + min(at, self.layout.places - 1))
            pitched = not self.layout.parts[part - FIRST_PART].drums
            found += [int(self.first[3]) + part, int(self.first[4]) + row[PITCH]]
            if pitched:
                found.append(int(self.first[5]) + row[DURATION])
            found.append(int(self.first[6]) + row[VELOCITY])
        return np.array([*found, 1])


class Transformer(nn.Module):
    """A decoder-only transformer."""

    def __init__(self, size: int, width: int = 288, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(size + 1, width)
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm_1": nn.LayerNorm(width),
                    "qkv": nn.Linear(width, 3 * width, bias=False),
                    "project": nn.Linear(width, width, bias=False),
                    "norm_2": nn.LayerNorm(width),
                    "up": nn.Linear(width, 4 * width),
                    "down": nn.Linear(4 * width, width),
                }
            )
            for _ in range(layers)
        )
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, size)
        self.heads, self.size = heads, size
        nn.init.normal_(self.embed.weight, std=0.02)
        rate = 10000.0 ** (-torch.arange(0, width // heads, 2) / (width // heads))
        angle = torch.arange(CONTEXT)[:, None] * rate
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, T, size) logits of each token from those before; the first from nothing."""
        before = functional.pad(tokens[:, :-1], (1, 0), value=self.size)
        return self.out(self._read(before))

    def next(self, tokens: Tensor) -> Tensor:
        """Return (B, size) logits of the token after all."""
        before = functional.pad(tokens, (1, 0), value=self.size)
        return self.out(self._read(before)[:, -1])

    def _read(self, before: Tensor) -> Tensor:
        x = self.embed(before)
        rows, steps, width = x.shape
        for layer in self.layers:
            split = layer["qkv"](layer["norm_1"](x)).view(rows, steps, 3, self.heads, -1)
            q, k, v = split.permute(2, 0, 3, 1, 4)
            q, k = self._turned(q), self._turned(k)
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + layer["project"](seen.transpose(1, 2).reshape(rows, steps, width))
            x = x + layer["down"](functional.gelu(layer["up"](layer["norm_2"](x))))
        return self.norm(x)

    def _turned(self, x: Tensor) -> Tensor:
        cos, sin = self.cos[: x.shape[2]], self.sin[: x.shape[2]]
        one, two = x.chunk(2, dim=-1)
        return torch.cat([one * cos - two * sin, one * sin + two * cos], dim=-1)


def trained(
    remi: Remi, pieces: Sequence[EncodedPiece], minutes: float, seed: int
) -> tuple[Transformer, int]:
    """Return a transformer after so much processor time, and its number of updates."""
    torch.manual_seed(seed)
    model = Transformer(remi.size)
    batches = _batches(remi, pieces, np.random.default_rng(seed))

    def loss_of(tokens: Tensor) -> Tensor:
        logits = model(tokens.clamp(min=0))
        return functional.cross_entropy(logits.flatten(0, 1), tokens.flatten(), ignore_index=-1)

    return model, _optimize(model, batches, loss_of, minutes)


def _batches(
    remi: Remi, pieces: Sequence[EncodedPiece], random: np.random.Generator
) -> Iterator[Tensor]:
    batch, length = BATCH
    lengths = np.array([len(piece) for piece in pieces])
    known = [remi.tokens(piece) for piece in pieces]
    pitched = np.zeros(remi.size + 1, dtype=bool)
    pitched[remi.first[4] : remi.first[4] + 128] = True
    low, high = remi.first[4], remi.first[4] + 127
    while True:
        rows = np.full((batch, length), -1)
        chosen = random.choice(len(known), batch, p=lengths / lengths.sum())
        for row, k in zip(rows, chosen, strict=True):
            start = int(random.integers(0, max(len(known[k]) - length, 0) + 1))
            part = known[k][start : start + length].copy()
            moved = part[pitched[part]] + int(random.integers(-MOST_SEMITONES, MOST_SEMITONES + 1))
            part[pitched[part]] = np.clip(moved, low, high)
            row[: len(part)] = part
        yield torch.from_numpy(rows)


def _optimize(
    model: nn.Module,
    batches: Iterator[Tensor],
    loss_of: Callable[[Tensor], Tensor],
    minutes: float,
) -> int:
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    began, updates = time.process_time(), 0
    model.train()
    while (share := (time.process_time() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (updates + 1) / 50) * (1 + math.cos(math.pi * share)) / 2
        loss = loss_of(next(batches))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        updates += 1
        if updates % 50 == 0:
            print(f"  {share:4.0%} {updates} updates, loss {float(loss.detach()):.3f}", flush=True)
    model.eval()
    return updates


def nats_of(model: Transformer, remi: Remi, pieces: Sequence[EncodedPiece]) -> list[float]:
    """Return the nats of each piece, each token scored with at least half a context before it."""
    half = CONTEXT // 2
    found = []
    with torch.inference_mode():
        for piece in pieces:
            tokens = torch.from_numpy(remi.tokens(piece))
            total = 0.0
            for start in range(0, len(tokens), half):
                window = tokens[max(start - half, 0) : start + half]
                here = len(tokens[start : start + half])
                lost = functional.cross_entropy(model(window[None])[0], window, reduction="none")
                total += float(lost[-here:].double().sum())
            found.append(total)
    return found


def drawn(model: Transformer, remi: Remi, pieces: int, tokens: int, seed: int) -> int:
    """Draw so many tokens of pieces side by side, token by token; returns how many notes."""
    random = torch.Generator().manual_seed(seed)
    rows = torch.zeros((pieces, 1), dtype=torch.int64)
    with torch.inference_mode():
        for _ in range(tokens):
            shares = model.next(rows[:, 1 - CONTEXT :]).softmax(dim=-1)
            rows = torch.cat([rows, torch.multinomial(shares, 1, generator=random)], dim=1)
    pitch = (rows >= int(remi.first[4])) & (rows < int(remi.first[5]))
    return int(pitch.sum())
