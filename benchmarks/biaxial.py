"""The biaxial net beside a plain one of nn.LSTM and LSTMCell: seconds per batch and per step.

Every row runs in processes of its own, so that its peak memory is its own too, and all rows take
turns, so that what else the machine does falls on all of them. Rows of musengine keep freed memory
as `musengine train` does, but for the one that says otherwise. Rows in bfloat16 are left out on
processors that do not compute in it.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from common import peak_memory, write_result
from torch import Tensor, nn
from torch.nn import functional

from musengine.config.quantities import GridStep
from musengine.data.batching import collate
from musengine.encoding.layouts import Grid
from musengine.interfaces.batching import Row
from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.interfaces.loss import negative_log_likelihood
from musengine.interfaces.model import Batch
from musengine.interfaces.sampler import GridDraw
from musengine.training.device import supports_bfloat16
from musengine.utils.allocator import keep_freed_memory
from musengine_biaxial.config import BiaxialConfig
from musengine_biaxial.model import Biaxial

NOTES, SEGMENTS, STEPS = 78, 10, 128
ROUNDS = 3
LAYOUT = Grid(
    lowest=24,
    pitches=NOTES,
    channels=("sound", "onset"),
    step=GridStep(Fraction(1, 4), "beat"),
    conditioning=("beat",),
)


class Plain(nn.Module):
    """The same net as anyone would write it first: nn.LSTM to train, LSTMCell to generate."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.LSTM(80, 300, 2, batch_first=True)
        self.note1 = nn.LSTM(302, 100, batch_first=True)
        self.note2 = nn.LSTM(100, 50, batch_first=True)
        self.output = nn.Linear(50, 2)
        self.cells: list[nn.LSTMCell] = []

    def features(self, state: Tensor, number: Tensor) -> Tensor:
        """Return (B, T, N, 80) of states (B, T, N, 2) and step numbers (B, T)."""
        b, t, n, _ = state.shape
        state = state.float()
        place = torch.arange(n)
        classes = functional.one_hot((place + 24) % 12, 12).float()
        padded = functional.pad(state, (0, 0, 12, 12))
        around = torch.cat([padded[:, :, k : k + n] for k in range(25)], dim=-1)
        pooled = torch.zeros(b, t, 12).index_add_(2, (place + 24) % 12, state[..., 0])
        context = torch.stack([torch.roll(pooled, -((k + 24) % 12), 2) for k in range(n)], dim=2)
        bits = 2.0 * ((number[..., None] % 16).long() >> torch.arange(4) & 1) - 1.0
        return torch.cat(
            [
                place.float()[:, None].expand(b, t, n, 1),
                classes.expand(b, t, n, 12),
                around,
                context,
                bits[:, :, None].expand(b, t, n, 4),
                torch.zeros(b, t, n, 1),
            ],
            dim=-1,
        )

    def forward(self, inputs: Tensor, targets: Tensor, number: Tensor) -> Tensor:
        """Return the summed loss."""
        b, t, n, _ = targets.shape
        told = self.features(inputs, number).transpose(1, 2).reshape(b * n, t, 80)
        hidden, _ = self.time(told)
        hidden = hidden.reshape(b, n, t, 300).transpose(1, 2).reshape(b * t, n, 300)
        below = functional.pad(targets.float(), (0, 0, 1, 0))[:, :, :-1].reshape(b * t, n, 2)
        hidden = functional.dropout(self.note1(torch.cat([hidden, below], dim=-1))[0], 0.5)
        logits = self.output(functional.dropout(self.note2(hidden)[0], 0.5)).float()
        wanted = targets.float().reshape(b * t, n, 2)
        losses = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return (losses[..., 0] + wanted[..., 0] * losses[..., 1]).sum()

    def as_cells(self) -> None:
        """Put the weights into cells."""
        sizes = [(80, 300), (300, 300), (302, 100), (100, 50)]
        self.cells = [nn.LSTMCell(*size) for size in sizes]

    def step(self, last: Tensor, states: list[Any], number: int, draws: Tensor) -> Tensor:
        """Return the next step (B, N, 2), drawn with numbers (B, N, 2)."""
        pieces = len(last)
        told = self.features(last[:, None], torch.full((pieces, 1), number))[:, 0].reshape(-1, 80)
        states[0] = self.cells[0](told, states[0])
        states[1] = self.cells[1](states[0][0], states[1])
        hidden = states[1][0].reshape(pieces, NOTES, 300)
        third = (torch.zeros(pieces, 100), torch.zeros(pieces, 100))
        fourth = (torch.zeros(pieces, 50), torch.zeros(pieces, 50))
        bits, chosen = torch.zeros(pieces, 2), []
        for note in range(NOTES):
            third = self.cells[2](torch.cat([hidden[:, note], bits], dim=1), third)
            fourth = self.cells[3](third[0], fourth)
            shares = torch.sigmoid(self.output(fourth[0]))
            bits = (draws[:, note] < shares).float()
            bits = torch.stack([bits[:, 0], bits[:, 0] * bits[:, 1]], dim=1)
            chosen.append(bits)
        return torch.stack(chosen, dim=1)


