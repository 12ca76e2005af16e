"""A compiled loop over tokens, each drawn before the next is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from musengine.nn import compiled
from musengine.nn.library import LibraryLSTM
from musengine.nn.lstm import LSTMStack, StackState

_recurrent = compiled._recurrent

MOST_KNOWN = 2**24
"""Numbers that are kept of what the first layer makes of each token."""


@dataclass(frozen=True)
class TokenWeights:
    """What a model of tokens has learned.

    Attributes:
        layers: read the embedded tokens.
        embedding: (tokens, inputs), of those that are drawn and of others that stand before them.
        output: (size, units of the last layer).
        bias: (size,).
    """

    layers: LSTMStack | LibraryLSTM
    embedding: Tensor
    output: Tensor
    bias: Tensor


class TokenLoop:
    """The loop of a model; packs its weights when they have changed.

    Args:
        weights: returns what the model has learned.
    """

    def __init__(self, weights: Callable[[], TokenWeights]) -> None:
        self.weights = weights
        self._packed: compiled.Remembered[_Packed] = compiled.Remembered()

    @torch.no_grad()
    def draw(
        self,
        parameters: Iterable[Tensor],
        last: Tensor,
        state: StackState,
        noise: Callable[[], Tensor],
    ) -> tuple[Tensor, Tensor, StackState] | None:
        """Draw tokens one after another, each the argmax of its logits and its noise.

        Without dropout.

        Args:
            parameters: of the model, looked at for changes.
            last: (N,) the tokens before.
            state: of the layers.
            noise: returns (N, T, size); called where there is such a loop.

        Returns:
            Tokens (N, T), their logits (N, T, size), and the state in which the last one is not
            read yet; None where no code was compiled for it: for other numbers than float32, on
            other devices, for very many tokens.

        Raises:
            ValueError: tensors do not fit each other.
        """
        parameters = list(parameters)
        if not compiled.usable(*parameters):
            return None
        packed = self._packed.of(parameters, lambda: _Packed(self.weights()))
        return packed.draw(last, state, noise()) if packed.layers else None


class _Packed:
    """The weights as the compiled code reads them; no layers where they are too many for it."""

    def __init__(self, weights: TokenWeights) -> None:
        layers = weights.layers.layer_weights
        self.tokens, self.size = len(weights.embedding), len(weights.bias)
        units = [each.hidden.shape[1] for each, _ in layers]
        self.layers: list[compiled.Packed] = []
        if not compiled.stacked(layers) or self.tokens * 4 * units[0] > MOST_KNOWN:
            return
        if self.size > self.tokens or weights.output.shape != (self.size, units[-1]):
            raise ValueError(f"{self.size} tokens of {self.tokens} do not fit the loop's layers")
        first = layers[0][0]
        # What a layer reads joined to its own state; of the first one, what it makes of a token is
        # looked up.
        reads = [first.input[:, :0], *(each.input for each, _ in layers[1:])]
        self.known = functional.linear(weights.embedding, first.input, first.bias).contiguous()
        self.output = compiled.packed(weights.output.t())
        self.bias = weights.bias.contiguous()
        self.layers = [
            compiled.Packed.joined(each, read, linear=linear)
            for (each, linear), read in zip(layers, reads, strict=True)
        ]

    def draw(
        self, last: Tensor, state: StackState, noise: Tensor
    ) -> tuple[Tensor, Tensor, StackState]:
        rows, steps, size = noise.shape
        last, noise = last.clone(memory_format=torch.contiguous_format), noise.contiguous()
        inputs = 0
        for layer, (hidden, cell) in zip(self.layers, state, strict=True):
            compiled.check_sizes(layer, rows, inputs, hidden, cell)
            inputs = layer.units
        if (
            size != self.size
            or (noise.dtype, last.dtype) != (torch.float32, torch.int64)
            or last.shape != (rows,)
            # Rows of a table.
            or bool(((last < 0) | (last >= self.tokens)).any())
        ):
            raise ValueError(f"noise {tuple(noise.shape)} and tokens do not fit the loop")
        units = [layer.units for layer in self.layers]
        shared = torch.cat([hidden for hidden, _ in state], dim=1)
        cells = [cell.clone(memory_format=torch.contiguous_format) for _, cell in state]
        gates = torch.empty(rows, 4 * max(units))
        drawn = torch.zeros(rows, steps, dtype=torch.int64)
        logits = torch.empty(rows, steps, size)
        tensors = (self.known, self.output, self.bias, noise, shared, gates, last, drawn, logits)
        sizes = (steps, rows, size, shared.shape[1], 4 * max(units))
        loop = (*sizes, *(tensor.data_ptr() for tensor in tensors))
        addresses = [layer.addresses() for layer in self.layers]
        kept = [cell.data_ptr() for cell in cells]
        compiled.by_rows(
            lambda first, end: _recurrent.draw_tokens(
                compiled.kernels, addresses, kept, loop, first, end
            ),
            rows,
            steps
            * rows
            * (
                size * units[-1]
                + sum(4 * each.units * (each.inputs + each.units) for each in self.layers)
            ),
        )
        after = zip(torch.split(shared, units, dim=1), cells, strict=True)
        return drawn, logits, tuple(after)
