"""Models, what they are fed (Batch) and what they answer (Output, Proposal)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.interfaces.sampler import Draw
from musengine.plugins.configs import ModelConfig

C = TypeVar("C", bound=ModelConfig)
State = Any
"""What a model carries along time: a tensor, or nested tuples, lists and dicts of tensors.

In every tensor the first axis is the piece, so that the engine can reset streams, save the state
and pick pieces out of it. Pieces whose prompts differ in length share a state, and so a step, where
the other axes do not grow with what was read: keep a cache of what was read in a tensor of fixed
size, and how much of it is used in one of (N,).

A named tuple stays one but for a checkpoint: of a training with `stateful` batches that was stopped
it comes back as a plain tuple, which a model should unpack by its order.
"""


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Within, a model drops nothing and computes without gradients; then it is as it was."""
    was_training = model.training
    model.eval()
    try:
        # More than `no_grad`: no version counters, whose cost every small step would pay.
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


@dataclass(frozen=True)
class Batch:
    """B rows of T steps to predict.

    Attributes:
        steps: (B, T + 1, ...): the steps to predict, and before them the one step that precedes
            them: where a piece begins the layout's begin token, or zeros where it has none.
            `inputs` and `targets` are views of it.
        mask: (B, T) bool, True where a step counts.
        reset: (B,) bool, True where the row starts with a fresh state.
        begins: (B,) bool, True where the row starts a piece: nothing precedes its first step.
        position: (B,) index within its piece of the first step to predict.
        pieces: (B,) index of the piece in its part, -1 for an idle stream.
        conditioning: conditioning channels by name, (B, T, ...), aligned with the targets.
        carried: the state the model returned for the batch before, in stateful batching.
        grammar: (B, T) the state of the layout's grammar before each step to predict, where it
            has one.
    """

    steps: Tensor
    mask: Tensor
    reset: Tensor
    begins: Tensor
    position: Tensor
    pieces: Tensor
    conditioning: Mapping[str, Tensor] = field(default_factory=dict)
    carried: State = None
    grammar: Tensor | None = None

    @property
    def inputs(self) -> Tensor:
        """(B, T, ...): for each step to predict, the step before it."""
        # A view, as are the targets: both together take the memory of one.
        return self.steps[:, :-1]

    @property
    def targets(self) -> Tensor:
        """(B, T, ...): the steps to predict."""
        return self.steps[:, 1:]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        # Without blocking: copies to a GPU then run beside the work that is queued there.
        moved = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("steps", "mask", "reset", "begins", "position", "pieces")
        }
        conditioning = {
            name: channel.to(device, non_blocking=True)
            for name, channel in self.conditioning.items()
        }
        grammar = None if self.grammar is None else self.grammar.to(device, non_blocking=True)
        return replace(self, conditioning=conditioning, grammar=grammar, **moved)

    def rows(self, chosen: slice) -> Batch:
        """Return some rows, with the states carried for them."""
        names = ("steps", "mask", "reset", "begins", "position", "pieces")
        conditioning = {name: channel[chosen] for name, channel in self.conditioning.items()}
        grammar = None if self.grammar is None else self.grammar[chosen]
        here = torch.arange(len(self.steps), device=self.steps.device)[chosen]
        return replace(
            self,
            conditioning=conditioning,
            grammar=grammar,
            carried=joined_states([self.carried], here),
            **{name: getattr(self, name)[chosen] for name in names},
        )


@dataclass(frozen=True)
class Output:
    """What a model says of a batch.

    Attributes:
        logits: (B, T, ...): for a grid one for each pitch and channel, for tokens one for each
            token. None for a model with a loss of its own.
        targets: (B, T, ...): what the logits should have said.
        mask: (B, T) bool, True where a step counts.
        weights: like the targets or broadcastable to them, for elements that count only
            sometimes, such as an onset where nothing sounds; None counts all.
        nll: (B, T) the exact negative log-likelihood of each step in nats, where the logits do
            not give it: for a plugin's own layout, or a model whose likelihood is not a product
            of its logits' terms.
        loss: a scalar, of a model that declares a loss of its own (`own_loss`) and of no other.
        penalty: a scalar added to the loss, whichever it is, such as L1 on weights.
        state: what to carry into the next batch, in stateful batching.
    """

    logits: Tensor | None = None
    targets: Tensor | None = None
    mask: Tensor | None = None
    weights: Tensor | None = None
    nll: Tensor | None = None
    loss: Tensor | None = None
    penalty: Tensor | None = None
    state: State = None


