"""How well a model predicts pieces it has not seen: exact likelihoods per step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from musengine.batches import whole_pieces
from musengine.components.encoders import EncodedPiece
from musengine.components.losses import Loss, negative_log_likelihood
from musengine.components.models import Model, Output
from musengine.errors import UserError

RESAMPLES = 2000
StepScores = Callable[[Output], torch.Tensor]


@dataclass(frozen=True)
class Scores:
    """Per-step figures of some pieces, each (T,), in the pieces' order."""

    pieces: list[npt.NDArray[np.float64]]

    @property
    def mean(self) -> float:
        """The mean over all steps of all pieces, each step weighted equally."""
        return _mean(np.concatenate(self.pieces)) if self.pieces else float("nan")

    @property
    def mean_skip_first(self) -> float:
        """The same without the first step of each piece, as some papers count."""
        if not self.pieces:
            return float("nan")
        return _mean(np.concatenate([piece[1:] for piece in self.pieces]))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval in which the mean lies, NaN with fewer than two pieces.

        By the bootstrap over pieces (Efron 1979, percentile method, always the same draws): steps
        of one piece resemble each other, so it is the pieces that are drawn.
        """
        if len(self.pieces) < 2:
            return float("nan"), float("nan")
        sums = np.array([piece.sum() for piece in self.pieces])
        lengths = np.array([len(piece) for piece in self.pieces], dtype=np.float64)
        random = np.random.default_rng(0)
        means = []
        for _ in range(RESAMPLES):
            drawn = random.integers(0, len(sums), len(sums))
            means.append(sums[drawn].sum() / max(lengths[drawn].sum(), 1.0))
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def figures(self) -> dict[str, float]:
        """Return the figures by name."""
        low, high = self.interval()
        return {
            "nll": self.mean,
            "nll_low": low,
            "nll_high": high,
            "nll_skip_first": self.mean_skip_first,
            "steps": float(sum(len(piece) for piece in self.pieces)),
            "pieces": float(len(self.pieces)),
        }


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def score_pieces(
    model: Model[Any], pieces: Sequence[EncodedPiece], *, beat: Callable[[], None] | None = None
) -> Scores:
    """Return the exact negative log-likelihood of every step of some pieces, in nats.

    Every piece is read whole, from a fresh state, and its first step is scored too, by a model
    that has seen nothing (Boulanger-Lewandowski et al. 2012).

    Args:
        model: one that declares a likelihood.
        pieces: whole encoded pieces.
        beat: called between batches.
    """
    return _score(model, pieces, lambda out: negative_log_likelihood(out, model.layout), beat)


def hits_on_pieces(
    model: Model[Any], pieces: Sequence[EncodedPiece], *, beat: Callable[[], None] | None = None
) -> Scores:
    """Return for every step 1 where the most probable token is the right one, else 0.

    Args:
        model: one of a tokens layout that gives logits.
        pieces: whole encoded pieces.
        beat: called between batches.

    Raises:
        UserError: the model gives no logits.
    """

    def hits(output: Output) -> torch.Tensor:
        if output.logits is None or output.targets is None:
            raise UserError("accuracy: the model does not say how probable each token is")
        return output.logits.argmax(dim=-1) == output.targets

    return _score(model, pieces, hits, beat)


def frame_accuracy(
    model: Model[Any], pieces: Sequence[EncodedPiece], *, beat: Callable[[], None] | None = None
) -> float:
    """Return how well the likeliest notes of each step agree with those that sounded, 0 to 1.

    True positives over true positives, false positives and false negatives, over all steps of all
    pieces (Bay, Ehmann and Downie 2009); a note counts as said where its probability is over 0.5.
    NaN where nothing sounds and nothing is said.

    Args:
        model: one of a grid layout that gives logits.
        pieces: whole encoded pieces.
        beat: called between batches.

    Raises:
        UserError: the model gives no logits.
    """
    right = either = 0
    for batch, output in _outputs(model, pieces, beat):
        if output.logits is None or output.targets is None:
            raise UserError("accuracy: the model does not say how probable each note is")
        said_BTP = (output.logits[..., 0] > 0) & batch.mask[..., None]
        sounded_BTP = (output.targets[..., 0] > 0) & batch.mask[..., None]
        right += int((said_BTP & sounded_BTP).sum())
        either += int((said_BTP | sounded_BTP).sum())
    return right / either if either else float("nan")


def loss_on_pieces(
    model: Model[Any],
    loss: Loss[Any] | None,
    pieces: Sequence[EncodedPiece],
    *,
    beat: Callable[[], None] | None = None,
) -> float:
    """Return the loss over all steps of some pieces; for a loss of the model's own, its mean."""
    if loss is not None:
        return _score(model, pieces, loss.per_step, beat).mean
    total, steps = 0.0, 0
    for batch, output in _outputs(model, pieces, beat):
        assert output.loss is not None
        counted = int(batch.mask.sum())
        total, steps = total + float(output.loss) * counted, steps + counted
    return total / max(steps, 1)


def _score(
    model: Model[Any],
    pieces: Sequence[EncodedPiece],
    per_step: StepScores,
    beat: Callable[[], None] | None,
) -> Scores:
    scores: dict[int, npt.NDArray[np.float64]] = {}
    for batch, output in _outputs(model, pieces, beat):
        figures_BT = per_step(output).cpu().double().numpy()
        lengths = batch.mask.sum(dim=1).tolist()
        for row, index in enumerate(batch.pieces.tolist()):
            scores[index] = figures_BT[row, : lengths[row]]
    return Scores([scores[index] for index in range(len(pieces))])


def _outputs(
    model: Model[Any], pieces: Sequence[EncodedPiece], beat: Callable[[], None] | None
) -> Any:
    device = next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for _, batch in whole_pieces(pieces):
                on_device = batch.to(device)
                yield on_device, model(on_device)
                if beat is not None:
                    beat()
    finally:
        model.train(was_training)
