"""The LSTM equations, pinned to hand-computed numbers, and the equivalences between its paths."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from musengine.nn import LSTMLayer, LSTMStack
from musengine.training.device import mixed_precision, supports_bfloat16


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def golden_layer(candidate: str = "tanh") -> LSTMLayer:
    """One unit, one input; every weight different, so that no two can be mistaken."""
    layer = LSTMLayer(1, 1, peepholes=True, candidate=candidate).double()  # type: ignore[arg-type]
    with torch.no_grad():
        layer.input_weight.copy_(torch.tensor([[0.5], [-0.3], [0.8], [0.2]]))
        layer.hidden_weight.copy_(torch.tensor([[0.1], [0.4], [-0.6], [0.7]]))
        layer.bias.copy_(torch.tensor([0.05, 1.0, -0.1, 0.15]))
        layer.peephole.copy_(torch.tensor([[0.25], [-0.35], [0.45]]))
    return layer


def test_two_steps_by_hand() -> None:
    # Order of the gates: input, forget, candidate, output. Start: h = c = 0.
    #
    # Step 1, x = 1:
    #   i = σ(0.5·1 + 0.05)            = σ(0.55)  = 0.634135591010...
    #   z = tanh(0.8·1 - 0.1)          = tanh 0.7 = 0.604367777117...
    #   c = i·z (f multiplies 0)                  = 0.383251117640...
    #   o = σ(0.2·1 + 0.15 + 0.45·c)   = σ(0.522463002938)
    #   h = o·tanh(c)
    c1 = 0.6341355910108007 * 0.6043677771171636
    h1 = sigmoid(0.35 + 0.45 * c1) * math.tanh(c1)
    assert c1 == pytest.approx(0.383251117640, abs=1e-9)
    assert h1 == pytest.approx(0.2294502, abs=1e-6)
    # Step 2, x = -2, every term of every gate:
    i = sigmoid(0.5 * -2 + 0.1 * h1 + 0.25 * c1 + 0.05)
    f = sigmoid(-0.3 * -2 + 0.4 * h1 - 0.35 * c1 + 1.0)
    z = math.tanh(0.8 * -2 - 0.6 * h1 - 0.1)
    c2 = f * c1 + i * z
    # The output gate looks at the cell of its own step.
    o = sigmoid(0.2 * -2 + 0.7 * h1 + 0.45 * c2 + 0.15)
    h2 = o * math.tanh(c2)

    layer = golden_layer()
    x = torch.tensor([[[1.0], [-2.0]]], dtype=torch.float64)
    hidden, (last_h, last_c) = layer(x, layer.initial_state(1))

    assert hidden[0, :, 0].tolist() == pytest.approx([h1, h2], abs=1e-7)
    assert (last_h.item(), last_c.item()) == pytest.approx((h2, c2), abs=1e-7)


def test_linear_candidate_has_no_tanh_on_the_cell_input() -> None:
    # Step 1 of the golden layer with x = 1: c = σ(0.55) · 0.7 instead of σ(0.55) · tanh 0.7.
    layer = golden_layer("linear")
    x = torch.ones(1, 1, 1, dtype=torch.float64)
    _, (_, cell) = layer(x, layer.initial_state(1))
    assert cell.item() == pytest.approx(0.6341355910108007 * 0.7, abs=1e-7)


def test_without_peepholes_it_is_pytorchs_lstm() -> None:
    torch.manual_seed(1)
    layer = LSTMLayer(5, 7).double()
    reference = nn.LSTM(5, 7, batch_first=True).double()
    with torch.no_grad():
        reference.weight_ih_l0.copy_(layer.input_weight)
        reference.weight_hh_l0.copy_(layer.hidden_weight)
        reference.bias_ih_l0.copy_(layer.bias)
        reference.bias_hh_l0.zero_()
    x = torch.randn(3, 11, 5, dtype=torch.float64)
    hidden, state = layer(x, layer.initial_state(3))
    expected, (h, c) = reference(x)
    torch.testing.assert_close(hidden, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(state, (h[0], c[0]), atol=1e-12, rtol=0)


def make_stack(**settings: object) -> LSTMStack:
    torch.manual_seed(2)
    return LSTMStack(4, [6, 5, 3], **settings).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("trained", [False, True])
def test_steps_equal_the_whole_sequence(skip: bool, trained: bool) -> None:
    stack = make_stack(skip_inputs=skip, peepholes=True, start="trained" if trained else "zero")
    if trained:
        for layer in stack.layers:
            nn.init.normal_(layer.start)
    x = torch.randn(2, 9, 4, dtype=torch.float64)
    whole = stack(x)
    state = stack.initial_state(2)
    for t in range(9):
        out = stack.step(x[:, t], state)
        state = out.state
        torch.testing.assert_close(out.joined, whole.joined[:, t], atol=1e-12, rtol=0)
    torch.testing.assert_close(state, whole.state, atol=1e-12, rtol=0)


def test_a_sequence_in_stretches_equals_the_whole() -> None:
    stack = make_stack(skip_inputs=True, peepholes=True)
    x = torch.randn(2, 10, 4, dtype=torch.float64)
    first = stack(x[:, :4])
    second = stack(x[:, 4:], first.state)
    joined = torch.cat([first.last, second.last], dim=1)
    torch.testing.assert_close(joined, stack(x).last, atol=1e-12, rtol=0)


def test_skip_inputs_reach_every_layer() -> None:
    stack = make_stack(skip_inputs=True)
    # Layer k sees the layer below and the stack's own input: 4, 6 + 4, 5 + 4.
    assert [layer.inputs for layer in stack.layers] == [4, 10, 9]
    assert [layer.inputs for layer in make_stack().layers] == [4, 6, 5]


def test_fresh_where_resets_only_the_streams_told() -> None:
    stack = make_stack(start="trained")
    nn.init.constant_(stack.layers[0].start, 0.5)
    state = stack(torch.randn(3, 4, 4, dtype=torch.float64)).state
    fresh = stack.fresh_where(torch.tensor([False, True, False]), state)
    torch.testing.assert_close(fresh[0][0][[0, 2]], state[0][0][[0, 2]])
    assert (fresh[0][0][1] == 0.5).all()
    assert (fresh[2][1][1] == 0).all()


def test_dropout_is_constant_in_time_and_keeps_the_mean() -> None:
    stack = LSTMStack(1, [1], dropout=0.25)
    torch.manual_seed(0)
    dropped = stack.dropped(torch.ones(2000, 3, 10))
    assert (dropped == dropped[:, :1]).all()
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    # 20,000 masks with p = 0.75: the share kept lies within 4 sigma = 4·sqrt(.1875/20000) = 0.0122.
    assert dropped.bool().float().mean().item() == pytest.approx(0.75, abs=0.0123)


def test_no_dropout_in_evaluation_nor_on_the_first_layers_input() -> None:
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    stack = make_stack(dropout=0.9)
    torch.testing.assert_close(stack.eval()(x).last, stack(x).last)
    one = LSTMStack(4, [3], dropout=0.9).double().train()
    torch.testing.assert_close(one(x).last, one(x).last)


@pytest.mark.parametrize("candidate", ["tanh", "linear"])
def test_gradients_agree_with_finite_differences(candidate: str) -> None:
    torch.manual_seed(3)
    stack = LSTMStack(
        2,
        [3, 2],
        skip_inputs=True,
        peepholes=True,
        candidate=candidate,
        start="trained",  # type: ignore[arg-type]
    ).double()
    for parameter in stack.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 4, 2, dtype=torch.float64)
    names = [name for name, _ in stack.named_parameters()]

    def run(*values: torch.Tensor) -> torch.Tensor:
        out = torch.func.functional_call(stack, dict(zip(names, values, strict=True)), (x,))
        return out.joined

    assert torch.autograd.gradcheck(run, tuple(stack.parameters()), eps=1e-6, atol=1e-6)


CANDIDATES = ["tanh", "linear"]


def drawn_layer(candidate: str) -> LSTMLayer:
    """Weights far from nought, a start that is not nought."""
    torch.manual_seed(4)
    layer = LSTMLayer(3, 4, candidate=candidate, start="trained").double()  # type: ignore[arg-type]
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_the_fast_path_gives_the_numbers_of_the_readable_cell(candidate: str) -> None:
    layer = drawn_layer(candidate)
    x = torch.randn(5, 6, 3, dtype=torch.float64)
    state = layer.initial_state(5)
    hidden, last = layer(x, state)
    for t in range(6):
        gates = x[:, t] @ layer.input_weight.t() + layer.bias
        state = layer._cell(gates, state)
        torch.testing.assert_close(hidden[:, t], state[0], atol=1e-12, rtol=0)
    torch.testing.assert_close(last, state, atol=1e-12, rtol=0)
    # A view with time first in memory, as the biaxial net hands it over, is the same sequence.
    turned = x.transpose(0, 1).contiguous().transpose(0, 1)
    torch.testing.assert_close(layer(turned, layer.initial_state(5))[0], hidden)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_gradients_of_the_fast_path_agree_with_finite_differences(candidate: str) -> None:
    layer = drawn_layer(candidate)
    x = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def run(x: torch.Tensor, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        weights = dict(zip(names, values, strict=True))
        start = weights["start"]
        state = (start[0].expand(2, -1), start[1].expand(2, -1))
        hidden, last = torch.func.functional_call(layer, weights, (x, state))
        return hidden, *last

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_mixed_precision_stays_near(candidate: str) -> None:
    torch.manual_seed(5)
    stack = LSTMStack(6, [8, 7], candidate=candidate)  # type: ignore[arg-type]
    x = torch.randn(4, 9, 6)

    def gradient() -> tuple[torch.Tensor, torch.Tensor]:
        stack.zero_grad()
        out = stack(x).last.float()
        out.square().sum().backward()
        weight = stack.layers[0].hidden_weight.grad
        assert weight is not None
        return out.detach(), weight

    out, weight = gradient()
    cpu = torch.device("cpu")
    able = supports_bfloat16(cpu)
    with mixed_precision("bfloat16" if able else "float32", cpu):
        low, low_weight = gradient()
    # bfloat16 has 8 bits: relative errors of about 2 ** -8 = 0.004 in each product.
    torch.testing.assert_close(low, out, atol=0.02, rtol=0)
    torch.testing.assert_close(low_weight, weight, atol=0.02 * float(weight.abs().max()), rtol=0)
    assert torch.equal(low, out) is not able


def test_a_trace_holds_every_layers_hidden_states_and_cells() -> None:
    stack = make_stack(skip_inputs=True, peepholes=True)
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    whole = stack(x)
    trace = stack.trace(x)
    for (hidden, cells), expected, last in zip(trace, whole.hidden, whole.state, strict=True):
        torch.testing.assert_close(hidden, expected, atol=1e-12, rtol=0)
        torch.testing.assert_close((hidden[:, -1], cells[:, -1]), last, atol=1e-12, rtol=0)
