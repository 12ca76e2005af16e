"""The hooks. None takes arguments; each returns declarations and does no work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from musengine.plugins.declarations import (
        BatchingDeclaration,
        CallbackDeclaration,
        CommandDeclaration,
        EncoderDeclaration,
        LossDeclaration,
        MetricDeclaration,
        ModelDeclaration,
        OptimizerDeclaration,
        ReaderDeclaration,
        SamplerDeclaration,
        ScheduleDeclaration,
        TrainedDeclaration,
        WriterDeclaration,
    )

PROJECT = "musengine"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Decorator of a function that implements a hook in a plugin's module."""


@hookspec
def musengine_readers() -> Sequence[ReaderDeclaration]:  # type: ignore[empty-body]
    """Declare readers: a source to pieces. versionadded: 0.1."""


@hookspec
def musengine_encoders() -> Sequence[EncoderDeclaration]:  # type: ignore[empty-body]
    """Declare encoders: Score or Text to arrays and back. versionadded: 0.1."""


@hookspec
def musengine_models() -> Sequence[ModelDeclaration]:  # type: ignore[empty-body]
    """Declare models. versionadded: 0.1."""


@hookspec
def musengine_losses() -> Sequence[LossDeclaration]:  # type: ignore[empty-body]
    """Declare losses: an Output to a scalar. versionadded: 0.1."""


@hookspec
def musengine_samplers() -> Sequence[SamplerDeclaration]:  # type: ignore[empty-body]
    """Declare samplers: how choices are drawn from logits. versionadded: 0.1."""


@hookspec
def musengine_metrics() -> Sequence[MetricDeclaration]:  # type: ignore[empty-body]
    """Declare metrics: pieces to named numbers. versionadded: 0.1."""


@hookspec
def musengine_writers() -> Sequence[WriterDeclaration]:  # type: ignore[empty-body]
    """Declare writers: a Score or Text to a file. versionadded: 0.1."""


@hookspec
def musengine_callbacks() -> Sequence[CallbackDeclaration]:  # type: ignore[empty-body]
    """Declare callbacks: called at the events of a run. versionadded: 0.1."""


@hookspec
def musengine_commands() -> Sequence[CommandDeclaration]:  # type: ignore[empty-body]
    """Declare subcommands of the command line. versionadded: 0.1."""


@hookspec
def musengine_optimizers() -> Sequence[OptimizerDeclaration]:  # type: ignore[empty-body]
    """Declare optimizers: gradients to new weights. versionadded: 0.1."""


@hookspec
def musengine_schedules() -> Sequence[ScheduleDeclaration]:  # type: ignore[empty-body]
    """Declare schedules: progress of training to a learning rate. versionadded: 0.1."""


@hookspec
def musengine_batching() -> Sequence[BatchingDeclaration]:  # type: ignore[empty-body]
    """Declare batching strategies: pieces to the rows of batches. versionadded: 0.1."""


@hookspec
def musengine_trained() -> Sequence[TrainedDeclaration]:  # type: ignore[empty-body]
    """Declare trained models: run folders inside a package. versionadded: 0.1."""
