"""A trained model as a run folder holds it, ready to generate or to be measured."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from musengine.errors import UserError
from musengine.interfaces.encoder import Encoder
from musengine.interfaces.model import Model
from musengine.pipeline.resolve import Pipeline
from musengine.runs.folder import RunFolder
from musengine.training import checkpoint as checkpoints
from musengine.training.device import choose_device

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A trained model with what it takes to use it."""

    model: Model[Any]
    encoder: Encoder[Any]
    device: torch.device
    checkpoint: Path


def new_model(pipeline: Pipeline, encoder: Encoder[Any]) -> Model[Any]:
    """Return the pipeline's model, its weights fresh, in the pipeline's precision."""
    model: Model[Any] = pipeline.model.create(encoder.layout)
    return model.double() if pipeline.training.precision == "float64" else model


def load_trained(pipeline: Pipeline, run: RunFolder) -> Trained:
    """Load the weights that `generate.checkpoint` names, and the encoder they were trained with.

    Raises:
        UserError: there are none, they are damaged, or belong to another model.
    """
    device = _device_here(pipeline.training.device)
    path = run.checkpoint_for(pipeline.generate.checkpoint.which)
    encoder: Encoder[Any] = pipeline.encoder.create()
    learn_from(path, pipeline, encoder)
    model = new_model(pipeline, encoder)
    checkpoints.load_weights(model, checkpoints.load(path, weights_only=True).model, path)
    return Trained(model.to(device).eval(), encoder, device, path)


def learn_from(path: Path, pipeline: Pipeline, encoder: Encoder[Any]) -> None:
    """Give an encoder what it had learned when a checkpoint was written, and look at the weights.

    The file may be a stranger's: before anything takes memory the shapes in it are compared with
    those of the pipeline's model, made without numbers.

    Raises:
        UserError: it is damaged, or belongs to another model or encoder.
    """
    outline = checkpoints.outline(path)
    try:
        encoder.load_state(outline.meta.get("encoder", {}))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"the checkpoint {path} belongs to another encoder than {pipeline.encoder.name!r}",
            code="checkpoint-of-another-model",
        ) from error
    try:
        with torch.device("meta"):
            own = checkpoints.shapes_of(new_model(pipeline, encoder))
    except (NotImplementedError, RuntimeError):
        return  # a model that computes with its numbers while it is made; its weights tell later
    checkpoints.refuse_other(own, outline.shapes, path)


def _device_here(name: str) -> torch.device:
    """Return the device a run was trained on, or what there is: a folder may have moved."""
    try:
        return choose_device(name)
    except UserError:
        device = choose_device("auto")
        logger.info(f"{name} is not here; using {device}")
        return device