@dataclass(frozen=True)
class Proposal:
    """A choice for one step: (N, ...) choices and the (N, ...) logits they were drawn from."""

    choice: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Recorded:
    """Values of something inside a model, such as a layer's cells, and what its axes are.

    Attributes:
        values: whatever shape; the first two axes are the pieces and the steps.
        axes: a name for each axis: `("piece", "step", "note", "unit")`.
    """

    values: Tensor
    axes: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What a model with a `generate` of its own is asked for.

    Attributes:
        prompts: for each piece an array (steps, ...) to go on from, possibly of no steps.
        done: for a piece's index and its steps so far, whether it is long enough.
        seeds: for each piece a seed of its own.
    """

    prompts: list[npt.NDArray[Any]]
    done: Callable[[int, npt.NDArray[Any]], bool]
    seeds: list[int]


class Model(nn.Module, Generic[C]):
    """Base of every model.

    A model implements `forward` (or `fit`), and either `start` and `step` or `generate`, as its
    declaration says.
    """

    barrier: Tensor
    """(states, size) of a layout that restricts its tokens: 0, and -inf where one may not come."""

    def __init__(self, config: C, layout: Layout) -> None:
        super().__init__()
        self.config = config
        self.layout = layout
        if isinstance(layout, Tokens) and layout.restricted:
            # Not among the weights: it follows from the layout.
            # Added to logits: faster than masking them, forwards and backwards.
            barrier_SV = torch.where(may_come(layout), 0.0, -torch.inf)
            self.register_buffer("barrier", barrier_SV, persistent=False)

    def forward(self, batch: Batch) -> Output:
        """Return what the model says of a batch: the one entry for training and scoring."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def fit(self, batches: Iterable[Batch]) -> None:
        """Learn from one pass over the training part, for models declared `training="fit"`.

        What is learned must be kept in parameters or buffers, which are saved.
        """
        raise NotImplementedError(f"{type(self).__name__}.fit")

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimizer's parameter groups; a group may set its own `lr`."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    def start(self, pieces: int) -> State:
        """Return the state before the first step of that many pieces."""
        raise NotImplementedError(f"{type(self).__name__}.start")

    def step(
        self, last: Tensor | None, state: State, conditioning: Mapping[str, Tensor]
    ) -> tuple[Any, State]:
        """Move one step along time.

        Args:
            last: (N, ...) the step just chosen; before the first the layout's begin token, or None
                where it has none.
            state: what `start` or the last `step` returned.
            conditioning: conditioning channels of the step to choose, (N, ...) each.

        Returns:
            What `propose` needs to choose the next step, and the new state. Where the choices of
            a step are independent given the past that is the logits (N, ...).
        """
        raise NotImplementedError(f"{type(self).__name__}.step")

    def propose(self, context: Any, draw: Draw) -> Proposal:
        """Choose the next step; may be called again with another draw, and changes nothing.

        A model whose choices within a step depend on each other (note by note) overrides this
        and compares each logit with `draw.thresholds` as it goes.
        """
        return Proposal(draw(context), context)

    def choose_ahead(
        self, last: Tensor | None, state: State, conditioning: Mapping[str, Tensor], draw: Any
    ) -> tuple[Proposal, State] | None:
        """Choose several steps one after another in one call, as `step` and `propose` would.

        Asked for where no sampler has to see a step before the next is chosen. Override where
        this is faster; draws that are not known must be left alone.

        Args:
            last: (N, ...) as for `step`.
            state: as for `step`.
            conditioning: channels (N, T, ...) of the steps to choose.
            draw: a `TokensAhead`, or what the layout's sampler returned from `ahead`.

        Returns:
            Choices (N, T, ...) and their logits, and the state in which the last one is not yet
            read; None where the steps are to be chosen one by one, and then nothing may have been
            taken from the draw, nor the state be changed.
        """
        return None

    def prefill(self, prompt: Tensor, state: State, conditioning: Mapping[str, Tensor]) -> State:
        """Read a prompt (N, T, ...) and return the state in which its last step is not yet read.

        The next `step` is given the prompt's last step. Conditioning is (N, T, ...) each. Override
        where reading in one pass is faster than step by step.
        """
        last = self.before_first(len(prompt))
        # One behind: before token t the model is given token t - 1, so that the last is not read
        # yet.
        for t in range(prompt.shape[1]):
            here = {name: channel[:, t] for name, channel in conditioning.items()}
            _, state = self.step(last, state, here)
            last = prompt[:, t]
        return state

    def before_first(self, pieces: int) -> Tensor | None:
        """Return (pieces,): the layout's begin token, or None where it has none."""
        if not isinstance(self.layout, Tokens) or self.layout.begin is None:
            return None
        return torch.full((pieces,), self.layout.begin, device=self.barrier.device)

    def record(self, batch: Batch) -> Mapping[str, Recorded]:
        """Return what goes on inside while a batch is read, by name, for looking inside.

        For models declared `records=True`. Without dropout; the same values as in `forward` and,
        where a batch holds a generated piece, as while it was generated.

        By default the model is stepped along the batch, whose rows all begin a piece or all do not.
        Of each step that is kept which `inside` names of the state with which it is chosen, and,
        where `step` returns logits, the `probabilities`.
        """
        last: Tensor | None = batch.inputs[:, 0]
        if bool(batch.begins.all()):
            last = self.before_first(len(batch.steps))
        state = self.start(len(batch.steps))
        kept: dict[str, tuple[tuple[str, ...], list[Tensor]]] = {}
        # Teacher forcing: each step is given the true one before it, not one that is drawn.
        for t in range(batch.targets.shape[1]):
            here = {name: channel[:, t] for name, channel in batch.conditioning.items()}
            context, state = self.step(last, state, here)
            found = {
                name: (("unit",) if values.dim() == 2 else ("note", "unit"), values)
                for name, values in self.inside(state).items()
            }
            for name, (axes, values) in {**found, **_probabilities(context, self.layout)}.items():
                kept.setdefault(name, (axes, []))[1].append(values)
            last = batch.targets[:, t]
        return {
            name: Recorded(torch.stack(values, dim=1), ("piece", "step", *axes))
            for name, (axes, values) in kept.items()
        }

    def inside(self, state: State) -> Mapping[str, Tensor]:
        """Return what `record` keeps of a state at each step, by name.

        Each tensor is (N, units), or (N, notes, units) where there are units for each note.
        """
        raise NotImplementedError(f"{type(self).__name__}.inside")

    def generate(self, request: Request) -> list[npt.NDArray[Any]]:
        """Return whole pieces, prompts not included, for models declared `generation="own"`."""
        raise NotImplementedError(f"{type(self).__name__}.generate")


