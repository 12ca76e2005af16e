"""The loop over the notes: the input of each holds the bits that were drawn for the one below."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from musengine.api import LSTMGates, LSTMLayer, LSTMStack, drawn_bits, step_in_place


@torch.no_grad()
def draw_along(
    stack: LSTMStack, output: nn.Linear, x_BTI: Tensor, thresholds_BTC: Tensor
) -> tuple[Tensor, Tensor]:
    """Draw the bits of every step of a sequence, from the stack's initial state, without dropout.

    The stack's input at a step is x, then the C bits drawn at the step before (zeros at the first).
    A bit is 1 where its logit exceeds its threshold, and a later bit of a step only where the first
    one is. All thresholds are known beforehand, so nothing is called in between.

    Args:
        stack: with I + C inputs, without skip inputs.
        output: from the last layer's hidden state to C logits.
        x_BTI: the part of the input that is known beforehand.
        thresholds_BTC: in logits.

    Returns:
        The bits (B, T, C), bytes, and the logits (B, T, C) they were drawn from.
    """
    if stack.skip_inputs:
        raise ValueError("draw_along has no use for skip inputs")
    logits_BTC = drawn_bits(stack, output, x_BTI, thresholds_BTC)
    if logits_BTC is None:
        if any(layer.peephole is not None for layer in stack.typed_layers):
            return _by_steps(stack, output, x_BTI, thresholds_BTC)
        logits_TBC = _Loop(stack, output, x_BTI).run(thresholds_BTC.transpose(0, 1).contiguous())
        logits_BTC = logits_TBC.transpose(0, 1)
    return _bits(logits_BTC, thresholds_BTC), logits_BTC


def _bits(logits: Tensor, thresholds: Tensor) -> Tensor:
    bits = (logits > thresholds).to(torch.uint8)
    return torch.cat([bits[..., :1], bits[..., 1:] & bits[..., :1]], dim=-1)


def _by_steps(
    stack: LSTMStack, output: nn.Linear, x_BTI: Tensor, thresholds_BTC: Tensor
) -> tuple[Tensor, Tensor]:
    """The same, step by step through `LSTMStack.step`."""
    state = stack.initial_state(len(x_BTI))
    bits = torch.zeros_like(thresholds_BTC[:, 0], dtype=torch.uint8)
    drawn, said = [], []
    for x, thresholds in zip(x_BTI.unbind(1), thresholds_BTC.unbind(1), strict=True):
        after = stack.step(torch.cat([x, bits.to(x.dtype)], dim=1), state)
        state = after.state
        logits = output(after.last)
        bits = _bits(logits, thresholds)
        drawn.append(bits)
        said.append(logits)
    return torch.stack(drawn, dim=1), torch.stack(said, dim=1)


@dataclass(frozen=True)
class _Part:
    """What one layer of the loop works on: views of memory that is laid out once."""

    weight: Tensor
    """(inputs + units, 4 * units)"""
    inputs: Tensor
    """(B, inputs + units) the part of the shared row that it reads."""
    gates: LSTMGates
    hidden: Tensor
    cell: Tensor
    linear: bool


class _Loop:
    """The loop over the steps, all its memory laid out beforehand.

    One row of `shared` holds the bits and every layer's hidden state side by side, (B, C + all
    units), so that each layer finds its input and its own state next to each other: the bits and
    its state for the first, the state below and its own for the others.
    """

    def __init__(self, stack: LSTMStack, output: nn.Linear, x_BTI: Tensor) -> None:
        layers, bits = stack.typed_layers, output.out_features
        pieces, x_width = x_BTI.shape[0], x_BTI.shape[2]
        first = layers[0]
        # The share of what is known beforehand, for all steps in one product.
        known = nn.functional.linear(x_BTI, first.input_weight[:, :x_width], first.bias)
        self.known_TBG = known.transpose(0, 1).contiguous()
        width = bits + sum(layer.units for layer in layers)
        self.shared = first.bias.new_zeros(pieces, width)
        self.bits, self.output = self.shared[:, :bits], output
        self.parts: list[_Part] = []
        below = [first.input_weight[:, x_width:], *(layer.input_weight for layer in layers[1:])]
        start = 0
        for layer, weight, (hidden, cell) in zip(
            layers, below, stack.initial_state(pieces), strict=True
        ):
            part = self._part(layer, weight, start, cell)
            part.hidden.copy_(hidden)
            self.parts.append(part)
            start += weight.shape[1]
        self.biases = [layer.bias for layer in layers[1:]]

    def _part(self, layer: LSTMLayer, below: Tensor, start: int, cell: Tensor) -> _Part:
        stop = start + below.shape[1] + layer.units
        return _Part(
            # Input and hidden weights stacked: one product per layer and note instead of two.
            weight=torch.cat([below, layer.hidden_weight], dim=1).t().contiguous(),
            inputs=self.shared[:, start:stop],
            gates=LSTMGates(layer.bias.new_empty(len(cell), 4 * layer.units)),
            hidden=self.shared[:, stop - layer.units : stop],
            cell=cell.clone(),
            linear=layer.candidate == "linear",
        )

    def run(self, thresholds_TBC: Tensor) -> Tensor:
        """Return the logits (T, B, C)."""
        first, *others = self.parts
        last, weight, bias = self.parts[-1], self.output.weight.t(), self.output.bias
        sound, rest = self.bits[:, :1], self.bits[:, 1:]
        logits_TBC = torch.empty_like(thresholds_TBC)
        for known, thresholds, logits in zip(
            self.known_TBG.unbind(0), thresholds_TBC.unbind(0), logits_TBC.unbind(0), strict=True
        ):
            # `out` everywhere: in a loop this tight allocating would take longer than computing.
            torch.addmm(known, first.inputs, first.weight, out=first.gates.all)
            step_in_place(first.gates, first.hidden, first.cell, linear=first.linear)
            for part, part_bias in zip(others, self.biases, strict=True):
                torch.addmm(part_bias, part.inputs, part.weight, out=part.gates.all)
                step_in_place(part.gates, part.hidden, part.cell, linear=part.linear)
            torch.addmm(bias, last.hidden, weight, out=logits)
            # Straight into the row that the first layer reads for the next note, as 0.0 and 1.0.
            torch.gt(logits, thresholds, out=self.bits)
            # An onset only where the note sounds.
            rest.mul_(sound)
        return logits_TBC
