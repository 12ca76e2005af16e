"""One LSTM layer, written for each of the ways that `recurrent_ways.py` compares.

A way learns: from x (T, B, inputs), weights as an `nn.LSTM` has them with one bias, and the
gradient of the hidden states (T, B, units) to these states and the gradient of the hidden weights.
And it steps: from x (B, inputs) and a state to the state after.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from musengine.nn import LSTMStack, compiled
from musengine.nn.lstm_kernels import LSTMGates, step_in_place
from musengine.nn.weights import Weights

Given = tuple[Tensor, Tensor, Tensor]
"""Input weights (4 * units, inputs), hidden weights (4 * units, units), bias (4 * units,)."""
Learn = Callable[[Tensor, Given, Tensor], tuple[Tensor, Tensor]]
State = tuple[Tensor, Tensor]
Step = Callable[[Tensor, State], State]


def learned(layer: Callable[[Tensor, Given], Tensor]) -> Learn:
    """Return a way from a layer that autograd goes back through."""

    def learn(x_TBI: Tensor, given: Given, d_hidden: Tensor) -> tuple[Tensor, Tensor]:
        weights: Any = tuple(each.detach().requires_grad_() for each in given)
        hidden = layer(x_TBI.detach().requires_grad_(), weights)
        torch.autograd.backward(hidden, d_hidden.to(hidden.dtype))
        return hidden.detach(), weights[1].grad

    return learn


def zeros(x_TBI: Tensor, given: Given) -> Tensor:
    """Return a state before the first step, (B, units)."""
    return x_TBI.new_zeros(x_TBI.shape[1], given[1].shape[1])


def library(x_TBI: Tensor, given: Given) -> Tensor:
    """Run the layer that an nn.LSTM is."""
    start, bias = zeros(x_TBI, given)[None], torch.zeros_like(given[2])
    made: Tensor = torch.lstm(
        x_TBI, (start, start), [*given, bias], True, 1, 0.0, True, False, False
    )[0]
    return made


def one_dnn(x_TBI: Tensor, given: Given) -> Tensor:
    """Run oneDNN's layer, called by its own name."""
    start, units = zeros(x_TBI, given), given[1].shape[1]
    sizes: Any = (False, [], 2, units, 1, True, False, False, True)
    made = torch.ops.aten.mkldnn_rnn_layer(
        x_TBI, given[0], given[1], given[2], torch.zeros_like(given[2]), start, start, *sizes
    )
    hidden: Tensor = made[0]
    return hidden


def ours(x_TBI: Tensor, given: Given) -> Tensor:
    """Run the layer through our compiled module."""
    start = zeros(x_TBI, given)
    return compiled.learn(x_TBI, start, start, Weights(*given), linear=False)[0]


def ours_low(x_TBI: Tensor, given: Given) -> Tensor:
    """Run the layer through our compiled module with products in bfloat16."""
    if not compiled.low_kernels:
        raise RuntimeError("no code for products in bfloat16 on this processor")
    start = zeros(x_TBI, given)
    return compiled.learn(x_TBI, start, start, Weights(*given), linear=False, low=True)[0]


def in_low(layer: Callable[[Tensor, Given], Tensor], x_TBI: Tensor, given: Given) -> Tensor:
    """Run a layer in mixed precision, as a training step in bfloat16 does."""
    with torch.autocast("cpu", torch.bfloat16):
        return layer(x_TBI, given)


def cell(sums: Tensor, cell_BU: Tensor) -> State:
    """Return the state after a step from the sums of its gates."""
    i, f, z, o = sums.chunk(4, dim=1)
    cell_BU = torch.sigmoid(f) * cell_BU + torch.sigmoid(i) * torch.tanh(z)
    return torch.sigmoid(o) * torch.tanh(cell_BU), cell_BU


def by_steps(one: Callable[[Tensor, Tensor], State], x_TBI: Tensor, given: Given) -> Tensor:
    """Run a layer step by step with a cell."""
    hidden = state = zeros(x_TBI, given)
    made = []
    for known in functional.linear(x_TBI, given[0], given[2]).unbind(0):
        hidden, state = one(torch.addmm(known, hidden, given[1].t()), state)
        made.append(hidden)
    return torch.stack(made)


