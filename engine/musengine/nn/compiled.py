"""Recurrent layers through code compiled when the package was built: float32 on a processor.

Learning in mixed precision too, where the processor has products in bfloat16 (`usable_low`).

Where that code is not there, or the numbers are others, `usable` says so, and a layer runs through
PyTorch, to the same results but for rounding.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from musengine.nn.weights import Weights
from musengine.utils.built import current

try:
    from musengine.nn import _recurrent as _recurrent
except ImportError:  # built without a compiler
    _recurrent = None  # type: ignore[assignment]
else:
    if not current(_recurrent):
        _recurrent = None  # type: ignore[assignment]

T = TypeVar("T")

NAMES = ("avx512", "avx2", "plain")
"""Kinds of processors that there is code for, the fastest first."""

LEAST_WORK = 4_000_000
"""Multiplications that are worth a thread of their own."""


def kernels_of(name: str) -> int:
    """Return the address of the code for a kind of processor; 0 where there is none."""
    return _recurrent.find(name) if _recurrent is not None else 0


kernels = next((found for found in map(kernels_of, NAMES) if found), 0)
"""The code for this processor; 0 for none, and all goes through PyTorch."""

low_kernels = kernels_of("avx512_bf16")
"""The code that learns with products in bfloat16; 0 where PyTorch is to do that."""


def usable(*tensors: Tensor) -> bool:
    """Return whether the compiled code computes with tensors: float32, on a processor.

    Under autocast, products are in other numbers.
    """
    return (
        bool(kernels)
        and all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
        and not torch.is_autocast_enabled("cpu")
    )


def usable_low(x: Tensor, weight: Tensor) -> bool:
    """Return whether the compiled code learns from an input under autocast to bfloat16."""
    return (
        bool(low_kernels)
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
    )


_threads: ThreadPoolExecutor | None = None


def _forget_threads() -> None:
    global _threads
    _threads = None


if hasattr(os, "register_at_fork"):
    # A child of this process has none of its threads.
    os.register_at_fork(after_in_child=_forget_threads)


def by_rows(work: Callable[[int, int], object], rows: int, multiplications: int) -> None:
    """Do some work for all rows, on as many threads as PyTorch has, if that is worth it.

    Args:
        work: does it for the rows from one number to another; a row's results are the same
            however they are shared out.
        rows: how many there are.
        multiplications: in all of them.
    """
    global _threads
    shares = max(1, min(torch.get_num_threads(), rows, multiplications // LEAST_WORK))
    if shares == 1:
        work(0, rows)
        return
    if _threads is None:
        # Threads, not processes: the compiled code lets go of the interpreter's lock.
        _threads = ThreadPoolExecutor(os.cpu_count() or 1, "recurrent")
    # Shares are whole tiles, so that no thread computes a part of one for another.
    # Twelve rows are a whole number of tiles on all processors.
    tile = 12 if rows >= 12 * shares else 1
    tiles = -(-rows // tile)
    ends = [min(rows, tile * (tiles * (share + 1) // shares)) for share in range(shares)]
    starts = [0, *ends[:-1]]
    others = [
        _threads.submit(work, first, last)
        for first, last in zip(starts[1:], ends[1:], strict=True)
        if last > first
    ]
    try:
        # The first share is done here, since this thread would only wait.
        work(0, ends[0])
    finally:
        # After Ctrl-C too: the tensors must stay as long as anybody computes with their memory.
        wait(others)
    for other in others:
        other.result()


def packed(matrix: Tensor, code: int | None = None) -> Tensor:
    """Return a matrix (depth, columns), of any strides, in panels for some code, or `kernels`."""
    code = kernels if code is None else code
    depth, columns = matrix.shape
    panel, _ = _recurrent.sizes(code)
    made = torch.empty(-(-columns // panel) * panel * depth, dtype=torch.float32)
    down, across = matrix.stride()
    _recurrent.pack(code, matrix.data_ptr(), depth, columns, down, across, made.data_ptr())
    return made


def product(a: Tensor, matrix: Tensor, code: int) -> Tensor:
    """Return the product of a (rows, depth), contiguous, with a matrix (depth, columns)."""
    (rows, depth), columns = a.shape, matrix.shape[1]
    # Zeros, as the compiled code adds to what is there.
    made, b = a.new_zeros(rows, columns), packed(matrix, code)
    addresses = (a.data_ptr(), depth, b.data_ptr(), made.data_ptr(), columns)
    by_rows(
        lambda first, last: _recurrent.product(code, first, last, depth, columns, *addresses),
        rows,
        rows * depth * columns,
    )
    return made


def add_outer(to: Tensor, a: Tensor, b: Tensor, code: int) -> None:
    """Add to a matrix (rows, columns) the transpose of a (depth, rows) times b (depth, columns).

    All three are contiguous.
    """
    (depth, rows), columns = a.shape, b.shape[1]
    panel, deep = _recurrent.sizes(code)
    room = deep * -(-columns // panel) * panel
    addresses = (a.data_ptr(), rows, b.data_ptr(), columns, to.data_ptr(), columns)

    def work(first: int, last: int) -> None:
        space = torch.empty(room, dtype=torch.float32)
        _recurrent.outer(code, first, last, depth, columns, *addresses, space.data_ptr())

    by_rows(work, rows, rows * depth * columns)


@dataclass(frozen=True)
class Packed:
    """One layer's weights as the compiled code reads them.

    Attributes:
        inputs: width of the input.
        units: width of the hidden state.
        input: packed (inputs, 4 * units).
        recurrent: packed (units, 4 * units).
        bias: (4 * units,).
        peepholes: (3, units), or None.
        linear: no nonlinearity on the candidate.
        code: that they are packed for; None for `kernels`.
    """

    inputs: int
    units: int
    input: Tensor
    recurrent: Tensor
    bias: Tensor
    peepholes: Tensor | None
    linear: bool
    code: int | None = None

    @classmethod
    def of(cls, weights: Weights, *, linear: bool, code: int | None = None) -> Packed:
        """Return a layer's weights packed."""
        return cls(
            weights.input.shape[1],
            weights.hidden.shape[1],
            packed(weights.input.detach().t(), code),
            packed(weights.hidden.detach().t(), code),
            weights.bias.detach().contiguous(),
            None if weights.peepholes is None else weights.peepholes.detach().contiguous(),
            linear,
            code,
        )

    @classmethod
    def joined(cls, weights: Weights, read: Tensor, *, linear: bool) -> Packed:
        """Return a layer's weights, those of what it reads (4 * units, inputs) in `recurrent` too.

        There they stand before those of its state, (inputs + units, 4 * units) together.
        """
        own = cls.of(weights, linear=linear)
        both = packed(torch.cat([read, weights.hidden], dim=1).detach().t())
        return replace(own, inputs=read.shape[1], recurrent=both)

    def addresses(self, recurrent: Tensor | None = None) -> Any:
        """Return what the compiled code is handed, with another packed recurrent matrix."""
        recurrent = self.recurrent if recurrent is None else recurrent
        return (
            self.inputs,
            self.units,
            int(self.linear),
            self.input.data_ptr(),
            recurrent.data_ptr(),
            self.bias.data_ptr(),
            0 if self.peepholes is None else self.peepholes.data_ptr(),
        )


