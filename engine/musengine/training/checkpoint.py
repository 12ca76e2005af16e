"""Checkpoints: one safetensors file with the weights and all that continuing needs. No pickle."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from musengine.errors import UserError
from musengine.training.state import TrainerState
from musengine.utils.files import whole_file
from musengine.utils.safetensors_header import ordered

_TENSOR = "__tensor__"
_MODEL = "model/"
_FOREIGN_JSON = (ValueError, TypeError, RecursionError)
"""What reading JSON that `save` did not write may end in."""

MOST_JSON = 2**26
"""Characters of JSON that are read from a file; parsed they take many times the memory."""

Shapes = Mapping[str, tuple[int, ...]]
"""Of weights by name."""


@dataclass
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        model: the weights by name.
        meta: JSON values: counters, figures, the encoder's state, callbacks' states.
        extra: nested values with tensors in them: the optimizer, carried states, generators.
    """

    model: dict[str, Tensor]
    meta: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outline:
    """What a checkpoint file holds beside numbers: read without any of its tensors.

    Attributes:
        shapes: of the weights.
        meta: as in a Checkpoint.
    """

    shapes: Shapes
    meta: dict[str, Any]


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all; tensors of any device are written from the CPU.

    Raises:
        TypeError: `extra` holds something else than tensors, plain values, lists, tuples and dicts.
    """
    tensors = {f"{_MODEL}{name}": tensor for name, tensor in checkpoint.model.items()}
    skeleton = _flatten(checkpoint.extra, tensors)
    # safetensors holds tensors by name and strings. Everything else goes into its header as JSON,
    # with names where the tensors were: unlike a pickle, reading it cannot run code.
    metadata = {"meta": json.dumps(checkpoint.meta), "extra": json.dumps(skeleton)}
    # Cloned even on the CPU: safetensors refuses tensors that share memory, as tied weights do, and
    # those that are not contiguous.
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    data = ordered(safetensors.torch.save(copies, metadata=metadata))
    with whole_file(path) as aside:
        aside.write_bytes(data)


def outline(path: Path) -> Outline:
    """Read what a checkpoint says of itself; costs no more memory than that, whatever its size.

    Raises:
        UserError: missing, cut short or otherwise damaged, or no checkpoint at all.
    """
    with _opened(path) as file:
        # `get_slice` reads shapes from the header alone.
        names = [name for name in file.keys() if name.startswith(_MODEL)]  # noqa: SIM118
        shapes = {_bare(name): tuple(file.get_slice(name).get_shape()) for name in names}
        return Outline(shapes, _meta(file))


def load(path: Path, *, weights_only: bool = False) -> Checkpoint:
    """Read a checkpoint, its tensors on the CPU.

    Args:
        path: the file.
        weights_only: leave `extra` out: for generation the weights and JSON values are enough.

    Raises:
        UserError: missing, cut short or otherwise damaged, or no checkpoint at all.
    """
    with _opened(path) as file:
        # Only what is asked for is read from the file: the optimizer's moments are twice the
        # weights.
        names = [name for name in file.keys()]  # noqa: C416, SIM118  not a dict
        chosen = [name for name in names if name.startswith(_MODEL) or not weights_only]
        tensors = {name: file.get_tensor(name) for name in chosen}
        extra = {} if weights_only else _restore(_json(file, "extra"), tensors)
        model = {_bare(name): tensors[name] for name in tensors if name.startswith(_MODEL)}
        return Checkpoint(model, _meta(file), extra)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file; whatever is wrong with it is told in one line."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError as error:
        raise UserError(
            f"there is no checkpoint {path}; name another", code="checkpoint-unreadable"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror or error}", code="cannot-read"
        ) from error
    except (safetensors.SafetensorError, LookupError, *_FOREIGN_JSON) as error:
        raise UserError(
            f"the checkpoint {path} cannot be read ({error}); name another, or delete it to go on "
            "from the one before it",
            code="checkpoint-unreadable",
        ) from error


def _json(file: Any, name: str) -> Any:
    text = (file.metadata() or {})[name]
    # Asked before parsing, which takes memory many times the text's length.
    if len(text) > MOST_JSON:
        raise ValueError(f"{len(text)} characters of {name!r} are too many")
    return json.loads(text)


def _meta(file: Any) -> dict[str, Any]:
    meta = _json(file, "meta")
    if not isinstance(meta, dict):
        raise ValueError("its 'meta' is no table")
    return meta


def _bare(name: str) -> str:
    return name.removeprefix(_MODEL)


def shapes_of(model: nn.Module) -> Shapes:
    """Return the shapes of a model's weights and buffers by name, as a checkpoint has them."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def refuse_other(own: Shapes, found: Shapes, path: Path) -> None:
    """Compare a model's weights with those of a checkpoint.

    Raises:
        UserError: they belong to another architecture; names the first difference.
    """
    for name in sorted(own.keys() | found.keys()):
        if name not in found:
            difference = f"{name} is missing"
        elif name not in own:
            difference = f"{name} is not part of this model"
        elif own[name] != found[name]:
            difference = f"{name} has shape {found[name]}, the model needs {own[name]}"
        else:
            continue
        message = f"the checkpoint {path} belongs to another model: {difference}"
        raise UserError(message, code="checkpoint-of-another-model")


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Put a checkpoint's weights into a model.

    Raises:
        UserError: they belong to another architecture; names the first difference.
    """
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    refuse_other(shapes_of(model), found, path)
    own = model.state_dict()
    for name, weight in weights.items():
        # `load_state_dict` would silently turn fractions into whole numbers. Precisions may differ:
        # a run trained in float64 can generate in float32.
        if weight.is_floating_point() != own[name].is_floating_point():
            raise UserError(
                f"the checkpoint {path} belongs to another model: {name} holds {weight.dtype}, the "
                f"model needs {own[name].dtype}",
                code="checkpoint-of-another-model",
            )
    # Parameters alone: a buffer may well hold -inf, such as the mask of a grammar.
    for name, _ in model.named_parameters():
        if name in weights and not bool(torch.isfinite(weights[name]).all()):
            raise UserError(
                f"the checkpoint {path} is of no use: {name} holds numbers that are not finite; "
                "name another, or delete it to go on from the one before it",
                code="checkpoint-unreadable",
            )
    model.load_state_dict(weights)


@contextlib.contextmanager
def well_formed(path: Path) -> Iterator[None]:
    """Take a checkpoint's values apart; what is not of the form that `save` gives is one line.

    Raises:
        UserError: a value is missing, or of another kind.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"the checkpoint {path} cannot be read: it was not written by musengine, or by another "
            f"version ({type(error).__name__}: {error}); name another, or delete it to go on from "
            "the one before it",
            code="checkpoint-unreadable",
        ) from error


