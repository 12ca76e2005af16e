"""A stranger's optimizer, schedule, batching strategy and callback in a real run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli

from musengine.plugins import manager
from musengine.testing import SitePackages
from musengine.training import checkpoint as checkpoints

Call = Callable[..., tuple[int, str, str]]

DECLARED = '''
from dataclasses import dataclass

from musengine.api import (
    BatchingDeclaration, CallbackDeclaration, Config, ModelConfig, ModelDeclaration,
    OptimizerDeclaration, ScheduleDeclaration, hookimpl, setting,
)

@dataclass(frozen=True, kw_only=True)
class SignConfig(Config):
    """Steps of one size, by the sign of the gradient alone."""

    shrink: float = setting(1.0, doc="Factor of all weights before each step.", above=0.0)

@dataclass(frozen=True, kw_only=True)
class WarmUpConfig(Config):
    """Rises evenly over the first steps."""

    steps: int = setting(doc="How many.", low=1)

@dataclass(frozen=True, kw_only=True)
class PatienceConfig(Config):
    """Ends the training after so many validations."""

    validations: int = setting(2, doc="How many.", low=1)

@hookimpl
def musengine_models():
    return [
        ModelDeclaration(
            name="weight", summary="", target="stranger_parts:Weight", config=ModelConfig,
            layouts=("grid",), own_loss=True, likelihood=False, stateful=True,
        )
    ]

@hookimpl
def musengine_optimizers():
    return [
        OptimizerDeclaration(
            name="sign", summary="", target="stranger_parts:SignFactory", config=SignConfig,
            uses=("epsilon",),
        )
    ]

@hookimpl
def musengine_schedules():
    return [
        ScheduleDeclaration(
            name="warm-up", summary="", target="stranger_parts:WarmUp", config=WarmUpConfig
        )
    ]

@hookimpl
def musengine_batching():
    return [
        BatchingDeclaration(
            name="backwards", summary="", target="stranger_parts:Backwards",
            uses=("sequence_length",), stateful=True,
        )
    ]

@hookimpl
def musengine_callbacks():
    return [
        CallbackDeclaration(
            name="patience", summary="", target="stranger_parts:Patience", config=PatienceConfig
        )
    ]
'''

PARTS = '''
import torch
from torch import nn

from musengine.api import (
    BatchingStrategy, Callback, Model, OptimizerFactory, Output, Proposal, Row, Schedule,
)

class Weight(Model):
    """Pushes one weight up, as fast as it is let; carries how many batches it has read."""

    def __init__(self, config, layout):
        super().__init__(config, layout)
        self.weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("read", torch.zeros(40, 3, dtype=torch.long))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, batch):
        before = torch.zeros(len(batch.mask)) if batch.carried is None else batch.carried
        if self.training:
            told = [batch.pieces[0], batch.position[0], before[0]]
            self.read[self.batches] = torch.tensor([int(number) for number in told])
            self.batches += 1
        return Output(loss=1 - self.weight, state=before + 1)

    def start(self, pieces):
        return torch.zeros(pieces)

    def step(self, last, state, conditioning):
        shape = (len(state), *self.layout.step_shape)
        return torch.full(shape, -9.0), state

class Sign(torch.optim.Optimizer):
    def __init__(self, groups, lr, shrink):
        super().__init__(groups, {"lr": lr, "shrink": shrink})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                weight.mul_(group["shrink"]).sub_(group["lr"] * weight.grad.sign())
                self.state[weight]["taken"] = self.state[weight].get("taken", 0) + 1

class SignFactory(OptimizerFactory):
    def create(self, groups):
        return Sign(groups, self.training.learning_rate or 1.0, self.config.shrink)

class WarmUp(Schedule):
    def factor(self, progress):
        return min(1.0, (progress.step + 1) / self.config.steps)

class Backwards(BatchingStrategy):
    """One piece at a time, the last one first, in two halves."""

    def plan(self, random):
        halves = []
        for piece, length in reversed(list(enumerate(self.lengths.tolist()))):
            middle = length // 2
            halves.append([Row(piece, 0, middle)])
            halves.append([Row(piece, middle, length, reset=False)])
        return halves

    def too_short(self):
        return []

class Patience(Callback):
    def __init__(self, config):
        super().__init__(config)
        self.seen = 0

    def on_validation(self, progress, figures):
        self.seen += 1

    def should_stop(self, progress):
        return f"{self.seen} validations" if self.seen >= self.config.validations else None

    def state(self):
        return {"seen": self.seen}

    def load_state(self, state):
        self.seen = state["seen"]
'''

PIPELINE = """
[corpus]
path = "tunes.json"

