"""A training through the engine and a bare loop of PyTorch that take turns, step by step.

The same model object, the same batches, one thread, the time that this process has had of the
processor. A ratio is the median over turns of neighbours, so that what else the machine does falls
on both. The bare loops know no grammar, no mask, no log and no checkpoint, and find their batches
put together.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from musengine.builtin.batching import SegmentBatching
from musengine.builtin.losses import CrossEntropy
from musengine.builtin.schedules import CosineSchedule
from musengine.data.batching import Batches
from musengine.interfaces.callback import Callback, Progress
from musengine.interfaces.encoder import EncodedPiece
from musengine.interfaces.model import Batch, Model
from musengine.interfaces.optimizer import OptimizerFactory
from musengine.interfaces.training import TrainingConfig
from musengine.plugins.configs import NoSettings
from musengine.training.task import TrainingTask
from musengine.training.trainer import Trainer

BareLoss = Callable[[Any, Batch], Tensor]
"""The loss of a model on a batch, as one would write it."""


class Store:
    """Keeps what a training writes, in a folder: a RunStore, whose members are explained there."""

    def __init__(self, path: Path) -> None:
        self.path = self.checkpoints = path
        self.lines = (path / "metrics.jsonl").open("w")

    def checkpoint_paths(self) -> list[Path]:  # noqa: D102
        return sorted(self.path.glob("*.safetensors"))

    def remove_old_checkpoints(self, keep: int) -> None: ...  # noqa: D102

    def log(self, record: Mapping[str, Any]) -> None:  # noqa: D102
        self.lines.write(f"{record}\n")
        self.lines.flush()

    def state(self) -> dict[str, Any]:  # noqa: D102
        return {}

    def write_state(self, **values: Any) -> None: ...  # noqa: D102


class Turns(Callback[NoSettings]):
    """After each turn of the engine's the bare loop takes the same batch; both are timed."""

    def __init__(self, bare_loss: BareLoss, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(NoSettings())
        self.bare_loss, self.optimizer = bare_loss, optimizer
        self.seconds: list[tuple[float, float]] = []
        self.began = clock()

    def on_batch(self, progress: Progress, model: Model[Any], batch: Batch) -> None:
        """Let the bare loop have the batch."""
        between = clock()
        self._bare_step(model, batch)
        after = clock()
        self.seconds.append((between - self.began, after - between))
        self.began = clock()

    def _bare_step(self, model: Model[Any], batch: Batch) -> float:
        """Take a step as one would write it."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.bare_loss(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()


def clock() -> float:
    """Return this process's own time: what others take of the processor is not in it."""
    return time.process_time()


def in_turns(
    model: Model[Any],
    pieces: Sequence[EncodedPiece],
    config: TrainingConfig,
    factory: type[OptimizerFactory[NoSettings]],
    optimizer: torch.optim.Optimizer,
    bare_loss: BareLoss,
) -> list[tuple[float, float]]:
    """Return the seconds of each turn, the engine's and the bare loop's; the first warms up.

    Args:
        model: what both train.
        pieces: what they learn from, in segments.
        config: the engine's settings; it clips gradients to a norm of 1, as the bare loop does.
        factory: of the engine's optimizer.
        optimizer: the bare loop's.
        bare_loss: the bare loop's.
    """
    turns = Turns(bare_loss, optimizer)
    strategy = SegmentBatching(NoSettings(), config, [len(piece) for piece in pieces])
    with tempfile.TemporaryDirectory() as folder:
        task = TrainingTask(
            model=model,
            loss=CrossEntropy(NoSettings(), model.layout),
            config=config,
            batches=Batches(pieces, strategy, model.layout),
            valid=[],
            store=Store(Path(folder)),
            callbacks=[turns],
        )
        schedule = CosineSchedule(NoSettings(), config)
        Trainer(task, factory(NoSettings(), config), schedule).train()
    return turns.seconds[1:]


def medians(turns: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Return the seconds of the engine's turn, of the bare loop's, and what is bare of the first.

    The last is the median of all turns' own shares.
    """
    engine, bare = (statistics.median(column) for column in zip(*turns, strict=True))
    return engine, bare, statistics.median(b / e for e, b in turns)
