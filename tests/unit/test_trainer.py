"""The trainer on two tiny models: steps worked out by hand, and a net that continues and stops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from helpers import encoded_piece, refused
from musengine.builtin.batching import SegmentBatching, StatefulBatching, WholePieceBatching
from musengine.builtin.losses import CrossEntropy
from musengine.builtin.optimizers import AdamFactory, SgdFactory
from musengine.builtin.schedules import ConstantSchedule, LinearSchedule, PlateauSchedule
from musengine.config.quantities import Period
from musengine.data.batching import Batches
from musengine.encoding.layouts import Tokens
from musengine.errors import UserError
from musengine.interfaces.batching import BatchingStrategy, EpochPlan, Row
from musengine.interfaces.callback import Callback, Progress
from musengine.interfaces.encoder import EncodedPiece
from musengine.interfaces.model import Batch, Model, Output
from musengine.interfaces.optimizer import OptimizerFactory
from musengine.interfaces.schedule import Schedule
from musengine.interfaces.training import TrainingConfig
from musengine.plugins.configs import ModelConfig, NoSettings
from musengine.training import checkpoint as checkpoints
from musengine.training.fitting import fit
from musengine.training.state import TrainerState
from musengine.training.stopping import INTERRUPTED, Ending
from musengine.training.task import TrainingTask
from musengine.training.trainer import Trainer
from musengine.utils.profile import Profile
from musengine.utils.progress import SILENT
from musengine.utils.signals import StopRequest

NOTHING = NoSettings()
LAYOUT = Tokens(size=5)


@dataclass
class MemoryStore:
    """A store without a run folder: checkpoints in a folder, all else in memory."""

    path: Path
    records: list[Mapping[str, Any]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint_paths(self) -> list[Path]:
        return sorted(self.checkpoints.glob("*"))

    def remove_old_checkpoints(self, keep: int) -> None:
        best = self.values.get("best", {}).get("checkpoint")
        for path in self.checkpoint_paths()[:-keep]:
            if path.name != best:
                path.unlink()

    def log(self, record: Mapping[str, Any]) -> None:
        self.records.append(record)

    def state(self) -> dict[str, Any]:
        return dict(self.values)

    def write_state(self, **values: Any) -> None:
        self.values |= values

    def steps(self) -> list[int]:
        """The steps of the checkpoints that are left."""
        return [checkpoints.load(path).meta["state"]["step"] for path in self.checkpoint_paths()]

    def validated(self) -> dict[int, float]:
        """The loss of each validation by its step."""
        valid = (record for record in self.records if "valid" in record)
        return {record["step"]: record["valid"]["loss"] for record in valid}

    def lines(self) -> list[dict[str, Any]]:
        """The log without how long it took."""
        return [{k: v for k, v in each.items() if k != "seconds"} for each in self.records]

    def validations(self) -> list[dict[str, Any]]:
        """The lines about the validation part."""
        return [line for line in self.lines() if "valid" in line]


class Parabola(Model[ModelConfig]):
    """One weight x, and a loss of its own, (x - 3)²."""

    def __init__(self) -> None:
        super().__init__(ModelConfig(), LAYOUT)
        self.x = nn.Parameter(torch.zeros(()))
        self.carried: list[Any] = []
        self.seen = 0

    def forward(self, batch: Batch) -> Output:
        self.carried.append(batch.carried)
        return Output(loss=(self.x - 3) ** 2, state=self.x[None] * 1.0)

    def fit(self, batches: Any) -> None:
        self.seen = sum(int(batch.mask.sum()) for batch in batches)


class Recurrent(Model[ModelConfig]):
    """A recurrent layer over tokens, with dropout, its state carried where that is asked for."""

    def __init__(self) -> None:
        torch.manual_seed(7)
        super().__init__(ModelConfig(), LAYOUT)
        self.embedding = nn.Embedding(LAYOUT.size, 8)
        self.layer = nn.GRU(8, 12, batch_first=True)
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(12, LAYOUT.size)

    def forward(self, batch: Batch) -> Output:
        start = torch.zeros(len(batch.mask), 12) if batch.carried is None else batch.carried
        start = torch.where(batch.reset[:, None], 0.0, start)
        hidden, last = self.layer(self.embedding(batch.inputs), start[None])
        logits = self.output(self.dropout(hidden))
        return Output(logits=logits, targets=batch.targets, mask=batch.mask, state=last[0])


class Events(Callback[NoSettings]):
    """Writes down what it is called for; stops or asks for checkpoints at given steps."""

    def __init__(
        self,
        *,
        stop_at: int | None = None,
        stop_when_validated: bool = False,
        checkpoints_at: Sequence[int] = (),
    ) -> None:
        super().__init__(NOTHING)
        self.events: list[tuple[Any, ...]] = []
        self.progress: list[Progress] = []
        self.stop_at, self.checkpoints_at = stop_at, checkpoints_at
        self.stop_when_validated, self.validated = stop_when_validated, False

    def on_start(self, folder: Path, progress: Progress) -> None:
        self.events.append(("start", progress.step))

    def on_step(self, progress: Progress) -> None:
        self.events.append(("step", progress.step))
        self.progress.append(progress)

    def on_epoch(self, progress: Progress) -> None:
        self.events.append(("epoch", progress.epoch))

    def on_batch(self, progress: Progress, model: Model[Any], batch: Batch) -> None:
        self.events.append(("batch", progress.step))

    def should_stop(self, progress: Progress) -> str | None:
        self.events.append(("stop?", progress.step))
        if self.stop_when_validated and self.validated:
            return "validated once"
        return "step is reached" if progress.step == self.stop_at else None

    def wants_checkpoint(self, progress: Progress) -> bool:
        return progress.step in self.checkpoints_at

    def on_validation(self, progress: Progress, figures: Mapping[str, float]) -> None:
        self.events.append(("validation", progress.step))
        self.validated = True

    def on_checkpoint(self, progress: Progress, path: Path) -> None:
        assert path.is_file()
        self.events.append(("checkpoint", progress.step))

    def on_end(self, progress: Progress, reason: str) -> None:
        self.events.append(("end", progress.step, reason))

    def state(self) -> dict[str, Any]:
        return {"events": len(self.events)}


def tunes(*lengths: int) -> list[EncodedPiece]:
    """Pieces in which each token follows from the one before it: 0 1 2 3 4 0 1 ..."""
    return [encoded_piece(np.arange(length) % 5, str(k)) for k, length in enumerate(lengths)]


def batches_of(
    config: TrainingConfig,
    strategy: type[BatchingStrategy[NoSettings]] = WholePieceBatching,
    pieces: Sequence[EncodedPiece] = (),
) -> Batches:
    """Batches of four pieces of nine steps, or of others."""
    pieces = pieces or tunes(9, 9, 9, 9)
    planned = strategy(NOTHING, config, [len(piece) for piece in pieces])
    return Batches(pieces, planned, updates_per_batch=config.updates_per_batch)


def task_of(folder: Path, config: TrainingConfig, **changes: Any) -> TrainingTask:
    """A parabola on four batches of one piece each, without a validation part."""
    whole: dict[str, Any] = {
        "model": Parabola(),
        "loss": None,
        "config": config,
        "batches": batches_of(replace(config, batch_size=1)),
        "valid": (),
        "store": MemoryStore(folder),
        "likelihood": False,
    }
    return TrainingTask(**(whole | changes))


def trainer_of(
    task: TrainingTask,
    optimizer: type[OptimizerFactory[NoSettings]] = SgdFactory,
    schedule: type[Schedule[NoSettings]] = ConstantSchedule,
) -> Trainer:
    return Trainer(task, optimizer(NOTHING, task.config), schedule(NOTHING, task.config))


def recurrent_task(folder: Path, config: TrainingConfig, **changes: Any) -> TrainingTask:
    """The recurrent net on segments of pieces, with two pieces held out."""
    whole: dict[str, Any] = {
        "model": Recurrent(),
        "loss": CrossEntropy(NOTHING, LAYOUT),
        "batches": batches_of(config, SegmentBatching, tunes(20, 17, 23, 31)),
        "valid": tunes(11, 14),
        "likelihood": True,
    }
    return task_of(folder, config, **(whole | changes))


def weights(task: TrainingTask) -> dict[str, list[float]]:
    return {name: tensor.flatten().tolist() for name, tensor in task.model.state_dict().items()}


def position(task: TrainingTask) -> float:
    assert isinstance(task.model, Parabola)
    return float(task.model.x.detach())


class TestSteps:
    def test_gradient_descent_by_hand(self, tmp_path: Path) -> None:
        # x becomes x - 0.25 · 2 (x - 3): half of what is left to 3 each time.
        events = Events()
        task = task_of(tmp_path, TrainingConfig(steps=3, learning_rate=0.25), callbacks=[events])
        assert trainer_of(task).train() == Ending("all 3 steps are done")
        assert position(task) == 2.625
        # The loss is that before each step: 3², 1.5², 0.75².
        assert [told.loss for told in events.progress] == [9.0, 2.25, 0.5625]
        assert [told.fraction for told in events.progress] == pytest.approx([1 / 3, 2 / 3, 1.0])

    def test_the_schedule_scales_the_rate_of_the_next_step(self, tmp_path: Path) -> None:
        events = Events()
        task = task_of(tmp_path, TrainingConfig(steps=2, learning_rate=0.25), callbacks=[events])
        trainer_of(task, schedule=LinearSchedule).train()
        # Nothing is done before the first step, half before the second: 0 + 1.5, then 0.125 · 3.
        assert [told.learning_rate for told in events.progress] == [0.25, 0.125]
        assert position(task) == 1.875

    def test_a_penalty_is_descended_too(self, tmp_path: Path) -> None:
        class Penalised(Parabola):
            def forward(self, batch: Batch) -> Output:
                return replace(super().forward(batch), penalty=2 * self.x)

        config = TrainingConfig(steps=1, learning_rate=0.25)
        task = task_of(tmp_path, config, model=Penalised())
        trainer_of(task).train()
        assert position(task) == 1.0  # 0.25 · (6 - 2)

    def test_gradients_are_clipped(self, tmp_path: Path) -> None:
        config = TrainingConfig(steps=1, learning_rate=0.25, clip_value=2.0)
        task = task_of(tmp_path, config)
        trainer_of(task).train()
        assert position(task) == 0.5

    def test_each_batch_is_used_as_often_as_asked_and_its_state_carried_once(
        self, tmp_path: Path
    ) -> None:
        config = TrainingConfig(steps=8, learning_rate=0.25, updates_per_batch=2, sequence_length=3)
        config = replace(config, batch_size=1)
        batches = batches_of(config, StatefulBatching, tunes(9))
        task = task_of(tmp_path, config, batches=batches, stateful=True)
        trainer_of(task).train()
        assert isinstance(task.model, Parabola)
        carried = [None if state is None else float(state) for state in task.model.carried]
        # Three chunks twice each, then the next epoch from a fresh state; the state is x before
        # the second update on a chunk: 1.5, then 2.625.
        assert carried == [None, None, 1.5, 1.5, 2.625, 2.625, None, None]
        assert not any(s.requires_grad for s in task.model.carried if s is not None)

    def test_the_sum_over_the_steps_that_count_is_descended(self, tmp_path: Path) -> None:
        class Slope(Parabola):
            """Nine steps, of which two count, each with a loss of x - 3."""

            def forward(self, batch: Batch) -> Output:
                mask_BT = batch.mask & (torch.arange(9) < 2)
                return Output(nll=(self.x - 3).expand(1, 9), mask=mask_BT)

        reached = {}
        for reduction in ("mean", "sum"):
            events = Events()
            config = TrainingConfig(steps=1, learning_rate=0.25, loss_reduction=reduction)
            loss = CrossEntropy(NOTHING, LAYOUT)
            changes = {"model": Slope(), "loss": loss, "callbacks": [events]}
            task = task_of(tmp_path / reduction, config, **changes)
            trainer_of(task).train()
            told = events.progress[0]
            reached[reduction] = (position(task), told.loss, told.unit)
        # The slope is 1 of the mean, and 2 of the sum of two.
        assert reached == {
            "mean": (-0.25, -3.0, "nats per step"),
            "sum": (-0.5, -6.0, "nats per step, summed"),
        }

    def test_a_net_learns(self, tmp_path: Path) -> None:
        events = Events()
        config = TrainingConfig(steps=80, learning_rate=0.02, batch_size=4, sequence_length=9)
        task = recurrent_task(tmp_path, config, callbacks=[events])
        trainer_of(task, AdamFactory).train()
        # At first each of five tokens is about as likely; in the end the next one is certain, but
        # for a first step, whose context is silent, and what dropout takes.
        assert events.progress[0].loss == pytest.approx(math.log(5), abs=0.3)
        assert events.progress[-1].loss < 0.5
        assert events.progress[0].unit == "nats per step"
        assert min(store_of(task).validated().values()) < 0.5

    def test_a_loss_that_is_not_finite_ends_in_one_line(self, tmp_path: Path) -> None:
        # Each step doubles the distance to 3, and more: beyond what float32 can hold.
        config = TrainingConfig(steps=100, learning_rate=1e10)
        task = task_of(tmp_path, config)
        with pytest.raises(UserError) as raised:
            trainer_of(task).train()
        assert (raised.value.code, len(raised.value.lines)) == ("loss-not-finite", 1)
        # 9, then (2e10 · 3)² = 3.6e21, then 1.44e42, which is too much.
        assert "at step 3" in str(raised.value)
        assert store_of(task).steps() == []

    def test_a_gradient_that_is_not_finite_leaves_the_checkpoint_before(
        self, tmp_path: Path
    ) -> None:
        class Rooted(Parabola):
            def forward(self, batch: Batch) -> Output:
                # The loss is 1, 0 and 0 again; the slope of a root has no end at 0.
                return Output(loss=(1 - self.x.clamp(max=1.0)).sqrt())

        every = Period(1, "steps")
        config = TrainingConfig(steps=9, learning_rate=2.0, checkpoint_every=every)
        task = task_of(tmp_path, config, model=Rooted())
        with refused("loss-not-finite", "at step 2", "learning from"):
            trainer_of(task).train()
        assert store_of(task).steps() == [1]
        stored = checkpoints.load(store_of(task).checkpoint_paths()[-1])
        assert stored.model["x"].item() == 1.0

    def test_a_model_without_any_loss_is_the_plugins_mistake(self, tmp_path: Path) -> None:
        class Lossless(Parabola):
            def forward(self, batch: Batch) -> Output:
                return Output(logits=self.x)

        with refused("contract-broken", "Lossless: forward()"):
            trainer_of(task_of(tmp_path, TrainingConfig(), model=Lossless())).train()

    def test_a_loss_that_is_not_declared_does_not_hide_the_pipelines(self, tmp_path: Path) -> None:
        task = task_of(tmp_path, TrainingConfig(), loss=CrossEntropy(NOTHING, LAYOUT))
        with refused("loss-undeclared", "own_loss=True"):
            trainer_of(task).train()
        assert position(task) == 0.0


def store_of(task: TrainingTask) -> MemoryStore:
    assert isinstance(task.store, MemoryStore)
    return task.store


class TestLog:
    def test_the_mean_loss_of_ten_steps_is_logged(self, tmp_path: Path) -> None:
        task = task_of(tmp_path, TrainingConfig(steps=25, learning_rate=0.25))
        trainer_of(task).train()
        # 9 · (1 + 1/4 + ... + 1/4⁹) / 10; the next ten are 4¹⁰ times smaller.
        mean = 9 * (1 - 0.25**10) / 0.75 / 10
        lines = store_of(task).lines()
        assert [(r["step"], r["epoch"], r["steps"]) for r in lines] == [
            *((10, 2, 10), (20, 5, 10)),
            (25, 6, 5),  # what is left at the end
        ]
        rest = 9 * (1 - 0.25**5) / 0.75 / 5
        assert [r["loss"] for r in lines] == pytest.approx(
            [mean, mean / 4**10, rest / 4**20], rel=1e-5
        )

    def test_every_step_may_have_a_line(self, tmp_path: Path) -> None:
        task = task_of(tmp_path, TrainingConfig(steps=3, learning_rate=0.25, log_every=1))
        trainer_of(task).train()
        lines = [(each["step"], each["loss"], each["steps"]) for each in store_of(task).lines()]
        assert lines == [(1, 9.0, 1), (2, 9 / 4, 1), (3, 9 / 16, 1)]

    def test_losses_before_one_that_is_no_number_are_logged(self, tmp_path: Path) -> None:
        task = task_of(tmp_path, TrainingConfig(steps=9, learning_rate=1e30))
        with refused("loss-not-finite"):
            trainer_of(task).train()
        (line,) = store_of(task).lines()
        assert (line["step"], line["steps"], line["loss"]) == (1, 1, 9.0)

    def test_a_sum_is_not_called_a_mean(self, tmp_path: Path) -> None:
        config = TrainingConfig(steps=1, sequence_length=5, loss_reduction="sum")
        task = recurrent_task(tmp_path, config)
        trainer_of(task).train()
        valid, train = store_of(task).lines()
        assert (valid["unit"], train["unit"]) == ("nats per step", "nats per step, summed")
        # Of sixteen segments of five steps among five tokens, each about ln 5.
        assert train["loss"] / 80 == pytest.approx(math.log(5), rel=0.2)

    def test_the_validation_is_logged_with_the_models_own_loss(self, tmp_path: Path) -> None:
        config = TrainingConfig(steps=2, learning_rate=0.25, checkpoint_every=Period(1, "steps"))
        task = task_of(tmp_path, config, valid=tunes(4, 6))
        trainer_of(task).train()
        # Measured with the weights after each step: x = 1.5, then 2.25.
        assert store_of(task).validations() == [
            {"step": 1, "epoch": 0, "valid": {"loss": 2.25}, "unit": ""},
            {"step": 2, "epoch": 0, "valid": {"loss": 0.5625}, "unit": ""},
        ]
        assert task.model.training

    def test_without_a_loss_the_likelihood_validates(self, tmp_path: Path) -> None:
        class Certain(Recurrent):
            def forward(self, batch: Batch) -> Output:
                return replace(super().forward(batch), loss=self.output.bias.sum())

        config = TrainingConfig(steps=1, sequence_length=5)
        task = recurrent_task(tmp_path, config, model=Certain(), loss=None)
        trainer_of(task).train()
        (record,) = store_of(task).validations()
        assert record["valid"].keys() == {"nll", "accuracy"}
        assert record["unit"] == "nats per step"

    def test_beside_the_loss_stands_how_many_tokens_were_right(self, tmp_path: Path) -> None:
        class Fours(Recurrent):
            """Always holds token 4 likeliest."""

            def forward(self, batch: Batch) -> Output:
                output = super().forward(batch)
                assert output.logits is not None
                return replace(output, logits=output.logits + 9 * torch.eye(5)[4])

        config = TrainingConfig(steps=1, sequence_length=5)
        task = recurrent_task(tmp_path, config, model=Fours())
        trainer_of(task).train()
        tokens = np.concatenate([piece.encoded.steps for piece in task.valid])
        (record,) = store_of(task).validations()
        assert record["valid"]["accuracy"] == np.mean(tokens == 4)
        # The loss is what checkpoints go by, not the smallest figure.
        assert store_of(task).values["best"]["figure"] == record["valid"]["loss"]

    def test_a_validation_says_that_it_goes_on(self, tmp_path: Path) -> None:
        said: list[str] = []

        class Reporter(type(SILENT)):  # type: ignore[misc]
            def alive(self, message: str) -> None:
                said.append(message)

        task = task_of(tmp_path, TrainingConfig(steps=1), valid=tunes(4), reporter=Reporter())
        trainer_of(task).train()
        assert len(said) == 1


class TestCheckpoints:
    def test_at_multiples_and_at_the_end(self, tmp_path: Path) -> None:
        every = Period(4, "steps")
        config = TrainingConfig(steps=10, checkpoint_every=every, keep_checkpoints=9)
        task = task_of(tmp_path, config, valid=tunes(4))
        trainer_of(task).train()
        assert store_of(task).steps() == list(store_of(task).validated()) == [4, 8, 10]

    def test_at_the_end_of_epochs(self, tmp_path: Path) -> None:
        every = Period(2, "epochs")
        config = TrainingConfig(epochs=5, checkpoint_every=every, keep_checkpoints=9)
        task = task_of(tmp_path, config)
        assert trainer_of(task).train().reason == "all 5 epochs are done"
        # Four batches an epoch.
        assert store_of(task).steps() == [8, 16, 20]

    def test_names_say_step_epochs_and_figure(self, tmp_path: Path) -> None:
        config = TrainingConfig(steps=6, learning_rate=0.25)
        task = task_of(tmp_path, config, valid=tunes(4))
        trainer_of(task).train()
        (path,) = store_of(task).checkpoint_paths()
        # (3 / 2⁶)² = 0.0022
        assert path.name == "step-000000006_epoch-0001_valid-0.0022.safetensors"

    def test_the_best_is_remembered_and_kept(self, tmp_path: Path) -> None:
        # Steps of 3 · 0.75 = 2.25 to and fro: x is 0, 4.5, 2.25, 3.375, ..., ever nearer to 3; a
        # rate that rises from there on leads away again.
        class Rising(ConstantSchedule):
            def factor(self, progress: Progress) -> float:
                return 1.0 if progress.step < 3 else 2.0

        config = TrainingConfig(
            steps=6, learning_rate=0.75, checkpoint_every=Period(1, "steps"), keep_checkpoints=2
        )
        task = task_of(tmp_path, config, valid=tunes(4))
        trainer_of(task, schedule=Rising).train()
        figures = store_of(task).validated()
        assert list(figures.values()) == [2.25, 0.5625, 0.140625, 0.5625, 2.25, 9.0]
        best = store_of(task).values["best"]
        assert (best["step"], best["figure"]) == (3, 0.140625)
        assert store_of(task).steps() == [3, 5, 6]
        stored = checkpoints.load(task.store.checkpoints / best["checkpoint"])
        assert float(stored.model["x"]) == 3.375

    def test_no_step_at_all_still_leaves_a_checkpoint(self, tmp_path: Path) -> None:
        task = task_of(tmp_path, TrainingConfig(steps=0))
        assert trainer_of(task).train() == Ending("all 0 steps are done")
        assert (position(task), store_of(task).steps()) == (0.0, [0])

    def test_a_callback_gets_one_without_a_validation(self, tmp_path: Path) -> None:
        config = TrainingConfig(steps=6, checkpoint_every=Period(5, "steps"), keep_checkpoints=9)
        task = task_of(tmp_path, config, valid=tunes(4), callbacks=[Events(checkpoints_at=[2, 3])])
        trainer_of(task).train()
        assert store_of(task).steps() == [2, 3, 5, 6]
        assert list(store_of(task).validated()) == [5, 6]

    def test_what_every_checkpoint_shall_hold(self, tmp_path: Path) -> None:
        task = task_of(tmp_path, TrainingConfig(steps=1), meta={"encoder": {"words": [1, 2]}})
        trainer_of(task).train()
        (path,) = store_of(task).checkpoint_paths()
        assert checkpoints.load(path).meta["encoder"] == {"words": [1, 2]}


class TestCallbacks:
    def test_events_come_in_order(self, tmp_path: Path) -> None:
        events = Events()
        config = TrainingConfig(steps=5, checkpoint_every=Period(3, "steps"))
        task = task_of(tmp_path, config, valid=tunes(4), callbacks=[events])
        trainer_of(task).train()
        assert events.events == [
            ("start", 0),
            *(("step", 1), ("batch", 1), ("stop?", 1)),
            *(("step", 2), ("batch", 2), ("stop?", 2)),
            *(("step", 3), ("batch", 3), ("stop?", 3)),
            *(("validation", 3), ("checkpoint", 3), ("stop?", 3)),
            *(("step", 4), ("epoch", 1), ("batch", 4), ("stop?", 4)),
            # The limit ends it: nobody is asked any more.
            *(("step", 5), ("batch", 5), ("validation", 5), ("checkpoint", 5)),
            ("end", 5, "all 5 steps are done"),
        ]

    def test_one_may_end_the_training_after_a_step(self, tmp_path: Path) -> None:
        first, second, third = Events(), Events(stop_at=3), Events(stop_at=3)
        config = TrainingConfig(steps=9)
        task = task_of(tmp_path, config, valid=tunes(4), callbacks=[first, second, third])
        assert trainer_of(task).train() == Ending("step is reached", callback=1)
        # The last weights are validated and saved as at any other end.
        assert first.events[-3:] == [
            ("validation", 3),
            ("checkpoint", 3),
            ("end", 3, "step is reached"),
        ]
        assert store_of(task).steps() == [3]

    def test_one_may_end_the_training_after_a_validation(self, tmp_path: Path) -> None:
        events = Events(stop_when_validated=True)
        every = Period(2, "steps")
        config = TrainingConfig(steps=9, learning_rate=0.25, checkpoint_every=every)
        task = task_of(tmp_path, config, valid=tunes(4), callbacks=[events])
        assert trainer_of(task).train() == Ending("validated once", callback=0)
        assert events.events[-1] == ("end", 2, "validated once")
        # It was validated and saved just now: once is enough.
        assert store_of(task).lines() == [
            {"step": 2, "epoch": 0, "valid": {"loss": 0.5625}, "unit": ""},
            # (0 - 3)², and after a step of 0.25 · 6 from there (1.5 - 3)².
            {
                "step": 2,
                "epoch": 0,
                "loss": (9 + 2.25) / 2,
                "steps": 2,
                "unit": "",
                "learning_rate": 0.25,
            },
        ]
        assert store_of(task).steps() == [2]

    def test_the_user_may_end_it(self, tmp_path: Path) -> None:
        stop = StopRequest()

        class CtrlC(Events):
            def on_step(self, progress: Progress) -> None:
                stop.requested = progress.step == 3

        task = task_of(
            tmp_path, TrainingConfig(steps=9), valid=tunes(4), callbacks=[CtrlC(stop_at=3)]
        )
        assert trainer_of(task).train(stop) == INTERRUPTED
        # Saved at once: the user need not wait for a validation.
        assert (store_of(task).steps(), store_of(task).records) == ([3], [])


def interrupted(
    folder: Path, config: TrainingConfig, batching: type[BatchingStrategy[NoSettings]], *ends: int
) -> tuple[TrainingTask, list[Progress]]:
    """Train a net with interruptions after some steps; returns the last task and all steps."""
    store, told = MemoryStore(folder), []
    for end in ends:
        stop = StopRequest()
        # What is drawn when training goes on follows from the checkpoint alone.
        torch.manual_seed(end if told else 0)

        class CtrlC(Events):
            def on_step(self, progress: Progress, end: int = end, stop: StopRequest = stop) -> None:
                super().on_step(progress)
                stop.requested = progress.step == end

        callback = CtrlC()
        task = recurrent_task(
            folder,
            config,
            batches=batches_of(config, batching, tunes(20, 17, 23, 31)),
            store=store,
            callbacks=[callback],
            stateful=batching is StatefulBatching,
        )
        trainer = trainer_of(task, AdamFactory, PlateauSchedule)
        if paths := store.checkpoint_paths():
            stored = checkpoints.load(paths[-1])
            checkpoints.load_weights(task.model, stored.model, paths[-1])
            trainer.restore(stored)
        trainer.train(stop)
        told += callback.progress
    return task, told


@pytest.mark.parametrize("batching", [SegmentBatching, StatefulBatching])
@pytest.mark.parametrize("stops", [(4,), (3, 8), (1, 2, 7, 12)])
def test_continuing_equals_never_having_stopped(
    tmp_path: Path, batching: type[BatchingStrategy[NoSettings]], stops: tuple[int, ...]
) -> None:
    # A validation every other step, and a rate that falls at once where one is no better: a
    # validation missed or made twice shows in the rates.
    config = TrainingConfig(
        steps=13,
        batch_size=2,
        sequence_length=5,
        learning_rate=2.0,
        plateau_patience=1,
        checkpoint_every=Period(2, "steps"),
        keep_checkpoints=99,
    )
    whole, alone = interrupted(tmp_path / "whole", config, batching, 99)
    task, told = interrupted(tmp_path / "parts", config, batching, *stops, 99)
    assert weights(task) == weights(whole)
    assert [each.step for each in told] == list(range(1, 14))
    assert [each.loss for each in told] == [each.loss for each in alone]
    assert [each.learning_rate for each in told] == [each.learning_rate for each in alone]
    assert alone[-1].learning_rate < alone[0].learning_rate
    assert store_of(task).lines() == store_of(whole).lines()
    # A line of ten steps, whatever came between, and one of those left at the end.
    logged = [each for each in store_of(task).records if "loss" in each]
    losses = [each.loss for each in alone]
    assert [each["loss"] for each in logged] == [sum(losses[:10]) / 10, sum(losses[10:]) / 3]
    assert [each["steps"] for each in logged] == [10, 3]
    assert logged[0]["unit"] == "nats per step"
    assert 0 < logged[0]["seconds"] <= logged[1]["seconds"]
    assert store_of(task).values == store_of(whole).values


class TestRestoring:
    def test_a_rate_that_was_changed_holds_with_the_moments_of_before(self, tmp_path: Path) -> None:
        config = TrainingConfig(steps=1, learning_rate=0.25, momentum=0.5)
        task = task_of(tmp_path, config)
        trainer_of(task).train()
        (path,) = store_of(task).checkpoint_paths()
        config = replace(config, steps=2, learning_rate=0.125)
        task = task_of(tmp_path, config)
        stored = checkpoints.load(path)
        checkpoints.load_weights(task.model, stored.model, path)
        trainer = trainer_of(task)
        trainer.restore(stored)
        trainer.train()
        # The first gradient was -6, so x is 1.5; the second is -3, with half of the first -6.
        assert position(task) == 1.5 + 0.125 * 6

    def test_what_is_logged_of_the_steps_before_has_their_rate(self, tmp_path: Path) -> None:
        # Killed after the last checkpoint and before the line about the losses up to it.
        config = TrainingConfig(steps=2, learning_rate=1.0, warm_up=4)
        trainer = trainer_of(task := task_of(tmp_path, config))
        for batch in task.batches.epoch(0, first=0):
            trainer.step(batch)
            trainer._advance()
            trainer._record(1.0)
            if trainer.state.step == 2:
                break
        trainer.save()
        stored = checkpoints.load(store_of(task).checkpoint_paths()[-1])
        task = task_of(tmp_path, config)
        trainer = trainer_of(task)
        trainer.restore(stored)
        trainer.train()
        ((at, rate),) = ((each["step"], each["learning_rate"]) for each in store_of(task).records)
        assert (at, rate) == (2, 0.5)

    @pytest.mark.parametrize(
        ("before", "after", "rate"),
        [
            (PlateauSchedule, PlateauSchedule, 0.5),
            (PlateauSchedule, ConstantSchedule, 1.0),
            (ConstantSchedule, PlateauSchedule, 1.0),
        ],
    )
    def test_another_schedule_begins_anew(
        self,
        tmp_path: Path,
        before: type[Schedule[NoSettings]],
        after: type[Schedule[NoSettings]],
        rate: float,
    ) -> None:
        every = Period(1, "steps")
        config = TrainingConfig(
            steps=2, learning_rate=1.0, checkpoint_every=every, plateau_patience=1
        )
        # To and fro between 6 and 0: the second validation is no better than the first.
        task = task_of(tmp_path, config, valid=tunes(4))
        trainer_of(task, schedule=before).train()
        assert list(store_of(task).validated().values()) == [9.0, 9.0]
        stored = checkpoints.load(store_of(task).checkpoint_paths()[-1])
        events = Events()
        task = task_of(tmp_path, replace(config, steps=3), callbacks=[events])
        trainer = trainer_of(task, schedule=after)
        trainer.restore(stored)
        trainer.train()
        assert [each.learning_rate for each in events.progress] == [rate]

    def test_each_callback_gets_the_state_of_its_own_class(self, tmp_path: Path) -> None:
        class Counter(Callback[NoSettings]):
            def __init__(self, count: int) -> None:
                super().__init__(NOTHING)
                self.count = count

            def state(self) -> dict[str, Any]:
                return {"count": self.count}

            def load_state(self, state: Mapping[str, Any]) -> None:
                self.count = state["count"]

        class Other(Counter):
            pass

        task = task_of(
            tmp_path, TrainingConfig(steps=1), callbacks=[Counter(1), Counter(2), Other(3)]
        )
        trainer_of(task).train()
        stored = checkpoints.load(store_of(task).checkpoint_paths()[-1])
        again = [Other(0), Counter(0), Events(), Counter(0), Counter(0)]
        trainer_of(task_of(tmp_path, TrainingConfig(), callbacks=again)).restore(stored)
        assert [each.count for each in again if isinstance(each, Counter)] == [3, 1, 2, 0]

    @pytest.mark.parametrize("batch", [0, 2])
    def test_an_epoch_without_a_batch_to_go_on_with_is_refused(
        self, tmp_path: Path, batch: int
    ) -> None:
        class Fewer(BatchingStrategy[NoSettings]):
            def plan(self, random: np.random.Generator) -> EpochPlan:
                return [[Row(0, 0, 4)]] * batch

        config = TrainingConfig(steps=9)
        trainer = trainer_of(task_of(tmp_path, config, batches=batches_of(config, Fewer)))
        trainer.state.batch = batch
        with pytest.raises(UserError) as raised:
            trainer.train()
        assert raised.value.code == "batches-missing"


class TestFit:
    def test_the_training_part_is_shown_once_and_a_checkpoint_written(self, tmp_path: Path) -> None:
        events = Events()
        config = TrainingConfig(batch_size=3)
        batches = batches_of(config, pieces=tunes(3, 5, 7, 2))
        task = task_of(tmp_path, config, batches=batches, valid=tunes(4), callbacks=[events])
        ending = fit(task)
        assert (ending.interrupted, ending.callback) == (False, None)
        assert isinstance(task.model, Parabola)
        assert task.model.seen == 3 + 5 + 7 + 2
        valid = {"step": 1, "epoch": 1, "valid": {"loss": 9.0}, "unit": ""}
        assert store_of(task).records == [valid]
        assert store_of(task).values["best"]["figure"] == 9.0
        assert [event[0] for event in events.events] == ["start", "validation", "checkpoint", "end"]

    def test_what_it_learned_is_kept_where_its_validation_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = TrainingConfig()
        batches = batches_of(config, pieces=tunes(3))
        task = task_of(tmp_path, config, batches=batches, valid=tunes(4))
        monkeypatch.setattr(Parabola, "forward", lambda self, batch: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(task)
        (kept,) = store_of(task).checkpoint_paths()
        assert checkpoints.load(kept).meta["valid"] == {}
        monkeypatch.undo()
        again = task_of(tmp_path, config, batches=batches, valid=tunes(4))
        fit(again, TrainerState.from_json(checkpoints.load(kept).meta["state"]))
        assert isinstance(again.model, Parabola)
        assert again.model.seen == 0
        assert store_of(again).values["best"] == {
            "checkpoint": "step-000000001_epoch-0001_valid-9.0000.safetensors",
            "figure": 9.0,
            "step": 1,
        }


class Smooth(Recurrent):
    """Without dropout, in double precision, with a penalty."""

    def __init__(self) -> None:
        super().__init__()
        self.double()
        self.dropout.p = 0.0

    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return replace(output, penalty=0.01 * self.output.weight.abs().sum())


def trained_smooth(tmp_path: Path, strategy: Any, **settings: Any) -> tuple[Any, list[Any]]:
    config = TrainingConfig(
        steps=6, batch_size=4, sequence_length=5, learning_rate=0.1, precision="float64", **settings
    )
    batches = batches_of(config, strategy, tunes(20, 17, 9, 31))
    model = Smooth()
    stateful = strategy is StatefulBatching
    task = recurrent_task(
        tmp_path, config, model=model, batches=batches, valid=(), stateful=stateful
    )
    torch.set_default_dtype(torch.float64)
    try:
        trainer_of(task).train()
    finally:
        torch.set_default_dtype(torch.float32)
    assert isinstance(task.store, MemoryStore)
    losses = [line["loss"] for line in task.store.lines() if "loss" in line]
    return weights(task), losses


@pytest.mark.parametrize("strategy", [SegmentBatching, WholePieceBatching, StatefulBatching])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("parts", [2, 3, 9])
def test_a_batch_in_parts_is_the_same_step(tmp_path, strategy, reduction, parts) -> None:
    settings = {"loss_reduction": reduction, "log_every": 1, "clip_norm": 0.5}
    whole, losses = trained_smooth(tmp_path / "whole", strategy, **settings)
    apart, same = trained_smooth(tmp_path / "apart", strategy, accumulate=parts, **settings)
    assert len(losses) == 6
    assert same == pytest.approx(losses, rel=1e-9)
    for name, values in whole.items():
        assert apart[name] == pytest.approx(values, abs=1e-12), name


def test_the_rate_rises_in_the_warm_up(tmp_path: Path) -> None:
    config = TrainingConfig(steps=6, warm_up=4, learning_rate=0.1, log_every=1)
    task = task_of(tmp_path, config)
    trainer_of(task).train()
    rates = [line["learning_rate"] for line in task.store.lines() if "loss" in line]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_the_average_is_saved_and_the_weights_go_on(tmp_path: Path) -> None:
    config = TrainingConfig(steps=3, learning_rate=0.25, average=0.5)
    task = task_of(tmp_path, config)
    trainer_of(task).train()
    # x ← x - 0.25 · 2 (x - 3): 1.5, 2.25, 2.625. The average moves by 1 - 2/11, 1 - 3/12 and
    # 1 - 4/13 of the way: 1.2273, 1.9943, 2.4309; the decay of 0.5 is not reached so early.
    average = 0.0
    for step, x in enumerate((1.5, 2.25, 2.625), 1):
        average += (1 - min(0.5, (1 + step) / (10 + step))) * (x - average)
    assert average == pytest.approx(2.4309, abs=1e-4)
    assert position(task) == 2.625
    stored = checkpoints.load(task.store.checkpoint_paths()[-1])
    assert float(stored.model["x"]) == pytest.approx(average)
    assert float(stored.extra["trained"]["x"]) == 2.625


def test_a_run_with_an_average_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    def trained(name: str, *steps: int, **changes: Any) -> TrainingTask:
        stored = None
        for count in steps:
            config = TrainingConfig(
                steps=count, batch_size=2, sequence_length=8, average=0.9, learning_rate=0.1
            )
            config = replace(config, **changes) if count == steps[-1] else config
            task = recurrent_task(tmp_path / name, config)
            trainer = trainer_of(task)
            if stored is not None:
                task.model.load_state_dict(stored.model)
                trainer.restore(stored)
            trainer.train()
            stored = checkpoints.load(task.store.checkpoint_paths()[-1])
        return task

    straight, stopped = trained("straight", 9), trained("stopped", 4, 9)
    assert weights(straight) == weights(stopped)
    saved = [checkpoints.load(each.store.checkpoint_paths()[-1]) for each in (straight, stopped)]
    assert {k: v.tolist() for k, v in saved[0].model.items()} == {
        k: v.tolist() for k, v in saved[1].model.items()
    }
    # Switched off later, the weights that were trained go on, and not their average.
    without = trained("without", 4, 9, average=0.0)
    assert weights(without) == weights(straight)


def test_the_validation_part_is_measured_with_the_average(tmp_path: Path) -> None:
    losses = {}
    for average in (0.0, 0.999):
        config = TrainingConfig(
            steps=20, batch_size=2, sequence_length=8, learning_rate=0.5, average=average
        )
        task = recurrent_task(tmp_path / str(average), config)
        trainer_of(task).train()
        losses[average] = task.store.validated()[20]
    assert losses[0.0] != losses[0.999]


def test_a_profile_counts_what_a_training_does(tmp_path: Path) -> None:
    config = TrainingConfig(
        steps=5, batch_size=4, sequence_length=8, accumulate=2, checkpoint_every=Period(2, "steps")
    )
    profile = Profile()
    callback = Events()
    task = recurrent_task(tmp_path, config, profile=profile, callbacks=[callback])
    trainer_of(task).train()
    result = profile.result()
    times = {name: stage.times for name, stage in result.stages.items()}
    assert times == {
        "waiting for batches": 5,
        "moving batches": 5,
        "forward": 10,
        "backward": 10,
        "optimizer": 5,
        "checkpoints": 3,
        "validation": 3,
        "Events": len([event for event in callback.events if event[0] != "stop?"]),
    }
    assert 0 <= result.rest < result.seconds
