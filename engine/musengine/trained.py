"""A trained model as a run folder holds it, ready to generate or to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from musengine import checkpoint as checkpoints
from musengine.components.encoders import Encoder
from musengine.components.metrics import Evidence
from musengine.components.models import Model
from musengine.console import Console
from musengine.corpus import Dataset, prepare, read_corpus
from musengine.errors import UserError
from musengine.optimisation import choose_device
from musengine.pipeline import Pipeline
from musengine.registry import Registry
from musengine.runfolder import RunFolder
from musengine.score import Part


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
    """Load the weights and the encoder of a run.

    Raises:
        UserError: there are none, they are damaged, or belong to another model.
    """
    device = _device_here(pipeline.training.device)
    path = run.checkpoint_for(pipeline.generate.checkpoint)
    stored = checkpoints.load(path, weights_only=True)
    encoder: Encoder[Any] = pipeline.encoder.create()
    encoder.load_state(stored.meta.get("encoder", {}))
    model = new_model(pipeline, encoder)
    checkpoints.load_weights(model, stored.model, path)
    return Trained(model.to(device).eval(), encoder, device, path)


def _device_here(name: str) -> torch.device:
    """Return the device a run was trained on, or what there is: a folder may have moved."""
    try:
        return choose_device(name)
    except UserError:
        device = choose_device("auto")
        Console.current().say(f"{name} is not here; using {device}")
        return device


def evaluate(
    pipeline: Pipeline, run: RunFolder, registry: Registry, parts: Sequence[Part]
) -> dict[str, dict[str, float]]:
    """Measure a run's best weights on parts of its corpus; figures by part.

    Raises:
        UserError: what the user can mend.
    """
    trained = load_trained(pipeline, run)
    dataset = prepare(pipeline, read_corpus(pipeline, registry), trained.encoder, learned=True)
    run.check_split(dataset)
    return measure(pipeline, trained, dataset, registry, parts)


def measure(
    pipeline: Pipeline,
    trained: Trained,
    dataset: Dataset,
    registry: Registry,
    parts: Sequence[Part],
) -> dict[str, dict[str, float]]:
    """Return the pipeline's metrics of a trained model on some parts."""
    results: dict[str, dict[str, float]] = {}
    for part in parts:
        evidence = Evidence(trained.model, trained.encoder, dataset.parts[part], part)
        figures: dict[str, float] = {}
        for name in pipeline.evaluate.metrics:
            if name == "nll" and not pipeline.model_declaration.likelihood:
                continue
            entry = registry.get("metric", name)
            metric = entry.load()(entry.declaration.config())
            figures.update(metric.measure(evidence))
        if figures:
            results[part] = figures
    return results