class Remembered(Generic[T]):
    """Something made of weights, as long as these stay what they are."""

    def __init__(self) -> None:
        self._key: object = None
        self._made: T | None = None

    def of(self, weights: Iterable[Tensor], make: Callable[[], T]) -> T:
        """Return what was made, made anew where the weights have changed."""
        weights = list(weights)
        # Tensors made in inference mode do not count their changes.
        if any(weight.is_inference() for weight in weights):
            return make()
        # Every change in place counts up `_version`, an optimizer's too.
        key = [(weight.data_ptr(), weight._version) for weight in weights]
        # Kept, since packing moves as many numbers as a step of one row reads.
        if self._made is None or self._key != key:
            self._key, self._made = key, make()
        return self._made

    def __deepcopy__(self, memo: object) -> Remembered[T]:
        """Return an empty one: a copy of the weights lies elsewhere."""
        return Remembered()


@dataclass(frozen=True)
class _Run:
    """A sequence and what became of it.

    Attributes:
        x: (T, B, inputs), the last axis contiguous.
        start: (B, units).
        gates: (T, B, 4 * units), or none of them.
        hidden: (T, B, units).
        cell: (T + 1 or 1, B, units).
        given: what the input adds to the gates stands in them before.
    """

    x: Tensor
    start: Tensor
    gates: Tensor
    hidden: Tensor
    cell: Tensor
    given: bool = False

    def addresses(self) -> Any:
        steps, rows, _ = self.x.shape
        next_step, next_row, _ = self.x.stride()
        every = len(self.cell) > 1
        tensors = (self.x, self.start, self.gates, self.hidden, self.cell)
        flags = (int(every), int(self.given))
        return (steps, rows, *flags, next_step, next_row, *(t.data_ptr() for t in tensors))


