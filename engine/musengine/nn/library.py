"""The layers of an `nn.LSTM`, run as the layers of this package are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from musengine.nn import compiled
from musengine.nn.lstm import StackState, run_layer
from musengine.nn.weights import Weights


class LibraryLSTM:
    """The layers of an `nn.LSTM`, whose parameters keep their names.

    Args:
        layers: batch first, in one direction, without projections.
    """

    def __init__(self, layers: nn.LSTM) -> None:
        self.layers = layers
        self._steps: compiled.Remembered[compiled.Steps] = compiled.Remembered()

    def sequence(self, x_BTI: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        """Run a sequence; returns the last layer's hidden states (B, T, units), the state after.

        Dropout is that of the layers, where they are in training: of each number by itself.
        """
        layers = self.layers
        if x_BTI.device.type != "cpu":
            hidden, cell = (torch.stack(kind) for kind in zip(*state, strict=True))
            x_BTI, ends = layers(x_BTI, (hidden, cell))
            return x_BTI, tuple(zip(*(end.unbind(0) for end in ends), strict=True))
        after = []
        for number, (before, weights) in enumerate(zip(state, self._weights(), strict=True)):
            if number and layers.dropout and layers.training:
                # In one order in memory, whatever ran the layer below: the mask is drawn in it.
                x_BTI = functional.dropout(x_BTI.contiguous(), layers.dropout)
            made = run_layer(x_BTI, before, weights)
            assert made is not None, "an nn.LSTM has no peepholes"
            x_BTI, end = made
            after.append(end)
        return x_BTI, tuple(after)

    def step(self, x: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        """Run one step (B, inputs); returns the last layer's hidden state, the state after."""
        parameters = [weight for weight in self.layers._flat_weights if weight is not None]
        fits = compiled.stacked(range(self.layers.num_layers))
        if not torch.is_grad_enabled() and fits and compiled.usable(x, *parameters[:1]):
            made = self._steps.of(parameters, self._packed).step(x, state)
            return made[-1][0], made
        after = []
        for before, weights in zip(state, self.layers.all_weights, strict=True):
            x, cell = torch.lstm_cell(x, before, *weights)
            after.append((x, cell))
        return x, tuple(after)

    @property
    def layer_weights(self) -> list[tuple[Weights, bool]]:
        """Each layer's weights, and whether its candidate is linear, which none of these is."""
        return [(weights, False) for weights in self._weights()]

    def _weights(self) -> list[Weights]:
        return [Weights(w[0], w[1], w[2] + w[3]) for w in self.layers.all_weights]

    def _packed(self) -> compiled.Steps:
        weights = self._weights()
        return compiled.Steps(
            [compiled.Packed.of(each, linear=False) for each in weights], skip=False
        )
