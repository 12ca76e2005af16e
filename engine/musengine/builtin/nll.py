"""The negative log-likelihood metric."""

from __future__ import annotations

from collections.abc import Mapping

from musengine.components.metrics import Evidence, Metric
from musengine.console import Console
from musengine.declarations import NoSettings
from musengine.evaluation import score_pieces


class NegativeLogLikelihood(Metric[NoSettings]):
    """Exact NLL in nats, all steps of all pieces weighted equally, and without first steps."""

    def measure(self, evidence: Evidence) -> Mapping[str, float]:
        """Return `nll` and `nll_skip_first` per step, `steps` and `pieces` counted."""
        if not evidence.part:
            return {}
        console = Console.current()
        return score_pieces(
            evidence.model,
            evidence.part,
            beat=lambda: console.pulse(f"measuring the {evidence.part_name} part"),
        ).figures()
