"""A compiled loop over notes whose fields are drawn one after another by small nets.

A note is five whole numbers: delay, part, pitch, duration, velocity. What they mean, the equations
of the nets, the grammar, look-back and the bound on copied runs are those of the plugin
musengine-notes, which does the same step by step; here is what makes it fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musengine.nn import compiled
from musengine.nn.lstm import LSTMStack, StackState

_recurrent = compiled._recurrent

FIELDS = 5
_GRAM = 8
"""Notes of the runs that are looked up together."""
_KINDS = 5
"""Of parts: rests, the pedal, pitched instruments, drums, the end."""
_LONGEST_RUN = 15


@dataclass(frozen=True)
class NoteRules:
    """What notes may be, and which of those before are looked back at.

    Attributes:
        sizes: values of each field.
        delays: grid steps of each value of the field.
        places: in a bar that are told apart.
        lags: so many bars back.
        kinds: of each part, as `_KINDS`.
        forbidden: (kinds, size) bool of pitch, duration and velocity.
        at_once: than which no more events begin together, 0 for any number.
        pedal: whether it moves.
        in_beats: runs are compared by their rhythm, too.
    """

    sizes: tuple[int, ...]
    delays: tuple[int, ...]
    places: int
    lags: tuple[int, ...]
    kinds: tuple[int, ...]
    forbidden: tuple[Tensor, Tensor, Tensor]
    at_once: int
    pedal: bool
    in_beats: bool


@dataclass(frozen=True)
class NoteWeights:
    """What a model of notes has learned.

    Attributes:
        stack: reads the notes, its width that of its layers.
        read: (rows, width) of the fields' values one after another, of nothing, of places, of
            bars' lengths, of how many events began at once.
        expected_in: (rows, width) of what each lag expects, added to the input; None without.
        expected_out: the same, added to the output.
        hidden: (5 * hidden, width), and its bias.
        before: for each field but the first (rows, hidden) of those before, and of places.
        outputs: for each field (size + lags, hidden), and its bias; what is added to what a lag
            expects comes last.
        by_run: (5, lags, 17) added to that by how many were right in a row.
    """

    stack: LSTMStack
    read: Tensor
    expected_in: Tensor | None
    expected_out: Tensor | None
    hidden: tuple[Tensor, Tensor]
    before: Sequence[Tensor]
    outputs: Sequence[tuple[Tensor, Tensor]]
    by_run: Tensor | None


@dataclass(frozen=True)
class NotePast:
    """What came so far of N pieces; written to in place.

    Attributes:
        last: (N, 5) the event before, not read yet.
        begins: (N,) bool, where nothing is before.
        key: (N, kept) what events are sorted by.
        fields: (N, kept, 5).
        count: (N,) how many of them there are.
        time: (N,) grid steps at which the last one begins.
        expected: (N, lags, 6).
        at_once: (N,) how many began when the last one did.
        heard: (N, lags, 2) how many notes came so many bars after the piece's first, and how many
            of them had been there so many bars before, too.
    """

    last: Tensor
    begins: Tensor
    key: Tensor
    fields: Tensor
    count: Tensor
    time: Tensor
    expected: Tensor
    at_once: Tensor
    heard: Tensor


@dataclass(frozen=True)
class NoteBars:
    """The bars about T steps of N pieces.

    Attributes:
        length: (N, T) in grid steps, 0 for none.
        start: (N, T) when one begins; None for 0.
        ago: (N, T, lags) the event's place so many bars before; None where all bars are alike.
    """

    length: Tensor
    start: Tensor | None = None
    ago: Tensor | None = None


@dataclass(frozen=True)
class CopiedRuns:
    """The runs of notes that N pieces have of some music, and of their own; arrays are written to.

    Attributes:
        filter: (bytes,) a Bloom filter of grams; it is only read.
        longest: notes in a row that may be copied.
        longest_loop: notes in a row that may go round.
        grams: (N, 8) the last notes.
        waited: (N,) grid steps since the last note.
        pitch: (N,) the last one, -1 for none.
        known: (N,) how many notes there were.
        run: (N,) how long the run is.
        recent: (N, periods) the last notes, the latest first: grid steps waited, times 2**20, the
            part, times 2**9, and the pitch; -1 where there was none.
        again: (N, periods) how many in a row were so many notes before; below 0 none may be.
    """

    filter: npt.NDArray[np.uint8]
    longest: int
    longest_loop: int
    grams: npt.NDArray[np.uint64]
    waited: npt.NDArray[np.int64]
    pitch: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    run: npt.NDArray[np.int64]
    recent: npt.NDArray[np.int64]
    again: npt.NDArray[np.int64]


@dataclass(frozen=True)
class NoteDraws:
    """How T notes of N pieces are drawn.

    Attributes:
        numbers: (N, T, 5) in [0, 1).
        more: (N, T, lags + 1) added to copying, and to pitches that go on with a copied run.
        temperature: what logits are divided by.
        top_p: the share of the likeliest values that are drawn from.
        copies: what follows and bounds copied runs, if anything.
        returns: (lags,) float64, how much of a piece is to come back after so many bars, None for
            any share.
        pull: how much is added to copying where less has come back, by the logarithm of how much
            less.
    """

    numbers: Tensor
    more: Tensor
    temperature: float
    top_p: float
    copies: CopiedRuns | None = None
    returns: Tensor | None = None
    pull: float = 0.0


class NoteLoop:
    """The loop of a model; packs its weights when they have changed.

    Args:
        rules: of its notes.
        weights: returns what it has learned.
    """

    def __init__(self, rules: NoteRules, weights: Callable[[], NoteWeights]) -> None:
        self.rules, self.weights = rules, weights
        self._packed: compiled.Remembered[_Packed] = compiled.Remembered()

    def usable(self, parameters: Iterable[Tensor], stack: LSTMStack) -> bool:
        """Return whether it is there for such weights: float32, on a processor."""
        return (
            compiled.stacked(stack.layers)
            and compiled.usable(*parameters)
            and len(self.rules.lags) <= _recurrent.most_lags
        )

    @torch.no_grad()
    def draw(
        self,
        parameters: Iterable[Tensor],
        state: StackState,
        past: NotePast,
        bars: NoteBars,
        draws: NoteDraws,
        *,
        begun: bool,
    ) -> tuple[Tensor, Tensor, StackState]:
        """Draw notes one after another.

        Args:
            parameters: of the model, looked at for changes.
            state: of the stack.
            past: of the pieces.
            bars: about the steps.
            draws: how notes are drawn.
            begun: an event stands before the first step.

        Returns:
            Notes (N, T, 5); the logits (N, T, all sizes) they are drawn from, before anything is
            added to copying or forbidden as a copy; the state after them.

        Raises:
            ValueError: tensors do not fit each other.
        """
        packed = self._packed.of(parameters, lambda: _Packed(self.rules, self.weights()))
        return packed.draw(state, past, bars, draws, begun=begun)


class _Packed:
    """The weights as the compiled code reads them."""

    def __init__(self, rules: NoteRules, weights: NoteWeights) -> None:
        self.rules = rules
        layers = weights.stack.typed_layers
        self.width, self.units = layers[0].inputs, layers[-1].units
        self.hidden = len(weights.hidden[0]) // FIELDS
        _check_weights(rules, weights, self.width, self.hidden)
        self.layers = [
            compiled.Packed.joined(
                layer.weights, layer.input_weight, linear=layer.candidate == "linear"
            )
            for layer in layers
        ]
        empty = weights.read.new_empty(0)
        integers = (rules.delays, rules.lags, rules.kinds)
        # Kept, since the compiled code reads their memory.
        self.tables = [
            *(
                empty if table is None else table.detach().contiguous()
                for table in (weights.read, weights.expected_in, weights.expected_out)
            ),
            compiled.packed(weights.hidden[0].detach().t()),
            weights.hidden[1].detach().contiguous(),
            empty,
            *(table.detach().contiguous() for table in weights.before),
            *(compiled.packed(weight.detach().t()) for weight, _ in weights.outputs),
            *(bias.detach().contiguous() for _, bias in weights.outputs),
            empty if weights.by_run is None else weights.by_run.detach().contiguous(),
            *(torch.tensor(row, dtype=torch.int64) for row in integers),
            *(table.to(torch.uint8).contiguous() for table in rules.forbidden),
        ]
        at_once = rules.at_once or 2**62
        self.loop = _recurrent.NoteLoop(
            compiled.kernels,
            [layer.addresses() for layer in self.layers],
            (
                *(self.width, self.hidden, len(rules.lags), rules.places, *rules.sizes),
                *(at_once, int(rules.pedal), int(rules.in_beats)),
            ),
            tuple(table.data_ptr() for table in self.tables),
        )
        self.multiplications = self.hidden * (FIELDS * self.width + sum(rules.sizes)) + sum(
            4 * each.units * (each.inputs + each.units) for each in self.layers
        )

    def draw(
        self, state: StackState, past: NotePast, bars: NoteBars, draws: NoteDraws, *, begun: bool
    ) -> tuple[Tensor, Tensor, StackState]:
        rules, (rows, steps, _) = self.rules, draws.numbers.shape
        _check_past(rules, past, rows)
        _check_draws(rules, bars, draws)
        inputs = self.width
        for layer, (hidden, cell) in zip(self.layers, state, strict=True):
            compiled.check_sizes(layer, rows, inputs, hidden, cell)
            inputs = layer.units
        shared = torch.cat([torch.zeros(rows, self.width), *(hidden for hidden, _ in state)], dim=1)
        cells = [cell.clone(memory_format=torch.contiguous_format) for _, cell in state]
        widest = max(rules.sizes) + len(rules.lags)
        widest_gates = 4 * max(layer.units for layer in self.layers)
        # Of one step: nothing is kept, as there is no gradient.
        work = [
            torch.empty(rows, size)
            for size in (widest_gates, self.width, FIELDS * self.hidden, widest, 2 * widest)
        ]
        drawn = torch.zeros(rows, steps, FIELDS, dtype=torch.int64)
        logits = torch.empty(rows, steps, sum(rules.sizes))
        copies, watched = draws.copies, [0] * 8
        if copies is not None:
            watched = [each.ctypes.data for each in _copied(copies, rows)]
        sizes = (steps, rows, past.key.shape[1], shared.shape[1], widest_gates, widest)
        bound = (0, 0, 0, 0)
        if copies is not None:
            periods = copies.recent.shape[1]
            bound = (8 * copies.filter.size, copies.longest, copies.longest_loop, periods)
        told: list[Tensor | None] = [
            *(past.last, past.begins, past.key, past.fields, past.count, past.time),
            *(past.expected, past.at_once, past.heard, bars.length, bars.start, bars.ago),
            *(draws.numbers, draws.more, draws.returns, shared, *work),
        ]
        addresses = (
            *(0 if tensor is None else tensor.data_ptr() for tensor in told),
            *watched,
            drawn.data_ptr(),
            logits.data_ptr(),
        )
        kept = [cell.data_ptr() for cell in cells]
        numbers = (draws.temperature, draws.top_p, draws.pull)
        compiled.by_rows(
            lambda first, last: self.loop.draw(
                (*sizes, int(begun), *bound), numbers, kept, addresses, first, last
            ),
            rows,
            steps * rows * self.multiplications,
        )
        units = [layer.units for layer in self.layers]
        hidden_after = torch.split(shared[:, self.width :], units, dim=1)
        return drawn, logits, tuple(zip(hidden_after, cells, strict=True))


def _require(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"{what} do not fit the loop over notes")


def _check_weights(rules: NoteRules, weights: NoteWeights, width: int, hidden: int) -> None:
    """See that weights are as the rules say: the compiled code looks at nothing."""
    sizes, lags = rules.sizes, len(rules.lags)
    rows = sum(sizes) + 1
    each_lag = rows + _LONGEST_RUN + 1
    _require(
        len(sizes) == FIELDS
        and sizes[0] == len(rules.delays)
        and sizes[1] == len(rules.kinds)
        and sizes[2] == 256
        and min(sizes) > 0
        and rules.places > 0
        and all(0 <= kind < _KINDS for kind in rules.kinds)
        and all(
            tuple(table.shape) == (_KINDS, size)
            for table, size in zip(rules.forbidden, sizes[2:], strict=True)
        ),
        "rules",
    )
    layers = weights.stack.typed_layers
    wanted: list[tuple[Tensor, tuple[int, ...]]] = [
        (weights.read, (rows + 2 * rules.places + 16, width)),
        (weights.hidden[0], (FIELDS * hidden, width)),
        (weights.hidden[1], (FIELDS * hidden,)),
    ]
    for table in (weights.expected_in, weights.expected_out) if lags else ():
        wanted.append((_there(table), (lags * each_lag, width)))
    if lags:
        wanted.append((_there(weights.by_run), (FIELDS, lags, _LONGEST_RUN + 2)))
    for field, table in enumerate(weights.before, start=1):
        wanted.append((table, (sum(sizes[:field]) + rules.places, hidden)))
    for size, (weight, bias) in zip(sizes, weights.outputs, strict=True):
        wanted += [(weight, (size + lags, hidden)), (bias, (size + lags,))]
    _require(
        len(weights.before) == FIELDS - 1
        and not weights.stack.skip_inputs
        and layers[-1].units == width
        and all(tuple(tensor.shape) == shape for tensor, shape in wanted),
        "weights",
    )


def _there(table: Tensor | None) -> Tensor:
    if table is None:
        raise ValueError("lags without weights do not fit the loop over notes")
    return table


def _check_past(rules: NoteRules, past: NotePast, rows: int) -> None:
    lags = len(rules.lags)
    kept = past.key.shape[1]
    shapes = {
        "last": (rows, FIELDS),
        "begins": (rows,),
        "key": (rows, kept),
        "fields": (rows, kept, FIELDS),
        "count": (rows,),
        "time": (rows,),
        "expected": (rows, lags, FIELDS + 1),
        "at_once": (rows,),
        "heard": (rows, lags, 2),
    }
    for name, shape in shapes.items():
        tensor = getattr(past, name)
        dtype = torch.bool if name == "begins" else torch.int64
        _require(
            tuple(tensor.shape) == shape and tensor.dtype == dtype and tensor.is_contiguous(), name
        )
    sizes = torch.tensor(rules.sizes)
    # Values are rows of tables, and counts places in arrays.
    events = [past.last, past.expected[..., :FIELDS], *((past.fields,) if lags else ())]
    _require(
        all(bool(((each >= 0) & (each < sizes)).all()) for each in events)
        and bool((past.expected[..., FIELDS] >= 0).all())
        and bool((past.expected[..., FIELDS] <= _LONGEST_RUN + 1).all())
        and (not lags or (kept > 1 and bool(((past.count >= 0) & (past.count <= kept)).all()))),
        "events",
    )


def _check_draws(rules: NoteRules, bars: NoteBars, draws: NoteDraws) -> None:
    rows, steps, _ = draws.numbers.shape
    lags = len(rules.lags)
    wanted: list[tuple[Tensor | None, tuple[int, ...], torch.dtype]] = [
        (bars.length, (rows, steps), torch.int64),
        (bars.start, (rows, steps), torch.int64),
        (bars.ago, (rows, steps, lags), torch.int64),
        (draws.numbers, (rows, steps, FIELDS), torch.float32),
        (draws.more, (rows, steps, lags + 1), torch.float32),
        (draws.returns, (lags,), torch.float64),
    ]
    _require(
        all(
            tensor is None
            or (tuple(tensor.shape) == shape and tensor.dtype == dtype and tensor.is_contiguous())
            for tensor, shape, dtype in wanted
        )
        and draws.temperature > 0,
        "draws",
    )


def _copied(copies: CopiedRuns, rows: int) -> list[npt.NDArray[Any]]:
    """Return the arrays in the order in which the compiled code takes them."""
    told: list[npt.NDArray[Any]] = [copies.waited, copies.pitch, copies.known, copies.run]
    _require(
        copies.filter.dtype == np.uint8
        and copies.filter.flags.c_contiguous
        and copies.filter.size > 0
        and copies.grams.shape == (rows, _GRAM)
        and copies.grams.dtype == np.uint64
        and copies.grams.flags.c_contiguous
        and copies.recent.ndim == 2
        and copies.recent.shape[1] > 0
        and all(
            each.shape == (rows, copies.recent.shape[1])
            and each.dtype == np.int64
            and each.flags.c_contiguous
            for each in (copies.recent, copies.again)
        )
        and all(
            each.shape == (rows,) and each.dtype == np.int64 and each.flags.c_contiguous
            for each in told
        ),
        "copied runs",
    )
    return [copies.filter, copies.grams, *told, copies.recent, copies.again]
