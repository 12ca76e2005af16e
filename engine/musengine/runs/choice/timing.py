"""How long a pipeline takes on this machine: a few steps of its real model, on its real music."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import torch

from musengine.config.quantities import Length
from musengine.data.dataset import Dataset, prepare, read_corpus, total_steps
from musengine.data.spans import PieceSpan
from musengine.errors import UserError
from musengine.generation import engine
from musengine.generation.written import Known, settings_of
from musengine.interfaces.encoder import Encoded, Encoder
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.registry import Registry
from musengine.runs.assembly import decided, training_task
from musengine.runs.folder import RUNS, RunFolder
from musengine.training import checkpoint as checkpoints
from musengine.training.task import TrainingTask
from musengine.training.trainer import Trainer
from musengine.utils.progress import SILENT

_STEPS, _SECONDS = 4, 2.0
"""Optimizer steps that are timed at the most, and seconds after which no further one is."""
_SCORED = 1000
"""Time steps of music that are scored."""
_SHARE = 0.02
"""Of the length that is asked for, as much is generated."""
_SHORTEST_SEQUENCE = 4


@dataclass(frozen=True)
class Timing:
    """Seconds that a pipeline takes on this machine.

    Attributes:
        sequence_length: steps of a segment that the music is long enough for; None for those that
            the pipeline asks for.
        threads: CPU threads with which a step is fastest.
        step: of one optimizer step.
        scoring: of measuring one time step of the validation part.
        generating: of making all pieces.
        preparing: of reading and encoding one file.
        steps: time steps of a piece, the mean.
    """

    sequence_length: int | None
    threads: int
    step: float
    scoring: float
    generating: float
    preparing: float
    steps: float


def time_pipeline(pipeline: Pipeline, registry: Registry, files: Collection[str]) -> Timing:
    """Time a pipeline on some files of its corpus; nothing is written but the cache.

    Raises:
        UserError: it cannot be trained on this music, or on this machine.
    """
    # Copies in other keys are as long as what they are copies of.
    pipeline = replace(pipeline, corpus=replace(pipeline.corpus, transpose=(), jobs=1))
    encoder: Encoder[Any] = pipeline.encoder.create()
    manifest = read_corpus(pipeline, registry, SILENT, files)
    dataset = prepare(pipeline, manifest, encoder)
    preparing = (time.time() - manifest.started) / max(len(files), 1)
    before = torch.get_num_threads()
    try:
        pipeline, task = _task(pipeline, encoder, dataset)
        # The order matters: scoring and generating are timed with the threads that training will
        # have.
        threads, step = _fastest(pipeline, task)
        torch.set_num_threads(threads)
        scoring, generating = _scoring(task), _generating(pipeline, task, encoder)
    finally:
        torch.set_num_threads(before)
    pieces = [piece for part in dataset.parts.values() for piece in part]
    return Timing(
        sequence_length=pipeline.training.sequence_length,
        threads=threads,
        step=step,
        scoring=scoring,
        generating=generating,
        preparing=preparing,
        steps=total_steps(pieces) / len(pieces),
    )


def time_rest(
    pipeline: Pipeline, task: TrainingTask, encoder: Encoder[Any], dataset: Dataset
) -> tuple[float, float]:
    """Return the seconds of making all pieces, and of what is measured after the training.

    Args:
        pipeline: as it is trained.
        task: its training, not begun; random numbers are drawn as if this had not been asked.
        encoder: having learned.
        dataset: the corpus.
    """
    # The training that follows must draw the same numbers as without a budget.
    random = checkpoints.random_state()
    generating = _generating(pipeline, task, encoder)
    measured = [task.valid, *(dataset.parts[part] for part in pipeline.evaluate.parts)]
    steps = sum(total_steps(pieces) for pieces in measured)
    measuring = steps * _scoring(task) if steps else 0.0
    checkpoints.restore_random_state(random)
    return generating, measuring


def _task(
    pipeline: Pipeline, encoder: Encoder[Any], dataset: Dataset
) -> tuple[Pipeline, TrainingTask]:
    """Return the training, its segments shortened until the music is long enough for them."""
    nowhere = RunFolder(RUNS)  # nothing is saved
    while True:
        settled, device = decided(pipeline, nowhere)
        try:
            task = training_task(settled, nowhere, device, encoder, dataset, [], SILENT)
        except UserError as error:
            length = pipeline.training.sequence_length or 0
            if error.code != "training-pieces-too-short" or length < 2 * _SHORTEST_SEQUENCE:
                raise
            training = replace(pipeline.training, sequence_length=length // 2, align=1)
            pipeline = replace(pipeline, training=training)
        else:
            return pipeline, task


def _fastest(pipeline: Pipeline, task: TrainingTask) -> tuple[int, float]:
    """Return the number of threads with which a step is fastest, and its seconds."""
    if pipeline.model_declaration.training == "fit":
        return torch.get_num_threads(), 0.0
    training = pipeline.training
    trainer = Trainer(task, pipeline.optimizer.create(training), pipeline.schedule.create(training))
    found: dict[int, float] = {}
    # One first: matrices this small often gain nothing from a second one.
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        found[threads] = _step(trainer)
    few, many = min(found), max(found)
    # More threads must gain a tenth: what is measured wavers by as much, and one leaves the machine
    # free.
    threads = many if found[many] < 0.9 * found[few] else few
    return threads, found[threads]


def _step(trainer: Trainer) -> float:
    batches = itertools.chain.from_iterable(
        trainer.task.batches.epoch(epoch) for epoch in itertools.count()
    )
    took: list[float] = []
    trainer.task.model.train()
    trainer.carried = None
    began = time.monotonic()
    for batch in batches:
        start = time.monotonic()
        # The state that is carried fits the rows of the batch before, not of the next epoch.
        trainer.carried = None
        trainer.step(batch)
        took.append(time.monotonic() - start)
        if len(took) > _STEPS or time.monotonic() - began > _SECONDS:
            break
    # The first one allocates what the others use again.
    return statistics.median(took[1:] or took)


def _scoring(task: TrainingTask) -> float:
    """Return the seconds of measuring a time step."""
    longest = max((*task.valid, *task.batches.pieces[:1]), key=len)
    pieces = [PieceSpan(longest, 0, min(len(longest), _SCORED))]
    began = time.monotonic()
    task.figures_of(pieces)
    return (time.monotonic() - began) / max(total_steps(pieces), 1)


def _generating(pipeline: Pipeline, task: TrainingTask, encoder: Encoder[Any]) -> float:
    """Return the seconds of making all pieces, from a short stretch of each."""
    config = pipeline.generate
    if not config.count:
        return 0.0
    samplers = [sampler.create(encoder.layout) for sampler in pipeline.samplers]
    tuning = sum(sampler.tuning_steps for sampler in samplers)
    # A step of many pieces takes longer than one of few, and tuning takes most of the time.
    count = max(config.count, *(s.tuning_pieces for s in samplers if s.tuning_steps), 1)
    number = config.length.number * _SHARE
    whole = config.length.unit in ("steps", "tokens")
    # Steps and tokens are whole numbers; seconds, beats and bars need not be.
    length = Length(max(round(number), 1) if whole else number, config.length.unit)
    plan = engine.GenerationPlan(
        prompts=[Encoded(steps=encoder.empty())] * count,
        first=[0] * count,
        seeds=engine.piece_seeds(0, count),
        length=length,
        settings=[settings_of(Known(config))] * count,
    )
    began = time.monotonic()
    made = engine.generate(
        task.model,
        encoder,
        samplers,
        plan,
        device=task.device,
        own=pipeline.model_declaration.generation == "own",
    )
    took = time.monotonic() - began
    # Drawn side by side, so that the longest piece tells what a step takes.
    step = took / max(1, *(len(piece.steps) for piece in made))
    return float(took / _SHARE + step * tuning)
