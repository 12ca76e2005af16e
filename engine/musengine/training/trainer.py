"""The training loop, its validation and its checkpoints."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from musengine.data.batching import Batches
from musengine.errors import UserError
from musengine.evaluation.likelihood import loss_on_pieces, score_pieces
from musengine.interfaces.callback import Callback, Progress
from musengine.interfaces.encoder import EncodedPiece
from musengine.interfaces.loss import Loss
from musengine.interfaces.model import Batch, Model, Output, State
from musengine.pipeline.sections import TrainingConfig
from musengine.runs.folder import RunFolder
from musengine.training import checkpoint as checkpoints
from musengine.training.optim import (
    Schedule,
    TrainerState,
    clip_gradients,
    fraction_done,
    is_due,
    limit_reached,
    load_optimizer,
    make_optimizer,
    memory_explained,
    mixed_precision,
    set_learning_rate,
)
from musengine.utils.progress import SILENT, ProgressReporter
from musengine.utils.signals import StopRequest

INTERRUPTED = "interrupted"
_LOG_EVERY = 10


@dataclass
class TrainingTask:
    """What is trained on what, and where it is written.

    `meta` holds the JSON values every checkpoint carries, such as the encoder's state.
    """

    model: Model[Any]
    loss: Loss[Any] | None
    config: TrainingConfig
    batches: Batches
    valid: Sequence[EncodedPiece]
    run: RunFolder
    callbacks: Sequence[Callback[Any]]
    device: torch.device
    likelihood: bool
    meta: Mapping[str, Any]
    reporter: ProgressReporter = SILENT

    def alive(self) -> None:
        """Say that validation goes on."""
        self.reporter.alive("measuring the validation part")

    def tell(self, event: str, *arguments: Any) -> None:
        """Tell every callback of an event."""
        for callback in self.callbacks:
            getattr(callback, event)(*arguments)

    def validate(self) -> dict[str, float]:
        """Return the figures of the validation part; empty where there is none."""
        if not self.valid:
            return {}
        if self.loss is None and not self.likelihood:
            return {"loss": loss_on_pieces(self.model, None, self.valid, beat=self.alive)}
        if self.loss is None:
            return {"nll": score_pieces(self.model, self.valid, beat=self.alive).mean}
        return {"loss": loss_on_pieces(self.model, self.loss, self.valid, beat=self.alive)}

    def measured(self, place: TrainerState, progress: Progress) -> dict[str, float]:
        """Validate, log the figures and tell them."""
        figures = self.validate()
        if figures:
            self.run.log({"step": place.step, "epoch": place.epoch, "valid": figures})
            self.tell("on_validation", progress, figures)
        return figures

    def save(
        self,
        place: TrainerState,
        progress: Progress,
        extra: dict[str, Any],
        figures: Mapping[str, float],
    ) -> None:
        """Write a checkpoint, and note whether its validation figures are the best so far."""
        figure = min(figures.values()) if figures else None
        path = self.run.checkpoints / checkpoint_name(place, figure)
        states = [callback.state() for callback in self.callbacks]
        meta = {**self.meta, "place": vars(place), "valid": figures, "callbacks": states}
        checkpoints.save(path, checkpoints.Checkpoint(self.model.state_dict(), meta, extra))
        best = self.run.state().get("best")
        if figure is not None and (best is None or figure < best["figure"]):
            best = {"checkpoint": path.name, "figure": figure, "step": place.step}
            self.run.write_state(best=best)
        self.run.remove_old_checkpoints(self.config.keep_checkpoints)
        self.tell("on_checkpoint", progress, path)


def checkpoint_name(place: TrainerState, figure: float | None) -> str:
    """Return a checkpoint's file name: step, epochs done, and the validation figure if any."""
    reached = "" if figure is None else f"_valid-{figure:.4f}"
    return f"step-{place.step:09}_epoch-{place.epoch:04}{reached}.safetensors"


def fit(task: TrainingTask) -> str:
    """Show the training part once to a model that learns by itself; returns why it ended."""
    task.tell("on_start", task.run.path, Progress())
    began = time.monotonic()
    task.model.fit(batch.to(task.device) for batch in task.batches.epoch(0))
    place = TrainerState(step=1, epoch=1, seconds=time.monotonic() - began)
    progress = Progress(step=1, epoch=1, fraction=1.0, seconds=place.seconds)
    task.save(place, progress, {}, task.measured(place, progress))
    reason = "the model has seen the training part"
    task.tell("on_end", progress, reason)
    return reason


