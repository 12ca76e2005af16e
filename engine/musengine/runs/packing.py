"""A run made small enough to pass on: what generating from it and going on from it need."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
import torch
from torch import Tensor

from musengine.config.toml import SettingsSource
from musengine.errors import UserError
from musengine.generation.prompts import read_prompts, store_prompts
from musengine.pipeline.resolve import Pipeline, resolve_pipeline
from musengine.plugins.registry import Registry
from musengine.runs.folder import RunFolder
from musengine.runs.pieces import samplers
from musengine.runs.pieces.generate import make_pieces, write_pieces
from musengine.runs.trained import load_trained
from musengine.training import checkpoint as checkpoints
from musengine.utils.files import read_table, write_json, write_text

_LEARNED_FROM = "unpublished"
"""The scheme of the music a packed run was trained on, which is not with it."""
_OF_PIECES = (
    *("count", "length", "tempo", "meter", "key", "instrument", "velocity"),
    *("prompt_length", "include_prompt", "prompt_text", "instruments", "density"),
    *("redraw", "best_of"),
)
"""Keys of `[generate]` that stay: no paths, and no seed, so that each call makes other pieces."""
_SAMPLES = 4
"""Pieces made with the packed weights, to be heard before anything is generated."""
_OF_MACHINE = ("device", "threads", "init_from")
"""Keys of `[training]` that go."""


def pack(
    run: RunFolder,
    registry: Registry,
    folder: Path,
    *,
    name: str,
    prompts: int = 0,
    settings: Sequence[str] = (),
) -> None:
    """Write into an empty folder what a run needs as a trained model, and a few of its pieces.

    Of the music that it learned from nothing is in it but the prompts.

    Args:
        run: a run that was trained.
        registry: its components.
        folder: written into.
        name: what it is called.
        prompts: how many beginnings of pieces that were held out come with it, as music that can
            be played back; with none, pieces begin from nothing.
        settings: of the pieces that come with it, as `--set` takes them.

    Raises:
        UserError: it has no checkpoint, or something in it is damaged.
    """
    pipeline = run.read_pipeline(registry)
    trained = load_trained(pipeline, run)
    target = RunFolder(folder)
    tables = _tables(pipeline, name)
    if prompts:
        found = read_prompts(run.prompts, trained.encoder.layout)
        if not found:
            raise UserError(f"{run.path} holds no prompts to come with it", code="no-prompts")
        chosen = found[:prompts]
        prevailing = {piece.id: piece.prevailing for piece in chosen}
        store_prompts(chosen, trained.encoder.layout, target.prompts, prevailing)
        tables["generate"]["prompt"] = "corpus"
    _pack_weights(trained.checkpoint, target)
    if run.samplers.is_file():
        shutil.copyfile(run.samplers, target.samplers)
    if (corpus := run.path / "corpus.json").is_file():
        write_json(folder / "corpus.json", read_table(corpus))
    _pack_figures(run, folder)
    # Last, since the pipeline makes a folder a run; resolved, so that no table is written that
    # could not be read again.
    source = SettingsSource(target.pipeline_file, name, copy.deepcopy(tables), folder)
    resolve_pipeline(source, registry)
    write_text(target.pipeline_file, tomli_w.dumps(tables))
    _make_samples(target, registry, settings)


def _make_samples(target: RunFolder, registry: Registry, settings: Sequence[str]) -> None:
    """Make a few pieces, and keep what the samplers find out of the packed weights for them."""
    pipeline = target.read_pipeline(registry, [f"generate.count={_SAMPLES}", *settings])
    made = make_pieces(pipeline, target, registry, seed=0)
    write_pieces(made, pipeline, target, seed=0)
    samplers.keep(pipeline, made.samplers, target.samplers)


def _tables(pipeline: Pipeline, name: str) -> dict[str, Any]:
    """Return the pipeline without what is the maker's own: paths, machine, callbacks, seed."""
    tables = copy.deepcopy(pipeline.tables())
    tables["corpus"] = {"path": f"{_LEARNED_FROM}:{name}"}
    generate = tables["generate"]
    tables["generate"] = {key: generate[key] for key in _OF_PIECES if key in generate}
    tables["generate"]["prompt"] = "none"
    training = tables["training"]
    tables["training"] = {key: training[key] for key in training if key not in _OF_MACHINE}
    # What writes and measures pieces is the user's own affair, and needs no plugins for it.
    for each in ("run", "output", "metric", "callback"):
        tables.pop(each, None)
    return tables


def _in_16_bits(weight: Tensor) -> Tensor:
    """Return a weight in 16 bits, a whole number as it is."""
    if not weight.is_floating_point():
        return weight
    # On music not learned from it changes 7.68478 nats a note by 0.000001, bfloat16 by 0.0001.
    largest = torch.finfo(torch.float16).max
    fits = not weight.numel() or float(weight.abs().max()) <= largest
    return weight.to(torch.float16 if fits else torch.bfloat16)


def _pack_weights(path: Path, target: RunFolder) -> None:
    stored = checkpoints.load(path, weights_only=True)
    weights = {name: _in_16_bits(weight) for name, weight in stored.model.items()}
    kept: dict[str, Any] = {
        key: stored.meta[key] for key in ("encoder", "model", "state") if key in stored.meta
    }
    target.checkpoints.mkdir(parents=True)
    checkpoints.save(target.checkpoints / path.name, checkpoints.Checkpoint(weights, kept))


def _pack_figures(run: RunFolder, folder: Path) -> None:
    """Write the figures, without those of single pieces, and which distributions it needs."""
    if (path := run.path / "evaluation.json").is_file():
        parts = read_table(path)
        write_json(folder / "evaluation.json", {part: _numbers(parts[part]) for part in parts})
    if (path := run.path / "versions.json").is_file():
        write_json(folder / "versions.json", read_table(path))
    path = run.path / "choice.json"
    if path.is_file() and isinstance(survey := read_table(path).get("survey"), dict):
        write_json(folder / "choice.json", {"survey": survey})


def _numbers(figures: Any) -> dict[str, Any]:
    if not isinstance(figures, Mapping):
        return {}
    return {name: each for name, each in figures.items() if isinstance(each, (int, float))}