def check_sizes(layer: Packed, rows: int, inputs: int, hidden: Tensor, cell: Tensor) -> None:
    """See that rows of some inputs and a state fit a layer: the compiled code looks at nothing.

    Raises:
        ValueError: they do not.
    """
    state = (tuple(hidden.shape), tuple(cell.shape))
    if inputs != layer.inputs or state != ((rows, layer.units),) * 2:
        raise ValueError(
            f"{rows} rows of {inputs} inputs and a state of {state[0]} and {state[1]} do not fit a "
            f"layer of {layer.inputs} inputs and {layer.units} units"
        )


def _run(
    x_TBI: Tensor,
    hidden: Tensor,
    cell: Tensor,
    layer: Packed,
    *,
    every: bool,
    known_TBG: Tensor | None = None,
) -> _Run:
    """Run a sequence; keeps gates and cells of every step, or of the last alone.

    The gates take the place of what is known of their sums, if anything.
    """
    # Any other strides are fine: a batch (B, T, inputs) seen as (T, B, inputs) is not copied.
    if x_TBI.stride(2) != 1:
        x_TBI = x_TBI.contiguous()
    steps, rows, inputs = x_TBI.shape
    check_sizes(layer, rows, inputs, hidden, cell)
    new = layer.bias.new_empty
    kept = _Run(
        x_TBI,
        hidden.contiguous(),
        new(steps if every else 0, rows, 4 * layer.units) if known_TBG is None else known_TBG,
        new(steps, rows, layer.units),
        new(steps + 1 if every else 1, rows, layer.units),
        known_TBG is not None,
    )
    kept.cell[0] = cell
    sequence, weights = kept.addresses(), layer.addresses()
    code = kernels if layer.code is None else layer.code
    by_rows(
        lambda first, last: _recurrent.forward(code, weights, sequence, first, last),
        rows,
        steps * rows * 4 * layer.units * (layer.inputs + layer.units),
    )
    return kept


def run(x_TBI: Tensor, hidden_BU: Tensor, cell_BU: Tensor, layer: Packed) -> tuple[Tensor, Tensor]:
    """Run a sequence without gradients; returns hidden states (T, B, units), the last cell."""
    kept = _run(x_TBI, hidden_BU, cell_BU, layer, every=False)
    return kept.hidden, kept.cell[0]


