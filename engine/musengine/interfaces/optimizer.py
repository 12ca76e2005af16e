"""An optimizer factory builds the optimizer that trains a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from musengine.config.fields import Config
from musengine.interfaces.training import TrainingConfig

if TYPE_CHECKING:
    import torch

C = TypeVar("C", bound=Config)


class OptimizerFactory(ABC, Generic[C]):
    """Builds an optimizer from its own settings and the keys of `[training]` it uses.

    Any `torch.optim.Optimizer` will do whose `step` takes no closure and whose `state_dict` holds
    numbers, strings, tensors, and lists, tuples and dicts of these: that is what a checkpoint
    stores.
    """

    def __init__(self, config: C, training: TrainingConfig) -> None:
        self.config = config
        self.training = training

    @abstractmethod
    def create(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return the optimizer of a model's parameter groups.

        Args:
            groups: what `Model.parameter_groups` returns; a group may have an `lr` of its own.
                The schedule scales each group's rate from what it is here.
        """