[encoder]
step = "1 beat"
lowest = 60
highest = 72

[model]
type = "weight"

[training]
steps = 9
learning_rate = 0.5
batching = "backwards"
optimizer = { type = "sign", shrink = 0.5 }
schedule = { type = "warm-up", steps = 4 }
checkpoint_every = 2

[generate]
count = 1
length = "2 steps"
"""


@pytest.fixture
def parts(folder: Path, site_packages: SitePackages) -> Iterator[Path]:
    """A pipeline whose training is a stranger's throughout."""
    site_packages.add("stranger", {"stranger": "stranger"}, stranger=DECLARED, stranger_parts=PARTS)
    (folder / "parts.toml").write_text(PIPELINE)
    manager.load.cache_clear()
    yield folder
    manager.load.cache_clear()


def last(run: Path) -> checkpoints.Checkpoint:
    return checkpoints.load(max((run / "checkpoints").glob("*.safetensors")))


def state(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "state.json").read_text())
    return found


class TestParts:
    def test_they_do_what_they_say(self, parts: Path, musengine: Call) -> None:
        status, _, err = musengine("run", "parts.toml", "--run-dir", "run")
        assert status == 0, err
        model = last(parts / "run").model
        # Rates 0.5 · (1/4, 2/4, 3/4, 1, 1, ...), and half of what there is goes before each step.
        weight = 0.0
        for factor in (0.25, 0.5, 0.75, *[1.0] * 6):
            weight = 0.5 * weight + 0.5 * factor
        assert float(model["weight"]) == weight
        # Seven tunes of 40 to 46 steps, the last first; the state is carried within the epoch.
        assert model["read"][:5].tolist() == [
            [6, 0, 0],
            [6, 23, 1],
            [5, 0, 2],
            [5, 22, 3],
            [4, 0, 4],
        ]
        (moments,) = last(parts / "run").extra["optimizer"]["state"].values()
        assert moments == {"taken": 9}

    def test_the_run_remembers_them(self, parts: Path, musengine: Call) -> None:
        assert musengine("train", "parts.toml", "--run-dir", "run")[0] == 0
        written = tomli.loads((parts / "run/pipeline.toml").read_text())["training"]
        assert written["batching"] == "backwards"
        assert written["optimizer"] == {"type": "sign", "shrink": 0.5}
        assert written["schedule"] == {"type": "warm-up", "steps": 4}
        origins = json.loads((parts / "run/versions.json").read_text())["components"]
        for name in ("optimizer sign", "schedule warm-up", "batching backwards"):
            assert origins[name] == "stranger 1.0"

    def test_going_on_equals_never_having_stopped(self, parts: Path, musengine: Call) -> None:
        assert musengine("train", "parts.toml", "--run-dir", "whole")[0] == 0
        for steps in (3, 9):
            settings = ("--set", f"training.steps={steps}")
            assert musengine("train", "parts.toml", "--run-dir", "parts", *settings)[0] == 0
        whole, again = last(parts / "whole"), last(parts / "parts")
        assert {name: tensor.tolist() for name, tensor in again.model.items()} == {
            name: tensor.tolist() for name, tensor in whole.model.items()
        }
        assert again.extra["optimizer"] == whole.extra["optimizer"]

    def test_a_schedule_may_be_another_when_it_goes_on_an_optimizer_not(
        self, parts: Path, musengine: Call
    ) -> None:
        assert musengine("train", "parts.toml", "--run-dir", "run")[0] == 0
        more = ("--run-dir", "run", "--set", "training.steps=10")
        status, _, err = musengine("train", "parts.toml", *more, "--set", "training.optimizer=sgd")
        assert (status, "training.optimizer" in err) == (1, True)
        slower = ("--set", "training.schedule.steps=20")
        status, _, err = musengine("train", "parts.toml", *more, *slower)
        assert (status, "training.schedule" in err) == (0, True)

    @pytest.mark.parametrize(
        ("settings", "place"),
        [
            (("model.type=frequencies",), "[training] batching"),
            (("training.momentum=0.5",), "[training] momentum"),
            (("training.optimizer.shrink=0",), "[training.optimizer] shrink"),
            (("training.schedule.steps=0",), "[training.schedule] steps"),
            (("training.batching=backward",), "[training.batching] type"),
        ],
    )
    def test_check_finds_what_does_not_fit(
        self, parts: Path, musengine: Call, settings: tuple[str, ...], place: str
    ) -> None:
        words = [word for setting in settings for word in ("--set", setting)]
        status, _, err = musengine("check", "parts.toml", *words)
        assert status == 1
        assert [place in line for line in err.splitlines()] == [True]


