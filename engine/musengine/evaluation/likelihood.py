"""How well a model predicts pieces it has not seen: exact likelihoods per step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from musengine.data.batching import windows
from musengine.distributed.ranks import ALONE, Ranks
from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.errors import UserError
from musengine.interfaces.encoder import EncodedPiece
from musengine.interfaces.loss import Loss, negative_log_likelihood
from musengine.interfaces.metric import Evidence
from musengine.interfaces.model import Batch, Model, Output, evaluation_mode
from musengine.interfaces.prediction import predict

RESAMPLES = 2000
StepScores = Callable[[Output], torch.Tensor]


@dataclass(frozen=True)
class LikelihoodResult:
    """Per-step figures of some pieces, each (T,), in the pieces' order."""

    pieces: list[npt.NDArray[np.float64]]

    @property
    def total(self) -> float:
        """The sum over all steps of all pieces."""
        return float(sum(piece.sum() for piece in self.pieces))

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
        return self.interval_per([len(piece) for piece in self.pieces], level)

    def interval_per(self, amounts: Sequence[float], level: float = 0.95) -> tuple[float, float]:
        """Return the interval of the sum over all pieces, over the sum of what each has of a thing.

        Args:
            amounts: such as the notes of each piece.
            level: the confidence.
        """
        if len(self.pieces) < 2:
            return float("nan"), float("nan")
        sums = np.array([piece.sum() for piece in self.pieces])
        lengths = np.array(amounts, dtype=np.float64)
        # The same seed each time: the interval is a function of the figures.
        random = np.random.default_rng(0)
        means = []
        for _ in range(RESAMPLES):
            # Sum over sum, not the mean of the pieces' means: long pieces count for more in the
            # figure too.
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
) -> LikelihoodResult:
    """Return the exact negative log-likelihood of every step of some pieces, in nats.

    Every piece is read whole, from a fresh state, and its first step is scored too, by a model
    that has seen nothing (Boulanger-Lewandowski et al. 2012).

    Args:
        model: one that declares a likelihood.
        pieces: whole encoded pieces.
        beat: called between batches.
    """
    return _score(model, pieces, lambda out: negative_log_likelihood(out, model.layout), beat)


@dataclass(frozen=True)
class Predictions:
    """What a model says of every step of some pieces, from reading them once.

    Attributes:
        nll: the negative log-likelihood in nats; None where the model has none.
        right: how many of the likeliest choices came: of tokens 1 or 0, of a grid the notes of a
            probability over 0.5 that sounded; None where the model gives no logits, or the layout
            is another.
        choices: out of how many: of tokens 1, of a grid the notes of a probability over 0.5 and
            those that sounded; None likewise.
    """

    nll: LikelihoodResult | None = None
    right: LikelihoodResult | None = None
    choices: LikelihoodResult | None = None

    @property
    def accuracy(self) -> float:
        """The share of choices that were right, over all steps, 0 to 1; NaN where there is none.

        Of a grid that is true positives over true positives, false positives and false negatives
        (Bay, Ehmann and Downie 2009).
        """
        if self.right is None or self.choices is None or not (count := self.choices.total):
            return float("nan")
        return self.right.total / count


def predictions(evidence: Evidence) -> Predictions:
    """Return what a model says of a part; metrics share it as `evidence.once(predictions)`.

    Pieces are read as `score_pieces` reads them.
    """

    def alive() -> None:
        evidence.reporter.alive(f"measuring the {evidence.part_name} part")

    return predictions_of(evidence.model, evidence.part, beat=alive)


def predictions_of(
    model: Model[Any],
    pieces: Sequence[EncodedPiece],
    *,
    beat: Callable[[], None] | None = None,
    ranks: Ranks = ALONE,
) -> Predictions:
    """Return what a model says of some pieces.

    Args:
        model: in evaluation mode.
        pieces: whole encoded pieces.
        beat: called between batches.
        ranks: the processes that share the work, each with the same model and pieces.
    """
    layout = model.layout
    return Predictions(
        **_read(model, pieces, lambda output: dict(_said(output, layout)), beat, ranks)
    )


def likelihood(evidence: Evidence) -> LikelihoodResult:
    """Return the exact negative log-likelihood of every step of a part, in nats.

    Raises:
        UserError: the model does not give it, although its plugin declares it.
    """
    scores = evidence.once(predictions).nll
    if scores is None:
        raise UserError(
            "the model does not give its likelihood; leave nll and perplexity out of "
            "the metrics, or let its plugin declare likelihood=False",
            code="likelihood-missing",
        )
    return scores


def _said(output: Output, layout: Layout) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the fields of `Predictions` that an output gives, each (B, T)."""
    if output.nll is not None or (output.logits is not None and output.targets is not None):
        yield "nll", negative_log_likelihood(output, layout)
    yield from _agreement(output, layout)


def _agreement(output: Output, layout: Layout) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield `right` and `choices` of `Predictions`, where an output tells them."""
    logits, targets = output.logits, output.targets
    if logits is None or targets is None:
        return
    if isinstance(layout, Tokens):
        hits_BT = logits.argmax(dim=-1) == targets
        yield "right", hits_BT
        yield "choices", torch.ones_like(hits_BT)
    elif isinstance(layout, Grid):
        # A logit above 0 is a probability over 0.5. Channel 0 of the grid: what sounds.
        said_BTP, sounded_BTP = logits[..., 0] > 0, targets[..., 0] > 0
        yield "right", (said_BTP & sounded_BTP).sum(dim=-1)
        # True negatives do not count: of 88 keys nearly all are silent at any step.
        yield "choices", (said_BTP | sounded_BTP).sum(dim=-1)


