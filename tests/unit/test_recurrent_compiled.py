"""Layers through the compiled code are the layers in PyTorch, on each kind of processor."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from musengine.nn import LibraryLSTM, LSTMLayer, LSTMStack, compiled, drawn_bits

HERE = [name for name in compiled.NAMES if compiled.kernels_of(name)]
pytestmark = pytest.mark.skipif(not HERE, reason="built without a compiler")
# Of a single row, of fewer and more rows than a tile has, of all remainders of a register.
SHAPES = [(1, 5, 7, 9), (2, 4, 3, 5), (5, 3, 16, 8), (17, 4, 33, 40), (50, 2, 9, 131)]


@pytest.fixture(params=HERE or ["none"])
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(compiled, "kernels", compiled.kernels_of(request.param))
    name: str = request.param
    return name


def drawn(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return layer


def by_the_readable_cell(layer: LSTMLayer, x: Tensor) -> tuple[Tensor, Tensor]:
    state = layer.initial_state(len(x))
    hidden = []
    for here in x.unbind(1):
        state = layer._cell(here @ layer.input_weight.t() + layer.bias, state)
        hidden.append(state[0])
    return torch.stack(hidden, dim=1), state[1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("candidate", ["tanh", "linear"])
def test_a_layer_and_its_gradients_are_those_of_the_readable_cell(
    processor: str, shape: tuple[int, ...], peepholes: bool, candidate: str
) -> None:
    torch.manual_seed(1)
    rows, steps, inputs, units = shape
    layer = LSTMLayer(inputs, units, peepholes=peepholes, candidate=candidate, start="trained")  # type: ignore[arg-type]
    exact = drawn(copy.deepcopy(layer).double())
    layer.load_state_dict(exact.state_dict())
    exact.load_state_dict(layer.state_dict())
    x = torch.randn(rows, steps, inputs, requires_grad=True)
    x64 = x.detach().double().requires_grad_()

    hidden, (last, cell) = layer(x, layer.initial_state(rows))
    hidden64, cell64 = by_the_readable_cell(exact, x64)  # type: ignore[arg-type]
    torch.testing.assert_close(hidden.double(), hidden64, atol=2e-6, rtol=0)
    torch.testing.assert_close(cell.double(), cell64, atol=4e-6, rtol=1e-6)
    assert torch.equal(last, hidden[:, -1])

    weights, others = torch.randn_like(hidden), torch.randn_like(cell)
    ((hidden * weights).sum() + (cell * others).sum()).backward()
    ((hidden64 * weights.double()).sum() + (cell64 * others.double()).sum()).backward()
    pairs = [(x, x64), *zip(layer.parameters(), exact.parameters(), strict=True)]
    for mine, theirs in pairs:
        assert mine.grad is not None
        assert theirs.grad is not None
        size = float(theirs.grad.abs().max())
        torch.testing.assert_close(mine.grad.double(), theirs.grad, atol=3e-6 * size, rtol=0)

    # What is kept for the gradient changes nothing, nor whether it is one step or a sequence.
    with torch.no_grad():
        without, state = layer(x, layer.initial_state(rows))
        assert torch.equal(without, hidden)
        assert torch.equal(state[1], cell)
        state = layer.initial_state(rows)
        for t in range(steps):
            state = layer.step(x[:, t], state)
            assert torch.equal(state[0], hidden[:, t])


def test_rows_are_the_same_however_they_are_shared_out(
    processor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = drawn(LSTMLayer(30, 40))
    x = torch.randn(70, 6, 30)
    results = []
    for threads, least in ((1, compiled.LEAST_WORK), (2, 1), (3, 1)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        monkeypatch.setattr(compiled, "LEAST_WORK", least)
        layer.zero_grad()
        hidden, _ = layer(x, layer.initial_state(70))  # type: ignore[operator]
        hidden.square().sum().backward()
        results.append([hidden, *(parameter.grad for parameter in layer.parameters())])
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))
    # A piece by itself is what it is beside others.
    torch.testing.assert_close(layer(x[:1], layer.initial_state(1))[0][0], results[0][0][0])  # type: ignore[operator]


def test_gates_of_any_size_and_what_is_no_number(processor: str) -> None:
    layer = LSTMLayer(1, 1)
    with torch.no_grad():
        layer.input_weight.copy_(torch.tensor([[0.0], [0.0], [1.0], [0.0]]))
        layer.bias.copy_(torch.tensor([100.0, -100.0, 0.0, 100.0]))
        x = torch.tensor([0.0, 1e-6, -0.3, 0.62499, 0.62501, -4.0, 1e4, -1e30])
        hidden, _ = layer.step(x[:, None], layer.initial_state(len(x)))
    # Gates of exactly 1 and 0: the hidden state is tanh(tanh(x)).
    wanted = torch.tanh(torch.tanh(x.double()))
    torch.testing.assert_close(hidden[:, 0].double(), wanted, atol=1e-12, rtol=2e-7)
    for wrong in (0, 1):
        state = (torch.zeros(2, 1), torch.zeros(2, 1))
        x = torch.tensor([[0.5], [0.5]])
        (x if wrong else state[1])[0] = float("nan")
        with torch.no_grad():
            hidden, cell = layer.step(x, state)
        assert hidden.isnan()[:, 0].tolist() == [True, False]
        assert cell.isnan()[:, 0].tolist() == [True, False]


@pytest.mark.parametrize("skip", [False, True])
def test_changed_weights_are_used(processor: str, skip: bool) -> None:
    stack = LSTMStack(4, [5, 3], skip_inputs=skip)
    copied = copy.deepcopy(stack)
    x, state = torch.randn(2, 4), stack.initial_state(2)
    with torch.inference_mode():
        before = stack.step(x, state).last
        assert torch.equal(copied.step(x, state).last, before)
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.mul_(2)
    with torch.inference_mode():
        after = stack.step(x, state).last
    assert not torch.allclose(after, before)
    assert torch.equal(after, stack(x[:, None]).last[:, 0])
    copied.load_state_dict(stack.state_dict())
    with torch.inference_mode():
        assert torch.equal(copied.step(x, state).last, after)


def test_the_gradient_is_computed_once(processor: str) -> None:
    layer = LSTMLayer(2, 3)
    hidden, _ = layer(torch.randn(1, 2, 2), layer.initial_state(1))
    hidden.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        hidden.sum().backward()


@pytest.mark.parametrize("pieces", [1, 2, 7, 16])
@pytest.mark.parametrize("peepholes", [False, True])
def test_bits_are_drawn_from_what_reading_them_gives(
    processor: str, pieces: int, peepholes: bool
) -> None:
    torch.manual_seed(2)
    stack = LSTMStack(3 + 2, [20, 13], peepholes=peepholes, start="trained")
    output = nn.Linear(13, 2)
    drawn(stack), drawn(output)
    x, thresholds = torch.randn(pieces, 30, 3), torch.randn(pieces, 30, 2)
    logits = drawn_bits(stack, output, x, thresholds)
    assert logits is not None
    bits = logits > thresholds
    bits[..., 1] &= bits[..., 0]
    below = torch.cat([torch.zeros_like(bits[:, :1]), bits[:, :-1]], dim=1)
    with torch.no_grad():
        read = output(stack(torch.cat([x, below.float()], dim=2)).last)
    torch.testing.assert_close(logits, read, atol=2e-6, rtol=0)
    assert 0 < bits[..., 1].sum() < bits[..., 0].sum() < bits[..., 0].numel()


def test_what_does_not_fit_is_refused() -> None:
    stack = LSTMStack(3, [4, 5])
    with torch.no_grad(), pytest.raises(ValueError, match=r"2 rows of 7 inputs .* of 3 inputs"):
        stack.step(torch.zeros(2, 7), stack.initial_state(2))
    with torch.no_grad(), pytest.raises(ValueError, match=r"do not fit a layer of 3 inputs"):
        stack.step(torch.zeros(2, 3), stack.initial_state(1))
    with pytest.raises(ValueError, match=r"do not fit a layer of 3 inputs and 4 units"):
        stack(torch.zeros(2, 6, 3), LSTMStack(3, [5, 5]).initial_state(2))
    with pytest.raises(ValueError, match="do not fit"):
        drawn_bits(stack, nn.Linear(4, 1), torch.zeros(1, 2, 2), torch.zeros(1, 2, 1))


def test_other_numbers_go_through_pytorch() -> None:
    stack, output = LSTMStack(3, [4]).double(), nn.Linear(4, 1).double()
    x, thresholds = torch.zeros(1, 2, 2), torch.zeros(1, 2, 1)
    assert drawn_bits(stack, output, x.double(), thresholds.double()) is None


def test_without_the_compiled_code_results_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    for candidate, peepholes in (("tanh", False), ("linear", False), ("tanh", True)):
        stack = LSTMStack(6, [8, 7], candidate=candidate, peepholes=peepholes)  # type: ignore[arg-type]
        x = torch.randn(4, 9, 6)
        results = []
        for kernels in (compiled.kernels, 0):
            monkeypatch.setattr(compiled, "kernels", kernels)
            stack.zero_grad()
            whole = stack(x).last
            whole.square().sum().backward()
            with torch.no_grad():
                step = stack.step(x[:, 0], stack.initial_state(4)).last
            results.append([whole, step, *(parameter.grad for parameter in stack.parameters())])
        for mine, theirs in zip(*results, strict=True):
            torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=2e-5)
        monkeypatch.undo()


@pytest.mark.parametrize("layers", [16, 17, 20])
def test_a_deep_library_lstm_steps_as_it_reads_a_sequence(layers: int) -> None:
    # The compiled code has room for 16 layers at once.
    torch.manual_seed(0)
    deep = LibraryLSTM(nn.LSTM(3, 4, layers, batch_first=True))
    state = tuple((torch.zeros(2, 4), torch.zeros(2, 4)) for _ in range(layers))
    x = torch.randn(2, 3)
    with torch.no_grad():
        whole, _ = deep.sequence(x[:, None], state)
        step, after = deep.step(x, state)
    assert torch.allclose(step, whole[:, 0], atol=1e-6)
    assert len(after) == layers


@pytest.mark.parametrize("settings", [{}, {"peepholes": True, "candidate": "linear"}])
def test_tokens_are_learned_as_unit_vectors_are(processor: str, settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    stack = LSTMStack(7, [5, 6], **settings)
    for weight in stack.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    # 7 is none of the unit vectors.
    tokens = torch.randint(0, 8, (3, 11))
    vectors = torch.cat([torch.eye(7), torch.zeros(1, 7)])[tokens]
    state = tuple((torch.randn(3, size), torch.randn(3, size)) for size in (5, 6))
    wanted = torch.randn(3, 11, 6)
    found = []
    for made in (stack.of_tokens(tokens, state), stack(vectors, state)):
        assert made is not None
        stack.zero_grad()
        (made.last * wanted).sum().backward()
        gradients = [weight.grad for weight in stack.parameters()]
        found.append([made.last, *(each for pair in made.state for each in pair), *gradients])
    for ours, other in zip(*found, strict=True):
        assert torch.allclose(ours, other, atol=2e-5)
    with torch.no_grad():
        assert stack.of_tokens(tokens, state) is None
