"""Whatever `[loss]` names is what is descended, by every model that declares no loss of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from musengine.plugins import manager
from musengine.plugins.declarations import LossDeclaration, ModelDeclaration
from musengine.testing import SitePackages, load_checkpoint

Call = Callable[..., tuple[int, str, str]]

DECLARED = """
from musengine.api import LossDeclaration, ModelConfig, ModelDeclaration, hookimpl

@hookimpl
def musengine_losses():
    return [LossDeclaration(name="far-off", summary="", target="stranger_losses:FarOff")]

@hookimpl
def musengine_models():
    return [
        ModelDeclaration(
            name=name, summary="", target=f"stranger_losses:{kind}", config=ModelConfig,
            layouts=("grid",),
        )
        for name, kind in (("slope", "Slope"), ("penalised", "Penalised"), ("secret", "Secret"))
    ]
"""

LOSSES = """
from dataclasses import replace

import torch
from torch import nn

from musengine.api import Loss, Model, Output

class FarOff(Loss):
    unit = "logits per step"

    def per_step(self, output):
        away = (output.logits.softmax(-1).flatten(2) - 0.3).abs()
        return away.sum(-1)

class Slope(Model):
    def __init__(self, config, layout):
        super().__init__(config, layout)
        self.weight = nn.Parameter(torch.linspace(-1, 1, layout.step_shape[0])[:, None])

    def forward(self, batch):
        logits = self.weight * (1 + batch.inputs)
        return Output(logits=logits, targets=batch.targets, mask=batch.mask)

class Penalised(Slope):
    def forward(self, batch):
        return replace(super().forward(batch), penalty=self.weight.abs().sum())

class Secret(Slope):
    def forward(self, batch):
        return replace(super().forward(batch), loss=self.weight.square().sum())
"""

PIPELINE = """
output = []

[corpus]
path = "tunes.json"

[model]
type = "{model}"

[training]
steps = 2
batching = "segments"
batch_size = 2
sequence_length = 8
threads = 1
"""


@pytest.fixture
def stranger(folder: Path, site_packages: SitePackages) -> Iterator[Path]:
    """A corpus, and a stranger's loss and models beside what is installed."""
    modules = {"stranger": DECLARED, "stranger_losses": LOSSES}
    site_packages.add("stranger", {"stranger": "stranger"}, **modules)
    # One note after another, so that models of melodies learn from them too.
    tunes = [[[60 + t * k % 12] for t in range(40 + k)] for k in (1, 5, 7, 11)]
    (folder / "tunes.json").write_text(json.dumps({"train": tunes}))
    manager.load.cache_clear()
    yield folder
    manager.load.cache_clear()


def trained(folder: Path, musengine: Call, model: str, *settings: str) -> str:
    """Train a model; returns a hash of its weights."""
    (folder / "loss.toml").write_text(PIPELINE.format(model=model))
    words = [word for setting in settings for word in ("--set", setting)]
    name = hashlib.sha256(" ".join((model, *settings)).encode()).hexdigest()[:8]
    status, _, err = musengine("train", "loss.toml", "--run-dir", name, *words)
    assert status == 0, err
    weights = load_checkpoint(folder / name).model
    return hashlib.sha256(b"".join(w.numpy().tobytes() for w in weights.values())).hexdigest()


@pytest.mark.parametrize("whose", ["stranger", pytest.param("others", marks=pytest.mark.slow)])
def test_every_loss_makes_other_weights_of_every_model(
    stranger: Path, musengine: Call, whose: str
) -> None:
    registry = manager.load().registry
    losses = [entry.declared(LossDeclaration) for entry in registry.of_kind("loss")]
    models = [entry.declared(ModelDeclaration) for entry in registry.of_kind("model")]
    names, own = {model.name for model in models if model.takes_loss}, {"slope", "penalised"}
    assert own <= names
    for name in own if whose == "stranger" else names - own - {"secret"}:
        layouts = set(registry.get("model", name).declared(ModelDeclaration).layouts)
        fitting = [each.name for each in losses if not each.layouts or layouts & set(each.layouts)]
        assert len(fitting) >= 3
        weights = [trained(stranger, musengine, name, f"loss.type={loss}") for loss in fitting]
        assert len(set(weights)) == len(fitting), name
        # Without anything that clips, the sum over the steps is another descent than their mean.
        plain = ("training.optimizer=sgd", "training.clip_norm=0")
        reductions = [(*plain, f"training.loss_reduction={each}") for each in ("mean", "sum")]
        assert len({trained(stranger, musengine, name, *each) for each in reductions}) == 2, name


def test_a_penalty_comes_on_top_of_the_loss(stranger: Path, musengine: Call) -> None:
    weights = {trained(stranger, musengine, name) for name in ("slope", "penalised")}
    assert len(weights) == 2


def test_a_loss_that_is_not_declared_ends_the_training(stranger: Path, musengine: Call) -> None:
    (stranger / "loss.toml").write_text(PIPELINE.format(model="secret"))
    status, _, err = musengine("train", "loss.toml")
    assert (status, len(err.strip().splitlines()[-1:])) == (1, 1)
    assert "own_loss=True" in err