def joined_states(states: Sequence[State], order: Tensor) -> State:
    """Return the states of some pieces as one.

    Args:
        states: of the same form, of some pieces each.
        order: (N,) where in all of them, one after the other, each piece of the result is.

    Raises:
        ValueError: they differ in form, or their tensors in more than how many pieces they have.
    """
    sample = states[0]
    if any(type(state) is not type(sample) for state in states):
        raise ValueError("states of different types")
    if isinstance(sample, Tensor):
        if len({(state.shape[1:], state.dtype) for state in states}) > 1:
            # Such as a cache that has grown with the prompt: then pieces are generated by length.
            raise ValueError("tensors of different shapes")
        return torch.cat(list(states))[order]
    if isinstance(sample, dict):
        if any(state.keys() != sample.keys() for state in states):
            raise ValueError("states of different keys")
        return {key: joined_states([state[key] for state in states], order) for key in sample}
    if isinstance(sample, (tuple, list)):
        parts = [joined_states(part, order) for part in zip(*states, strict=True)]
        if hasattr(sample, "_fields"):
            return type(sample)(*parts)
        return type(sample)(parts)
    if any(state != sample for state in states):
        raise ValueError("values of different pieces differ")
    return sample


def may_come(layout: Tokens) -> Tensor:
    """Return (states, size) bool: what may come in each state of the grammar, never the begin."""
    if layout.grammar is None:
        may_come_SV = torch.ones(1, layout.size, dtype=torch.bool)
    else:
        # A copy, since the begin token is struck out of it below.
        may_come_SV = torch.from_numpy(layout.grammar.may_come.copy())
    if layout.begin is not None:
        may_come_SV[:, layout.begin] = False
    return may_come_SV


def onset_weights(targets: Tensor, layout: Layout) -> Tensor | None:
    """Return the weights of a grid's elements: an onset counts only where its note sounds.

    With them the sum of the elements' negative log-likelihoods is that of the step: P(sound)
    times, where it sounds, P(onset | sound). None for a layout without onsets.

    Args:
        targets: (..., pitches, channels).
        layout: the grid.
    """
    if not isinstance(layout, Grid) or layout.channels != ("sound", "onset"):
        return None
    sound = targets[..., 0]
    return torch.stack([torch.ones_like(sound), sound], dim=-1)


def as_steps(array: npt.NDArray[Any], device: torch.device | None = None) -> Tensor:
    """Return an encoded array as a tensor: bytes and real numbers stay so, others become int64."""
    if array.dtype == np.uint8 or array.dtype.kind == "f":
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)
    return torch.from_numpy(array.astype(np.int64)).to(device)


def _probabilities(context: Any, layout: Layout) -> dict[str, tuple[tuple[str, ...], Tensor]]:
    """Return what `step` gave as probabilities with their axes, where that is logits."""
    shape = context.shape[1:] if isinstance(context, Tensor) else None
    if isinstance(layout, Tokens) and shape == (layout.size,):
        return {"probabilities": (("token",), context.softmax(dim=-1))}
    if isinstance(layout, Grid) and shape == layout.step_shape:
        return {"probabilities": (("note", "channel"), torch.sigmoid(context))}
    return {}