class _Layer(torch.autograd.Function):
    """A layer along a sequence; its gradient takes the place of the gates that were kept for it."""

    @staticmethod
    def forward(
        ctx: Any, linear: bool, code: int, known_TBG: Tensor | None, *tensors: Any
    ) -> tuple[Tensor, Tensor]:
        x_TBI, hidden, cell, *learned = tensors
        weights = Weights(*learned)
        layer = Packed.of(weights, linear=linear, code=code)
        kept = _run(x_TBI, hidden, cell, layer, every=True, known_TBG=known_TBG)
        ctx.known = kept.given
        ctx.layer, ctx.gates, ctx.code = layer, kept.gates, code
        ctx.save_for_backward(
            kept.x, kept.start, kept.hidden, kept.cell, weights.input, weights.hidden
        )
        # A copy: the last cell alone would keep those of all steps in memory.
        return kept.hidden, kept.cell[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_hidden_TBU: Tensor, d_cell: Tensor) -> tuple[Any, ...]:
        x, start, hidden, cell, input_weight, hidden_weight = ctx.saved_tensors
        if ctx.gates is None:
            raise RuntimeError("the gradient of a recurrent layer is computed once")
        # The gates are overwritten by their gradients, the largest array of all; so there is no
        # second time.
        gates, ctx.gates, code = ctx.gates, None, ctx.code
        given, carried = d_hidden_TBU.contiguous(), d_cell.clone()
        back = torch.zeros_like(carried)
        kept = _Run(x, start, gates, hidden, cell)
        # Packed the other way round than for going forward: the gradient passes through the
        # transpose.
        recurrent = packed(hidden_weight, code)
        weights, sequence = ctx.layer.addresses(recurrent), kept.addresses()
        others = (given.data_ptr(), back.data_ptr(), carried.data_ptr())
        by_rows(
            lambda first, last: _recurrent.backward(code, weights, sequence, *others, first, last),
            x.shape[1],
            gates.numel() * ctx.layer.units,
        )
        flat = gates.flatten(0, 1)
        d_x = None
        if ctx.needs_input_grad[3]:
            d_x = product(flat, input_weight, code).view(x.shape)
        d_input, d_recurrent = None, torch.zeros_like(hidden_weight)
        if ctx.needs_input_grad[6]:
            d_input = torch.zeros_like(input_weight)
            add_outer(d_input, flat, x.contiguous().flatten(0, 1), code)
        # `gates` holds the gradients of the sums now: the first step's came from `start`, the
        # others' from the hidden state before.
        add_outer(d_recurrent, gates[0], start, code)
        add_outer(d_recurrent, gates[1:].flatten(0, 1), hidden[:-1].flatten(0, 1), code)
        d_peepholes = None
        if ctx.layer.peepholes is not None:
            i, f, _, o = gates.chunk(4, dim=-1)
            old, new = cell[:-1], cell[1:]
            d_peepholes = torch.stack(
                # The input and forget gates look at the cell before the step, the output gate at
                # the one after.
                [(g * c).sum((0, 1)) for g, c in ((i, old), (f, old), (o, new))]
            )
        return (
            None,
            None,
            gates if ctx.known else None,
            d_x,
            back,
            carried,
            d_input,
            d_recurrent,
            flat.sum(dim=0) if ctx.needs_input_grad[8] else None,
            d_peepholes,
        )


def learn(
    x_TBI: Tensor,
    hidden_BU: Tensor,
    cell_BU: Tensor,
    weights: Weights,
    *,
    linear: bool,
    known_TBG: Tensor | None = None,
    low: bool = False,
) -> tuple[Tensor, Tensor]:
    """Run a sequence with gradients; returns hidden states (T, B, units), the last cell (B, units).

    Args:
        x_TBI: the input.
        hidden_BU: the hidden state before it.
        cell_BU: the cell.
        weights: of the layer.
        linear: no nonlinearity on the candidate.
        known_TBG: the sums of the gates without the hidden state, bias and all, in the place of
            an input, which then has no width; contiguous, written over, and to be used by nothing
            else.
        low: products are in bfloat16, all else in float32.
    """
    # Some versions of PyTorch give `apply` no type.
    apply: Any = _Layer.apply
    learned = (weights.input, weights.hidden, weights.bias, weights.peepholes)
    code = low_kernels if low else kernels
    hidden_TBU, cell = apply(linear, code, known_TBG, x_TBI, hidden_BU, cell_BU, *learned)
    return hidden_TBU, cell


def stacked(layers: Sized) -> bool:
    """Return whether `draw_bits` and `Steps` take so many layers."""
    return bool(kernels) and len(layers) <= _recurrent.most_layers


