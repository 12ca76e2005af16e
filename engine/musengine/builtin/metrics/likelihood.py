"""The negative log-likelihood metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from musengine.encoding.layouts import Tokens
from musengine.evaluation.likelihood import likelihood
from musengine.interfaces.metric import Evidence, Metric
from musengine.plugins.declarations import NoSettings


class NegativeLogLikelihood(Metric[NoSettings]):
    """Exact NLL in nats, all steps of all pieces weighted equally, and without first steps."""

    def measure(self, evidence: Evidence) -> Mapping[str, Any]:
        """Return `nll` and `nll_skip_first` per step, `steps` and `pieces` counted.

        `nll_low` and `nll_high` bound `nll` with 95 % confidence; `nll_per_piece` has each piece's.

        Of tokens also `bits_per_token`, which for characters is bits per character.
        """
        if not evidence.part:
            return {}
        scores = likelihood(evidence)
        figures: dict[str, Any] = scores.figures()
        if isinstance(evidence.encoder.layout, Tokens):
            figures["bits_per_token"] = figures["nll"] / math.log(2)
        names = [piece.id for piece in evidence.part]
        means = [float(piece.mean()) for piece in scores.pieces]
        figures["nll_per_piece"] = dict(zip(names, means, strict=True))
        return figures
