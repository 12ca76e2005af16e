"""A small biaxial net, batches for it, and the net again in plain loops of NumPy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch

from musengine.api import Batch, Grid, GridStep, LSTMLayer
from musengine_biaxial.config import BiaxialConfig
from musengine_biaxial.model import Biaxial

BOTH = ("sound", "onset")
PLAY = ("sound",)


def grid(channels: tuple[str, ...] = BOTH, lowest: int = 58, pitches: int = 7) -> Grid:
    step = GridStep(Fraction(1, 4), "beat")
    return Grid(
        lowest=lowest, pitches=pitches, channels=channels, step=step, conditioning=("beat",)
    )


def make_model(layout: Grid, **settings: Any) -> Biaxial:
    """A small net whose weights are far enough from nought that every one of them is heard."""
    torch.manual_seed(0)
    config = BiaxialConfig(**{"time_layers": (6, 5), "note_layers": (4, 3), **settings})
    model = Biaxial(config, layout).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.7)
        for name, buffer in model.named_buffers():
            if name.endswith("start"):
                buffer.normal_(0.0, 0.7)
    return model


def beat_of(first: int, count: int) -> np.ndarray:
    """Steps of a sixteenth in 4/4 from the start of a bar: number, share of bar, share of beat."""
    number = np.arange(first, first + count)
    return np.stack([number, number % 16 / 16, number % 4 / 4], axis=1).astype(np.float32)


def make_batch(layout: Grid, rows: int = 3, steps: int = 9) -> Batch:
    """Random steps; the first row begins a piece, the others stand in the middle of one."""
    random = np.random.default_rng(1)
    roll = (random.random((rows, steps + 1, *layout.step_shape)) < 0.4).astype(np.uint8)
    if len(layout.channels) == 2:
        roll[..., 1] &= roll[..., 0]
    roll[0, 0] = 0
    position = np.arange(rows) * 5
    beat = np.stack([beat_of(first, steps) for first in position])
    return Batch(
        steps=torch.from_numpy(roll),
        mask=torch.ones(rows, steps, dtype=torch.bool),
        reset=torch.ones(rows, dtype=torch.bool),
        begins=torch.from_numpy(position == 0),
        position=torch.from_numpy(position),
        pieces=torch.arange(rows),
        conditioning={"beat": torch.from_numpy(beat)},
    )


def features_by_hand(state: np.ndarray, lowest: int, number: int) -> np.ndarray:
    """The 80 numbers of every note, (N, 80), written down one after the other.

    `state` is (N, 2), the step before; `number` that of the step to predict.
    """
    rows = []
    notes = len(state)
    for note in range(notes):
        pitch_class = (lowest + note) % 12
        row = [float(note)]
        row += [1.0 if k == pitch_class else 0.0 for k in range(12)]
        for offset in range(-12, 13):
            other = note + offset
            row += [float(b) for b in state[other]] if 0 <= other < notes else [0.0, 0.0]
        sounding = [0.0] * 12
        for other in range(notes):
            if state[other, 0]:
                sounding[(lowest + other) % 12] += 1
        row += sounding[pitch_class:] + sounding[:pitch_class]
        count = number % 16
        for _ in range(4):
            row.append(1.0 if count % 2 else -1.0)
            count //= 2
        row.append(0.0)
        rows.append(row)
    return np.array(rows)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def layer_step(layer: LSTMLayer, x: np.ndarray, state: Any, linear: bool) -> Any:
    """One step of one layer for one sequence: vectors in, hidden state and cell out."""
    weights = [w.detach().numpy() for w in (layer.input_weight, layer.hidden_weight, layer.bias)]
    hidden, cell = state
    i, f, z, o = np.split(weights[0] @ x + weights[1] @ hidden + weights[2], 4)
    cell = sigmoid(f) * cell + sigmoid(i) * (z if linear else np.tanh(z))
    return sigmoid(o) * np.tanh(cell), cell


def stack_step(stack: Any, x: np.ndarray, states: list[Any], linear: bool) -> np.ndarray:
    for index, layer in enumerate(stack.typed_layers):
        states[index] = layer_step(layer, x, states[index], linear)
        x = states[index][0]
    return x


def start_of(stack: Any) -> list[Any]:
    return [
        tuple(part[0].detach().numpy() for part in layer.initial_state(1))
        for layer in stack.typed_layers
    ]


def logits_by_hand(model: Biaxial, steps: np.ndarray, first: int = 0) -> np.ndarray:
    """The logits (T, N, C) of `steps[1:]`, one note of one step after the other."""
    linear = model.config.candidate == "linear"
    lowest, notes = model.grid.lowest, model.grid.pitches
    weight, bias = (p.detach().numpy() for p in (model.output.weight, model.output.bias))
    along_time = [start_of(model.time) for _ in range(notes)]
    result = np.zeros(steps[1:].shape)
    for t in range(len(steps) - 1):
        told = features_by_hand(steps[t], lowest, first + t)
        heard = [
            stack_step(model.time, told[note], along_time[note], linear) for note in range(notes)
        ]
        along_notes, below = start_of(model.note), np.zeros(steps.shape[2])
        for note in range(notes):
            x = np.concatenate([heard[note], below])
            last = stack_step(model.note, x, along_notes, linear)
            result[t, note] = weight @ last + bias
            below = steps[t + 1, note]
    return result
