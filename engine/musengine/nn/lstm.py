"""LSTM layers with the variations the reference systems need, and stacks of them.

Equations (Graves 2013, arXiv 1308.0850, section 2), for one step with input x, hidden state h and
cell c, gates in the order input, forget, candidate, output:

    i = σ(W_i x + U_i h + p_i ∘ c + b_i)
    f = σ(W_f x + U_f h + p_f ∘ c + b_f)
    z = g(W_z x + U_z h + b_z)              g = tanh, or the identity for a linear candidate
    c' = f ∘ c + i ∘ z
    o = σ(W_o x + U_o h + p_o ∘ c' + b_o)
    h' = o ∘ tanh(c')

The peephole terms p are there only where asked for. `LSTMLayer._cell` is the readable form;
faster ways to run a layer (`kernels`) stand behind `LSTMLayer.forward` and `LSTMLayer.step` and
give the same numbers, so that step-wise generation equals teacher forcing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from musengine.nn import compiled
from musengine.nn.lstm_kernels import LSTMGates, library_lstm, linear_lstm, step_in_place
from musengine.nn.weights import Weights

Candidate = Literal["tanh", "linear"]
Start = Literal["zero", "trained", "fixed"]
"""The state before the first step: zeros, trained, or constants drawn once and kept."""
LayerState = tuple[Tensor, Tensor]
"""Hidden state and cell, each (B, units)."""
StackState = tuple[LayerState, ...]
"""One LayerState for each layer, first to last."""
LayerTrace = tuple[Tensor, Tensor]
"""One layer's hidden states and cells along a sequence, each (B, T, units)."""


def run_layer(
    x_BTI: Tensor,
    state: LayerState,
    weights: Weights,
    *,
    linear: bool = False,
    packed: Callable[[], compiled.Packed] | None = None,
) -> tuple[Tensor, LayerState] | None:
    """Run a sequence through one layer, the fastest way that there is for it.

    Args:
        x_BTI: the input.
        state: before it.
        weights: of the layer.
        linear: no nonlinearity on the candidate.
        packed: returns them packed, where that is kept for what is not learned from.

    Returns:
        Hidden states (B, T, units) and the state after them; None for peepholes where nothing was
        compiled.
    """
    if compiled.usable(x_BTI, *state, weights.bias):
        x_TBI = x_BTI.transpose(0, 1)
        if torch.is_grad_enabled():
            hidden_TBU, cell = compiled.learn(x_TBI, *state, weights, linear=linear)
        else:
            layer = packed() if packed else compiled.Packed.of(weights, linear=linear)
            hidden_TBU, cell = compiled.run(x_TBI, *state, layer)
        return hidden_TBU.transpose(0, 1), (hidden_TBU[-1], cell)
    if compiled.usable_low(x_BTI, weights.bias):
        # What other layers gave may be in bfloat16; here only the products are.
        x_TBI, hidden, cell = (t.float() for t in (x_BTI.transpose(0, 1), *state))
        hidden_TBU, cell = compiled.learn(x_TBI, hidden, cell, weights, linear=linear, low=True)
        return hidden_TBU.transpose(0, 1), (hidden_TBU[-1], cell)
    if weights.peepholes is not None:
        return None
    # No library has a layer with a linear candidate.
    hidden_BTU, *after = (linear_lstm if linear else library_lstm)(x_BTI, *state, weights)
    return hidden_BTU, (after[0], after[1])


