"""Four schedules: a constant rate, two that fall to zero, and one that follows the validation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from musengine.interfaces.callback import Progress
from musengine.interfaces.schedule import Schedule
from musengine.interfaces.training import TrainingConfig
from musengine.plugins.configs import NoSettings


class ConstantSchedule(Schedule[NoSettings]):
    """The same rate all along."""

    def factor(self, progress: Progress) -> float:
        """Return 1."""
        return 1.0


class LinearSchedule(Schedule[NoSettings]):
    """Falls evenly to zero at the end of training."""

    def factor(self, progress: Progress) -> float:
        """Return 1 at the beginning, 0 at the end."""
        return 1.0 - progress.fraction


class CosineSchedule(Schedule[NoSettings]):
    """Falls to zero along half a cosine (Loshchilov and Hutter 2017), without restarts."""

    def factor(self, progress: Progress) -> float:
        """Return 1 at the beginning, 0 at the end, falling fastest half-way."""
        return 0.5 * (1.0 + math.cos(math.pi * progress.fraction))


class PlateauSchedule(Schedule[NoSettings]):
    """Falls by `plateau_factor` after `plateau_patience` validations in a row without a lower loss.

    Lower is what is lower by more than `plateau_min_delta`.

    PyTorch's ReduceLROnPlateau decides. It is given an optimizer of its own with a rate of 1, so
    that the rate it sets is the factor, whatever the real rates are when a run goes on.
    """

    def __init__(self, config: NoSettings, training: TrainingConfig) -> None:
        super().__init__(config, training)
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        self._group = optimizer.param_groups[0]
        self._plateau = ReduceLROnPlateau(
            optimizer,
            factor=training.plateau_factor,
            # PyTorch waits for more validations than its patience, we for as many.
            patience=training.plateau_patience - 1,
            threshold=training.plateau_min_delta,
            # Absolute, as a loss may be near 0 or below it, where a relative change means nothing.
            threshold_mode="abs",
            # PyTorch leaves out changes of the rate below 1e-8; of a factor each counts.
            eps=0.0,
        )

    def factor(self, progress: Progress) -> float:
        """Return `plateau_factor` to the power of how often it fell."""
        return float(self._group["lr"])

    def on_validation(self, figure: float) -> None:
        """Count validations without a lower loss."""
        self._plateau.step(figure)

    def state(self) -> dict[str, Any]:
        """Return the lowest loss, the validations since, and the factor."""
        best = float(self._plateau.best)
        return {
            "best": best if math.isfinite(best) else None,
            "waited": self._plateau.num_bad_epochs,
            "factor": float(self._group["lr"]),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore them; patience, factor and least change may be others now."""
        self._plateau.best = math.inf if state["best"] is None else state["best"]
        self._plateau.num_bad_epochs = state["waited"]
        self._group["lr"] = state["factor"]
