"""A schedule says what the learning rate is multiplied by in the course of training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from musengine.config.fields import Config
from musengine.interfaces.callback import Progress
from musengine.interfaces.training import TrainingConfig

C = TypeVar("C", bound=Config)


class Schedule(ABC, Generic[C]):
    """Scales the rates of all parameter groups.

    A factor, not one of PyTorch's schedulers: those count steps, while training may as well end
    after some minutes or epochs, and a limit or a rate may be another when a run goes on.
    """

    def __init__(self, config: C, training: TrainingConfig) -> None:
        self.config = config
        self.training = training

    @abstractmethod
    def factor(self, progress: Progress) -> float:
        """Return what the learning rate of the next step is multiplied by, 0 or more.

        Args:
            progress: how far training is: `step` optimizer steps are done, and `fraction`, 0 to
                1, of the whole.
        """

    def on_validation(self, figure: float) -> None:
        """Note the loss on the validation part, lower being better; in the loss's unit."""

    def state(self) -> dict[str, Any]:
        """Return what must survive an interruption, as JSON values."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned; the settings may be others now."""
