"""The training loop."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musengine.distributed.ranks import ProcessLostError
from musengine.errors import UserError
from musengine.interfaces.callback import Progress
from musengine.interfaces.contracts.tensors import check_gradient, check_loss
from musengine.interfaces.contracts.values import check_factor
from musengine.interfaces.model import Batch, State, joined_states
from musengine.interfaces.optimizer import OptimizerFactory
from musengine.interfaces.prediction import predict
from musengine.interfaces.schedule import Schedule
from musengine.training import checkpoint as checkpoints
from musengine.training.averaging import WeightAverage, load_parameters
from musengine.training.descent import Whole, add_up_gradients, parts_of, total_loss
from musengine.training.device import is_out_of_memory, memory_explained, mixed_precision
from musengine.training.loss_log import LossLog
from musengine.training.optim import (
    clip_gradients,
    load_optimizer,
    make_optimizer,
    scale_learning_rate,
)
from musengine.training.row_states import gathered_rows, own_rows
from musengine.training.state import TrainerState
from musengine.training.stopping import (
    INTERRUPTED,
    Ending,
    fraction_done,
    is_due,
    limit_reached,
)
from musengine.training.task import TrainingTask, class_name, judged
from musengine.utils.format import counted
from musengine.utils.signals import StopRequest

_NAMED = 3
"""Pieces that are named where the loss is no number."""


class Trainer:
    """Trains a model by gradients; all that changes is in the checkpoints it writes.

    Of several processes each learns from its share of the rows of every batch, and their gradients
    are added up. The first decides when to save and to end, writes, and has the callbacks; only
    `carried`, the state of the rows, differs between them.
    """

    def __init__(
        self, task: TrainingTask, optimizer: OptimizerFactory[Any], schedule: Schedule[Any]
    ) -> None:
        self.task, self.ranks, self.profile = task, task.ranks, task.profile
        if task.device.type == "cuda":
            self.profile.finish_with(torch.cuda.synchronize)
        self.config = task.config
        self.optimizer = make_optimizer(task.model, optimizer)
        self.schedule = schedule
        self.average = self._averaged() if self.config.average else None
        # `state` is where training is now, `saved` where the newest checkpoint is: periods are
        # counted between the two, and equal steps mean that there is nothing new to save.
        self.state, self.saved = TrainerState(), TrainerState()
        # Recurrent state of the rows after the last batch, detached; None where an epoch begins.
        self.carried: State = None
        self.progress = Progress()
        self._validation_due = False
        # Step of the checkpoint that was restored, whose optimizer state is untried until the step
        # after.
        self._restored_at: int | None = None
        # Moved back by the time of earlier sessions when a checkpoint is restored, so that now
        # minus it is all the time in training.
        self._began = time.monotonic()
        # The rate that is shown is of the last 50 steps: the first steps of a run are slow.
        self._step_times: deque[float] = deque(maxlen=50)
        self.losses = LossLog(task.store, self.config.log_every)
        self._last_pieces: list[int] = []

    def train(self, stop: StopRequest | None = None) -> Ending:
        """Train until a limit is reached, a callback ends it or the user does.

        Raises:
            UserError: the loss is not finite, a batch does not fit into memory, or an epoch has
                no batch to go on with.
        """
        task, state = self.task, self.state
        stop = stop or StopRequest()
        task.model.train()
        # The same weights, buffers and averages at every process from the start: from here on only
        # summed gradients are exchanged, and equal updates keep them equal.
        averages = {} if self.average is None else self.average.averages
        self.ranks.copy_from_first([*task.model.state_dict().values(), *averages.values()])
        self._update_progress()
        self._take_time(self.ranks.agreed(state.seconds))
        task.notify("on_start", task.store.path, self.progress)
        # A run may be resumed beyond its limit, for instance when `steps` was lowered: then it only
        # saves.
        ending = self._at_limit()
        # An interrupted session left its validation out; schedule and callbacks get its figures
        # now, before the next step, as they would have without the interruption.
        if ending is None and self._validation_due:
            self.save()
            ending = self.ranks.agreed(self._asked_to_stop())
        try:
            while ending is None:
                ending = self._train_epoch(stop)
        # With a process gone no collective call can be made any more, so only the first one saves,
        # alone.
        except ProcessLostError:
            with self._averages_in_place() as trained:
                self._save_alone(trained)
            raise
        # Agreed, since every process must take part in saving or none; also a run that ends at step
        # 0 leaves a checkpoint, from which pieces can be made.
        if self.ranks.agreed(state.step != self.saved.step or not task.store.checkpoint_paths()):
            self.save(validate=not ending.interrupted)
        # The mean of an interrupted interval stays in the checkpoint and is logged once it is
        # complete, so that the log of a resumed run has the same lines as one that ran through.
        if not ending.interrupted:
            self.losses.write(self.progress, state.step)
        task.notify("on_end", self.progress, ending.reason)
        return ending

    def _train_epoch(self, stop: StopRequest) -> Ending | None:
        """Train to the end of the epoch; returns why training ends before, if it does."""
        self._check_epoch()
        batches = self.task.batches.epoch(self.state.epoch, first=self.state.batch)
        for batch in self.profile.each("waiting for batches", batches):
            loss = self.step(batch, stop)
            self._advance()
            self._record(loss)
            self.task.notify("on_batch", self.progress, self.task.model, batch)
            if (ending := self._ended_or_saved(stop)) is not None:
                return ending
        return None

    def _ended_or_saved(self, stop: StopRequest) -> Ending | None:
        """Save where that is due; returns why training ends here, as the first process has it."""
        # Decided after every step by the first process alone: clocks and callbacks differ between
        # processes.
        ending = INTERRUPTED if stop.requested else self._at_limit() or self._asked_to_stop()
        due = is_due(self.config.checkpoint_every, self.state, self.saved)
        wanted = due or any(each.wants_checkpoint(self.progress) for each in self.task.callbacks)
        # Two numbers are sent at every step, since that is cheap; what is decided is only sent as
        # an object, which costs more, where one of the two says that there is something.
        news = ending is not None or wanted
        # float64, as seconds of long runs lose their fractions in float32.
        told = torch.tensor([self.state.seconds, float(news)], dtype=torch.float64)
        self.ranks.copy_from_first([told])
        seconds, news = told.tolist()
        self._take_time(seconds)
        if not news:
            return None
        ending, due = self.ranks.agreed((ending, due))
        if ending is not None:
            return ending
        self.save(validate=due)
        return self.ranks.agreed(self._asked_to_stop())

    def step(self, batch: Batch, stop: StopRequest | None = None) -> float:
        """Take one optimizer step on a batch; returns the loss before it.

        Args:
            batch: all of it, at every process.
            stop: set after the step where any process is asked to stop.

        Raises:
            UserError: the batch is too large for the device's memory.
        """
        # Kept for the message if this step's loss is no number.
        self._last_pieces = batch.pieces.tolist()
        factor = check_factor(self.schedule, "factor", self.schedule.factor(self.progress))
        factor *= self.task.batches.rate_factor(batch)
        if self.state.step < self.config.warm_up:
            # Linear warm-up on top of the schedule; plus one, since a first step at rate 0 would be
            # wasted.
            factor *= (self.state.step + 1) / self.config.warm_up
        scale_learning_rate(self.optimizer, factor)
        with memory_explained(self.config, self.task.device):
            state, loss = self._descend(batch, stop or StopRequest())
        if self.average is not None:
            with self.profile.stage("optimizer"):
                self.average.update(self.state.step + 1)
        # Repeated updates on one batch all begin with the state before it; only the last one moves
        # it on.
        if self.task.stateful and self.task.batches.is_last_update(self.state.batch):
            self.carried = state
        return loss

    def _descend(self, batch: Batch, stop: StopRequest) -> tuple[State, float]:
        """Move the weights; returns the state after the batch, without its gradient, and the loss.

        Backpropagation ends where the batch begins. A state that is not carried on is None.
        """
        self.optimizer.zero_grad(set_to_none=True)
        states, loss = self._backward(batch)
        if not self.ranks.alone:
            told = torch.tensor([loss, float(stop.requested)], dtype=torch.float64)
            with self.profile.stage("other processes"):
                told = add_up_gradients(self.task.model, self.ranks, told)
            loss, requests = told.tolist()
            # Ctrl-C may have reached any process; the sum tells all of them within the same step.
            stop.requested = requests > 0
        with self._restored_state_explained(), self.profile.stage("optimizer"):
            # Clipped after the gradients are added up, so that the norm is that of the whole batch.
            clip_gradients(self.optimizer, self.config)
            self.optimizer.step()
        # With `accumulate` each part of the batch returned the state of its own rows: (rows, ...)
        # joined along the rows in their order.
        if len(states) < 2:
            return (states[0] if states else None), loss
        rows = len(batch.steps[self.ranks.share(len(batch.steps))])
        return joined_states(states, torch.arange(rows, device=self.task.device)), loss

    def _backward(self, batch: Batch) -> tuple[list[State], float]:
        """Add a batch's gradients to the model's, of several processes those of this one's share.

        Returns the states after its parts and what they add to the loss.
        """
        whole = None
        if not self.ranks.alone:
            whole = Whole.of(batch)
            # The size of the whole is taken before the batch is cut: every part is weighted against
            # it.
            batch = batch.rows(self.ranks.share(whole.rows))
            # All processes drew the same numbers so far; with the same dropout masks on different
            # rows the noise would be correlated.
            torch.manual_seed(self._seed_of_step())
        with self.profile.stage("moving batches"):
            here = replace(batch.to(self.task.device), carried=self.carried)
        states, losses = [], []
        reduction = self.config.loss_reduction
        for part, share, of_all in parts_of(here, self.config.accumulate, reduction, whole):
            with self.profile.stage("forward"):
                with mixed_precision(self.config.precision, self.task.device):
                    output = predict(self.task.model, part)
                # The loss is computed outside autocast: sums over many steps need float32.
                loss = total_loss(output, self.task.loss, reduction, share=share, of_all=of_all)
                loss = check_loss(output, loss, self.task.loss or self.task.model)
            check_gradient(self.task.model, loss)
            # Each part is run backwards at once, which frees its activations: memory is that of one
            # part.
            with self.profile.stage("backward"):
                torch.autograd.backward(loss)
            losses.append(float(loss.detach()))
            # Detached: truncated backpropagation through time, the next batch does not reach back
            # into this one.
            state = output.state if self.task.stateful else None
            states.append(checkpoints.map_tensors(state, Tensor.detach))
        return states, sum(losses)

    def _seed_of_step(self) -> int:
        """Return what seeds dropout and the like at this process in this step."""
        entropy = (self.config.seed, 0xD20, self.state.step, self.ranks.rank)
        # 0xD20 keeps these apart from other uses of the run's seed. Shifted, since torch seeds are
        # signed.
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def _averaged(self) -> WeightAverage:
        return WeightAverage(self.task.model, self.config.average)

    def _advance(self) -> None:
        """Move on by one batch; after the last one of an epoch comes the first of the next."""
        state = self.state
        state.step += 1
        state.batch += 1
        if state.batch == self.task.batches.count(state.epoch):
            # A state is not carried into the next epoch, where other pieces begin in these rows.
            state.epoch, state.batch, self.carried = state.epoch + 1, 0, None

    def _check_epoch(self) -> None:
        """Refuse an epoch without a batch to go on with, which would never end."""
        state = self.state
        if state.batch >= (count := self.task.batches.count(state.epoch)):
            raise UserError(
                f"training.batching plans {count} batches for epoch {state.epoch}, and batch "
                f"{state.batch} is the next: its plugin may have changed; start afresh with --new",
                code="batches-missing",
            )

    def _at_limit(self) -> Ending | None:
        reason = limit_reached(self.config, self.state)
        return None if reason is None else Ending(reason)

    def _asked_to_stop(self) -> Ending | None:
        """Ask every callback; the first one with a reason ends the training."""
        for index, callback in enumerate(self.task.callbacks):
            if (reason := callback.should_stop(self.progress)) is not None:
                return Ending(reason, callback=index)
        return None

    def save(self, *, validate: bool = True) -> None:
        """Write a checkpoint of this very moment.

        A validation that is due and left out, since the user did not want to wait, is made up for
        when training goes on: the schedule and the callbacks then see what they would have seen.
        """
        # Parameters are equal at all processes, buffers such as running means need not be: each saw
        # its own rows.
        self.ranks.copy_from_first(list(self.task.model.buffers()))
        with self.profile.stage("checkpoints"), self._averages_in_place() as trained:
            try:
                figures = self.task.validate(self.state, self.progress) if validate else {}
            except Exception:
                # A plugin's fault there, or a process that is gone, must not lose what was trained.
                self._save_alone(trained, due=True)
                raise
            if figures:
                # Before the state of the schedule is saved, which then already knows of this
                # validation.
                self.schedule.on_validation(judged(figures))
            due = is_due(self.config.checkpoint_every, self.state, self.saved)
            # A checkpoint of weights that are no numbers would replace a good one that training can
            # go on from.
            finite = (bool(torch.isfinite(each).all()) for each in self.task.model.parameters())
            if self.ranks.first and not all(finite):
                raise self._not_finite("model")
            # Gathering is a collective call, which every process makes, also those that write
            # nothing.
            carried = (
                gathered_rows(self.carried, self.ranks) if self.task.stateful else self.carried
            )
            if self.ranks.first:
                extra = self._extra(trained, carried, due=due and not validate)
                self.task.save(self.state, self.progress, extra, figures)
        self.saved = replace(self.state)

    def _averages_in_place(self) -> contextlib.AbstractContextManager[dict[str, Tensor] | None]:
        """Give the model the averages of its weights, if there are any; gives the trained ones."""
        return contextlib.nullcontext() if self.average is None else self.average.in_place()

    def _save_alone(self, trained: Mapping[str, Tensor] | None, *, due: bool = False) -> None:
        """Write a checkpoint at the first process, without asking others, unless there is one.

        The weights are those after the last whole step. States that other processes carried are
        lost with them: then the last checkpoint is gone on from.
        """
        lost = not self.ranks.alone and self.task.stateful
        if self.ranks.first and self.state.step != self.saved.step and not lost:
            extra = self._extra(trained, self.carried, due=due)
            self.task.save(self.state, self.progress, extra, {})
            self.saved = replace(self.state)

    def _extra(
        self, trained: Mapping[str, Tensor] | None, carried: State, *, due: bool
    ) -> dict[str, Any]:
        """Return what a checkpoint holds that going on needs beside the weights it generates with.

        Args:
            trained: the weights that are trained, where an average of them is saved.
            carried: the states of all rows.
            due: a validation is to be made up for.
        """
        return {
            "validation_due": due,
            "unlogged": self.losses.state(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": (class_name(self.schedule), self.schedule.state()),
            "carried": carried,
            "random": checkpoints.random_state(),
            "trained": trained,
        }

    def restore(self, stored: checkpoints.Checkpoint) -> None:
        """Go on from a checkpoint whose weights are in the model already."""
        if self.config.average:
            # The model has the averages that were saved, or the weights where there were none.
            self.average = self._averaged()
        # The file's main weights are the averages, which generation reads without knowing of
        # averaging; those that the optimizer moves lie in `extra`.
        if (trained := stored.extra.get("trained")) is not None:
            load_parameters(self.task.model, trained)
        self.state = TrainerState.from_json(stored.meta["state"])
        self.saved = replace(self.state)
        self._restored_at = self.state.step
        self._began = time.monotonic() - self.state.seconds
        with self._restored_state_explained():
            load_optimizer(self.optimizer, stored.extra["optimizer"])
        kind, state = stored.extra["schedule"]
        # A run may go on with another schedule, which begins anew.
        if kind == class_name(self.schedule):
            self.schedule.load_state(state)
        self._validation_due = stored.extra["validation_due"]
        self.losses.load_state(stored.extra["unlogged"])
        carried = checkpoints.map_tensors(stored.extra["carried"], self._on_device)
        # Saved are the states of all rows, so that the number of processes may be another one now.
        self.carried = own_rows(carried, self.ranks, self.task.device)
        # Last: what is made before may draw random numbers.
        checkpoints.restore_random_state(stored.extra["random"])
        self.task.restore_callbacks(stored.meta["callbacks"])

    @contextlib.contextmanager
    def _restored_state_explained(self) -> Iterator[None]:
        """Blame the checkpoint where the optimizer cannot do with what was restored from it.

        What state it keeps is an optimizer's own affair: only its first step tells.
        """
        paths = self.task.store.checkpoint_paths() if self.state.step == self._restored_at else []
        if not paths:
            yield
            return
        with checkpoints.well_formed(paths[-1]):
            try:
                yield
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                raise ValueError(f"of the optimizer: {str(error).splitlines()[0]}") from error

    def _on_device(self, carried: Tensor) -> Tensor:
        # A run begun in bfloat16 may go on in float32, where layers take no state in bfloat16.
        low = carried.dtype == torch.bfloat16 and self.config.precision == "float32"
        return carried.to(self.task.device, torch.float32 if low else carried.dtype)

    def _record(self, loss: float) -> None:
        """Bring progress and log up to date after a step, and call the callbacks."""
        self._update_progress(loss)
        self._step_times.append(time.monotonic())
        # The mean of the steps before is written first; the step at fault is not part of it.
        if self.ranks.first and not math.isfinite(loss):
            self.losses.write(self.progress, self.state.step - 1)
            raise self._not_finite("loss")
        self.losses.add(loss, self.progress)
        self.task.notify("on_step", self.progress)
        if self.state.batch == 0:
            self.task.notify("on_epoch", self.progress)

    def _update_progress(self, loss: float = math.nan) -> None:
        now, state = time.monotonic(), self.state
        state.seconds = now - self._began
        fraction = self._fraction()
        self.progress = Progress(
            step=state.step,
            epoch=state.epoch,
            fraction=fraction,
            seconds=state.seconds,
            # Extrapolated from all of the training, validations included.
            seconds_left=state.seconds * (1 - fraction) / fraction if fraction else None,
            loss=loss,
            unit=self.task.unit,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            steps_per_second=self._steps_per_second(now),
        )

    def _take_time(self, seconds: float) -> None:
        """Go by the first process's clock: what is left of the time may decide on the rate."""
        if not self.ranks.alone:
            self.state.seconds = seconds
            self.progress = replace(self.progress, fraction=self._fraction(), seconds=seconds)

    def _fraction(self) -> float:
        return fraction_done(self.config, self.state, self.task.batches.count(self.state.epoch))

    def _steps_per_second(self, now: float) -> float:
        if not self._step_times or now <= self._step_times[0]:
            return 0.0
        return len(self._step_times) / (now - self._step_times[0])

    def _not_finite(self, what: str) -> UserError:
        """Return the error of a loss or of weights that are no numbers: where, and what is left."""
        pieces = self.task.batches.pieces
        # -1 stands for rows that are padding.
        names = [pieces[i].id for i in sorted(set(self._last_pieces)) if i >= 0]
        shown = ", ".join(names[:_NAMED]) + (
            f" and {counted(len(names) - _NAMED, 'other')}" if len(names) > _NAMED else ""
        )
        paths = self.task.store.checkpoint_paths()
        kept = f"; {paths[-1].name} is from before, and is gone on from" if paths else ""
        return UserError(
            f"the {what} is no finite number any more at step {self.state.step}, learning from "
            f"{shown}: set training.clip_norm, or a smaller training.learning_rate{kept}",
            code="loss-not-finite",
        )
