"""The gradients of a batch: learned from in parts, and by several processes, as if in one piece."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from musengine.distributed.ranks import Ranks
from musengine.errors import UserError
from musengine.interfaces.loss import Loss, Reduction
from musengine.interfaces.model import Batch, Model, Output


@dataclass(frozen=True)
class Whole:
    """What the parts of a batch are parts of.

    Attributes:
        rows: of the batch.
        counted: steps that count.
    """

    rows: int
    counted: int

    @classmethod
    def of(cls, batch: Batch) -> Whole:
        """Return how large a batch is."""
        return cls(len(batch.steps), max(int(batch.mask.sum()), 1))


def parts_of(
    batch: Batch, count: int, reduction: Reduction, whole: Whole | None = None
) -> Iterator[tuple[Batch, float, float]]:
    """Yield a batch in so many parts, with what each counts for in the loss of the whole.

    That is its share of the steps that count, or 1 where the loss is their sum; and, for what is
    added to the loss of the whole once, its share of the rows.

    Args:
        batch: what is learned from here.
        count: parts.
        reduction: of the loss.
        whole: of which the batch is a share; it is the whole one without.
    """
    rows = len(batch.steps)
    size = max(math.ceil(rows / count), 1)
    if size == rows and whole is None:
        yield batch, 1.0, 1.0
        return
    whole = Whole.of(batch) if whole is None else whole
    for start in range(0, rows, size):
        part = batch.rows(slice(start, start + size))
        share = 1.0 if reduction == "sum" else int(part.mask.sum()) / whole.counted
        yield part, share, len(part.steps) / whole.rows


def add_up_gradients(model: Model[Any], ranks: Ranks, counts: Tensor) -> Tensor:
    """Give every process the sum of all processes' gradients; returns that of some numbers.

    A parameter that has no gradient at any process keeps none.

    Args:
        model: its gradients are replaced.
        ranks: the processes.
        counts: (N,) numbers that are added up beside them, on the CPU.
    """
    parameters = [each for each in model.parameters() if each.requires_grad]
    there = torch.tensor([float(each.grad is not None) for each in parameters]).to(counts)
    numbers = torch.cat([counts, there])
    ranks.add_up(numbers)
    counts, there = numbers[: len(counts)], numbers[len(counts) :]
    learned = [each for each, known in zip(parameters, there.tolist(), strict=True) if known]
    for dtype in dict.fromkeys(each.dtype for each in learned):
        alike = [each for each in learned if each.dtype == dtype]
        # One message for all: each costs the time of a round trip.
        flat = torch.cat([_gradient(each).reshape(-1) for each in alike])
        ranks.add_up(flat)
        pieces = torch.split(flat, [each.numel() for each in alike])
        for parameter, values in zip(alike, pieces, strict=True):
            parameter.grad = values.view_as(parameter)
    return counts


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def total_loss(
    output: Output,
    loss: Loss[Any] | None,
    reduction: Reduction = "mean",
    *,
    share: float = 1.0,
    of_all: float = 1.0,
) -> Tensor:
    """Return the scalar to descend: the pipeline's loss or the model's own, and the penalty.

    Args:
        output: of the model.
        loss: the pipeline's; None for a model that declares one of its own.
        reduction: of the pipeline's loss over the steps that count.
        share: what the loss counts for, of a part of a batch.
        of_all: what the penalty counts for, likewise.

    Raises:
        UserError: the model has a loss of its own that its plugin does not declare.
    """
    if loss is None:
        if output.loss is None:
            raise TypeError("the model returned no loss and the pipeline has none")
        value = output.loss
    elif output.loss is not None:
        raise UserError(
            "the model returned a loss of its own, which would take the place of [loss]; its "
            "plugin must declare own_loss=True, or return what it adds to the loss as penalty",
            code="loss-undeclared",
        )
    else:
        value = loss(output, reduction)
    value = value if share == 1 else value * share
    return value if output.penalty is None else value + output.penalty * of_all
