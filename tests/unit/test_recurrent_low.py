"""Layers that learn with products in bfloat16 through the compiled code, where it is there."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from musengine.nn import LSTMLayer, LSTMStack, compiled
from musengine.training.device import mixed_precision, supports_bfloat16

pytestmark = pytest.mark.skipif(
    not compiled.low_kernels, reason="no processor with products in bfloat16 of registers alone"
)
CPU = torch.device("cpu")


def low(matrix: Tensor) -> Tensor:
    """A matrix rounded to bfloat16."""
    return matrix.bfloat16().double()


# Of odd and even depths, of one and of several stretches of them, of all remainders of a tile.
@pytest.mark.parametrize("rows", [1, 2, 11, 25, 100])
@pytest.mark.parametrize("depth", [1, 2, 17, 400, 401, 813])
@pytest.mark.parametrize("columns", [1, 31, 32, 70])
def test_products_are_those_of_rounded_numbers(rows: int, depth: int, columns: int) -> None:
    torch.manual_seed(0)
    a, b = torch.randn(rows, depth), torch.randn(columns, depth).t()
    made = compiled.product(a, b, compiled.low_kernels)
    atol = 1e-6 * depth
    torch.testing.assert_close(made.double(), low(a) @ low(b), atol=atol, rtol=0)
    # The gradient of weights: the same, the other way round, added to what is there.
    to, a, b = torch.ones(rows, columns), torch.randn(depth, rows), torch.randn(depth, columns)
    compiled.add_outer(to, a, b, compiled.low_kernels)
    torch.testing.assert_close(to.double(), 1 + low(a).t() @ low(b), atol=atol, rtol=0)


def test_numbers_halfway_are_rounded_to_even_and_none_stays_none() -> None:
    # Of 8 significant bits, 1 + 2^-8 lies halfway between 1 and 1 + 2^-7.
    given = torch.tensor([[1 + 2**-8], [1 + 3 * 2**-8], [float("inf")], [float("nan")]])
    made = compiled.product(given, torch.ones(1, 1), compiled.low_kernels)[:, 0].tolist()
    assert made[:3] == [1.0, 1 + 2**-6, float("inf")]
    assert made[3] != made[3]


@pytest.mark.parametrize(
    "settings", [{}, {"peepholes": True, "start": "trained"}, {"candidate": "linear"}]
)
@pytest.mark.parametrize("rows", [1, 30])
def test_a_layer_is_near_to_the_readable_cell(rows: int, settings: dict[str, Any]) -> None:
    torch.manual_seed(1)
    layer = LSTMLayer(17, 40, **settings)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    exact = copy.deepcopy(layer).double()
    x = torch.randn(rows, 6, 17, requires_grad=True)
    x64 = x.detach().double().requires_grad_()
    with mixed_precision("bfloat16", CPU):
        hidden, (last, cell) = layer(x, layer.initial_state(rows))
    assert {hidden.dtype, last.dtype, cell.dtype} == {torch.float32}
    hidden64, (_, cell64) = exact._by_steps(x64, exact.initial_state(rows))
    weights = torch.randn_like(hidden)
    ((hidden * weights).sum() + cell.sum()).backward()
    ((hidden64 * weights.double()).sum() + cell64.sum()).backward()
    pairs = [(hidden, hidden64), (x.grad, x64.grad)]
    pairs += [
        (mine.grad, theirs.grad)
        for mine, theirs in zip(layer.parameters(), exact.parameters(), strict=True)
    ]
    for mine, theirs in pairs:
        assert mine is not None
        assert theirs is not None
        off = float(((mine.double() - theirs).norm() / theirs.norm()).detach())
        # Single numbers are rounded by up to 2^-9; on the whole they are off by little more. And
        # they are rounded: this is not the code for float32.
        assert 1e-5 < off < 2**-7


def test_rows_are_the_same_however_they_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x, found = LSTMLayer(30, 40), torch.randn(70, 6, 30), []
    for threads, least in ((1, compiled.LEAST_WORK), (3, 1)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        monkeypatch.setattr(compiled, "LEAST_WORK", least)
        layer.zero_grad()
        with mixed_precision("bfloat16", CPU):
            hidden, _ = layer(x, layer.initial_state(70))
        hidden.square().sum().backward()
        found.append([hidden, *(parameter.grad for parameter in layer.parameters())])
    assert all(map(torch.equal, *found))


def test_a_stack_reads_what_other_layers_gave_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    if not supports_bfloat16(CPU):
        pytest.skip("PyTorch has no layer in bfloat16 here to compare with")
    torch.manual_seed(2)
    below, stack = nn.Linear(12, 20), LSTMStack(20, [32, 24], dropout=0.5)
    x, found = torch.randn(5, 9, 12), []
    for code in (compiled.low_kernels, 0):
        monkeypatch.setattr(compiled, "low_kernels", code)
        torch.manual_seed(3)
        stack.zero_grad()
        with mixed_precision("bfloat16", CPU):
            made = stack(below(x)).last
        made.float().square().sum().backward()
        found.append([made.float(), *(parameter.grad for parameter in stack.parameters())])
    for ours, library in zip(*found, strict=True):
        assert ours is not None
        assert library is not None
        assert float((ours - library).detach().norm() / library.detach().norm()) < 0.03