def check_resumable(stored: Checkpoint) -> None:
    """Look whether a checkpoint has all that training goes on from.

    Raises:
        LookupError: a value is missing.
        ValueError: a value is of another kind.
    """
    TrainerState.from_json(stored.meta["state"])
    extra, callbacks = stored.extra, stored.meta["callbacks"]
    unlogged, (kind, state) = extra["unlogged"], extra["schedule"]
    steps, total = unlogged
    right = (
        isinstance(extra["validation_due"], bool)
        and isinstance(steps, int)
        and isinstance(total, (int, float))
        and isinstance(extra["optimizer"], dict)
        and isinstance(extra["optimizer"].get("state"), dict)
        and isinstance(kind, str)
        and isinstance(state, dict)
        and isinstance(extra["random"]["cpu"], Tensor)
        and extra["random"]["cpu"].dtype == torch.uint8
        and isinstance(extra.get("trained"), (dict, type(None)))
        and isinstance(callbacks, list)
        and all(isinstance(name, str) and isinstance(own, dict) for name, own in callbacks)
        and isinstance(stored.meta["valid"], dict)
        and all(isinstance(each, (int, float)) for each in stored.meta["valid"].values())
    )
    if not right or "carried" not in extra:
        raise ValueError("what training goes on from is of another kind")


def _flatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return JSON in which names stand for tensors, and add the tensors under these names."""
    if isinstance(value, Tensor):
        name = f"extra/{len(tensors)}"
        tensors[name] = value
        return {_TENSOR: name}
    if isinstance(value, dict):
        # As pairs, since keys of an optimizer's state are whole numbers, which JSON would make
        # strings.
        return {"dict": [[key, _flatten(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        # JSON has one kind of list; an LSTM's state must come back as a tuple.
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_flatten(item, tensors) for item in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _restore(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return what `_flatten` turned into JSON."""
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    # Every container was written as a table with one key, its kind.
    (kind, items), *_ = value.items()
    if kind == "dict":
        return {key: _restore(item, tensors) for key, item in items}
    restored = (_restore(item, tensors) for item in items)
    return tuple(restored) if kind == "tuple" else list(restored)


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a nested value of lists, tuples and dicts with `change` applied to each tensor."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: map_tensors(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        changed = [map_tensors(item, change) for item in value]
        # A named tuple takes its items one by one.
        return type(value)(*changed) if hasattr(value, "_fields") else type(value)(changed)
    return value


def random_state() -> dict[str, Any]:
    """Return the state of PyTorch's random generators, of the CPU and of every GPU."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Set PyTorch's generators as `random_state` found them, of as many GPUs as are here."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])
