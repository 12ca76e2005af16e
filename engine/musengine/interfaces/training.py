"""`[training]`: the keys that optimizers, schedules and batching strategies are given."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from musengine.config.fields import Config, setting
from musengine.config.quantities import Period
from musengine.config.setting_types import Quantity, Schema, resolve_path

DEFAULT_STEPS = 2000
"""Optimizer steps where a pipeline sets no limit at all."""


@dataclass(frozen=True, repr=False, eq=False)
class Origin(Quantity):
    """Whose weights a run starts from: a path, or the name of a run or of a trained model."""

    place: Path | str
    """A path, absolute; or a name, where no file or folder is there."""
    notation: ClassVar[str] = "a run folder, a checkpoint, or the name of a trained model"

    @classmethod
    def from_toml(cls, value: object, base: Path) -> Origin:
        """Parse a path relative to `base`, or a name where there is no such path."""
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"expected {cls.notation}, got {value!r}")
        path = resolve_path(value, base)
        is_name = re.fullmatch(r"[\w.-]*\w[\w.-]*", value) and not os.path.lexists(path)
        return cls(value if is_name else path)

    @classmethod
    def schema(cls) -> Schema:
        """Return that it is a string; whether it leads anywhere is left open."""
        return {"type": "string", "pattern": r"\S"}

    def to_toml(self) -> str:
        """Return the absolute path or the name."""
        return str(self.place)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class TrainingConfig(Config):
    """`[training]`: how long, on which batches, how optimised, on what device.

    `batching`, `optimizer` and `schedule` hold names here; a pipeline has the components beside
    it. All other keys are shared: a component's declaration says which of them it uses.
    """

    steps: int | None = setting(
        None,
        doc=f"Optimizer steps; {DEFAULT_STEPS} where no limit is given at all.",
        low=0,
        changeable=True,
    )
    epochs: int | None = setting(None, doc="Passes over the training part.", low=0, changeable=True)
    minutes: float | None = setting(
        None, doc="Minutes of training; the first limit reached ends it.", low=0.0, changeable=True
    )
    batching: str | None = setting(
        None,
        doc="How pieces become batches: a batching strategy's name, or a table with its settings.",
        formerly="feed",
    )
    batch_size: int = setting(
        16, doc="Rows of a batch: segments, pieces, streams or windows.", low=1, high=2**20
    )
    sequence_length: int | None = setting(
        None,
        doc="Steps of a segment (64), of a stateful chunk (64) or a window (20); with `pieces`, "
        "the length all are brought to (none: as long as they are).",
        low=1,
        high=2**30,
    )
    accumulate: int = setting(
        1,
        doc="Parts that each batch is learned from one after the other, their gradients added up: "
        "the same step in less memory.",
        low=1,
        high=2**20,
        changeable=True,
    )
    align: int | Literal["bars"] = setting(
        1,
        doc="Segments start at multiples of this many steps; or at `bars`, where the encoder's "
        "tokens say where one begins.",
        low=1,
    )
    stride: int = setting(1, doc="Steps from one window to the next.", low=1)
    fill: Literal["pad", "repeat"] = setting(
        "pad", doc="With `pieces`: short ones are padded and masked, or repeated from the start."
    )
    loss_reduction: Literal["mean", "sum"] = setting(
        "mean",
        doc="What of a batch is descended: the loss's mean over the steps that count, or their "
        "`sum`; gradients are then larger by the number of steps, which matters to what clips "
        "them.",
    )
    optimizer: str | None = setting(None, doc="The optimizer's name, or a table with its settings.")
    learning_rate: float | None = setting(
        None,
        doc="Step size; by default the optimizer's own.",
        above=0.0,
        changeable=True,
        meant_for="optimizer",
    )
    momentum: float | None = setting(
        None,
        doc="Momentum, of optimizers that can have it; by default none.",
        low=0.0,
        below=1.0,
        meant_for="optimizer",
    )
    smoothing: float | None = setting(
        None,
        doc="Share of the past in the running mean of squared gradients: rmsprop's alpha (0.99), "
        "adadelta's rho (0.9).",
        low=0.0,
        below=1.0,
        meant_for="optimizer",
    )
    epsilon: float | None = setting(
        None,
        doc="Smallest number divided by; by default the optimizer's own.",
        above=0.0,
        meant_for="optimizer",
    )
    updates_per_batch: int = setting(
        1, doc="Optimizer steps taken in a row on each batch.", low=1, high=2**20
    )
    weight_decay: float = setting(
        0.0,
        doc="L2 penalty; with adamw decoupled, and by default 0.01.",
        low=0.0,
        changeable=True,
        meant_for="optimizer",
    )
    schedule: str | None = setting(
        None,
        doc="How the learning rate changes: a schedule's name, or a table with its settings.",
        changeable=True,
    )
    warm_up: int = setting(
        0,
        doc="Steps in which the learning rate rises evenly to what the schedule says.",
        low=0,
        changeable=True,
    )
    average: float = setting(
        0.0,
        doc="Decay of a moving average of the weights, such as 0.999, with which the model is "
        "validated, saved and generates; 0 for none.",
        low=0.0,
        below=1.0,
        changeable=True,
    )
    plateau_patience: int = setting(
        3,
        doc="With `plateau`: validations in a row without a lower loss before the rate falls.",
        low=1,
        changeable=True,
    )
    plateau_factor: float = setting(
        0.5,
        doc="With `plateau`: the factor by which the rate falls.",
        above=0.0,
        below=1.0,
        changeable=True,
    )
    plateau_min_delta: float = setting(
        1e-4,
        doc="With `plateau`: by how much the loss must be lower to count as lower.",
        low=0.0,
        changeable=True,
    )
    rate_per_piece: bool = setting(
        False,
        doc="Divide the rate by the whole part of the square root of a piece's number of chunks, "
        "so that a short piece weighs about as much as a long one; for "
        '`batching = "stateful"` and `batch_size = 1`.',
        meant_for="batching",
    )
    clip_norm: float = setting(
        0.0,
        doc="Largest L2 norm of the whole gradient; 0 for no such bound.",
        low=0.0,
        changeable=True,
    )
    clip_each_norm: float = setting(
        0.0,
        doc="Largest L2 norm of the gradient of each weight matrix or bias by itself; 0 for no "
        "such bound.",
        low=0.0,
        changeable=True,
    )
    clip_value: float = setting(
        0.0,
        doc="Largest absolute value of any element of the gradient; 0 for no such bound.",
        low=0.0,
        changeable=True,
    )
    precision: Literal["float32", "bfloat16", "float64", "auto"] = setting(
        "float32",
        doc="`bfloat16` runs the large products of training in mixed precision where the device "
        "computes in it; elsewhere the run trains in `float32` and says so. `auto` takes it where "
        "the device has instructions for it.",
    )
    device: str = setting("auto", doc="`auto`, `cpu`, `cuda`, `cuda:1` or `mps`.", changeable=True)
    threads: int = setting(
        0,
        doc="CPU threads of PyTorch; 0 leaves its own choice.",
        low=0,
        high=2**12,
        changeable=True,
    )
    seed: int = setting(0, doc="Seed of everything random in training.", low=0, high=2**53)
    init_from: Origin | None = setting(
        None,
        doc="A run folder, a checkpoint, or the name of a trained model, whose weights, and what "
        "its encoder learned, a new run starts from.",
    )
    frozen: tuple[str, ...] = setting(
        (),
        doc="Weights that are not trained, by the names that checkpoints have for them or by "
        "patterns such as `layers.0.*`.",
        one_or_many=True,
    )
    checkpoint_every: Period = setting(
        Period(500, "steps"),
        doc='How often the model is validated and saved: steps, or "1 epoch", "10 minutes".',
        changeable=True,
    )
    log_every: int = setting(
        10,
        doc="Steps whose mean loss makes one line of `metrics.jsonl`.",
        low=1,
        changeable=True,
    )
    keep_checkpoints: int | Literal["all"] = setting(
        2,
        doc="How many of the newest checkpoints stay, beside the best one; or `all`.",
        low=1,
        changeable=True,
    )

    def problems(self) -> Iterable[tuple[str, str, str]]:
        """Yield a device that PyTorch does not know."""
        kind = self.device.partition(":")[0]
        if kind not in ("auto", "cpu", "cuda", "mps"):
            message = f"expected auto, cpu, cuda, cuda:N or mps, got {self.device!r}"
            yield "device", message, "device-unknown"
