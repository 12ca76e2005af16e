"""Schedules, limits, periods and clipping, by hand."""

from __future__ import annotations

import platform

import pytest
import torch
from torch import nn

from musengine.config.quantities import Period
from musengine.errors import UserError
from musengine.pipeline.sections import TrainingConfig
from musengine.training.optim import (
    Schedule,
    TrainerState,
    choose_device,
    clip_gradients,
    fraction_done,
    is_due,
    limit_reached,
    memory_explained,
    set_learning_rate,
    supports_bfloat16,
)

CPU = torch.device("cpu")


def optimizer(*rates: float) -> torch.optim.Optimizer:
    groups = [
        {"params": [nn.Parameter(torch.zeros(2))], "lr": rate, "initial_lr": rate} for rate in rates
    ]
    return torch.optim.SGD(groups)


@pytest.mark.parametrize(
    ("schedule", "fraction", "factor"),
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
def test_schedules_scale_every_groups_own_rate(
    schedule: str, fraction: float, factor: float
) -> None:
    made = optimizer(0.1, 0.02)
    config = TrainingConfig(schedule=schedule)  # type: ignore[arg-type]
    set_learning_rate(made, Schedule(config).factor(fraction))
    rates = [group["lr"] for group in made.param_groups]
    assert rates == pytest.approx([0.1 * factor, 0.02 * factor])


def test_plateau_halves_after_three_validations_without_a_better_one() -> None:
    config = TrainingConfig(schedule="plateau")
    schedule = Schedule(config)
    factors = []
    # 5 is the best until 4; three in a row are no better, then again three.
    for figure in (6.0, 5.0, 5.0, 5.5, 7.0, 5.2, 4.0, 4.1, 4.0, 9.0):
        schedule.validated(figure)
        factors.append(schedule.factor(0.3))
    assert factors == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]
    again = Schedule(config)
    again.load_state(schedule.state())
    for each in (schedule, again):
        for figure in (4.0, 4.0, 4.0):
            each.validated(figure)
    assert again.factor(0.0) == schedule.factor(0.0) == 0.125


def test_running_out_of_memory_names_the_batch_size() -> None:
    config = TrainingConfig(batch_size=512)
    wanted = "not enough memory on cpu for training.batch_size = 512: set a smaller one"
    device = torch.device("cpu")
    # Two to the 60th bytes: more than any machine's address space lets the allocator have.
    with pytest.raises(UserError, match=wanted), memory_explained(config, device):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(UserError, match=wanted), memory_explained(config, device):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RuntimeError, match="must match"), memory_explained(config, device):
        torch.zeros(2) + torch.zeros(3)


def test_the_nearest_limit_counts() -> None:
    config = TrainingConfig(steps=100, epochs=4, minutes=10.0)
    # 20 of 100 steps; 2 epochs and 3 of 6 batches = 2.5 of 4; 1 of 10 minutes.
    place = TrainerState(step=20, epoch=2, batch=3, seconds=60.0)
    assert fraction_done(config, place, 6) == pytest.approx(2.5 / 4)
    assert limit_reached(config, place) is None
    assert limit_reached(config, TrainerState(step=100)) == "all 100 steps are done"
    assert limit_reached(config, TrainerState(epoch=4)) == "all 4 epochs are done"
    assert limit_reached(config, TrainerState(seconds=600.0)) == "the 10 minutes are over"
    assert limit_reached(TrainingConfig(steps=0), TrainerState()) == "all 0 steps are done"
    assert fraction_done(TrainingConfig(steps=0), TrainerState(), 0) == 1.0


@pytest.mark.parametrize(
    ("period", "due"),
    [
        # From step 11 to 15: 15 is a multiple of 5, 12 of 6; none of 8 and 16 lies between.
        (Period(5, "steps"), True),
        (Period(6, "steps"), True),
        (Period(8, "steps"), False),
        (Period(1, "epochs"), True),
        (Period(3, "epochs"), False),
        # From 10 to 40 seconds: half a minute lies between, a whole one does not.
        (Period(0.5, "minutes"), True),
        (Period(1, "minutes"), False),
    ],
)
def test_periods(period: Period, due: bool) -> None:
    last = TrainerState(step=11, epoch=1, seconds=10.0)
    assert is_due(period, TrainerState(step=15, epoch=2, seconds=40.0), last) is due


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


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UserError, match="not a device"):
        choose_device("cuda:x")
    if torch.cuda.device_count() < 100:
        with pytest.raises(UserError, match='use "auto"'):
            choose_device("cuda:99")


class Ungraded(torch.autograd.Function):
    """An operation whose gradient the device does not have."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("could not create a primitive")


@pytest.mark.parametrize("fault", [None, "forward", "backward"])
def test_a_device_supports_bfloat16_if_it_trains_a_layer_in_it(
    fault: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = torch.nn.LSTM.forward
    tried = []

    def attempt(layer, x):
        tried.append((torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
        if fault == "forward":
            raise RuntimeError("could not create a primitive descriptor for the LSTM")
        with torch.autocast("cpu", enabled=False):
            hidden, state = forward(layer, x)
        return (Ungraded.apply(hidden) if fault == "backward" else hidden), state

    monkeypatch.setattr(torch.nn.LSTM, "forward", attempt)
    assert supports_bfloat16(CPU) is (fault is None)
    # One asked before may not ask for gradients.
    with torch.no_grad():
        assert supports_bfloat16(CPU) is (fault is None)
    assert tried == [(True, torch.bfloat16)] * 2


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="not an x86 processor"
)
def test_the_processor_supports_bfloat16_where_onednn_does() -> None:
    before = torch.get_rng_state()
    assert supports_bfloat16(CPU) is torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert torch.equal(torch.get_rng_state(), before)


def test_each_gradient_is_clipped_by_itself() -> None:
    from musengine.training.optim import clip_gradients

    # Norms 5 = |(3, 4)| and 0.5; with a bound of 1 the first becomes (0.6, 0.8), the second stays.
    large, small = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1))
    large.grad, small.grad = torch.tensor([3.0, 4.0]), torch.tensor([0.5])
    optimizer = torch.optim.SGD([large, small], lr=0.1)
    clip_gradients(optimizer, TrainingConfig(clip_each_norm=1.0))
    assert large.grad.tolist() == pytest.approx([0.6, 0.8], rel=1e-5)
    assert small.grad.tolist() == [0.5]
