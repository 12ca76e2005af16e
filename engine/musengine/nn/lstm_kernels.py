"""Fast ways to run one LSTM layer without peepholes: along a sequence, and one step in place.

All weights have their gates in the order input, forget, candidate, output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from musengine.nn.weights import Weights


def library_lstm(
    x_BTI: Tensor, hidden_BU: Tensor, cell_BU: Tensor, weights: Weights
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a standard layer along a sequence with PyTorch's own kernels (oneDNN, cuDNN, Metal).

    Returns:
        Hidden states (B, T, units), and the last hidden state and cell, (B, units) each.
    """
    # The library has a second bias, for the hidden state's product; the two are only ever added.
    parts = [weights.input, weights.hidden, weights.bias, torch.zeros_like(weights.bias)]
    if x_BTI.is_cuda:
        # In one piece of memory, as cuDNN wants them; apart it would copy them with a warning.
        flat = torch.cat([part.reshape(-1) for part in parts])
        pieces = torch.split(flat, [part.numel() for part in parts])
        parts = [piece.view(part.shape) for piece, part in zip(pieces, parts, strict=True)]
    # (1, B, units): the first axis counts layers and directions. Contiguous, since a trained start
    # is one row expanded to B.
    state = (hidden_BU[None].contiguous(), cell_BU[None].contiguous())
    training = torch.is_grad_enabled()
    # After the weights: with biases, 1 layer, dropout 0, training, not bidirectional. Training also
    # says whether cuDNN keeps what its backward pass needs.
    hidden_BTU, hidden, cell = torch.lstm(
        x_BTI, state, parts, True, 1, 0.0, training, False, batch_first=True
    )
    return hidden_BTU, hidden[0], cell[0]


