"""The note model beside REMI tokens with a transformer: nats per note on held-out music.

    python benchmarks/notes.py [--minutes 20] [--collections pop909 ...] [--models notes ...]

Both read the same quantised notes of the same pieces, move them at random by up to six semitones,
and learn for so many minutes of one thread's processor time, so that another program beside them
changes nothing. Every 20th piece is the test part. REMI (Huang and Yang 2020) has tokens for bar,
position, part, pitch, duration and velocity; its transformer is decoder-only with rotary positions,
512 tokens of context, each token scored with at least 256 before it, and about as many weights.

A cell is a collection, a model and a number of minutes; it is measured once, written at once, and
left as it is when the program is run again (`--again` measures it anew).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from common import RESULTS, data_folder, write_result
from torch import Tensor, nn
from torch.nn import functional

from musengine.api import EncodedPiece, Piece, read_scores
from musengine.data.batching import collate
from musengine.evaluation.likelihood import RESAMPLES, score_pieces
from musengine.interfaces.batching import Row
from musengine.testing import unpack
from musengine_notes.config import NotesEncoderConfig, NotesModelConfig
from musengine_notes.encoder import Notes
from musengine_notes.form.lookback import onsets_of
from musengine_notes.layout import DURATION, FIRST_PART, PART, PITCH, VELOCITY, NoteEvents
from musengine_notes.model import NoteModel

COLLECTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "pop909": ("pop909/pop909-main-001-808.tar.gz", {"pedal": False}),
    "piano-midi-de": ("piano-midi-de/piano-midi-de.tar.gz", {"parts": "one", "pedal": False}),
    "nottingham": ("nottingham/nottingham-midi.tar.gz", {"pedal": False}),
    "musicguru": ("musicguru/musicguru-collection.tar.gz", {"pedal": False}),
}
MODELS: dict[str, dict[str, Any]] = {
    "notes": {},
    "notes without form": {"form": False},
    "notes, transformer": {"trunk": "transformer", "layers": 4, "width": 256},
    "remi": {},
}
NOTES_BATCH = (12, 128)
REMI_BATCH = (8, 256)
CONTEXT = 512


@dataclass
class Music:
    """A collection: its pieces as notes, and the encoder that made them."""

    encoder: Notes
    train: list[EncodedPiece]
    test: list[EncodedPiece]


def read(name: str) -> Music:
    archive, settings = COLLECTIONS[name]
    with TemporaryDirectory() as folder:
        files = unpack(data_folder() / archive, Path(folder))
        if name == "nottingham":  # the others are its melodies and its chords alone
            files = [file for file in files if file.parent.name == "MIDI"]
        scores = read_scores(*files)
    names = sorted(scores)
    held_out = set(names[19::20])
    encoder = Notes(NotesEncoderConfig(**settings))
    encoder.fit([Piece(each, scores[each]) for each in names if each not in held_out])
    pieces = []
    for each in names:
        try:
            pieces.append(EncodedPiece(each, encoder.encode(scores[each]), ""))
        except Exception as error:
            print(f"{each}: {error}")
    return Music(
        encoder,
        [piece for piece in pieces if piece.id not in held_out],
        [piece for piece in pieces if piece.id in held_out and len(piece) > 100],
    )


def notes_in(piece: EncodedPiece, layout: NoteEvents) -> int:
    part = piece.encoded.steps[:, PART]
    return int(((part >= FIRST_PART) & (part < layout.end)).sum())


def train(
    model: nn.Module, batches: Iterator[Any], loss_of: Any, rate: float, minutes: float
) -> int:
    """Train until so much processor time is over; returns the number of updates."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    began, updates = time.process_time(), 0
    model.train()
    while (share := (time.process_time() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (updates + 1) / 50) * (1 + math.cos(math.pi * share)) / 2
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


def notes_cell(music: Music, settings: dict[str, Any], minutes: float, seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    layout = music.encoder.layout
    model = NoteModel(NotesModelConfig(**settings), layout)
    batch, length = NOTES_BATCH
    random = np.random.default_rng(seed)
    lengths = np.array([len(piece) for piece in music.train])

    def batches() -> Iterator[Any]:
        while True:
            chosen = random.choice(len(lengths), batch, p=lengths / lengths.sum())
            starts = [int(random.integers(0, max(lengths[k] - length, 0) + 1)) for k in chosen]
            rows = [
                Row(int(k), start, min(start + length, int(lengths[k])))
                for k, start in zip(chosen, starts, strict=True)
            ]
            yield collate(rows, music.train)

    updates = train(model, batches(), lambda each: model(each).loss, 0.002, minutes)
    nats = [float(piece.sum()) for piece in score_pieces(model, music.test).pieces]
    return figures(nats, music, model, updates)


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
        metre = piece.encoded.conditioning["metre"].astype(np.int64)
        number = np.cumsum(np.append(0, np.diff(onsets_of(steps, self.layout) - metre[:, 1]) > 0))
        found: list[int] = []
        bar, place = -1, -1
        for row, at, n in zip(steps.tolist(), metre[:, 1].tolist(), number.tolist(), strict=True):
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
    """A decoder-only transformer in plain PyTorch."""

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
        x = self.embed(before)
        rows, steps, width = x.shape
        for layer in self.layers:
            split = layer["qkv"](layer["norm_1"](x)).view(rows, steps, 3, self.heads, -1)
            q, k, v = split.permute(2, 0, 3, 1, 4)
            q, k = self._turned(q), self._turned(k)
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + layer["project"](seen.transpose(1, 2).reshape(rows, steps, width))
            x = x + layer["down"](functional.gelu(layer["up"](layer["norm_2"](x))))
        return self.out(self.norm(x))

    def _turned(self, x: Tensor) -> Tensor:
        cos, sin = self.cos[: x.shape[2]], self.sin[: x.shape[2]]
        one, two = x.chunk(2, dim=-1)
        return torch.cat([one * cos - two * sin, one * sin + two * cos], dim=-1)


def remi_cell(music: Music, minutes: float, seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    remi = Remi(music.encoder.layout)
    model = Transformer(remi.size)
    batch, length = REMI_BATCH
    random = np.random.default_rng(seed)
    lengths = np.array([len(piece) for piece in music.train])
    known = [remi.tokens(piece) for piece in music.train]
    pitched = np.zeros(remi.size + 1, dtype=bool)
    pitched[remi.first[4] : remi.first[4] + 128] = True

    def batches() -> Iterator[Tensor]:
        while True:
            rows = np.full((batch, length), -1)
            chosen = random.choice(len(known), batch, p=lengths / lengths.sum())
            for row, k in zip(rows, chosen, strict=True):
                start = int(random.integers(0, max(len(known[k]) - length, 0) + 1))
                part = known[k][start : start + length].copy()
                low, high = remi.first[4], remi.first[4] + 127
                moved = part[pitched[part]] + int(random.integers(-6, 7))
                part[pitched[part]] = np.clip(moved, low, high)
                row[: len(part)] = part
            yield torch.from_numpy(rows)

    def loss_of(tokens: Tensor) -> Tensor:
        logits = model(tokens.clamp(min=0))
        return functional.cross_entropy(logits.flatten(0, 1), tokens.flatten(), ignore_index=-1)

    updates = train(model, batches(), loss_of, 0.001, minutes)
    nats = []
    with torch.inference_mode():
        for piece in music.test:
            tokens = torch.from_numpy(remi.tokens(piece))
            total = 0.0
            for start in range(0, len(tokens), CONTEXT // 2):
                window = tokens[max(start - CONTEXT // 2, 0) : start + CONTEXT // 2]
                here = len(tokens[start : start + CONTEXT // 2])
                lost = functional.cross_entropy(model(window[None])[0], window, reduction="none")
                total += float(lost[-here:].double().sum())
            nats.append(total)
    return figures(nats, music, model, updates)


def figures(nats: Sequence[float], music: Music, model: nn.Module, updates: int) -> dict[str, Any]:
    counts = np.array([notes_in(piece, music.encoder.layout) for piece in music.test])
    sums, random = np.array(nats), np.random.default_rng(0)
    drawn = random.integers(0, len(sums), (RESAMPLES, len(sums)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (0.025, 0.975))
    return {
        "nats_per_note": float(sums.sum() / counts.sum()),
        "low": float(low),
        "high": float(high),
        "pieces": len(sums),
        "notes": int(counts.sum()),
        "updates": updates,
        "weights": sum(weight.numel() for weight in model.parameters()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--collections", nargs="+", default=list(COLLECTIONS), choices=COLLECTIONS)
    parser.add_argument("--models", nargs="+", default=["notes", "remi"], choices=MODELS)
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / "notes.json"
    for collection in arguments.collections:
        music: Music | None = None
        for name in arguments.models:
            cells = json.loads(path.read_text())["figures"] if path.is_file() else {}
            cell = f"{collection}, {name}, {arguments.minutes:g} minutes, seed {arguments.seed}"
            if cell in cells and not arguments.again:
                continue
            music = music or read(collection)
            print(cell, flush=True)
            load = os.getloadavg()[0]
            if name == "remi":
                found = remi_cell(music, arguments.minutes, arguments.seed)
            else:
                found = notes_cell(music, MODELS[name], arguments.minutes, arguments.seed)
            found["load"] = round(load, 1)
            write_result("notes", "python benchmarks/notes.py", {**cells, cell: found})


if __name__ == "__main__":
    main()