class TestStoppedByACallback:
    PATIENCE = ("--set", 'callback=[{type="patience", validations=2}]')

    def test_it_is_finished_and_generates(self, parts: Path, musengine: Call) -> None:
        run = parts / "run"
        status, _, err = musengine("run", "parts.toml", "--run-dir", "run", *self.PATIENCE)
        assert status == 0, err
        assert last(run).meta["state"]["step"] == 4
        assert len(list((run / "samples").glob("*.mid"))) == 1
        table = {"type": "patience", "validations": 2}
        assert (state(run)["trained"], state(run)["stopped_by"]) == ("2 validations", table)
        status, _, err = musengine("run", "parts.toml", "--run-dir", "run", *self.PATIENCE)
        assert status == 0
        assert "is trained already: callback 'patience' ended it (2 validations)" in err
        assert last(run).meta["state"]["step"] == 4
        assert len(list((run / "samples").glob("*.mid"))) == 1

    def test_a_raised_limit_is_not_what_ended_it(self, parts: Path, musengine: Call) -> None:
        for more in ((), ("--set", "training.steps=90")):
            arguments = ("train", "parts.toml", "--run-dir", "run", *self.PATIENCE, *more)
            assert musengine(*arguments)[0] == 0
        assert last(parts / "run").meta["state"]["step"] == 4

    @pytest.mark.parametrize(
        ("callback", "step", "stopped"),
        [
            # Three validations: at 2, 4 and 6. Without the callback the limit ends it.
            ('callback=[{type="patience", validations=3}]', 6, True),
            ("callback=[]", 9, False),
            ('callback=[{type="console"}]', 9, False),
        ],
    )
    def test_it_goes_on_with_another_callback(
        self, parts: Path, musengine: Call, callback: str, step: int, stopped: bool
    ) -> None:
        run = ("train", "parts.toml", "--run-dir", "run")
        assert musengine(*run, *self.PATIENCE)[0] == 0
        assert musengine(*run, "--set", callback)[0] == 0
        assert last(parts / "run").meta["state"]["step"] == step
        assert (state(parts / "run")["stopped_by"] is not None) == stopped

    def test_one_more_callback_beside_it_changes_nothing(
        self, parts: Path, musengine: Call
    ) -> None:
        run = ("train", "parts.toml", "--run-dir", "run")
        assert musengine(*run, *self.PATIENCE)[0] == 0
        both = 'callback=[{type="console"}, {type="patience", validations=2}]'
        assert musengine(*run, "--set", both)[0] == 0
        assert last(parts / "run").meta["state"]["step"] == 4