SOURCE = r"""
#include <torch/extension.h>
#include <cmath>
using torch::Tensor;
static inline float sigmoid(float v) { return 1.0f / (1.0f + std::exp(-v)); }

void cells(Tensor gates, Tensor before, Tensor after, Tensor hidden) {
    int64_t rows = before.size(0), units = before.size(1);
    at::parallel_for(0, rows, 16, [&](int64_t first, int64_t last) {
        for (int64_t row = first; row < last; row++) {
            float *i = gates.data_ptr<float>() + row * 4 * units, *f = i + units, *z = f + units,
                  *o = z + units, *c = after.data_ptr<float>() + row * units,
                  *h = hidden.data_ptr<float>() + row * units;
            const float *old = before.data_ptr<float>() + row * units;
            #pragma omp simd
            for (int64_t u = 0; u < units; u++) {
                i[u] = sigmoid(i[u]), f[u] = sigmoid(f[u]), z[u] = std::tanh(z[u]);
                o[u] = sigmoid(o[u]);
                c[u] = f[u] * old[u] + i[u] * z[u];
                h[u] = o[u] * std::tanh(c[u]);
            }
        }
    });
}

void cells_back(Tensor gates, Tensor before, Tensor after, Tensor given, Tensor carried) {
    int64_t rows = before.size(0), units = before.size(1);
    at::parallel_for(0, rows, 16, [&](int64_t first, int64_t last) {
        for (int64_t row = first; row < last; row++) {
            float *i = gates.data_ptr<float>() + row * 4 * units, *f = i + units, *z = f + units,
                  *o = z + units, *d = carried.data_ptr<float>() + row * units;
            const float *old = before.data_ptr<float>() + row * units,
                        *c = after.data_ptr<float>() + row * units,
                        *g = given.data_ptr<float>() + row * units;
            #pragma omp simd
            for (int64_t u = 0; u < units; u++) {
                float t = std::tanh(c[u]), e = d[u] + g[u] * o[u] * (1 - t * t);
                d[u] = e * f[u];
                o[u] = g[u] * t * o[u] * (1 - o[u]);
                f[u] = e * old[u] * f[u] * (1 - f[u]);
                float in = i[u];
                i[u] = e * z[u] * in * (1 - in);
                z[u] = e * in * (1 - z[u] * z[u]);
            }
        }
    });
}

std::vector<Tensor> forward(Tensor x, Tensor input, Tensor recurrent, Tensor bias) {
    int64_t steps = x.size(0), rows = x.size(1), units = recurrent.size(1);
    Tensor gates = at::addmm(bias, x.flatten(0, 1), input.t()).view({steps, rows, 4 * units});
    Tensor hidden = at::empty({steps, rows, units}, x.options());
    Tensor cell = at::empty({steps + 1, rows, units}, x.options());
    cell[0].zero_();
    for (int64_t t = 0; t < steps; t++) {
        Tensor here = gates[t];
        if (t) here.addmm_(hidden[t - 1], recurrent.t());
        cells(here, cell[t], cell[t + 1], hidden[t]);
    }
    return {hidden, gates, cell};
}

std::vector<Tensor> backward(Tensor given, Tensor x, Tensor input, Tensor recurrent, Tensor hidden,
                             Tensor gates, Tensor cell) {
    int64_t steps = x.size(0);
    Tensor carried = at::zeros_like(cell[0]), d = given[steps - 1].clone();
    for (int64_t t = steps - 1; t >= 0; t--) {
        cells_back(gates[t], cell[t], cell[t + 1], d, carried);
        if (t) d = at::addmm(given[t - 1], gates[t], recurrent);
    }
    Tensor flat = gates.flatten(0, 1);
    Tensor before = hidden.slice(0, 0, -1).flatten(0, 1);
    Tensor d_recurrent = gates.slice(0, 1).flatten(0, 1).t().mm(before);
    return {flat.mm(input).view_as(x), flat.t().mm(x.flatten(0, 1)), d_recurrent, flat.sum(0)};
}
"""


@cache
def extension() -> Any:
    """Return the extension of PyTorch, compiled when it is first asked for."""
    from torch.utils import cpp_extension

    load_inline: Any = cpp_extension.load_inline

    flags = ["-O3", "-march=native", "-ffast-math", "-fopenmp-simd"]
    names = ["forward", "backward", "cells"]
    return load_inline("lstm_extension", SOURCE, functions=names, extra_cflags=flags)


