"""The exponential moving average of a model's weights, which validates and generates."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """A moving average beside the weights that are trained (Polyak and Juditsky 1992).

    After step t of training it moves towards the weights by 1 - min(decay, (1 + t) / (10 + t)), so
    that the first weights, drawn at random, are soon forgotten.

    Args:
        model: whose parameters are averaged; buffers are taken as they are.
        decay: of the average, 0 to below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        self.averages = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average after an optimizer step, the first is 1."""
        # average = decay * average + (1 - decay) * weights, as one interpolation in place.
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, parameter in self.model.named_parameters():
            self.averages[name].lerp_(parameter, share)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[dict[str, Tensor]]:
        """Let the model have the averages for a while; gives the weights that are trained."""
        # Copied into the same parameters, not exchanged for others: the optimizer and compiled
        # graphs hold on to these very tensors.
        trained = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        load_parameters(self.model, self.averages)
        try:
            yield trained
        finally:
            load_parameters(self.model, trained)


@torch.no_grad()
def load_parameters(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Give a model's parameters these values, by name."""
    for name, parameter in model.named_parameters():
        parameter.copy_(values[name])