def figures_of_pieces(
    model: Model[Any],
    loss: Loss[Any] | None,
    pieces: Sequence[EncodedPiece],
    *,
    beat: Callable[[], None] | None = None,
    ranks: Ranks = ALONE,
) -> dict[str, float]:
    """Return how well a model predicts some pieces, from reading them once.

    `loss` is the mean of a loss over all steps; without one `nll` is that of the likelihood. Where
    the logits say what is held likeliest, `accuracy` of tokens or `frame_accuracy` of a grid is
    beside it, as in `Predictions`. Processes share the work, each with the same model and pieces.
    """
    name, layout = "nll" if loss is None else "loss", model.layout

    def told(output: Output) -> dict[str, torch.Tensor]:
        per_step = (
            negative_log_likelihood(output, layout) if loss is None else loss.per_step(output)
        )
        return {name: per_step, **dict(_agreement(output, layout))}

    found = _read(model, pieces, told, beat, ranks)
    figures = {name: found.pop(name).mean}
    accuracy = Predictions(**found).accuracy
    if not math.isnan(accuracy):
        figures["frame_accuracy" if isinstance(layout, Grid) else "accuracy"] = accuracy
    return figures


def own_loss_on_pieces(
    model: Model[Any],
    pieces: Sequence[EncodedPiece],
    *,
    beat: Callable[[], None] | None = None,
    ranks: Ranks = ALONE,
) -> float:
    """Return the mean over all steps of some pieces of a loss of the model's own.

    Processes share the work, each with the same model and pieces.
    """
    sums: list[float] = []
    steps = 0
    for batch, output in _outputs(model, pieces, beat, ranks):
        assert output.loss is not None
        counted = int(batch.mask.sum())
        # The model returns a mean over the steps that count; batches have different numbers of
        # them.
        sums.append(float(output.loss) * counted)
        steps += counted
    together = ranks.gathered((sums, steps))
    # The exact sum: it is the same in whatever order.
    total = math.fsum(itertools.chain.from_iterable(each for each, _ in together))
    return total / max(sum(each for _, each in together), 1)


def _score(
    model: Model[Any],
    pieces: Sequence[EncodedPiece],
    per_step: StepScores,
    beat: Callable[[], None] | None,
) -> LikelihoodResult:
    found = _read(model, pieces, lambda output: {"score": per_step(output)}, beat, ALONE)
    return found.get("score", LikelihoodResult([]))


def _read(
    model: Model[Any],
    pieces: Sequence[EncodedPiece],
    per_step: Callable[[Output], Mapping[str, torch.Tensor]],
    beat: Callable[[], None] | None,
    ranks: Ranks,
) -> dict[str, LikelihoodResult]:
    """Return figures by name, whose values for each output are (B, T)."""
    # All pieces' steps one after the other in one array; windows and ranks fill it in any order.
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    starts = ends - [len(piece) for piece in pieces]
    found: dict[str, npt.NDArray[np.float64]] = {}
    for batch, output in _outputs(model, pieces, beat, ranks):
        mask_BT = batch.mask.cpu().numpy()
        rows, steps = np.nonzero(mask_BT)
        # Idle rows have piece -1, but no step of them is in the mask.
        first_B = starts[batch.pieces.cpu().numpy()] + batch.position.cpu().numpy()
        for name, values in per_step(output).items():
            # float64: sums over millions of steps.
            figures_BT = values.cpu().double().numpy()
            # One array for all: small ones that stay between large ones that go split the heap.
            flat = found.setdefault(name, np.full(ends[-1], np.nan))
            flat[first_B[rows] + steps] = figures_BT[rows, steps]
    for others in () if ranks.alone else ranks.gathered(found):
        for name, theirs in others.items():
            flat = found.setdefault(name, theirs)
            # NaN is what another process did not read.
            np.copyto(flat, theirs, where=~np.isnan(theirs))
    places = [slice(*place) for place in zip(starts.tolist(), ends.tolist(), strict=True)]
    return {
        name: LikelihoodResult([flat[place] for place in places]) for name, flat in found.items()
    }


def _outputs(
    model: Model[Any],
    pieces: Sequence[EncodedPiece],
    beat: Callable[[], None] | None,
    ranks: Ranks,
) -> Iterator[tuple[Batch, Output]]:
    # A model that counts may have no tensor at all.
    device = next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))
    window, share = model.config.window(), (ranks.rank, ranks.size)
    carried = None
    with evaluation_mode(model):
        for batch in windows(pieces, model.layout, window, share=share):
            on_device = batch.to(device)
            # All rows fresh: no state, so that the model takes its own initial one.
            if not bool(batch.reset.all()):
                on_device = replace(on_device, carried=carried)
            output = predict(model, on_device)
            carried = output.state
            yield on_device, output
            if beat is not None:
                beat()