def draw_bits(
    layers: Sequence[Packed],
    known_TBG: Tensor,
    state: Sequence[tuple[Tensor, Tensor]],
    weight: Tensor,
    bias: Tensor,
    thresholds_TBC: Tensor,
) -> Tensor:
    """Return the logits (T, B, C) of bits, each step's drawn before the next is computed.

    Args:
        layers: with the joined weights; the first one reads the bits.
        known_TBG: the sums of the first layer's gates without the bits and its state.
        state: hidden states and cells before the first step.
        weight: (C, units of the last layer).
        bias: (C,).
        thresholds_TBC: above which a bit is 1.
    """
    known, thresholds = known_TBG.contiguous(), thresholds_TBC.contiguous()
    steps, rows, bits = thresholds.shape
    inputs = bits
    for layer, (hidden, cell) in zip(layers, state, strict=True):
        check_sizes(layer, rows, inputs, hidden, cell)
        inputs = layer.units
    if weight.shape != (bits, inputs) or known.shape != (steps, rows, 4 * layers[0].units):
        raise ValueError(
            f"{bits} thresholds and inputs {tuple(known.shape)} do not fit the loop's layers"
        )
    logits = torch.empty_like(thresholds)
    # Bits and hidden states side by side: what a layer reads and its own state are then one row,
    # and one product. No bits are known before the first step.
    shared = torch.cat([known.new_zeros(rows, bits), *(hidden for hidden, _ in state)], dim=1)
    widest = 4 * max(layer.units for layer in layers)
    # Of one step of one layer: nothing is kept, as there is no gradient.
    gates = known.new_empty(rows, widest)
    cells = [cell.clone(memory_format=torch.contiguous_format) for _, cell in state]
    weight, bias = weight.contiguous(), bias.contiguous()
    loop: Any = (
        *(steps, rows, bits, shared.shape[1], widest),
        *(t.data_ptr() for t in (known, shared, gates, weight, bias, thresholds, logits)),
    )
    addresses = [layer.addresses() for layer in layers]
    kept = [cell.data_ptr() for cell in cells]
    by_rows(
        lambda first, last: _recurrent.draw_bits(kernels, addresses, kept, loop, first, last),
        rows,
        steps * rows * sum(4 * layer.units * (layer.inputs + layer.units) for layer in layers),
    )
    return logits


class Steps:
    """A stack's weights for single steps, all layers in one call.

    Args:
        layers: first to last.
        skip: every layer reads the step too.
    """

    def __init__(self, layers: Sequence[Packed], *, skip: bool) -> None:
        self.layers = layers  # whose memory the compiled code reads
        self.stack = _recurrent.Stack(kernels, [layer.addresses() for layer in layers], skip)
        self.widest = max(layer.inputs for layer in layers) if skip else 0
        self.multiplications = sum(4 * each.units * (each.inputs + each.units) for each in layers)

    def step(
        self, x: Tensor, state: Sequence[tuple[Tensor, Tensor]]
    ) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return the state after a step (B, inputs), without gradients."""
        (rows, inputs), x = x.shape, x.contiguous()
        for layer, (hidden, cell) in zip(self.layers, state, strict=True):
            check_sizes(layer, rows, inputs, hidden, cell)
            inputs = layer.units + (x.shape[1] if self.widest else 0)
        before = [hidden.contiguous() for hidden, _ in state]
        after = tuple(
            (torch.empty_like(hidden), cell.clone(memory_format=torch.contiguous_format))
            for hidden, (_, cell) in zip(before, state, strict=True)
        )
        work = x.new_empty(rows * self.widest)
        old = [hidden.data_ptr() for hidden in before]
        new = [each.data_ptr() for pair in after for each in pair]
        addresses = (x.data_ptr(), old, new, work.data_ptr())
        by_rows(
            lambda first, last: self.stack.step(rows, first, last, *addresses),
            rows,
            rows * self.multiplications,
        )
        return after