def pieces() -> list[EncodedPiece]:
    """Return random pieces about as dense as piano music."""
    random = np.random.default_rng(0)
    made = []
    for k in range(20):
        steps = (random.random((1024, NOTES, 2)) < 0.05).astype(np.uint8)
        steps[..., 1] &= steps[..., 0]
        number = np.arange(1024)
        beat = np.stack([number, number % 16 / 16, number % 4 / 4], axis=1).astype(np.float32)
        made.append(EncodedPiece(str(k), Encoded(steps=steps, conditioning={"beat": beat}), str(k)))
    return made


def batch_of(corpus: list[EncodedPiece], random: np.random.Generator) -> Batch:
    """Return a batch of random segments."""
    starts = random.integers(0, 56, SEGMENTS) * 16
    rows = [Row(k % len(corpus), int(s), int(s) + STEPS) for k, s in enumerate(starts)]
    return collate(rows, corpus)


def ours(**settings: Any) -> Biaxial:
    """Return the net with the settings of the plain one."""
    return Biaxial(BiaxialConfig(beat="classic", position="index", **settings), LAYOUT)


def training(plain: bool, low: bool, **settings: Any) -> Callable[[], object]:
    """Return what one training step is, the batch's preparation included."""
    corpus, random = pieces(), np.random.default_rng(0)
    model = Plain() if plain else ours(**settings)
    optimizer = torch.optim.Adadelta(model.parameters())

    def step() -> None:
        batch = batch_of(corpus, random)
        optimizer.zero_grad(set_to_none=True)
        context = torch.autocast("cpu", torch.bfloat16) if low else contextlib.nullcontext()
        with context:
            if plain:
                loss = model(batch.inputs, batch.targets, batch.conditioning["beat"][..., 0])
            else:
                output = model(batch)
        if not plain:
            loss = negative_log_likelihood(output, LAYOUT).sum()
        loss.backward()
        optimizer.step()

    return step


def generating(plain: bool, count: int, **settings: Any) -> Callable[[], object]:
    """Return what one generated step of so many pieces is."""
    draws = torch.rand(64, count, NOTES, 2)
    last = torch.zeros(count, NOTES, 2)
    number = 0
    if plain:
        net = Plain()
        net.as_cells()
        zeros = torch.zeros(count * NOTES, 300)
        states: list[Any] = [(zeros, zeros), (zeros, zeros)]

        def plain_step() -> None:
            nonlocal last, number
            with torch.inference_mode():
                last = net.step(last, states, number, draws[number % 64])
            number += 1

        return plain_step
    model = ours(**settings).eval()
    state = model.start(count)

    def step() -> None:
        nonlocal last, number, state
        with torch.inference_mode():
            beat = torch.full((count, 3), float(number))
            context, state = model.step(last, state, {"beat": beat})
            thresholds = torch.logit(draws[number % 64])
            last = model.propose(context, GridDraw(thresholds, LAYOUT)).choice
        number += 1

    return step


ROWS: dict[str, tuple[Callable[[], Callable[[], object]], int]] = {
    "training batch, float32: musengine": (lambda: training(False, False), 3),
    "training batch, float32: plain": (lambda: training(True, False), 3),
    "training batch, bfloat16: musengine": (lambda: training(False, True), 3),
    "training batch, bfloat16: plain": (lambda: training(True, True), 3),
    "training batch, bfloat16, freed memory given back: musengine": (
        lambda: training(False, True),
        3,
    ),
    "training batch, float32, linear candidate: musengine": (
        lambda: training(False, False, candidate="linear"),
        3,
    ),
    "one step of 1 piece: musengine": (lambda: generating(False, 1), 300),
    "one step of 1 piece: plain": (lambda: generating(True, 1), 300),
    "one step of 16 pieces: musengine": (lambda: generating(False, 16), 100),
    "one step of 16 pieces: plain": (lambda: generating(True, 16), 100),
}


def measure(name: str) -> dict[str, float]:
    """Return the median seconds of a row, the first run left out, and the peak memory."""
    make, repeats = ROWS[name]
    if "plain" not in name and "given back" not in name:
        keep_freed_memory()
    run = make()
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return {
        "median seconds": float(f"{statistics.median(times[1:]):.4g}"),
        "peak memory, MiB": round(peak_memory()),
    }


def main() -> None:
    """Measure every row, or one."""
    if len(sys.argv) == 2:
        print(json.dumps(measure(sys.argv[1])))
        return
    able = supports_bfloat16(torch.device("cpu"))
    names = [name for name in ROWS if able or "bfloat16" not in name]
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, rounds in measured.items():
            command = [sys.executable, __file__, name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rounds.append(json.loads(done.stdout))
    figures = {
        name: {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        for name, rounds in measured.items()
    }
    write_result("biaxial", "python benchmarks/biaxial.py", figures)


if __name__ == "__main__":
    main()
