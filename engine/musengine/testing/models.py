"""Batches for a model under test, its training for a few steps, and pieces from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from musengine.config.fields import build_config
from musengine.config.quantities import Length
from musengine.encoding.layouts import Layout
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece, Encoder
from musengine.interfaces.steering import Steering
from musengine.interfaces.training import TrainingConfig
from musengine.music.piece import Text
from musengine.music.score import Score
from musengine.plugins.configs import EncoderConfig
from musengine.testing.components import create
from musengine.utils.arrays import Array

if TYPE_CHECKING:
    import torch

    from musengine.interfaces.loss import Loss
    from musengine.interfaces.model import Batch, Model
    from musengine.interfaces.sampler import Sampler

Steps = EncodedPiece | Encoded | npt.ArrayLike
"""A piece for a batch: encoded, or its steps alone, (T,) tokens or (T, pitches, channels)."""


def batch_of(*pieces: Steps, layout: Layout | None = None) -> Batch:
    """Return one batch of whole pieces, a row each in this order; short rows are masked.

    Args:
        pieces: of the batch.
        layout: of them, where it has a begin token or a grammar.
    """
    from musengine.data.batching import collate, grammar_states
    from musengine.interfaces.batching import Row

    encoded = [_encoded(piece) for piece in pieces]
    rows = [Row(n, 0, len(piece)) for n, piece in enumerate(encoded)]
    return collate(rows, encoded, layout, grammar_states(encoded, layout))


def batches_of(
    pieces: Iterable[Steps],
    batching: str = "segments",
    *,
    layout: Layout | None = None,
    epoch: int = 0,
    **training: Any,
) -> list[Batch]:
    """Return the batches of one epoch as training would see them.

    Args:
        pieces: the training part.
        batching: a batching strategy's name.
        layout: of the pieces, where it has a begin token, a grammar or bars.
        epoch: which epoch, from 0.
        training: keys of `[training]`: `batch_size`, `sequence_length`, `seed`, ...

    Raises:
        ConfigError: a key or a value is wrong.
    """
    from musengine.data.batching import Batches

    encoded = [_encoded(piece) for piece in pieces]
    config = build_config(TrainingConfig, training, "training")
    strategy = create("batching", batching, config, [len(piece) for piece in encoded])
    repeats = config.updates_per_batch
    batches = Batches(encoded, strategy, layout, seed=config.seed, updates_per_batch=repeats)
    return list(batches.epoch(epoch))


def _encoded(piece: Steps) -> EncodedPiece:
    if isinstance(piece, EncodedPiece):
        return piece
    encoded = piece if isinstance(piece, Encoded) else Encoded(steps=np.asarray(piece))
    return EncodedPiece("", encoded, "")


def train_steps(
    model: Model[Any],
    batches: Iterable[Batch],
    *,
    optimizer: torch.optim.Optimizer | None = None,
    loss: Loss[Any] | str | None = "cross-entropy",
) -> list[float]:
    """Train a model on some batches, an optimizer step on each; returns the losses.

    Args:
        model: left in evaluation mode.
        batches: what it sees, in order.
        optimizer: over the model's parameters; without one Adam with a learning rate of 0.01,
            where the model's parameter groups have no other.
        loss: a loss, or the name of an installed one; None for a model with a loss of its own.
    """
    import torch

    from musengine.interfaces.prediction import predict
    from musengine.training.descent import total_loss

    if optimizer is None:
        optimizer = torch.optim.Adam(model.parameter_groups(), lr=0.01)
    loss = create("loss", loss, model.layout) if isinstance(loss, str) else loss
    losses = []
    model.train()
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        value = total_loss(predict(model, batch), loss)
        torch.autograd.backward(value)
        optimizer.step()
        losses.append(float(value.detach()))
    model.eval()
    return losses


def generate_steps(
    model: Model[Any],
    samplers: Sequence[Sampler[Any]] = (),
    *,
    length: str = "16 steps",
    seeds: Sequence[int] = (0,),
    encoder: Encoder[Any] | None = None,
    prompts: Sequence[npt.ArrayLike] | None = None,
    settings: DecodeSettings | None = None,
    own: bool = False,
    steering: Steering | None = None,
) -> list[Array]:
    """Return the steps of new pieces, (T, ...) each, generated as a pipeline would.

    Args:
        model: the model; it need not be trained.
        samplers: the chain that draws from its logits.
        length: of a piece, its prompt not counted, as `generate.length` takes it.
        seeds: one for each piece.
        encoder: what the steps stand for; without one a step is a quarter of a beat.
        prompts: the steps that each piece goes on from; none without them.
        settings: tempo and meter.
        own: the model generates by itself (`generation="own"` in its declaration).
        steering: what is asked of the notes, of a model that heeds it.
    """
    import torch

    from musengine.generation import engine

    encoder = _LayoutEncoder(model.layout) if encoder is None else encoder
    empty = encoder.empty()
    steps = (
        [empty] * len(seeds) if prompts is None else [np.asarray(p, empty.dtype) for p in prompts]
    )
    wanted = Length.from_toml(length, Path.cwd())
    assert isinstance(wanted, Length)
    plan = engine.GenerationPlan(
        prompts=[Encoded(steps=each) for each in steps],
        first=[0] * len(seeds),
        seeds=seeds,
        length=wanted,
        settings=[DecodeSettings() if settings is None else settings] * len(steps),
        steering=Steering() if steering is None else steering,
    )
    device = torch.device("cpu")
    engine.tune(samplers, model, encoder, plan, device)
    made = engine.generate(model, encoder, samplers, plan, device=device, own=own)
    return [piece.steps for piece in made]


class _LayoutEncoder(Encoder[EncoderConfig]):
    """An encoder of nothing: it has a layout, and each of its steps is a quarter of a beat."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(EncoderConfig())
        self._layout = layout

    @property
    def layout(self) -> Layout:
        return self._layout

    def encode(self, content: Score | Text) -> Encoded:
        raise NotImplementedError

    def decode(self, steps: Array, settings: DecodeSettings) -> Score | Text:
        raise NotImplementedError

    def elapsed(
        self, steps: Array, unit: Literal["beats", "seconds"], settings: DecodeSettings
    ) -> npt.NDArray[np.float64]:
        beats = np.arange(1, len(steps) + 1) / 4
        return beats if unit == "beats" else beats * 60 / settings.tempo
