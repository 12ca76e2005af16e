"""Losses turn a model's Output into a scalar with a unit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Literal, TypeVar

from torch import Tensor
from torch.nn import functional

from musengine.config.fields import Config
from musengine.encoding.layouts import Layout, Tokens
from musengine.interfaces.model import Output

C = TypeVar("C", bound=Config)
Reduction = Literal["mean", "sum"]

LIKELIHOOD_UNIT = "nats per step"


class Loss(ABC, Generic[C]):
    """Sums over the elements of a step, and then the mean or the sum over the steps that count."""

    unit: str = ""
    """What the figure is measured in, such as `nats per step`."""

    def __init__(self, config: C, layout: Layout) -> None:
        self.config = config
        self.layout = layout

    @abstractmethod
    def per_step(self, output: Output) -> Tensor:
        """Return (B, T): the loss of every step, masked steps included."""

    def __call__(self, output: Output, reduction: Reduction = "mean") -> Tensor:
        """Return the mean, or the sum, over the steps that count; 0 where none does."""
        losses_BT = self.per_step(output)
        if output.mask is None:
            return losses_BT.sum() if reduction == "sum" else losses_BT.mean()
        mask_BT = output.mask.to(losses_BT.dtype)
        # Multiplied, not indexed by the mask: shapes stay the same, and no device has to be
        # awaited.
        total = (losses_BT * mask_BT).sum()
        # Over the steps of all rows, not row by row: a short row counts by its length.
        return total if reduction == "sum" else total / mask_BT.sum().clamp(min=1.0)


def negative_log_likelihood(output: Output, layout: Layout) -> Tensor:
    """Return (B, T): each step's negative log-likelihood in nats.

    The model's own figures where it gives them, else exact for the given logits.
    For a grid the sum over its elements of the Bernoulli terms, each with its weight; for tokens
    the categorical term.
    """
    if output.nll is not None:
        return output.nll
    if output.logits is None or output.targets is None:
        raise TypeError("a model without logits needs a loss of its own")
    if isinstance(layout, Tokens):
        # In 16 bits a softmax over a vocabulary loses too much.
        logits = output.logits if output.logits.dtype.itemsize > 2 else output.logits.float()
        flat = functional.cross_entropy(
            logits.flatten(0, 1), output.targets.flatten().long(), reduction="none"
        )
        return flat.view(output.targets.shape[:2])
    elements = functional.binary_cross_entropy_with_logits(
        output.logits, output.targets.to(output.logits.dtype), reduction="none"
    )
    return step_sums(elements, output.weights)


def step_sums(elements: Tensor, weights: Tensor | None) -> Tensor:
    """Return (B, T): the elements (B, T, ...) of each step added up, each with its weight."""
    if weights is not None:
        elements = elements * weights.to(elements.dtype)
    return elements.flatten(2).sum(dim=2)
