"""Optimizers, learning-rate schedules, precision, and the limits that end training."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from musengine.config.quantities import Period
from musengine.errors import UserError
from musengine.interfaces.model import Model
from musengine.pipeline.sections import TrainingConfig

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
}


@dataclass
class TrainerState:
    """Where training stands: enough to go on at the very next batch."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0


def make_optimizer(model: Model[Any], config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimizer of the pipeline over the model's parameter groups.

    Each group remembers its own rate as `initial_lr`, which the schedule scales.
    """
    smoothing = {"rmsprop": "alpha", "adadelta": "rho"}.get(config.optimizer, "smoothing")
    chosen = {
        "lr": config.learning_rate,
        "momentum": config.momentum,
        smoothing: config.smoothing,
        "eps": config.epsilon,
        "weight_decay": config.weight_decay,
    }
    settings: dict[str, Any] = {key: value for key, value in chosen.items() if value is not None}
    optimizer = OPTIMIZERS[config.optimizer](model.parameter_groups(), **settings)
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    return optimizer


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restore an optimizer's moments; its settings stay the pipeline's, which may have changed."""
    settings = [
        {key: value for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)


class Schedule:
    """By what the learning rate is multiplied: by the time that is left, or by what was reached."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.best = math.inf
        self.waited = 0
        self.reduced = 1.0

    def factor(self, fraction: float) -> float:
        """Return the factor for a fraction, 0 to 1, of the whole training."""
        if self.config.schedule == "plateau":
            return self.reduced
        factors = {
            "constant": 1.0,
            "linear": 1.0 - fraction,
            "cosine": 0.5 * (1.0 + math.cos(math.pi * fraction)),
        }
        return factors[self.config.schedule]

    def validated(self, figure: float) -> None:
        """Take note of a validation figure, lower being better."""
        if figure < self.best:
            self.best, self.waited = figure, 0
            return
        self.waited += 1
        if self.waited >= self.config.plateau_patience:
            self.reduced *= self.config.plateau_factor
            self.waited = 0

    def state(self) -> dict[str, Any]:
        """Return what must survive an interruption, as JSON values."""
        best = self.best if math.isfinite(self.best) else None
        return {"best": best, "waited": self.waited, "reduced": self.reduced}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self.best = math.inf if state["best"] is None else state["best"]
        self.waited, self.reduced = state["waited"], state["reduced"]


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to a multiple of its own."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def clip_gradients(optimizer: torch.optim.Optimizer, config: TrainingConfig) -> None:
    """Clip each element, then each parameter's norm, then that of all, as the pipeline asks."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if config.clip_value:
        torch.nn.utils.clip_grad_value_(parameters, config.clip_value)
    if config.clip_each_norm:
        for parameter in parameters:
            torch.nn.utils.clip_grad_norm_(parameter, config.clip_each_norm)
    if config.clip_norm:
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)


def fraction_done(config: TrainingConfig, place: TrainerState, batches_in_epoch: int) -> float:
    """Return how much of the training is done, 0 to 1, by the limit that is nearest."""
    epochs = place.epoch + place.batch / max(batches_in_epoch, 1)
    limits: Iterable[tuple[float, float | None]] = (
        (place.step, config.steps),
        (epochs, config.epochs),
        (place.seconds / 60, config.minutes),
    )
    shares = [done / limit if limit else 1.0 for done, limit in limits if limit is not None]
    return min(max(shares, default=0.0), 1.0)


def limit_reached(config: TrainingConfig, place: TrainerState) -> str | None:
    """Return which limit ends the training, or None."""
    if config.steps is not None and place.step >= config.steps:
        return f"all {config.steps} steps are done"
    if config.epochs is not None and place.epoch >= config.epochs:
        return f"all {config.epochs} epochs are done"
    if config.minutes is not None and place.seconds >= 60 * config.minutes:
        return f"the {config.minutes:g} minutes are over"
    return None


def is_due(period: Period, now: TrainerState, last: TrainerState) -> bool:
    """Return whether a multiple of the period lies between the last time and now.

    Multiples, not time passed: a run that was interrupted then saves where it would have anyway.
    """
    clocks = {
        "steps": (now.step, last.step),
        "epochs": (now.epoch, last.epoch),
        "minutes": (now.seconds / 60, last.seconds / 60),
    }
    here, there = clocks[period.unit]
    return here // period.number > there // period.number


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
        raise UserError(f"training.device: {name!r} is not a device") from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        found = f"{count} CUDA devices are" if count else "no CUDA device is"
        raise UserError(f'training.device: {name} was asked for, but {found} here; use "auto"')
    if device.type == "mps" and not mps:
        raise UserError('training.device: mps was asked for, but is not here; use "auto"')
    return device


@contextlib.contextmanager
def memory_explained(config: TrainingConfig, device: torch.device) -> Iterator[None]:
    """Say what to set where the device's memory does not suffice for a batch.

    Raises:
        UserError: in place of what PyTorch raises.
    """
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError, RuntimeError) as error:
        exhausted = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
        if not exhausted and not any(words in str(error).lower() for words in _OUT_OF_MEMORY):
            raise
        raise UserError(
            f"not enough memory on {device} for training.batch_size = {config.batch_size}: set a "
            "smaller one, or a smaller training.sequence_length"
        ) from error


_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


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
            total = hidden.sum()
        torch.autograd.backward(total)
    except RuntimeError:  # what PyTorch raises for an operation that a device does not have
        return False
    return True


def mixed_precision(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which a model's forward pass runs."""
    if precision != "bfloat16":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
