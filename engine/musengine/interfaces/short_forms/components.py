"""The components that short forms stand for: a function where others have a class."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from musengine.config.fields import Config
from musengine.encoding.layouts import Layout
from musengine.interfaces.callback import Callback
from musengine.interfaces.metric import Evidence, Metric
from musengine.interfaces.sampler import GridSampler, History, Sampler, TokenSampler
from musengine.music.score import Score

Function = Callable[..., Any]


class _OfFunction(Sampler[Any]):
    """Base: a sampler that holds its function, and the settings that this is given."""

    def __init__(
        self, function: Function, settings: Mapping[str, Any], config: Config, layout: Layout
    ) -> None:
        super().__init__(config, layout)
        self.function, self.settings = function, settings


class TokenFunction(_OfFunction, TokenSampler[Any]):
    """Logits through a function."""

    def logits(self, logits: Tensor, history: History) -> Tensor:
        """Return what the function makes of them."""
        reshaped: Tensor = self.function(logits, history, **self.settings)
        return reshaped


class GridFunction(_OfFunction, GridSampler[Any]):
    """Thresholds through a function."""

    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        """Return what the function makes of them."""
        mapped: Tensor = self.function(thresholds, history, **self.settings)
        return mapped


class ScoreFunction(Metric[Any]):
    """A number of each generated piece, and of music by people."""

    def __init__(
        self, name: str, function: Function, settings: Mapping[str, Any], config: Config
    ) -> None:
        super().__init__(config)
        self.name, self.function, self.settings = name, function, settings

    def measure(self, evidence: Evidence) -> Mapping[str, Any]:
        """Return the mean, each piece's figure, and the mean of held-out music."""
        each = self._figures(evidence.generated)
        human = self._figures(evidence.reference.held_out())
        figures: dict[str, Any] = {self.name: _mean(each), f"{self.name}_per_piece": each}
        return figures | ({f"{self.name}_human": _mean(human)} if human else {})

    def _figures(self, pieces: Iterable[tuple[str, Score]]) -> dict[str, float]:
        return {name: float(self.function(score, **self.settings)) for name, score in pieces}


def _mean(figures: Mapping[str, float]) -> float:
    """Return the mean of the figures there are, NaN where there is none."""
    known = [figure for figure in figures.values() if not math.isnan(figure)]
    return sum(known) / len(known) if known else math.nan


class EventFunction(Callback[Any]):
    """A function that is called at one event."""

    def __init__(
        self, event: str, function: Function, settings: Mapping[str, Any], config: Config
    ) -> None:
        super().__init__(config)

        def called(*arguments: Any) -> None:
            function(*arguments, **settings)

        setattr(self, f"on_{event}", called)