class Trainer:
    """Trains a model by gradients; all that changes is in the checkpoints it writes."""

    def __init__(self, task: TrainingTask) -> None:
        self.task = task
        self.config = task.config
        self.optimizer = make_optimizer(task.model, task.config)
        self.schedule = Schedule(task.config)
        self.place, self.saved = TrainerState(), TrainerState()
        self.carried: State = None
        self.progress = Progress()
        self._began = time.monotonic()
        self._step_times: deque[float] = deque(maxlen=50)
        self._losses: list[float] = []

    def train(self, stop: StopRequest) -> str:
        """Train until a limit is reached or the user stops; returns why it ended."""
        place = self.place
        self.task.model.train()
        self._measure()
        self.task.tell("on_start", self.task.run.path, self.progress)
        reason = limit_reached(self.config, place)
        while reason is None:
            for batch in self.task.batches.epoch(place.epoch, first=place.batch):
                loss = self.learn(batch)
                self._advance()
                self._measure(loss)
                self.task.tell("on_batch", self.progress, self.task.model, batch)
                reason = INTERRUPTED if stop.requested else limit_reached(self.config, place)
                if reason is not None:
                    break
                due = is_due(self.config.checkpoint_every, place, self.saved)
                if due or any(one.wants_checkpoint(self.progress) for one in self.task.callbacks):
                    self.save(validate=due)
        if place.step != self.saved.step or not self.task.run.checkpoint_paths():
            self.save(validate=reason != INTERRUPTED)
        self.task.tell("on_end", self.progress, reason)
        return reason

    def _advance(self) -> None:
        """Move on by one batch; the last one of an epoch leads to the first of the next."""
        place = self.place
        place.step += 1
        place.batch += 1
        if place.batch == self.task.batches.count(place.epoch):
            place.epoch, place.batch, self.carried = place.epoch + 1, 0, None

    def learn(self, batch: Batch) -> float:
        """Take one optimizer step on a batch; returns its loss.

        Raises:
            UserError: the batch is too large for the device's memory.
        """
        batches = self.task.batches
        factor = self.schedule.factor(self.progress.fraction) * batches.rate_factor(batch)
        set_learning_rate(self.optimizer, factor)
        with memory_explained(self.config, self.task.device):
            output, loss = self._descend(replace(batch.to(self.task.device), carried=self.carried))
        if batches.batching.carries_state and batches.is_last_update(self.place.batch):
            self.carried = checkpoints.map_tensors(output.state, Tensor.detach)
        return float(loss.detach())

    def _descend(self, batch: Batch) -> tuple[Output, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        with mixed_precision(self.config.precision, self.task.device):
            output = self.task.model(batch)
        loss = total_loss(output, self.task.loss)
        torch.autograd.backward(loss)
        clip_gradients(self.optimizer, self.config)
        self.optimizer.step()
        return output, loss

    def save(self, *, validate: bool = True) -> None:
        """Write a checkpoint of this very moment."""
        figures = self.task.measured(self.place, self.progress) if validate else {}
        if figures:
            self.schedule.validated(min(figures.values()))
        extra = {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state(),
            "carried": self.carried,
            "random": checkpoints.random_state(),
        }
        self.task.save(self.place, self.progress, extra, figures)
        self.saved = replace(self.place)

    def restore(self, stored: checkpoints.Checkpoint) -> None:
        """Go on from a checkpoint whose weights are loaded already."""
        self.place = TrainerState(**stored.meta["place"])
        self.saved = replace(self.place)
        self._began = time.monotonic() - self.place.seconds
        load_optimizer(self.optimizer, stored.extra["optimizer"])
        self.schedule.load_state(stored.extra["schedule"])
        self.carried = checkpoints.map_tensors(stored.extra["carried"], self._carried_over)
        checkpoints.restore_random_state(stored.extra["random"])
        for callback, state in zip(self.task.callbacks, stored.meta["callbacks"], strict=False):
            callback.load_state(state)

    def _carried_over(self, tensor: Tensor) -> Tensor:
        # A run begun in bfloat16 may go on in float32, where layers take no state in bfloat16.
        low = tensor.dtype == torch.bfloat16 and self.config.precision == "float32"
        return tensor.to(self.task.device, torch.float32 if low else tensor.dtype)

    def _measure(self, loss: float | None = None) -> None:
        """Bring the progress up to date and tell it, after a step whose loss is given."""
        now, place = time.monotonic(), self.place
        place.seconds = now - self._began
        fraction = fraction_done(self.config, place, self.task.batches.count(place.epoch))
        self.progress = Progress(
            step=place.step,
            epoch=place.epoch,
            fraction=fraction,
            seconds=place.seconds,
            seconds_left=place.seconds * (1 - fraction) / fraction if fraction else None,
            loss=float("nan") if loss is None else loss,
            unit=self.task.loss.unit if self.task.loss is not None else "",
            learning_rate=self.optimizer.param_groups[0]["lr"],
            steps_per_second=self._rate(now),
        )
        if loss is not None:
            self._step_times.append(now)
            self._log(loss)
            self.task.tell("on_step", self.progress)
            if place.batch == 0:
                self.task.tell("on_epoch", self.progress)

    def _rate(self, now: float) -> float:
        if not self._step_times or now <= self._step_times[0]:
            return 0.0
        return len(self._step_times) / (now - self._step_times[0])

    def _log(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is no finite number any more at step {self.place.step}: set "
                "training.clip_norm, or a smaller training.learning_rate"
            )
        self._losses.append(loss)
        if self.place.step % _LOG_EVERY == 0:
            mean = sum(self._losses) / len(self._losses)
            self._losses.clear()
            place = self.place
            self.task.run.log({"step": place.step, "epoch": place.epoch, "loss": mean})


def total_loss(output: Output, loss: Loss[Any] | None) -> Tensor:
    """Return the scalar to descend: the model's own loss or the pipeline's, and the penalty."""
    value = output.loss
    if value is None:
        if loss is None:
            raise TypeError("the model returned no loss and the pipeline has none")
        value = loss(output)
    return value if output.penalty is None else value + output.penalty
