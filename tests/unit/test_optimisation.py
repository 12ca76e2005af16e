"""Optimizers with the keys of `[training]`, schedules, and clipping, by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import nn

from musengine.builtin.optimizers import TorchOptimizer
from musengine.interfaces.callback import Progress
from musengine.interfaces.schedule import Schedule
from musengine.interfaces.training import TrainingConfig
from musengine.plugins import manager
from musengine.plugins.configs import NoSettings
from musengine.plugins.declarations import (
    BatchingDeclaration,
    OptimizerDeclaration,
    ScheduleDeclaration,
)
from musengine.training.optim import clip_gradients, load_optimizer, scale_learning_rate

NOTHING = NoSettings()
CORE = manager.load_from([]).registry


def created(name: str, **settings: Any) -> torch.optim.Optimizer:
    """An optimizer of the core over one parameter, with keys of `[training]`."""
    factory = CORE.get("optimizer", name).load()(NOTHING, TrainingConfig(**settings))
    made = factory.create([{"params": [nn.Parameter(torch.zeros(2))]}])
    assert isinstance(made, torch.optim.Optimizer)
    return made


def optimizer(*rates: float) -> torch.optim.Optimizer:
    groups = [
        {"params": [nn.Parameter(torch.zeros(2))], "lr": rate, "initial_lr": rate} for rate in rates
    ]
    return torch.optim.SGD(groups)


def schedule(name: str, **settings: Any) -> Schedule[NoSettings]:
    made = CORE.get("schedule", name).load()(NOTHING, TrainingConfig(**settings))
    assert isinstance(made, Schedule)
    return made


class TestOptimizers:
    def test_what_is_not_given_is_pytorchs_default(self) -> None:
        # Weight decay apart: it is off for all, although AdamW has 0.01 of its own.
        for name in CORE.names("optimizer"):
            made = created(name)
            usual = type(made)([nn.Parameter(torch.zeros(2))]).defaults
            assert made.defaults == {**usual, "weight_decay": 0.0}, name

    @pytest.mark.parametrize(
        ("name", "settings", "expected"),
        [
            ("adam", {"learning_rate": 0.1, "epsilon": 1e-4}, {"lr": 0.1, "eps": 1e-4}),
            ("adamw", {"weight_decay": 0.5}, {"weight_decay": 0.5}),
            ("sgd", {"momentum": 0.9}, {"momentum": 0.9}),
            (
                "rmsprop",
                {"smoothing": 0.9, "epsilon": 1e-5, "momentum": 0.5},
                {"alpha": 0.9, "eps": 1e-5, "momentum": 0.5},
            ),
            ("adadelta", {"smoothing": 0.95, "epsilon": 1e-6}, {"rho": 0.95, "eps": 1e-6}),
        ],
    )
    def test_keys_have_pytorchs_names(
        self, name: str, settings: dict[str, float], expected: dict[str, float]
    ) -> None:
        defaults = created(name, **settings).defaults
        assert {key: defaults[key] for key in expected} == expected

    def test_each_is_pytorchs_of_that_name(self) -> None:
        names = {name: type(created(name)).__name__.lower() for name in CORE.names("optimizer")}
        assert names == {name: name for name in names}
        assert len(names) == 8

    def test_the_declared_defaults_are_pytorchs(self) -> None:
        for entry in CORE.of_kind("optimizer"):
            keywords = entry.load().keywords
            usual = type(created(entry.name))([nn.Parameter(torch.zeros(2))]).defaults
            declared = entry.declaration.defaults["training"]
            # What is none, as momentum and most weight decay, is the key's own default.
            assert {keywords[key]: value for key, value in declared.items()} == {
                keyword: usual[keyword] for keyword in keywords.values() if usual[keyword]
            }, entry.name

    def test_each_declares_the_keys_that_it_takes(self) -> None:
        for entry in CORE.of_kind("optimizer"):
            factory = entry.load()
            assert issubclass(factory, TorchOptimizer)
            used = {"learning_rate", *entry.declared(OptimizerDeclaration).uses}
            assert set(factory.keywords) == used, entry.name


@pytest.mark.parametrize(
    ("name", "other"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_weights_updated_in_one_pass_are_those_of_pytorchs_own_way(name: str, other: Any) -> None:
    settings = TrainingConfig(learning_rate=0.01, weight_decay=0.1)
    factory = CORE.get("optimizer", name).load()(NOTHING, settings)
    torch.manual_seed(0)
    start, gradients = torch.randn(7), torch.randn(20, 7)
    ends = []
    for make in (factory.create, lambda groups: other(groups, lr=0.01, weight_decay=0.1)):
        weight = nn.Parameter(start.clone())
        # An iterator: it is read once.
        made = make([{"params": iter([weight])}])
        for gradient in gradients:
            weight.grad = gradient.clone()
            version = weight._version
            made.step()
            # Compiled layers go by it, which keep weights in an order of their own.
            assert weight._version > version
        ends.append(weight.detach())
    assert torch.allclose(*ends, atol=1e-6)
    assert (ends[0] - start).abs().min() > 0.005


def test_what_is_declared_as_used_is_a_key_of_training() -> None:
    keys = {field.name for field in dataclasses.fields(TrainingConfig)}
    for kind in (OptimizerDeclaration, ScheduleDeclaration, BatchingDeclaration):
        for entry in CORE.of_kind(kind.kind):
            assert set(entry.declared(kind).uses) <= keys
        # Where a pipeline says nothing, one of the core's is taken.
        usual = [entry.declared(kind).default_for for entry in CORE.of_kind(kind.kind)]
        assert usual.count(("training",)) == 1


@pytest.mark.parametrize(
    ("name", "fraction", "factor"),
    [
        ("constant", 0.7, 1.0),
        ("linear", 0.25, 0.75),
        ("cosine", 0.0, 1.0),
        ("cosine", 0.5, 0.5),
        # 0.5 · (1 + cos 60°) = 0.75
        ("cosine", 1 / 3, 0.75),
        ("cosine", 1.0, 0.0),
    ],
)
def test_schedules_scale_every_groups_own_rate(name: str, fraction: float, factor: float) -> None:
    made = optimizer(0.1, 0.02)
    scale_learning_rate(made, schedule(name).factor(Progress(fraction=fraction)))
    rates = [group["lr"] for group in made.param_groups]
    assert rates == pytest.approx([0.1 * factor, 0.02 * factor])


class TestPlateau:
    FIGURES = (6.0, 5.0, 5.0, 5.5, 7.0, 5.2, 4.0, 4.1, 4.0, 9.0)

    def test_the_rate_halves_after_three_validations_without_a_lower_loss(self) -> None:
        plateau = schedule("plateau")
        factors = []
        # 5 is the best until 4; three in a row are no better, then again three.
        for figure in self.FIGURES:
            plateau.on_validation(figure)
            factors.append(plateau.factor(Progress(fraction=0.3)))
        assert factors == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]

    @pytest.mark.parametrize("after", range(len(FIGURES) + 1))
    def test_it_goes_on_from_its_state(self, after: int) -> None:
        whole, first, second = (schedule("plateau", plateau_patience=2) for _ in range(3))
        factors = []
        for number, figure in enumerate(self.FIGURES):
            whole.on_validation(figure)
            if number == after:
                second.load_state(first.state())
            part = first if number < after else second
            part.on_validation(figure)
            factors.append((whole.factor(Progress()), part.factor(Progress())))
        assert all(own == other for own, other in factors)
        assert factors[-1][0] < 1

    def test_factor_and_patience_may_be_others_when_it_goes_on(self) -> None:
        before = schedule("plateau", plateau_patience=1, plateau_factor=0.5)
        for figure in (1.0, 1.0):
            before.on_validation(figure)
        after = schedule("plateau", plateau_patience=2, plateau_factor=0.1)
        after.load_state(before.state())
        factors = []
        for figure in (1.0, 1.0):
            after.on_validation(figure)
            factors.append(after.factor(Progress()))
        assert factors == [0.5, 0.05]

    def test_less_than_the_least_change_is_none(self) -> None:
        factors = {}
        for least in (1e-4, 1e-2):
            plateau = schedule("plateau", plateau_patience=1, plateau_min_delta=least)
            for figure in (1.0, 0.999):
                plateau.on_validation(figure)
            factors[least] = plateau.factor(Progress())
        assert factors == {1e-4: 1.0, 1e-2: 0.5}
        plateau = schedule("plateau", plateau_patience=1)
        for figure in (1.0, 0.99995):
            plateau.on_validation(figure)
        assert plateau.factor(Progress()) == 0.5

    def test_the_least_improvement_counts_and_what_is_no_number_does_not(self) -> None:
        plateau = schedule("plateau", plateau_patience=1, plateau_min_delta=0.0)
        factors = []
        for figure in (1.0, math.nextafter(1.0, 0.0), math.nan, 1.0, -1.0, -1.0):
            plateau.on_validation(figure)
            factors.append(plateau.factor(Progress()))
        assert factors == [1.0, 1.0, 0.5, 0.25, 0.25, 0.125]

    def test_however_often_it_falls_each_fall_is_whole(self) -> None:
        plateau = schedule("plateau", plateau_patience=1)
        for _ in range(101):
            plateau.on_validation(1.0)
        assert plateau.factor(Progress()) == 0.5**100


def test_moments_are_restored_whatever_the_groups_are() -> None:
    weights = [nn.Parameter(torch.tensor([float(k)])) for k in range(3)]
    for weight in weights:
        weight.grad = weight.detach() + 1
    one = torch.optim.Adam(weights, lr=0.1)
    one.step()
    apart = [
        {"params": [weight], "lr": rate} for weight, rate in zip(weights, (1, 2, 3), strict=True)
    ]
    three = torch.optim.Adam(apart, betas=(0.5, 0.6))
    load_optimizer(three, one.state_dict())
    assert [group["lr"] for group in three.param_groups] == [1, 2, 3]
    assert three.param_groups[1]["betas"] == (0.5, 0.6)
    # A tenth of the gradient, which is 1, 2 and 3.
    moments = [float(three.state[weight]["exp_avg"]) for weight in weights]
    assert moments == pytest.approx([0.1, 0.2, 0.3])


def test_in_one_pass_moments_must_fit_and_a_weight_without_stays_without() -> None:
    moved, frozen = (nn.Parameter(torch.ones(3)) for _ in range(2))
    moved.grad = torch.ones(3)
    stored = torch.optim.Adam([moved, frozen], fused=True)
    stored.step()
    state = stored.state_dict()
    again = torch.optim.Adam([moved, frozen], fused=True)
    load_optimizer(again, state)
    assert again.state_dict()["state"].keys() == state["state"].keys() == {0}
    state["state"][0]["exp_avg"] = torch.ones(1)
    with pytest.raises(ValueError, match="exp_avg"):
        load_optimizer(again, state)


def test_clipping_by_value_then_by_norm() -> None:
    made = optimizer(0.1)
    (parameter,) = made.param_groups[0]["params"]
    parameter.grad = torch.tensor([30.0, -4.0])
    clip_gradients(made, TrainingConfig(clip_value=3.0))
    assert parameter.grad.tolist() == [3.0, -3.0]
    # Norm 5 brought to 1: 3-4-5.
    parameter.grad = torch.tensor([3.0, 4.0])
    clip_gradients(made, TrainingConfig(clip_norm=1.0))
    assert parameter.grad.tolist() == pytest.approx([0.6, 0.8], abs=1e-5)


def test_each_gradient_is_clipped_by_itself() -> None:
    # Norms 5 = |(3, 4)| and 0.5; with a bound of 1 the first becomes (0.6, 0.8), the second stays.
    large, small = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1))
    large.grad, small.grad = torch.tensor([3.0, 4.0]), torch.tensor([0.5])
    optimizer = torch.optim.SGD([large, small], lr=0.1)
    clip_gradients(optimizer, TrainingConfig(clip_each_norm=1.0))
    assert large.grad.tolist() == pytest.approx([0.6, 0.8], rel=1e-5)
    assert small.grad.tolist() == [0.5]
