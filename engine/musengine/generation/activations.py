"""What goes on inside a model while it reads or makes a piece."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from musengine.encoding.layouts import Tokens
from musengine.errors import UserError
from musengine.interfaces.encoder import DecodeSettings, Encoded, Encoder
from musengine.interfaces.model import Batch, Model, Recorded, as_steps, evaluation_mode
from musengine.interfaces.writer import Activations, Writer
from musengine.plugins.registry import Registry
from musengine.utils.arrays import Array
from musengine.utils.files import whole_file

logger = logging.getLogger(__name__)

LARGEST = 2**28
"""Bytes that a recording may take; a longer piece is recorded as far as they reach."""


def record(model: Model[Any], batch: Batch, prompt_steps: int = 0) -> Activations:
    """Record the first row of a batch, as many of its steps as `LARGEST` allows."""
    with evaluation_mode(model):
        # One step is recorded to learn what a step takes, before memory for all of them is
        # asked for.
        size = sum(part.values.nbytes for part in model.record(_part(batch, 1)).values())
        count = max(min(int(batch.mask[0].sum()), LARGEST // max(size, 1)), 1)
        recorded = model.record(_part(batch, count))
    steps = batch.targets[0, :count].cpu().numpy()
    arrays = {name: _of_one(part) for name, part in recorded.items()}
    return Activations(model.layout, steps, min(prompt_steps, count), arrays)


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
    layout, before = encoder.layout, np.concatenate([np.zeros_like(steps[:1]), steps])
    if isinstance(layout, Tokens) and layout.begin is not None:
        before[0] = layout.begin
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
) -> Activations:
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


def check_record(path: Path, model: str, records: bool, registry: Registry) -> Writer[Any]:
    """Return what will write the activations to the path of `--record`, before any work is done.

    Raises:
        UserError: the model cannot show them, the file is there, or nothing writes such files.
    """
    if not records:
        raise UserError(
            f"--record: model {model!r} cannot show what goes on inside it",
            code="nothing-to-record",
        )
    if path.exists():
        raise UserError(f"--record: {path} is there already; name another file", code="file-exists")
    return find_writer(path.suffix.lower(), registry, "--record")


def find_writer(suffix: str, registry: Registry, where: str) -> Writer[Any]:
    """Return the installed writer of activations for files that end so.

    Raises:
        UserError: there is none, or it lacks a library; names the key that asks for it.
    """
    writers = registry.writers_by_suffix("activations")
    if suffix not in writers:
        raise UserError(
            f"{where}: nothing that is installed writes activations to {suffix or 'such'} files, "
            f"only to {', '.join(sorted(writers))}; another plugin may, `musengine plugins` lists "
            "those installed",
            code="no-writer",
        )
    entry, settings = writers[suffix]
    writer: Writer[Any] = entry.configured(settings, where=where).create()
    return writer


def write(activations: Activations, writer: Writer[Any], path: Path, option: str) -> None:
    """Write activations to a file, which appears whole or not at all."""
    with whole_file(path, option) as aside:
        writer.write(activations, aside)
    logger.info(f"{len(activations.steps):,} steps recorded in {path}")
