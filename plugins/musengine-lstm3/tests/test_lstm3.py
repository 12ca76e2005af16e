"""The three-layer LSTM: generation equals teacher forcing, its output is a likelihood."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch

from musengine.api import Batch, Grid, GridStep, negative_log_likelihood
from musengine_lstm3.config import Lstm3Config
from musengine_lstm3.model import Lstm3

CHANNELS = [("sound",), ("sound", "onset")]


def grid(channels: tuple[str, ...]) -> Grid:
    return Grid(lowest=60, pitches=5, channels=channels, step=GridStep(Fraction(1, 4), "beat"))


def make_model(channels: tuple[str, ...] = ("sound",), **settings: Any) -> Lstm3:
    torch.manual_seed(0)
    config = Lstm3Config(layers=(8, 7, 6), **settings)
    return Lstm3(config, grid(channels)).eval()


def make_batch(channels: tuple[str, ...], rows: int = 3, steps: int = 12) -> Batch:
    torch.manual_seed(1)
    roll = torch.randint(0, 2, (rows, steps + 1, 5, len(channels)), dtype=torch.uint8)
    roll[:, 0] = 0
    return Batch(
        steps=roll,
        mask=torch.ones(rows, steps, dtype=torch.bool),
        reset=torch.ones(rows, dtype=torch.bool),
        begins=torch.ones(rows, dtype=torch.bool),
        position=torch.zeros(rows, dtype=torch.long),
        pieces=torch.arange(rows),
    )


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("skip", [True, False])
def test_stepping_equals_teacher_forcing(
    channels: tuple[str, ...], dtype: torch.dtype, tolerance: float, skip: bool
) -> None:
    model = make_model(channels, skip_connections=skip, start="trained").to(dtype)
    batch = make_batch(channels)
    with torch.inference_mode():
        expected = model(batch).logits
        state, last = model.start(3), None
        for t in range(12):
            logits, state = model.step(last, state, {})
            torch.testing.assert_close(logits, expected[:, t], atol=tolerance, rtol=0)
            last = batch.targets[:, t]


def test_a_prompt_read_in_one_pass_leaves_the_state_of_reading_it_by_steps() -> None:
    model = make_model().double()
    prompt = make_batch(("sound",)).targets
    with torch.inference_mode():
        at_once = model.prefill(prompt, model.start(3), {})
        by_steps = super(Lstm3, model).prefill(prompt, model.start(3), {})
    torch.testing.assert_close(at_once, by_steps, atol=1e-12, rtol=0)


def test_stretches_with_the_state_carried_equal_the_whole() -> None:
    model = make_model().double()
    batch = make_batch(("sound",))
    whole = model(batch).logits
    first = model(replace(batch, steps=batch.steps[:, :6], mask=batch.mask[:, :5]))
    rest = replace(
        batch,
        steps=batch.steps[:, 5:],
        mask=batch.mask[:, 5:],
        reset=torch.zeros(3, dtype=torch.bool),
        carried=first.state,
    )
    torch.testing.assert_close(
        torch.cat([first.logits, model(rest).logits], dim=1), whole, atol=1e-12, rtol=0
    )


def test_a_reset_stream_forgets() -> None:
    model = make_model().double()
    batch = make_batch(("sound",))
    carried = model(batch).state
    reset = torch.tensor([True, False, True])
    fresh = model(batch).logits
    mixed = model(replace(batch, reset=reset, carried=carried)).logits
    torch.testing.assert_close(mixed[reset], fresh[reset], atol=1e-12, rtol=0)
    assert not torch.allclose(mixed[1], fresh[1])


@pytest.mark.parametrize("channels", CHANNELS)
def test_probabilities_of_all_steps_sum_to_one(channels: tuple[str, ...]) -> None:
    # Two pitches: every roll of one step that can occur (an onset needs its note), summed.
    layout = Grid(lowest=60, pitches=2, channels=channels, step=GridStep(Fraction(1, 4), "beat"))
    torch.manual_seed(0)
    model = Lstm3(Lstm3Config(layers=(4,)), layout).double().eval()
    notes = [(0,), (1,)] if len(channels) == 1 else [(0, 0), (1, 0), (1, 1)]
    rolls = torch.tensor([[low, high] for low in notes for high in notes], dtype=torch.uint8)
    steps = torch.zeros(len(rolls), 2, *layout.step_shape, dtype=torch.uint8)
    steps[:, 1] = rolls
    ones = torch.ones(len(rolls), dtype=torch.bool)
    batch = Batch(
        steps=steps,
        mask=ones[:, None],
        reset=ones,
        begins=ones,
        position=torch.zeros(len(rolls), dtype=torch.long),
        pieces=torch.arange(len(rolls)),
    )
    nll = negative_log_likelihood(model(batch), layout)
    assert torch.exp(-nll).sum().item() == pytest.approx(1.0, abs=1e-12)


def test_gradients_agree_with_finite_differences() -> None:
    model = make_model(("sound", "onset"), dropout=0.0).double()
    batch = make_batch(("sound", "onset"), rows=2, steps=3)
    names = [name for name, _ in model.named_parameters()]

    def loss(*values: torch.Tensor) -> torch.Tensor:
        weights = dict(zip(names, values, strict=True))
        output = torch.func.functional_call(model, weights, (batch,))
        return negative_log_likelihood(output, model.layout).mean()

    # Along random directions: one number at a time takes a hundred times as long.
    parameters = tuple(model.parameters())
    assert torch.autograd.gradcheck(loss, parameters, eps=1e-6, atol=1e-7, fast_mode=True)


def test_classic_initialisation_has_the_originals_moments() -> None:
    torch.manual_seed(0)
    config = Lstm3Config(layers=(100,), initialisation="classic", weight_sigma=0.1)
    (layer,) = Lstm3(config, grid(("sound",))).stack.typed_layers
    # 40,000 weights: their mean is within 4 · 0.1 / 200 = 0.002 of 0, their spread of 0.1.
    assert layer.hidden_weight.mean().item() == pytest.approx(0.0, abs=0.002)
    assert layer.hidden_weight.std().item() == pytest.approx(0.1, abs=0.002)
    # Gate biases N(0.5 / 100, 0.1) over 300 values: mean within 4 · 0.1 / sqrt(300) = 0.023.
    i, f, z, o = layer.bias.detach().chunk(4)
    assert torch.cat([i, f, o]).mean().item() == pytest.approx(0.005, abs=0.023)
    assert z.std().item() == pytest.approx(0.1, abs=0.03)


def test_a_fixed_start_is_kept_not_trained_and_saved() -> None:
    model = make_model(start="fixed", start_range=0.01)
    starts = [layer.start for layer in model.stack.typed_layers]
    assert all(float(start.min()) >= 0 and float(start.max()) <= 0.01 for start in starts)
    assert all(float(start.max()) > 0 for start in starts)
    assert not any("start" in name for name, _ in model.named_parameters())
    assert sum("start" in name for name in model.state_dict()) == 3


def test_the_penalty_is_l1_on_weights_alone() -> None:
    model = make_model(l1=0.5).train()
    batch = make_batch(("sound",))
    penalty = model(batch).penalty
    weights = [p for name, p in model.named_parameters() if "bias" not in name]
    expected = 0.5 * sum(float(weight.detach().abs().sum()) for weight in weights)
    assert penalty.item() == pytest.approx(expected, rel=1e-6)
    # Its gradient is the sign of the weight, times lambda.
    (gradient,) = torch.autograd.grad(penalty, model.output.weight)
    torch.testing.assert_close(gradient, 0.5 * model.output.weight.sign())
    assert model.eval()(batch).penalty is None


def test_each_layer_has_its_own_rate() -> None:
    model = make_model(rates=(0.1, 0.2, 0.3, 0.4))
    optimizer = torch.optim.SGD(model.parameter_groups(), lr=9.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2, 0.3, 0.4]
    counted = sum(len(group["params"]) for group in optimizer.param_groups)
    assert counted == len(list(model.parameters()))
    # One step of plain gradient descent moves each layer by exactly its rate times the gradient.
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moved = {
        name: (before[name] - p.detach()).mean().item() for name, p in model.named_parameters()
    }
    assert moved["stack.layers.1.bias"] == pytest.approx(0.2, rel=1e-4)
    assert moved["output.bias"] == pytest.approx(0.4, rel=1e-4)


def test_rates_must_fit_the_layers() -> None:
    (problem,) = Lstm3Config(layers=(8, 8), rates=(0.1,)).problems()
    assert (problem[0], "expected 3" in problem[1], "got 1" in problem[1]) == ("rates", True, True)
    assert list(Lstm3Config(layers=(8, 8), rates=(0.1, 0.2, 0.3)).problems()) == []


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("begins", [True, False])
def test_what_is_recorded_is_what_a_reading_goes_through(
    channels: tuple[str, ...], begins: bool
) -> None:
    model, batch = make_model(channels).double(), make_batch(channels)
    if not begins:  # a step precedes the first
        batch = replace(batch, begins=~batch.begins)
        batch.steps[:, 0] = 1
    with torch.inference_mode():
        recorded = model.record(batch)
        traces = model.stack.trace(batch.inputs.flatten(2).double())
        shares = torch.sigmoid(model(batch).logits)
    for k, (hidden, cell) in enumerate(traces):
        torch.testing.assert_close(recorded[f"layers.{k}.hidden"].values, hidden)
        torch.testing.assert_close(recorded[f"layers.{k}.cell"].values, cell)
    torch.testing.assert_close(recorded["probabilities"].values, shares)
    assert len(recorded) == 7
    assert recorded["layers.2.cell"].axes == ("piece", "step", "unit")
    assert recorded["probabilities"].axes == ("piece", "step", "note", "channel")
