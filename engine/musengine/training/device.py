"""The device that a model is trained on, its memory, and the precision of the forward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from musengine.errors import UserError
from musengine.interfaces.training import TrainingConfig

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""What PyTorch's messages say of memory where the error is a plain RuntimeError."""


def choose_device(name: str) -> torch.device:
    """Return the device a pipeline names; `auto` takes a GPU where there is one.

    Raises:
        UserError: it is not there.
    """
    mps = torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        message = f"training.device: {name!r} is not a device"
        raise UserError(message, code="device-unknown") from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        found = f"{count} CUDA devices are" if count else "no CUDA device is"
        message = f'training.device: {name} was asked for, but {found} here; use "auto"'
        raise UserError(message, code="device-missing")
    if device.type == "mps" and not mps:
        message = 'training.device: mps was asked for, but is not here; use "auto"'
        raise UserError(message, code="device-missing")
    return device


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether what PyTorch raised says that memory does not suffice."""
    exhausted = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
    return exhausted or any(words in str(error).lower() for words in _OUT_OF_MEMORY)


@contextlib.contextmanager
def memory_explained(config: TrainingConfig, device: torch.device) -> Iterator[None]:
    """Say what to set where the device's memory does not suffice for a batch.

    Raises:
        UserError: in place of what PyTorch raises.
    """
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError, RuntimeError) as error:
        # Not every allocator raises an error class of its own; the CPU's is a plain RuntimeError.
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"not enough memory on {device} for training.batch_size = {config.batch_size}: set a "
            "smaller one, or a smaller training.sequence_length",
            code="out-of-memory",
        ) from error


def supports_bfloat16(device: torch.device) -> bool:
    """Return whether a device can train an LSTM layer in mixed precision.

    The smallest one is tried, forward and backward, since PyTorch has no question that all devices
    answer; x86 processors without AVX-512 cannot.
    """
    # Its weights are not drawn: the random numbers of a run stay as they are.
    layer = torch.nn.LSTM(1, 1, device="meta").to_empty(device=device)
    try:
        with torch.enable_grad(), mixed_precision("bfloat16", device):
            hidden, _ = layer(torch.zeros(1, 1, 1, device=device))
            # The pass backward runs outside autocast, as in training: some processors fail only
            # there.
            total = hidden.sum()
        torch.autograd.backward(total)
    except RuntimeError:  # what PyTorch raises for an operation that a device does not have
        return False
    return True


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device has instructions for products in bfloat16, by what it says it has."""
    if device.type == "cuda":
        # Ampere and later; earlier ones compute in other numbers and round.
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Not public; a version of PyTorch without it is one that cannot tell.
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    told = device.type == "cpu" and asked is not None and bool(asked())
    return told and supports_bfloat16(device)


def mixed_precision(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which a model's forward pass runs."""
    if precision != "bfloat16":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