class Extended(torch.autograd.Function):
    """The layer through the extension."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Any:
        """Return the hidden states of x and the weights."""
        hidden, gates, states = extension().forward(*tensors)
        ctx.save_for_backward(*tensors[:3], hidden, gates, states)
        return hidden

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        """Return the gradients; those of the gates take their place."""
        return tuple(extension().backward(given[0].contiguous(), *ctx.saved_tensors))


def extended(x_TBI: Tensor, given: Given) -> Tensor:
    """Run the layer through the extension."""
    # Some versions of PyTorch give `apply` no type.
    apply: Any = Extended.apply
    made: Tensor = apply(x_TBI, *given)
    return made


def numba_forward(
    x: Any, start: Any, input_t: Any, hidden_t: Any, bias: Any, gates: Any, hidden: Any, cell: Any
) -> None:
    """Write gates, hidden states and cells of a sequence; of NumPy arrays, for Numba."""
    steps, rows, _ = x.shape
    units = hidden_t.shape[0]
    for t in range(steps):
        before = hidden[t - 1] if t else start
        sums = np.dot(x[t], input_t) + np.dot(before, hidden_t)
        for r in range(rows):
            for u in range(units):
                i = np.float32(1) / (np.float32(1) + np.exp(-(sums[r, u] + bias[u])))
                f = sums[r, units + u] + bias[units + u]
                f = np.float32(1) / (np.float32(1) + np.exp(-f))
                z = np.tanh(sums[r, 2 * units + u] + bias[2 * units + u])
                o = sums[r, 3 * units + u] + bias[3 * units + u]
                o = np.float32(1) / (np.float32(1) + np.exp(-o))
                c = f * cell[t, r, u] + i * z
                cell[t + 1, r, u] = c
                hidden[t, r, u] = o * np.tanh(c)
                gates[t, r, u], gates[t, r, units + u] = i, f
                gates[t, r, 2 * units + u], gates[t, r, 3 * units + u] = z, o


def numba_backward(given: Any, hidden_weight: Any, gates: Any, cell: Any) -> None:
    """Put the gradients of the sums of gates in the place of the gates, for Numba."""
    steps, rows, units = given.shape
    one = np.float32(1)
    carried, back = np.zeros_like(given[0]), np.zeros_like(given[0])
    for t in range(steps - 1, -1, -1):
        for r in range(rows):
            for u in range(units):
                i, f = gates[t, r, u], gates[t, r, units + u]
                z, o = gates[t, r, 2 * units + u], gates[t, r, 3 * units + u]
                squashed, d = np.tanh(cell[t + 1, r, u]), given[t, r, u] + back[r, u]
                d_cell = carried[r, u] + d * o * (one - squashed * squashed)
                gates[t, r, u] = d_cell * z * i * (one - i)
                gates[t, r, units + u] = d_cell * cell[t, r, u] * f * (one - f)
                gates[t, r, 2 * units + u] = d_cell * i * (one - z * z)
                gates[t, r, 3 * units + u] = d * squashed * o * (one - o)
                carried[r, u] = d_cell * f
        back = np.dot(gates[t], hidden_weight)


@cache
def jitted() -> tuple[Any, Any]:
    """Return both functions as Numba compiles them, when they are first called."""
    import numba  # type: ignore[import-not-found, import-untyped, unused-ignore]

    jit = numba.njit(fastmath=True, cache=True)
    return jit(numba_forward), jit(numba_backward)


def by_numba(x_TBI: Tensor, given: Given, d_hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Learn with Numba, products by the BLAS that SciPy has."""
    forward, backward = jitted()
    x, input_weight, hidden_weight, bias, d = (t.numpy() for t in (x_TBI, *given, d_hidden))
    (steps, rows, inputs), units = x.shape, hidden_weight.shape[1]
    gates = np.empty((steps, rows, 4 * units), dtype=np.float32)
    hidden, states = np.empty_like(d), np.zeros((steps + 1, rows, units), dtype=np.float32)
    turned = (np.ascontiguousarray(w.T) for w in (input_weight, hidden_weight))
    forward(x, states[0], *turned, bias, gates, hidden, states)
    backward(d, hidden_weight, gates, states)
    flat = gates.reshape(-1, 4 * units)
    flat.sum(axis=0), flat @ input_weight, flat.T @ x.reshape(-1, inputs)
    d_recurrent = gates[1:].reshape(-1, 4 * units).T @ hidden[:-1].reshape(-1, units)
    return torch.from_numpy(hidden), torch.from_numpy(d_recurrent)


