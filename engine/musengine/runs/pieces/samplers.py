"""What a pipeline's samplers learned when a run began: kept in its folder, given back to them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors import numpy as tensors

from musengine.data.dataset import Dataset
from musengine.encoding.layouts import Layout
from musengine.errors import UserError
from musengine.interfaces.contracts.values import check_figures
from musengine.interfaces.sampler import Sampler
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.blame import broken, phase
from musengine.runs.folder import RunFolder
from musengine.utils.arrays import Array
from musengine.utils.files import whole_file
from musengine.utils.safetensors_header import ordered

logger = logging.getLogger(__name__)

_BYTES = 2**30
"""More than any state is; a stranger's file is not read into memory whole."""


def learn(pipeline: Pipeline, layout: Layout, dataset: Dataset, path: Path) -> None:
    """Let the samplers learn from the music, and keep in a file what they learned, if anything."""
    chain: list[Sampler[Any]] = []
    for component in pipeline.samplers:
        sampler: Sampler[Any] = component.create(layout)
        sampler.fit(
            (piece.encoded.steps for piece in dataset.parts["train"]),
            (piece.encoded.steps for piece in dataset.parts["valid"]),
        )
        chain.append(sampler)
    keep(pipeline, chain, path)


def keep(pipeline: Pipeline, chain: Sequence[Sampler[Any]], path: Path) -> None:
    """Write what a pipeline's samplers have learned into a file, where there is anything."""
    _write(_arrays_of(pipeline, chain), path)


def _arrays_of(pipeline: Pipeline, chain: Sequence[Sampler[Any]]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for component, sampler in zip(pipeline.samplers, chain, strict=True):
        for name, array in sampler.state().items():
            if not isinstance(array, np.ndarray):
                raise broken(sampler, "state", f"{name!r} is no array")
            arrays.setdefault(f"{component.name}/{name}", np.ascontiguousarray(array))
    return arrays


def _write(arrays: Mapping[str, Array], path: Path) -> None:
    if arrays:
        with whole_file(path) as aside:
            aside.write_bytes(ordered(tensors.save(dict(arrays), metadata={"of": "samplers"})))


def keep_found(pipeline: Pipeline, chain: Sequence[Sampler[Any]], run: RunFolder) -> None:
    """Keep what samplers found out of a run's weights, so that the next pieces need not wait.

    What others have in the run's file stays. Nothing is kept in a folder that is read alone, such
    as that of a trained model.
    """
    if not run.is_own or not os.access(run.path, os.W_OK):
        return
    known = _states(run.samplers)
    found = _arrays_of(pipeline, chain)
    there = {f"{name}/{key}": each for name, own in known.items() for key, each in own.items()}
    if any(not np.array_equal(array, there.get(key, ())) for key, array in found.items()):
        _write({**there, **found}, run.samplers)


def samplers_of(pipeline: Pipeline, layout: Layout, path: Path) -> list[Sampler[Any]]:
    """Return a pipeline's samplers, with what they learned when the run began.

    Raises:
        UserError: the file is damaged, or is another sampler's.
    """
    known = _states(path)
    chain = [component.create(layout) for component in pipeline.samplers]
    try:
        give_back(chain, [known.get(each.name, {}) for each in pipeline.samplers])
    except (LookupError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    return chain


def give_back(chain: Sequence[Sampler[Any]], states: Sequence[Mapping[str, Array]]) -> None:
    """Give each sampler of a chain what it had learned, nothing where its state is empty.

    Raises:
        LookupError, TypeError, ValueError: a state is another sampler's.
    """
    for sampler, state in zip(chain, states, strict=True):
        if state:
            sampler.load_state(state)


def figures_of(samplers: Sequence[Sampler[Any]], steps: Array, prompt: Array) -> dict[str, Any]:
    """Return what samplers have to say of a finished piece, by name."""
    whole = np.concatenate([prompt.astype(steps.dtype), steps]) if len(prompt) else steps
    found: dict[str, Any] = {}
    with phase("generating"):
        for sampler in samplers:
            found.update(check_figures(sampler, sampler.figures(whole, len(prompt)), "figures"))
    return found


def _states(path: Path) -> Mapping[str, dict[str, Array]]:
    """Return what is kept in a file, by the samplers' names."""
    states: dict[str, dict[str, Array]] = {}
    if not path.is_file():
        return states
    try:
        # Before the file is opened: a run folder may be a stranger's.
        if path.stat().st_size > _BYTES:
            raise ValueError(f"larger than {_BYTES:,} bytes")
        with safetensors.safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118
                sampler, _, name = key.partition("/")
                states.setdefault(sampler, {})[name] = file.get_tensor(key)
    except (OSError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise _damaged(path, error) from error
    return states


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"what the samplers learned, {path}, is damaged: {error}", code="file-damaged")
