"""How often what a model holds likeliest is right, and perplexity."""

from __future__ import annotations

import math
from collections.abc import Mapping

from musengine.encoding.layouts import Grid, Tokens
from musengine.errors import UserError
from musengine.evaluation.likelihood import likelihood, predictions
from musengine.interfaces.metric import Evidence, Metric
from musengine.plugins.configs import NoSettings

_MOST_NATS = 700.0
"""The exponential of a little more is too large for a number."""


class Accuracy(Metric[NoSettings]):
    """How often the likeliest token is the one that came, or how well the likeliest notes agree."""

    def measure(self, evidence: Evidence) -> Mapping[str, float]:
        """Return `accuracy` of tokens, or `frame_accuracy` of a grid, 0 to 1 over all steps."""
        layout = evidence.model.layout
        if not evidence.part or not isinstance(layout, (Grid, Tokens)):
            return {}
        counts = evidence.once(predictions)
        if counts.right is None:
            what = "note" if isinstance(layout, Grid) else "token"
            raise UserError(
                f"accuracy: the model does not say how probable each {what} is",
                code="likelihood-missing",
            )
        return {"frame_accuracy" if isinstance(layout, Grid) else "accuracy": counts.accuracy}


class Perplexity(Metric[NoSettings]):
    """Between how many equally likely tokens the model would have to choose, on average."""

    def measure(self, evidence: Evidence) -> Mapping[str, float]:
        """Return `perplexity`, the exponential of the mean NLL in nats of a step; tokens only."""
        if not evidence.part or not isinstance(evidence.model.layout, Tokens):
            return {}
        return {"perplexity": math.exp(min(likelihood(evidence).mean, _MOST_NATS))}