class LSTMLayer(nn.Module):
    """One LSTM layer.

    Args:
        inputs: width of the input.
        units: width of the hidden state and the cell.
        peepholes: the gates see the cell.
        candidate: `tanh`, or `linear` for no nonlinearity on the cell input.
        start: what the state before the first step is.
    """

    start: Tensor | None
    """(2, units): hidden state and cell before the first step; None for zeros."""

    def __init__(
        self,
        inputs: int,
        units: int,
        *,
        peepholes: bool = False,
        candidate: Candidate = "tanh",
        start: Start = "zero",
    ) -> None:
        super().__init__()
        self.inputs, self.units, self.candidate = inputs, units, candidate
        self._packed: compiled.Remembered[compiled.Packed] = compiled.Remembered()
        self.input_weight = nn.Parameter(torch.empty(4 * units, inputs))
        self.hidden_weight = nn.Parameter(torch.empty(4 * units, units))
        self.bias = nn.Parameter(torch.empty(4 * units))
        self.peephole = nn.Parameter(torch.zeros(3, units)) if peepholes else None
        if start == "trained":
            self.start = nn.Parameter(torch.zeros(2, units))
        else:
            self.register_buffer("start", torch.zeros(2, units) if start == "fixed" else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform input weights, orthogonal hidden weights, forget bias 1, the rest 0.

        A fixed start is zeros until its owner fills it.
        """
        # Gate by gate: over the stacked matrix the fan-out would be four times too large, and its
        # columns orthogonal only together.
        for weight in self.input_weight.chunk(4):
            nn.init.xavier_uniform_(weight)
        for weight in self.hidden_weight.chunk(4):
            nn.init.orthogonal_(weight)
        nn.init.zeros_(self.bias)
        with torch.no_grad():
            # A forget gate near 1 at first lets gradients reach far back (Jozefowicz et al. 2015).
            self.bias[self.units : 2 * self.units] = 1.0

    def initial_state(self, pieces: int) -> LayerState:
        """Return the state before the first step, (pieces, units) each."""
        if self.start is None:
            zeros = self.bias.new_zeros(pieces, self.units)
            return zeros, zeros
        return self.start[0].expand(pieces, -1), self.start[1].expand(pieces, -1)

    def _cell(self, gates: Tensor, state: LayerState) -> LayerState:
        """One step from the input's share of the gates (B, 4 * units)."""
        hidden, cell = state
        i, f, z, o = (gates + hidden @ self.hidden_weight.t()).chunk(4, dim=1)
        if self.peephole is not None:
            i = i + self.peephole[0] * cell
            f = f + self.peephole[1] * cell
        z = torch.tanh(z) if self.candidate == "tanh" else z
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * z
        if self.peephole is not None:
            o = o + self.peephole[2] * cell
        return torch.sigmoid(o) * torch.tanh(cell), cell

    @property
    def weights(self) -> Weights:
        """The weights, as the ways to run a layer take them."""
        return Weights(self.input_weight, self.hidden_weight, self.bias, self.peephole)

    def packed(self) -> compiled.Packed:
        """Return the weights as the compiled code reads them, packed when they have changed."""
        make = partial(compiled.Packed.of, self.weights, linear=self.candidate == "linear")
        return self._packed.of(self.parameters(), make)

    def step(self, x: Tensor, state: LayerState) -> LayerState:
        """Run one step of input (B, inputs)."""
        learns = torch.is_grad_enabled()
        if not learns and compiled.usable(x, *state, self.bias):
            hidden_1BU, cell = compiled.run(x[None], *state, self.packed())
            return hidden_1BU[0], cell
        gates = functional.linear(x, self.input_weight, self.bias)
        # The step in place below overwrites what a gradient would need.
        if self.peephole is not None or learns:
            return self._cell(gates, state)
        hidden, cell = state
        gates.addmm_(hidden, self.hidden_weight.t())
        # A copy: the state that was handed in belongs to the caller, who may step from it again.
        hidden, cell = torch.empty_like(cell), cell.clone()
        step_in_place(LSTMGates(gates), hidden, cell, linear=self.candidate == "linear")
        return hidden, cell

    def forward(self, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """Run a sequence (B, T, inputs); returns hidden states (B, T, units), the last state."""
        linear = self.candidate == "linear"
        made = run_layer(x, state, self.weights, linear=linear, packed=self.packed)
        return self._by_steps(x, state) if made is None else made

    def of_tokens(self, tokens_BT: Tensor, state: LayerState) -> tuple[Tensor, LayerState] | None:
        """As `forward` of unit vectors, of which each token is one, and `inputs` is all zeros.

        While it learns, in compiled code: what the input adds to the gates is looked up, in the
        place of a product with vectors that are nearly all zeros. None elsewhere.
        """
        if not torch.is_grad_enabled() or not compiled.usable(*state, self.bias):
            return None
        columns = self.input_weight.t()
        table = torch.cat([columns, torch.zeros_like(columns[:1])]) + self.bias
        known_TBG = functional.embedding(tokens_BT.t(), table)
        weights = Weights(
            self.input_weight.detach()[:, :0],
            self.hidden_weight,
            self.bias.detach(),
            self.peephole,
        )
        hidden_TBU, cell = compiled.learn(
            known_TBG[..., :0].detach(),
            *state,
            weights,
            linear=self.candidate == "linear",
            known_TBG=known_TBG,
        )
        return hidden_TBU.transpose(0, 1), (hidden_TBU[-1], cell)

    def _by_steps(self, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        # The input's share of all steps is one large product instead of T small ones.
        # G = 4 * units.
        gates_BTG = x @ self.input_weight.t() + self.bias
        hiddens = []
        for gates in gates_BTG.unbind(1):
            state = self._cell(gates, state)
            hiddens.append(state[0])
        return torch.stack(hiddens, dim=1), state


@dataclass(frozen=True)
class StackOutput:
    """Hidden states of every layer, (B, T, units) or (B, units) each, and the state after."""

    hidden: tuple[Tensor, ...]
    state: StackState

    @property
    def last(self) -> Tensor:
        """The last layer's hidden states."""
        return self.hidden[-1]

    @property
    def joined(self) -> Tensor:
        """All layers' hidden states side by side, for skip connections to the output."""
        return torch.cat(self.hidden, dim=-1)


def layer_states(state: Sequence[Sequence[Tensor]]) -> dict[str, Tensor]:
    """Return the tensors of layers' states by name: `layers.0.hidden`, `layers.0.cell` and so on.

    Args:
        state: for each layer its hidden state and, if it has one, its cell, such as a StackState.
    """
    return {
        f"layers.{k}.{name}": values
        for k, layer in enumerate(state)
        for name, values in zip(("hidden", "cell"), layer, strict=False)
    }


class LSTMStack(nn.Module):
    """LSTM layers on top of each other.

    Args:
        inputs: width of the input.
        units: width of each layer.
        skip_inputs: every layer also gets the stack's input.
        peepholes: the gates see the cell.
        candidate: `tanh` or `linear`.
        dropout: share of each layer's input dropped, the first layer's excepted; one mask for a
            sequence, constant in time (Gal and Ghahramani 2016).
        start: what the state before the first step is.
    """

    def __init__(
        self,
        inputs: int,
        units: Sequence[int],
        *,
        skip_inputs: bool = False,
        peepholes: bool = False,
        candidate: Candidate = "tanh",
        dropout: float = 0.0,
        start: Start = "zero",
    ) -> None:
        super().__init__()
        self.skip_inputs, self.dropout = skip_inputs, dropout
        widths = [inputs]
        for below in units[:-1]:
            widths.append(below + (inputs if skip_inputs else 0))
        self.layers = nn.ModuleList(
            LSTMLayer(
                width,
                size,
                peepholes=peepholes,
                candidate=candidate,
                start=start,
            )
            for width, size in zip(widths, units, strict=True)
        )
        self.loop: compiled.Remembered[list[compiled.Packed]] = compiled.Remembered()
        self._steps: compiled.Remembered[compiled.Steps] = compiled.Remembered()

    @property
    def typed_layers(self) -> list[LSTMLayer]:
        """The layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, LSTMLayer)]

    @property
    def layer_weights(self) -> list[tuple[Weights, bool]]:
        """Each layer's weights, and whether its candidate is linear."""
        return [(layer.weights, layer.candidate == "linear") for layer in self.typed_layers]

    def initial_state(self, pieces: int) -> StackState:
        """Return the state before the first step."""
        return tuple(layer.initial_state(pieces) for layer in self.typed_layers)

    def fresh_where(self, reset_B: Tensor, state: StackState) -> StackState:
        """Return the state with the streams where `reset_B` is true at their initial values."""
        initial = self.initial_state(len(reset_B))
        pick = reset_B[:, None]
        return tuple(
            (torch.where(pick, new[0], old[0]), torch.where(pick, new[1], old[1]))
            for new, old in zip(initial, state, strict=True)
        )

    def forward(self, x: Tensor, state: StackState | None = None) -> StackOutput:
        """Run a sequence (B, T, inputs) from a state, the initial one if None."""
        return self._through(x, self.initial_state(len(x)) if state is None else state)

    def of_tokens(self, tokens_BT: Tensor, state: StackState | None = None) -> StackOutput | None:
        """As `forward` of unit vectors, of which each token is one, and `inputs` is all zeros.

        None where that is not faster than `forward`, which then is to be called.
        """
        state = self.initial_state(len(tokens_BT)) if state is None else state
        first = None if self.skip_inputs else self.typed_layers[0].of_tokens(tokens_BT, state[0])
        return None if first is None else self._through(first[0], state, first)

    def _through(
        self, x: Tensor, state: StackState, first: tuple[Tensor, LayerState] | None = None
    ) -> StackOutput:
        """Run a sequence through the layers, but the first where that was done."""
        hidden = [] if first is None else [first[0]]
        states = [] if first is None else [first[1]]
        layers = list(zip(self.typed_layers, state, strict=True))
        for layer, layer_state in layers[len(hidden) :]:
            below = self._layer_input(x, hidden)
            # `hidden` is empty below the first layer: the input itself is not dropped.
            if hidden and self.training and self.dropout > 0:
                below = self.dropped(below)
            out, after = layer(below, layer_state)
            hidden.append(out)
            states.append(after)
        return StackOutput(tuple(hidden), tuple(states))

    def step(self, x: Tensor, state: StackState) -> StackOutput:
        """Run one step of input (B, inputs), without dropout."""
        learns = torch.is_grad_enabled()
        weights = self._weights
        if not learns and compiled.stacked(self.layers) and compiled.usable(x, *weights[:1]):
            new = self._steps.of(weights, self._packed).step(x, state)
            return StackOutput(tuple(hidden for hidden, _ in new), new)
        states: list[LayerState] = []
        hidden: list[Tensor] = []
        for layer, layer_state in zip(self.typed_layers, state, strict=True):
            after = layer.step(self._layer_input(x, hidden), layer_state)
            hidden.append(after[0])
            states.append(after)
        return StackOutput(tuple(hidden), tuple(states))

    def trace(self, x: Tensor, state: StackState | None = None) -> list[LayerTrace]:
        """Return every layer's hidden states and cells along a sequence (B, T, inputs).

        Without dropout; for looking inside, where the cells of all steps are wanted.
        """
        state = self.initial_state(len(x)) if state is None else state
        states: list[StackState] = []
        for here in x.unbind(1):
            state = self.step(here, state).state
            states.append(state)
        by_layer = zip(*states, strict=True)
        return [
            (torch.stack([hidden for hidden, _ in layer], 1), torch.stack([c for _, c in layer], 1))
            for layer in by_layer
        ]

    def _packed(self) -> compiled.Steps:
        return compiled.Steps(
            [layer.packed() for layer in self.typed_layers], skip=self.skip_inputs
        )

    @property
    def _weights(self) -> list[Tensor]:
        """All weights; without the search that `parameters` is, since steps are many."""
        learned: list[Tensor] = []
        for layer in self.layers._modules.values():
            assert layer is not None
            learned += [w for w in layer._parameters.values() if w is not None]
        return learned

    def _layer_input(self, x: Tensor, hidden: list[Tensor]) -> Tensor:
        if not hidden:
            return x
        return torch.cat([x, hidden[-1]], dim=-1) if self.skip_inputs else hidden[-1]

    def dropped(self, x_BTI: Tensor) -> Tensor:
        """Return a sequence with a share of its inputs dropped: one mask for all its steps."""
        keep = 1.0 - self.dropout
        shape = (x_BTI.shape[0], 1, x_BTI.shape[2])
        # Divided by what is kept, so that nothing has to be scaled when the model generates.
        mask_B1I = torch.bernoulli(x_BTI.new_full(shape, keep)) / keep
        return x_BTI * mask_B1I