def compiled_cell() -> Callable[[Tensor, Tensor], State]:
    """Return the cell as torch.compile makes it."""
    made: Any = torch.compile(cell)
    return made  # type: ignore[no-any-return]


def library_step(given: Given) -> Step:
    """Return PyTorch's cell."""
    bias = torch.zeros_like(given[2])
    return lambda x, state: torch.lstm_cell(x, state, given[0], given[1], given[2], bias)


def one_dnn_step(given: Given) -> Step:
    """Return steps of oneDNN's layer, of which each is a sequence of one."""
    bias = torch.zeros_like(given[2])

    def step(x: Tensor, state: State) -> State:
        sizes: Any = (False, [], 2, given[1].shape[1], 1, True, False, False, False)
        after = torch.ops.aten.mkldnn_rnn_layer(
            x[None], given[0], given[1], given[2], bias, *state, *sizes
        )
        return after[1].view_as(state[0]), after[2].view_as(state[1])

    return step


def our_step(given: Given) -> Step:
    """Return steps of the compiled module, or of PyTorch where it was not compiled."""
    stack = LSTMStack(given[0].shape[1], [given[1].shape[1]])
    names = ("input_weight", "hidden_weight", "bias")
    stack.typed_layers[0].load_state_dict(dict(zip(names, given, strict=True)))
    return lambda x, state: stack.step(x, (state,)).state[0]


def sums_and(one: Callable[[Tensor, Tensor], State], given: Given) -> Step:
    """Return steps of a cell from the sums of its gates."""

    def step(x: Tensor, state: State) -> State:
        known = torch.addmm(given[2], x, given[0].t())
        return one(known.addmm_(state[0], given[1].t()), state[1])

    return step


def extended_cell(sums: Tensor, cell_BU: Tensor) -> State:
    """Return the state after a step through the extension."""
    hidden, after = torch.empty_like(cell_BU), torch.empty_like(cell_BU)
    extension().cells(sums, cell_BU, after, hidden)
    return hidden, after


def in_place(sums: Tensor, cell_BU: Tensor) -> State:
    """Return the state after a step through our operations of PyTorch in place."""
    hidden, after = torch.empty_like(cell_BU), cell_BU.clone()
    step_in_place(LSTMGates(sums), hidden, after, linear=False)
    return hidden, after


def numba_step(given: Given) -> Step:
    """Return steps of Numba's function for a sequence."""
    forward, _ = jitted()
    input_t, hidden_t = (np.ascontiguousarray(w.numpy().T) for w in given[:2])
    bias, units = given[2].numpy(), given[1].shape[1]
    gates = np.empty((1, 1, 4 * units), dtype=np.float32)

    def step(x: Tensor, state: State) -> State:
        hidden, states = torch.empty(1, 1, units), torch.empty(2, 1, units)
        states[0] = state[1]
        forward(
            *(x[None].numpy(), state[0].numpy(), input_t, hidden_t, bias, gates),
            *(hidden.numpy(), states.numpy()),
        )
        return hidden[0], states[1]

    return step


def triton(*given: object) -> Any:
    """Raise, saying why there is nothing to measure."""
    raise RuntimeError("no release for processors")


def forget() -> None:
    """Forget what was compiled, as a new process would; what lies in files stays."""
    torch._dynamo.reset()
    extension.cache_clear()
    jitted.cache_clear()


WAYS: dict[str, tuple[Callable[[], Learn], Callable[[Given], Step] | None]] = {
    "nn.LSTM": (lambda: learned(library), library_step),
    "nn.LSTM, bfloat16": (lambda: learned(partial(in_low, library)), None),
    "oneDNN's layer by its name": (lambda: learned(one_dnn), one_dnn_step),
    "ours, compiled": (lambda: learned(ours), our_step),
    "ours, compiled, bfloat16": (lambda: learned(ours_low), None),
    "ours, PyTorch step by step": (
        lambda: learned(partial(by_steps, cell)),
        partial(sums_and, in_place),
    ),
    "torch.compile of the cell": (
        lambda: learned(partial(by_steps, compiled_cell())),
        lambda given: sums_and(compiled_cell(), given),
    ),
    "C++ extension of PyTorch": (lambda: learned(extended), partial(sums_and, extended_cell)),
    "Numba": (lambda: by_numba, numba_step),
    "Triton on processors": (triton, triton),
}
"""Each way's learning, and its step."""

COMPILED_WHERE_IT_RUNS = ("torch.compile", "C++ extension", "Numba")
"""How the names of such ways begin."""
