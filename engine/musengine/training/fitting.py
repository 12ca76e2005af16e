"""Models that learn by themselves, in one pass over the training part."""

from __future__ import annotations

import time

from musengine.interfaces.callback import Progress
from musengine.training.state import TrainerState
from musengine.training.stopping import Ending
from musengine.training.task import TrainingTask


def fit(task: TrainingTask, fitted: TrainerState | None = None) -> Ending:
    """Show the training part once to a model that learns by itself, and write its checkpoint.

    Args:
        task: what is trained.
        fitted: of a model that has seen it before its validation failed; only that is made up for.
    """
    # "fit" is for models that count instead of descending: no gradient, no schedule, one pass over
    # the training part is all of it, so that the step and the epoch after it are both 1.
    task.notify("on_start", task.store.path, Progress())
    if fitted is None:
        began = time.monotonic()
        with task.profile.stage("fitting"):
            task.model.fit(batch.to(task.device) for batch in task.batches.epoch(0))
        state = TrainerState(step=1, epoch=1, seconds=time.monotonic() - began)
    else:
        state = fitted
    progress = Progress(step=1, epoch=1, fraction=1.0, seconds=state.seconds)
    try:
        figures = task.validate(state, progress)
    except Exception:
        # A plugin's fault there must not lose what was learned.
        if fitted is None:
            task.save(state, progress, {}, {})
        raise
    task.save(state, progress, {}, figures)
    ending = Ending("the model has seen the training part")
    task.notify("on_end", progress, ending.reason)
    return ending
