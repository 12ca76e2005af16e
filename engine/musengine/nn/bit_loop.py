"""A compiled loop over steps whose input holds the bits that were drawn at the step before."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from musengine.nn import compiled
from musengine.nn.lstm import LSTMStack


@torch.no_grad()
def drawn_bits(
    stack: LSTMStack, output: nn.Linear, x_BTI: Tensor, thresholds_BTC: Tensor
) -> Tensor | None:
    """Return the logits (B, T, C) from which the bits of all steps are drawn, one after another.

    From the stack's initial state, without dropout. The input at a step is x, then the C bits drawn
    at the step before (zeros at the first). A bit is 1 where its logit exceeds its threshold, and a
    later bit of a step only where the first one is.

    Args:
        stack: with I + C inputs, without skip inputs.
        output: from the last layer's hidden state to C logits.
        x_BTI: the part of the input that is known beforehand.
        thresholds_BTC: in logits.

    Returns:
        None where no code was compiled for it: for other numbers than float32, on other devices.
    """
    layers = stack.typed_layers
    if not compiled.usable(x_BTI, thresholds_BTC, output.bias) or not compiled.stacked(layers):
        return None
    first, bits = layers[0], output.out_features
    # Of all steps in one product: only what depends on the bits is left for the loop.
    known_TBG = functional.linear(
        x_BTI.transpose(0, 1), first.input_weight[:, : x_BTI.shape[2]], first.bias
    )
    packed = stack.loop.of(stack.parameters(), lambda: _packed(stack, bits))
    state = stack.initial_state(len(x_BTI))
    logits_TBC = compiled.draw_bits(
        packed, known_TBG, state, output.weight, output.bias, thresholds_BTC.transpose(0, 1)
    )
    return logits_TBC.transpose(0, 1)


def _packed(stack: LSTMStack, bits: int) -> list[compiled.Packed]:
    """Return the layers, the weights of what they read in the loop and of their own state joined.

    The first layer reads the bits there, the others the layer below.
    """
    first, *others = stack.typed_layers
    below = [first.input_weight[:, -bits:], *(layer.input_weight for layer in others)]
    return [
        compiled.Packed.joined(layer.weights, read, linear=layer.candidate == "linear")
        for layer, read in zip(stack.typed_layers, below, strict=True)
    ]
