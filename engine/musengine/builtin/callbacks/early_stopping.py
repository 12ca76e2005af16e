"""The early-stopping callback: ends a training that has learned what there is to learn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from musengine.builtin.configs import EarlyStoppingConfig
from musengine.interfaces.callback import Callback, Progress
from musengine.training.task import judged
from musengine.utils.format import counted


class EarlyStoppingCallback(Callback[EarlyStoppingConfig]):
    """Counts validations in a row without a lower figure (Prechelt 1998)."""

    def __init__(self, config: EarlyStoppingConfig) -> None:
        super().__init__(config)
        self._best, self._step, self._waited = math.inf, 0, 0

    def on_validation(self, progress: Progress, figures: Mapping[str, float]) -> None:
        """Note whether the figure is the lowest so far; the same one is not."""
        figure = judged(figures)
        # NaN is never lower, and so counts as waiting.
        if figure < self._best:
            self._best, self._step, self._waited = figure, progress.step, 0
        else:
            self._waited += 1

    def should_stop(self, progress: Progress) -> str | None:
        """Return that nothing has become better for as long as its patience."""
        if self._waited < self.config.patience:
            return None
        waited = counted(self._waited, "validation")
        return f"{waited} without a lower value than {self._best:.4f} at step {self._step}"

    def state(self) -> dict[str, Any]:
        """Return the lowest figure, its step, and the validations since."""
        best = self._best if math.isfinite(self._best) else None
        return {"best": best, "step": self._step, "waited": self._waited}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore them; the patience may be another now."""
        self._best = math.inf if state["best"] is None else state["best"]
        self._step, self._waited = state["step"], state["waited"]
