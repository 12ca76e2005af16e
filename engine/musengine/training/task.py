"""What one training consists of, and how it is validated and saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from musengine.data.batching import Batches
from musengine.distributed.ranks import ALONE, Ranks
from musengine.evaluation.likelihood import figures_of_pieces, own_loss_on_pieces
from musengine.interfaces.callback import Callback, Progress
from musengine.interfaces.contracts.values import check_state
from musengine.interfaces.encoder import EncodedPiece
from musengine.interfaces.loss import LIKELIHOOD_UNIT, Loss
from musengine.interfaces.model import Model
from musengine.interfaces.training import TrainingConfig
from musengine.plugins.blame import phase
from musengine.training import checkpoint as checkpoints
from musengine.training.state import TrainerState
from musengine.training.store import RunStore
from musengine.utils.profile import UNPROFILED, Profiler
from musengine.utils.progress import SILENT, ProgressReporter


@dataclass(frozen=True)
class TrainingTask:
    """What is trained on what, and where that is written.

    Attributes:
        model: on its device.
        loss: the pipeline's; None for a model with a loss of its own.
        config: `[training]`.
        batches: of the training part.
        valid: the pieces of the validation part, possibly none.
        store: for checkpoints, figures and the run's state.
        callbacks: called in this order at every event.
        device: where batches are moved to.
        stateful: the model's state is carried from batch to batch.
        likelihood: the model gives exact likelihoods.
        meta: JSON values that every checkpoint holds, such as the encoder's state.
        reporter: asked now and then to say that a validation goes on.
        ranks: the processes that train together.
        profile: told what is done.
    """

    model: Model[Any]
    loss: Loss[Any] | None
    config: TrainingConfig
    batches: Batches
    valid: Sequence[EncodedPiece]
    store: RunStore
    callbacks: Sequence[Callback[Any]] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    stateful: bool = False
    likelihood: bool = True
    meta: Mapping[str, Any] = field(default_factory=dict)
    reporter: ProgressReporter = SILENT
    ranks: Ranks = ALONE
    profile: Profiler = UNPROFILED

    @property
    def unit(self) -> str:
        """What the training's loss is measured in; empty for a loss of the model's own."""
        if self.loss is None:
            return ""
        return self.loss.unit + (", summed" if self.config.loss_reduction == "sum" else "")

    def notify(self, event: str, *arguments: Any) -> None:
        """Call the method of that name of every callback."""
        for callback in self.callbacks:
            with self.profile.stage(type(callback).__name__):
                getattr(callback, event)(*arguments)

    def validate(self, state: TrainerState, progress: Progress) -> dict[str, float]:
        """Measure the validation part and log it; returns its figures, none where it is empty."""
        with phase("measuring the validation part"), self.profile.stage("validation"):
            figures = self.figures_of(self.valid)
        if figures:
            record = {"step": state.step, "epoch": state.epoch, "valid": figures}
            self.store.log({**record, "unit": self._validation_unit})
            self.notify("on_validation", progress, figures)
        return figures

    @property
    def _validation_unit(self) -> str:
        """What the validation part is measured in: always of one step, however training sums."""
        if self.loss is not None:
            return self.loss.unit
        return LIKELIHOOD_UNIT if self.likelihood else ""

    def figures_of(self, pieces: Sequence[EncodedPiece]) -> dict[str, float]:
        """Return how well the model does on some pieces; no figures where there are none."""
        if not pieces:
            return {}
        if self.loss is None and not self.likelihood:
            return {
                "loss": own_loss_on_pieces(
                    self.model, pieces, beat=self._validating, ranks=self.ranks
                )
            }
        return figures_of_pieces(
            self.model, self.loss, pieces, beat=self._validating, ranks=self.ranks
        )

    def _validating(self) -> None:
        self.reporter.alive("measuring the validation part")

    def save(
        self,
        state: TrainerState,
        progress: Progress,
        extra: dict[str, Any],
        figures: Mapping[str, float],
    ) -> None:
        """Write a checkpoint, and note whether its validation figure is the lowest so far.

        Args:
            state: where training is.
            progress: for the callbacks.
            extra: nested values with tensors that going on needs beside the weights.
            figures: of the validation part, none where it was not measured.
        """
        figure = judged(figures) if figures else None
        path = self.store.checkpoints / checkpoint_name(state, figure)
        meta = {
            **self.meta,
            "state": vars(state),
            "valid": figures,
            "callbacks": [
                [class_name(each), check_state(each, each.state())] for each in self.callbacks
            ],
        }
        checkpoints.save(path, checkpoints.Checkpoint(self.model.state_dict(), meta, extra))
        # Only after the file is whole: a state that names a checkpoint which is not there would be
        # worse than one that has not heard of it yet, which `take_in_last` makes up for.
        self._take_in(path, figure, state)
        self.notify("on_checkpoint", progress, path)

    def take_in_last(self, meta: Mapping[str, Any]) -> None:
        """Do again what follows the writing of the newest checkpoint: a kill may have hindered it.

        Args:
            meta: of that checkpoint.
        """
        figures = meta["valid"]
        path = self.store.checkpoint_paths()[-1]
        state = TrainerState.from_json(meta["state"])
        self._take_in(path, judged(figures) if figures else None, state)

    def _take_in(self, path: Path, figure: float | None, state: TrainerState) -> None:
        """Note whether a checkpoint is the best so far, and delete those that are not kept."""
        best = self.store.state().get("best")
        if figure is not None and (best is None or figure < best["figure"]):
            # Written before old checkpoints are deleted, or the one that was best would be deleted
            # with them.
            best = {"checkpoint": path.name, "figure": figure, "step": state.step}
            self.store.write_state(best=best)
        if self.config.keep_checkpoints != "all":
            self.store.remove_old_checkpoints(self.config.keep_checkpoints)

    def restore_callbacks(self, stored: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Give each callback the first stored state of its own class that is left.

        By class, since a pipeline may have other callbacks when its run goes on.
        """
        left = list(stored)
        for callback in self.callbacks:
            own = next((each for each in left if each[0] == class_name(callback)), None)
            if own is not None:
                left.remove(own)
                callback.load_state(own[1])


def judged(figures: Mapping[str, float]) -> float:
    """Return the figure of a validation that checkpoints and schedules go by, lower is better."""
    return figures["loss"] if "loss" in figures else figures["nll"]


def class_name(component: object) -> str:
    """Return the name by which a component's state finds the component again."""
    return f"{type(component).__module__}:{type(component).__qualname__}"


def checkpoint_name(state: TrainerState, figure: float | None) -> str:
    """Return a checkpoint's file name: step, epochs done, and the validation figure if any."""
    valid = "" if figure is None else f"_valid-{figure:.4f}"
    return f"step-{state.step:09}_epoch-{state.epoch:04}{valid}.safetensors"
