"""From a pipeline to what is trained: device, model, batches, loss."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from musengine.data.batching import Batches
from musengine.data.dataset import Dataset
from musengine.data.manifest import Skipped
from musengine.distributed.ranks import ALONE, Ranks
from musengine.errors import UserError, did_you_mean
from musengine.interfaces.callback import Callback
from musengine.interfaces.contracts.values import check_state, check_time
from musengine.interfaces.encoder import Encoder
from musengine.interfaces.loss import Loss
from musengine.interfaces.model import Model
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.blame import phase
from musengine.plugins.declarations import BatchingDeclaration
from musengine.runs.folder import RunFolder
from musengine.runs.trained import new_model
from musengine.training.checkpoint import Checkpoint
from musengine.training.device import choose_device, has_bfloat16, supports_bfloat16
from musengine.training.store import RunStore
from musengine.training.task import TrainingTask
from musengine.training.trainer import Trainer
from musengine.utils.allocator import keep_freed_memory
from musengine.utils.profile import UNPROFILED, Profiler
from musengine.utils.progress import ProgressReporter

logger = logging.getLogger(__name__)

_TIMED = 100
"""Of so many pieces the longest shows whether its encoder tells the time."""


def decided(pipeline: Pipeline, run: RunFolder) -> tuple[Pipeline, torch.device]:
    """Decide device, precision and number of threads, so that a continued run uses the same."""
    device, precision = choose_device(pipeline.training.device), pipeline.training.precision
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16(device) else "float32"
        logger.info(f"training.precision: {precision}, by what {device} here has")
    elif precision == "bfloat16" and not supports_bfloat16(device):
        logger.info(
            f"training.precision: {device} here does not compute in bfloat16; training in float32"
        )
        precision = "float32"
        # A new run writes its precision with its pipeline; of one that goes on the change is on
        # record.
        if run.exists:
            run.log({"changed": ["training.precision"]})
    keep_freed_memory()
    if pipeline.training.threads:
        torch.set_num_threads(pipeline.training.threads)
    threads = torch.get_num_threads()
    training = replace(pipeline.training, precision=precision, device=str(device), threads=threads)
    return replace(pipeline, training=training), device


def training_task(
    pipeline: Pipeline,
    store: RunStore,
    device: torch.device,
    encoder: Encoder[Any],
    data: Dataset,
    callbacks: list[Callback[Any]],
    reporter: ProgressReporter,
    ranks: Ranks = ALONE,
    profile: Profiler = UNPROFILED,
) -> TrainingTask:
    """Return what a pipeline's training consists of; its model's weights are fresh.

    Raises:
        UserError: every piece is too short for its batches.
    """
    # Found now, and not when what was trained makes pieces without an end.
    with phase("preparing the run"):
        check_time(encoder, max(data.parts["train"][:_TIMED], key=len).encoded.steps)
    # Immediately before the model is made, so that what ran before, such as timing, does not change
    # the weights that a seed gives.
    torch.manual_seed(pipeline.training.seed)
    pieces, training = data.parts["train"], pipeline.training
    strategy = pipeline.batching.create(training, [len(piece) for piece in pieces])
    repeats = training.updates_per_batch
    batches = Batches(
        pieces, strategy, encoder.layout, seed=training.seed, updates_per_batch=repeats
    )
    _tell_too_short(batches, data, pipeline.batching.name)
    model = new_model(pipeline, encoder).to(device)
    _freeze(model, training.frozen)
    loss: Loss[Any] | None = None
    if pipeline.loss is not None:
        loss = pipeline.loss.create(encoder.layout)
    # A model that gives neither a loss nor a likelihood cannot be measured on the validation part.
    declared = pipeline.model_declaration
    measurable = declared.takes_loss or declared.own_loss or declared.likelihood
    return TrainingTask(
        model=model,
        loss=loss,
        config=training,
        batches=batches,
        valid=data.parts["valid"] if measurable else (),
        store=store,
        callbacks=callbacks,
        device=device,
        stateful=pipeline.batching.declared(BatchingDeclaration).stateful,
        likelihood=declared.likelihood,
        meta={"encoder": check_state(encoder, encoder.state()), "model": pipeline.model.name},
        reporter=reporter,
        ranks=ranks,
        profile=profile,
    )


def trainer_for(task: TrainingTask, pipeline: Pipeline, stored: Checkpoint | None) -> Trainer:
    """Return what trains, where a checkpoint is given from there on.

    Args:
        task: whose model has the checkpoint's weights already.
        pipeline: with the optimizer and the schedule.
        stored: the checkpoint.
    """
    training = pipeline.training
    trainer = Trainer(task, pipeline.optimizer.create(training), pipeline.schedule.create(training))
    if stored is not None:
        trainer.restore(stored)
    return trainer


def _tell_too_short(batches: Batches, dataset: Dataset, strategy: str) -> None:
    """List pieces the batching strategy cannot use.

    Raises:
        UserError: it can use none.
    """
    short = batches.too_short()
    if batches.count(0) == 0:
        longest = max((len(piece) for piece in batches.pieces), default=0)
        raise UserError(
            f"every training piece is too short for batching = {strategy!r}: "
            f"the longest has {longest} steps; set a smaller training.sequence_length",
            code="training-pieces-too-short",
        )
    reason = "too short for training.sequence_length"
    dataset.skipped.extend(Skipped(name, reason) for name in short)


def _freeze(model: Model[Any], patterns: Sequence[str]) -> None:
    """Take weights out of training, by their names.

    Raises:
        UserError: a pattern stands for none, or nothing is left to train.
    """
    named = dict(model.named_parameters())
    for pattern in patterns:
        chosen = fnmatch.filter(named, pattern)
        if not chosen:
            near = did_you_mean(pattern, named) or f"; there are: {', '.join(list(named)[:10])}"
            raise UserError(
                f"training.frozen: no weight is called {pattern!r}{near}", code="pattern-unused"
            )
        for name in chosen:
            # Without a gradient an optimizer leaves a weight as it is, its decay included.
            named[name].requires_grad_(False)
    if named and not any(each.requires_grad for each in named.values()):
        raise UserError(
            "training.frozen: nothing is left to train; name fewer weights",
            code="settings-conflict",
        )
