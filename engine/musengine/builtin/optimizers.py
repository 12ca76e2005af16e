"""PyTorch's optimizers under the names and keys of `[training]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from musengine.interfaces.optimizer import OptimizerFactory
from musengine.plugins.configs import NoSettings

_COMMON = {"learning_rate": "lr", "epsilon": "eps", "weight_decay": "weight_decay"}


class TorchOptimizer(OptimizerFactory[NoSettings]):
    """Base of the factories below: an optimizer, and what it calls the keys of `[training]`.

    A key that is not given is left to PyTorch's default.
    """

    optimizer: ClassVar[type[torch.optim.Optimizer]]
    keywords: ClassVar[Mapping[str, str]] = _COMMON

    def create(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return PyTorch's optimizer of a model's parameter groups."""
        values = {keyword: getattr(self.training, key) for key, keyword in self.keywords.items()}
        given: dict[str, Any] = {key: value for key, value in values.items() if value is not None}
        return self.optimizer(groups, **given)


class AdamFactory(TorchOptimizer):
    """Adam (Kingma and Ba 2015)."""

    optimizer: ClassVar[type[torch.optim.Optimizer]] = torch.optim.Adam

    def create(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return the optimizer; weights on a processor are updated in one pass over the memory."""
        made = super().create(groups)
        if all(p.device.type == "cpu" for group in made.param_groups for p in group["params"]):
            for group in made.param_groups:
                group["fused"] = True
            made.register_step_post_hook(_count_change)
        return made


def _count_change(optimizer: torch.optim.Optimizer, _: Any, __: Any) -> None:
    """Count up the version of each weight, which the step in one pass leaves out.

    By it compiled layers know that what they keep of a weight is out of date.
    """
    for group in optimizer.param_groups:
        for weight in group["params"]:
            torch.autograd.graph.increment_version(weight)


class AdamWFactory(AdamFactory):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    optimizer = torch.optim.AdamW


class SgdFactory(TorchOptimizer):
    """Stochastic gradient descent, with momentum where it is given."""

    optimizer = torch.optim.SGD
    keywords: ClassVar[Mapping[str, str]] = {
        "learning_rate": "lr",
        "momentum": "momentum",
        "weight_decay": "weight_decay",
    }


class RMSpropFactory(TorchOptimizer):
    """RMSprop (Tieleman and Hinton 2012)."""

    optimizer = torch.optim.RMSprop
    keywords: ClassVar[Mapping[str, str]] = {
        **_COMMON,
        "momentum": "momentum",
        "smoothing": "alpha",
    }


class AdagradFactory(TorchOptimizer):
    """Adagrad (Duchi, Hazan and Singer 2011)."""

    optimizer = torch.optim.Adagrad


class AdadeltaFactory(TorchOptimizer):
    """Adadelta (Zeiler 2012)."""

    optimizer = torch.optim.Adadelta
    keywords: ClassVar[Mapping[str, str]] = {**_COMMON, "smoothing": "rho"}


class AdamaxFactory(TorchOptimizer):
    """Adam by the largest gradient instead of the mean square (Kingma and Ba 2015)."""

    optimizer = torch.optim.Adamax


class NAdamFactory(TorchOptimizer):
    """Adam with Nesterov momentum (Dozat 2016)."""

    optimizer = torch.optim.NAdam
