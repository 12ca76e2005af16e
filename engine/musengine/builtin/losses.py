"""Cross-entropy and squared error: summed over the elements of a step, mean over the steps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from musengine.encoding.layouts import Tokens
from musengine.errors import UserError
from musengine.interfaces.loss import LIKELIHOOD_UNIT, Loss, negative_log_likelihood, step_sums
from musengine.interfaces.model import Output
from musengine.plugins.configs import NoSettings


class CrossEntropy(Loss[NoSettings]):
    """Negative log-likelihood, the loss of maximum-likelihood training."""

    unit = LIKELIHOOD_UNIT

    def per_step(self, output: Output) -> Tensor:
        """Return (B, T) nats."""
        return negative_log_likelihood(output, self.layout)


class SquaredError(Loss[NoSettings]):
    """Squared difference between probability and target (the Brier score), summed over a step."""

    unit = "squared error per step"

    def per_step(self, output: Output) -> Tensor:
        """Return (B, T)."""
        if output.logits is None or output.targets is None:
            raise UserError(
                "[loss] squared-error compares probabilities, and the model gives none; name "
                "another loss",
                code="loss-without-logits",
            )
        if isinstance(self.layout, Tokens):
            probabilities = output.logits.softmax(dim=-1)
            wanted = functional.one_hot(output.targets.long(), probabilities.shape[-1])
            return (probabilities - wanted.to(probabilities.dtype)).square().sum(dim=-1)
        targets = output.targets.to(output.logits.dtype)
        return step_sums((torch.sigmoid(output.logits) - targets).square(), output.weights)