def linear_lstm(
    x_BTI: Tensor, hidden_BU: Tensor, cell_BU: Tensor, weights: Weights
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a layer with a linear candidate along a sequence; its gradient is written by hand.

    Under autocast the products are in bfloat16, everything else in the weights' precision.

    Returns:
        Hidden states (B, T, units), and the last hidden state and cell, (B, units) each.
    """
    dtype = weights.bias.dtype
    # Autocast does not reach into a custom function, hence the types are chosen by hand. The cell
    # is summed up over all steps, for which bfloat16 has too few digits.
    product = torch.bfloat16 if torch.is_autocast_enabled(x_BTI.device.type) else dtype
    with torch.autocast(x_BTI.device.type, enabled=False):
        # Some versions of PyTorch give `apply` no type.
        apply: Any = _LinearLSTM.apply
        hidden_TBU, cell_BU = apply(
            # Time first: then each step's rows lie together in memory.
            x_BTI.transpose(0, 1).to(dtype),
            hidden_BU.to(dtype),
            cell_BU.to(dtype),
            weights.input,
            weights.hidden,
            weights.bias,
            product,
        )
    return hidden_TBU.transpose(0, 1), hidden_TBU[-1], cell_BU


_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward
"""A gradient times the derivative of σ or tanh, from what σ or tanh gave: one pass, not three."""


class _LinearLSTM(torch.autograd.Function):
    """The whole sequence as one operation: what is kept for the gradient is kept once."""

    @staticmethod
    def forward(
        ctx: Any,
        x_TBI: Tensor,
        hidden_BU: Tensor,
        cell_BU: Tensor,
        input_weight: Tensor,
        hidden_weight: Tensor,
        bias: Tensor,
        product: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        steps, rows, _ = x_TBI.shape
        units = hidden_weight.shape[1]
        gates_TBG = functional.linear(x_TBI.to(product), input_weight.to(product)).to(bias.dtype)
        # In place from here on: these arrays are the largest of the training step.
        gates_TBG += bias
        hidden_TBU = bias.new_empty(steps, rows, units)
        # One more than steps: the backward pass needs the cell before each.
        cell_TBU = bias.new_empty(steps + 1, rows, units)
        cell_TBU[0] = cell_BU
        recurrent, last = hidden_weight.t().to(product), hidden_BU
        for t in range(steps):
            gates = gates_TBG[t]
            gates += last.to(product) @ recurrent
            cell_TBU[t + 1] = cell_TBU[t]
            last = hidden_TBU[t]
            # `gates` is a view: afterwards gates_TBG holds the gates themselves, not the sums.
            step_in_place(LSTMGates(gates), last, cell_TBU[t + 1], linear=True)
        ctx.save_for_backward(
            *(x_TBI, hidden_BU, gates_TBG, hidden_TBU, cell_TBU, input_weight, hidden_weight)
        )
        ctx.product = product
        # A clone, since autograd allows no output to be a view of what is saved.
        return hidden_TBU, cell_TBU[-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x_TBI, start, gates_TBG, hidden_TBU, cell_TBU, input_weight, hidden_weight = (
            ctx.saved_tensors
        )
        d_hidden_TBU, d_last_cell = gradients
        low = ctx.product
        # Written into through the views d_i to d_o below.
        d_gates_TBG = torch.empty_like(gates_TBG)
        d_cell = d_last_cell.clone()
        d_hidden = torch.zeros_like(d_cell)
        recurrent = hidden_weight.to(low)
        for t in range(len(gates_TBG) - 1, -1, -1):
            i, f, z, o = gates_TBG[t].chunk(4, dim=1)
            d_i, d_f, d_z, d_o = d_gates_TBG[t].chunk(4, dim=1)
            # From the output at this step, and through the gates of the step after it.
            d_hidden += d_hidden_TBU[t]
            # Computed again: cheaper than to keep another array of that size.
            squashed = torch.tanh(cell_TBU[t + 1])
            _sigmoid_backward(d_hidden * squashed, o, grad_input=d_o)
            # To here through h' = o * tanh(c'), from here on through c' = f * c + i * z.
            d_cell += _tanh_backward(d_hidden * o, squashed)
            _sigmoid_backward(d_cell * z, i, grad_input=d_i)
            _sigmoid_backward(d_cell * cell_TBU[t], f, grad_input=d_f)
            # The candidate is linear: no derivative of its own.
            torch.mul(d_cell, i, out=d_z)
            # The last use of this step's d_cell; it becomes that of the step before.
            d_cell *= f
            d_hidden = (d_gates_TBG[t].to(low) @ recurrent).to(d_cell.dtype)
        # Sums over time and rows are one large product each, outside the loop.
        flat = d_gates_TBG.flatten(0, 1).to(low)
        d_x = (flat @ input_weight.to(low)).view_as(x_TBI).to(x_TBI.dtype)
        d_input = (flat.t() @ x_TBI.flatten(0, 1).to(low)).to(input_weight.dtype)
        # The hidden state that each step has read: shifted by one.
        before = torch.cat([start[None], hidden_TBU[:-1]]).flatten(0, 1).to(low)
        d_recurrent = (flat.t() @ before).to(hidden_weight.dtype)
        d_bias = d_gates_TBG.sum(dim=(0, 1))
        return d_x, d_hidden, d_cell, d_input, d_recurrent, d_bias, None


class LSTMGates:
    """The gates of one layer at one step: the memory, and views of its parts, made once.

    Args:
        all_BG: (B, 4 * units) the sums that the gates are functions of.
    """

    def __init__(self, all_BG: Tensor) -> None:
        self.all = all_BG
        self.input, self.forget, self.candidate, self.output = all_BG.chunk(4, dim=1)
        self.input_and_forget = all_BG[:, : all_BG.shape[1] // 2]


def step_in_place(gates: LSTMGates, hidden_BU: Tensor, cell_BU: Tensor, *, linear: bool) -> None:
    """Take one step in place, without gradients.

    Args:
        gates: the sums, overwritten by the gates.
        hidden_BU: overwritten by the new hidden state; nothing of the old one is read.
        cell_BU: the cell, overwritten by the new one.
        linear: no nonlinearity on the candidate.
    """
    gates.input_and_forget.sigmoid_()
    gates.output.sigmoid_()
    if not linear:
        gates.candidate.tanh_()
    # Both gates lie side by side, hence the one call above for input and forget.
    cell_BU.mul_(gates.forget).addcmul_(gates.input, gates.candidate)
    torch.tanh(cell_BU, out=hidden_BU)
    hidden_BU.mul_(gates.output)
