"""How often what a model holds likeliest is right, and perplexity."""

from __future__ import annotations

import math
from collections.abc import Mapping

from musengine.components.metrics import Evidence, Metric
from musengine.console import Console
from musengine.declarations import NoSettings
from musengine.evaluation import frame_accuracy, hits_on_pieces, score_pieces
from musengine.layouts import Grid, Tokens

_MOST_NATS = 700.0
"""The exponential of a little more is too large for a number."""


class Accuracy(Metric[NoSettings]):
    """How often the likeliest token is the one that came, or how well the likeliest notes agree."""

    def measure(self, evidence: Evidence) -> Mapping[str, float]:
        """Return `accuracy` of tokens, or `frame_accuracy` of a grid, 0 to 1 over all steps."""
        layout, beat = evidence.model.layout, lambda: _measuring(evidence)
        if evidence.part and isinstance(layout, Grid):
            return {"frame_accuracy": frame_accuracy(evidence.model, evidence.part, beat=beat)}
        if not evidence.part or not isinstance(layout, Tokens):
            return {}
        scores = hits_on_pieces(evidence.model, evidence.part, beat=lambda: _measuring(evidence))
        return {"accuracy": scores.mean}


class Perplexity(Metric[NoSettings]):
    """Between how many equally likely tokens the model would have to choose, on average."""

    def measure(self, evidence: Evidence) -> Mapping[str, float]:
        """Return `perplexity`, the exponential of the mean NLL in nats of a step; tokens only."""
        if not evidence.part or not isinstance(evidence.model.layout, Tokens):
            return {}
        scores = score_pieces(evidence.model, evidence.part, beat=lambda: _measuring(evidence))
        return {"perplexity": math.exp(min(scores.mean, _MOST_NATS))}


def _measuring(evidence: Evidence) -> None:
    Console.current().pulse(f"measuring the {evidence.part_name} part")
