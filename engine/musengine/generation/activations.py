"""What goes on inside a model while it reads or makes a piece: kept as numbers or as a picture."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from musengine.encoding.layouts import Grid, Layout
from musengine.errors import UserError
from musengine.interfaces.encoder import DecodeSettings, Encoded, Encoder
from musengine.interfaces.model import Batch, Model, Recorded, as_steps
from musengine.utils.arrays import Array
from musengine.utils.files import whole_file

logger = logging.getLogger(__name__)

LARGEST = 2**28
"""Bytes that a recording may take; a longer piece is recorded as far as they reach."""

SUFFIXES = (".npz", ".png")


@dataclass(frozen=True)
class Recording:
    """What was recorded of one piece.

    Attributes:
        layout: of the steps.
        steps: (T, ...) the piece, its prompt included.
        prompt_steps: how many of the steps are the prompt's.
        arrays: by name, each with its axes, the first of which are the T steps.
    """

    layout: Layout
    steps: Array
    prompt_steps: int
    arrays: Mapping[str, tuple[Array, tuple[str, ...]]]


def record(model: Model[Any], batch: Batch, prompt_steps: int = 0) -> Recording:
    """Record the first row of a batch, as many of its steps as `LARGEST` allows."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            size = sum(part.values.nbytes for part in model.record(_part(batch, 1)).values())
            count = max(min(int(batch.mask[0].sum()), LARGEST // max(size, 1)), 1)
            recorded = model.record(_part(batch, count))
    finally:
        model.train(was_training)
    steps = batch.targets[0, :count].cpu().numpy()
    arrays = {name: _of_one(part) for name, part in recorded.items()}
    return Recording(model.layout, steps, min(prompt_steps, count), arrays)


def _part(batch: Batch, count: int) -> Batch:
    """Return the first steps of the first row, from a fresh state."""
    rows = {name: getattr(batch, name)[:1] for name in ("reset", "begins", "position", "pieces")}
    conditioning = {name: channel[:1, :count] for name, channel in batch.conditioning.items()}
    steps, mask = batch.steps[:1, : count + 1], batch.mask[:1, :count]
    return replace(batch, steps=steps, mask=mask, conditioning=conditioning, carried=None, **rows)


def _of_one(part: Recorded) -> tuple[Array, tuple[str, ...]]:
    return part.values[0].float().cpu().numpy(), part.axes[1:]


def batch_of(
    steps: Array, encoder: Encoder[Any], first: int, settings: DecodeSettings, device: torch.device
) -> Batch:
    """Return a batch of one piece (T, ...) that begins at step `first` of what it is a part of."""
    before = np.concatenate([np.zeros_like(steps[:1]), steps])
    conditioning = encoder.conditioning(first, len(steps), settings)
    return Batch(
        steps=as_steps(before[None]),
        mask=torch.ones(1, len(steps), dtype=torch.bool),
        reset=torch.ones(1, dtype=torch.bool),
        begins=torch.ones(1, dtype=torch.bool),
        position=torch.tensor([first]),
        pieces=torch.zeros(1, dtype=torch.long),
        conditioning={
            name: torch.from_numpy(channel[None]) for name, channel in conditioning.items()
        },
    ).to(device)


def record_piece(
    model: Model[Any],
    encoder: Encoder[Any],
    prompt: Encoded,
    first: int,
    made: Array,
    settings: DecodeSettings,
    device: torch.device,
) -> Recording:
    """Record what went on while a piece was generated, its prompt included.

    Args:
        model: the trained model, on the device.
        encoder: what made the prompt.
        prompt: the prompt, possibly of no steps.
        first: index within its own piece of the prompt's first step.
        made: the generated steps.
        settings: tempo and meter.
        device: where the model is.
    """
    steps = np.concatenate([prompt.steps.astype(made.dtype), made])
    return record(
        model, batch_of(steps, encoder, first, settings, device), prompt_steps=len(prompt.steps)
    )


def check_path(path: Path, model: str, records: bool) -> None:
    """Find out before any work is done whether a recording can be made and written there.

    Raises:
        UserError: it cannot.
    """
    if not records:
        raise UserError(f"--record: model {model!r} cannot show what goes on inside it")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"--record: {path.name} must end in .npz (numbers) or .png (a picture)")
    if path.exists():
        raise UserError(f"--record: {path} is there already; name another file")


def write(recording: Recording, path: Path, option: str = "--record") -> None:
    """Write a recording: arrays with the names of their axes (`.npz`), or a picture (`.png`)."""
    with whole_file(path, option) as aside:
        if path.suffix.lower() == ".png":
            from musengine.builtin.writers.activations import draw

            draw(recording, aside)
        else:
            with aside.open("wb") as file:
                np.savez_compressed(file, **_named(recording))
    logger.info(f"{len(recording.steps):,} steps recorded in {path}")


def _named(recording: Recording) -> dict[str, Any]:
    """Return the arrays as the file has them; `NAME.axes` holds the names of NAME's axes."""
    named: dict[str, Any] = {"steps": recording.steps, "prompt_steps": recording.prompt_steps}
    if isinstance(recording.layout, Grid):
        named["lowest"] = recording.layout.lowest
    for name, (values, axes) in recording.arrays.items():
        named[name] = values
        named[f"{name}.axes"] = np.array(axes)
    return named
