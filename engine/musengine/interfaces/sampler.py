"""Samplers decide how choices are drawn from logits, for all pieces at once.

For a grid, a Bernoulli draw from a monotone reshaping f of the probability, u < f(p), is the
comparison of p with f⁻¹(u), known before the step; so a grid sampler maps thresholds. For tokens,
a draw from a softmax is argmax(logits + Gumbel noise); so a token sampler maps logits.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor

from musengine.config.fields import Config
from musengine.encoding.layouts import Grid, Layout
from musengine.interfaces.encoder import DecodeSettings
from musengine.utils.arrays import Array

if TYPE_CHECKING:
    from musengine.interfaces.model import Model, Proposal

C = TypeVar("C", bound=Config)


class PieceRandom:
    """Uniform random numbers in [0, 1), a generator of its own for each piece.

    Piece 7 gets the same numbers whether 1 or 100 pieces are made beside it, and a redraw for one
    piece takes nothing from another.
    """

    block_size = 2**16
    """How many numbers are drawn ahead for a piece at once, at the most."""

    def __init__(self, seeds: list[int], device: torch.device) -> None:
        self.device = device
        self._seeds = list(seeds)
        # On the CPU whatever the device: the numbers are the same on every machine.
        self._main = [torch.Generator().manual_seed(seed) for seed in seeds]
        # Any constant will do that gives another seed.
        self._redraw = [torch.Generator().manual_seed(seed ^ 0x5DEECE66D) for seed in seeds]
        self._ahead: Tensor | None = None
        self._ahead_noise: Tensor | None = None
        self._used = 0

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Return (N, *shape), the next numbers of every piece; the shape must stay the same."""
        if self._ahead is None or self._used >= self._ahead.shape[1]:
            # Ahead for up to 64 steps: one call of a generator costs as much as drawing hundreds of
            # numbers.
            steps = max(1, min(64, self.block_size // max(1, math.prod(shape))))
            blocks = [torch.rand((steps, *shape), generator=g) for g in self._main]
            # (N, steps, *shape).
            self._ahead, self._used = torch.stack(blocks).to(self.device), 0
            self._ahead_noise = None
        numbers = self._ahead[:, self._used]
        self._used += 1
        return numbers

    def gumbel(self, shape: tuple[int, ...]) -> Tensor:
        """Return the next numbers u of every piece, as `uniform`, as Gumbel noise -log(-log(u))."""
        numbers = self.uniform(shape)
        if self._ahead is None:  # a subclass that draws nothing ahead
            return gumbel_noise(numbers)
        if self._ahead_noise is None:
            # For all that is drawn ahead at once: five small operations less in each step.
            self._ahead_noise = gumbel_noise(self._ahead)
        return self._ahead_noise[:, self._used - 1]

    def redraw(self, pieces: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return (K, *shape): fresh numbers for K chosen pieces only."""
        chosen = [self._redraw[int(piece)] for piece in pieces]
        return torch.stack([torch.rand(shape, generator=g) for g in chosen]).to(self.device)

    def apart(self, purpose: str) -> PieceRandom:
        """Return other numbers of the same pieces, for a purpose; nothing is taken from these.

        A sampler that draws something of its own, such as once for a piece, draws it from there,
        so that the choices stay what they are beside it.
        """
        # A hash, since `hash` of a text differs from process to process.
        digests = (hashlib.sha256(f"{seed}:{purpose}".encode()).digest() for seed in self._seeds)
        return PieceRandom([int.from_bytes(d[:8], "big") >> 1 for d in digests], self.device)


def gumbel_noise(numbers: Tensor) -> Tensor:
    """Return numbers u in [0, 1) as Gumbel noise -log(-log(u))."""
    # A number of exactly 0 would make the noise -inf, and the token a forbidden one.
    return -torch.log(-torch.log(numbers.clamp_min(torch.finfo(numbers.dtype).tiny)))


class Draw(ABC):
    """One set of random numbers for one step; calling it turns logits into choices."""

    @abstractmethod
    def __call__(self, logits: Tensor) -> Tensor:
        """Return the choices for logits (N, ...)."""


@dataclass(frozen=True)
class GridDraw(Draw):
    """Thresholds for one step of a grid.

    Attributes:
        thresholds: (N, pitches, channels) in logits: an element is 1 where its logit is greater.
        layout: the grid.
    """

    thresholds: Tensor
    layout: Grid

    def __call__(self, logits: Tensor) -> Tensor:
        """Return (N, pitches, channels) bytes; an onset stays only where its note sounds."""
        choice = (logits > self.thresholds).to(torch.uint8)
        return onsets_where_sounding(choice, self.layout)


def onsets_where_sounding(choice: Tensor, layout: Grid) -> Tensor:
    """Return the choice (..., pitches, channels) without the onsets where nothing sounds."""
    if layout.channels != ("sound", "onset"):
        return choice
    sound = choice[..., 0]
    return torch.stack([sound, sound & choice[..., 1]], dim=-1)


@dataclass(frozen=True)
class TokensAhead:
    """Draws of several tokens of N pieces: each is the argmax of its logits and its noise.

    Attributes:
        steps: how many tokens.
        random: of the pieces.
    """

    steps: int
    random: PieceRandom

    def noise(self, size: int) -> Tensor:
        """Return Gumbel noise (N, steps, size) for logits of as many tokens; asked for once."""
        return torch.stack([self.random.gumbel((size,)) for _ in range(self.steps)], dim=1)


@dataclass(frozen=True)
class History:
    """What was chosen so far.

    Attributes:
        layout: of the steps.
        steps: (N, T, ...) all steps so far, the prompt's included.
        prompt_steps: how many of them are the prompt's, of the longest where they differ.
        settings: tempo and meter, for lengths in beats, bars or seconds; those of the first piece,
            where pieces differ in them.
        padding: (N,) how many of each piece's first steps are none of it, where prompts of
            different length end at the same step; None where all have one length.
    """

    layout: Layout
    steps: Tensor
    prompt_steps: int
    settings: DecodeSettings = field(default_factory=DecodeSettings)
    padding: Tensor | None = None


@dataclass(frozen=True)
class Limits:
    """What the coming step must not and must hold, whatever the chain makes of the draw.

    Of a grid these are elements; one that is both stays 0. Of tokens, `forbidden` alone counts.

    Attributes:
        forbidden: (N, *step_shape) of a grid or (N, size) of tokens, bool.
        forced: like it.
    """

    forbidden: Tensor
    forced: Tensor

    def forbid(self, mask: Tensor) -> Limits:
        """Return these limits with more of the choices forbidden."""
        return Limits(self.forbidden | mask, self.forced)

    def force(self, mask: Tensor) -> Limits:
        """Return these limits with more of the choices forced."""
        return Limits(self.forbidden, self.forced | mask)


class Sampler(ABC, Generic[C]):
    """Base of every sampler; subclass one or more of the three kinds below."""

    max_redraws = 4
    """How many times `review` may ask for one step to be drawn again."""

    heeds_padding = False
    """Whether it leaves out what `History.padding` says, or reads no history at all; only then are
    pieces with prompts of different length made side by side."""

    reads_settings = True
    """Whether it reads `History.settings`; only where no sampler does are pieces of different tempo
    and meter made side by side."""

    reshapes = True
    """Whether `logits` or `thresholds` ever returns anything else than what it is given."""

    tuning_steps = 0
    """How many steps `tune` draws, about, so that the time for it can be kept free."""

    tuning_pieces = 1
    """Of how many pieces side by side."""

    forces = False
    """Whether `insist` forces choices; it is called after those that only forbid."""

    def __init__(self, config: C, layout: Layout) -> None:
        self.config = config
        self.layout = layout

    def fit(self, training: Iterable[Array], held_out: Iterable[Array]) -> None:
        """Learn what draws need to know of the music; called once, when a run begins.

        Args:
            training: the encoded pieces (T, ...) of the training part, read as they are asked for.
            held_out: those of the validation part.
        """

    def state(self) -> Mapping[str, Array]:
        """Return what was learned; the run keeps it, under the sampler's name."""
        return {}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Take over what `state` returned when the run began; not called where that was nothing.

        The arrays may be a stranger's. KeyError, TypeError and ValueError say that they do not fit.
        """

    def tune(self, model: Model[Any], conditioning: Mapping[str, Tensor]) -> None:
        """Learn what draws need to know of the trained model; called before pieces are made.

        What it adds to `state` is kept with the run's own pieces, so that those made later need
        not find it again; a state may be of other weights, since any checkpoint can make pieces.

        Args:
            model: on its device, in evaluation mode.
            conditioning: the channels (N, ...) of the first step of each piece.
        """

    def figures(self, steps: Array, prompt_steps: int) -> Mapping[str, float]:
        """Return what is noted of a finished piece beside how it came to be, by name.

        Args:
            steps: (T, ...) of the piece, its prompt included.
            prompt_steps: how many of them are the prompt's.
        """
        return {}

    def begin(self, history: History, random: PieceRandom) -> None:
        """Start afresh for N pieces; the history holds their prompts."""

    def limit(self, limits: Limits, history: History) -> Limits:
        """Add what is forbidden or forced in the coming step, wherever in the chain this stands.

        Limits are laid on after all reshaping of a grid's draws, and before that of tokens', so
        that the tokens left are shaped among themselves. Tokens are never all forbidden: what
        would leave none is left out.
        """
        return limits

    def review(self, proposal: Proposal, history: History) -> Tensor | None:
        """Return (N,) bool, True where the step should be drawn again; None where all is well."""
        return None

    def insist(self, limits: Limits, proposal: Proposal, history: History) -> Limits | None:
        """Settle the pieces that `review` still sends back after the last redraw.

        Called of every sampler of the chain where at least one piece is sent back still: first
        of those that only forbid, then of those that force. With the limits returned such pieces
        are drawn once more from their last numbers, and that step stands. So they must make sure
        of what `review` looks for, whatever is drawn within them, for all pieces, and also for
        those that another sampler sent back.

        Args:
            limits: of the step, with what the samplers called before this one added.
            proposal: the step sent back, and the logits to choose by.
            history: what was chosen so far.

        Returns:
            The limits with more added, or None to let the step stand as it is.
        """
        return None

    def observe(self, choice: Tensor) -> None:
        """Receive the step (N, ...) that was chosen."""


class GridSampler(Sampler[C]):
    """Reshapes the probabilities of a grid's elements, as thresholds of the draw."""

    @abstractmethod
    def thresholds(self, thresholds: Tensor, history: History) -> Tensor:
        """Map thresholds through the inverse of the reshaping f of probabilities.

        Args:
            thresholds: (N, pitches, channels) in [0, 1]; an element is 1 where its probability is
                greater. To forbid an element return 1, to leave the draw as it is return it.
            history: what was chosen so far.
        """


class TokenSampler(Sampler[C]):
    """Reshapes the logits of the next token."""

    @abstractmethod
    def logits(self, logits: Tensor, history: History) -> Tensor:
        """Return reshaped logits (N, size); -inf forbids a token."""


class LayoutSampler(Sampler[C]):
    """Draws for a plugin's own layout; it stands alone, not in a chain."""

    @abstractmethod
    def draw(self, logits: Any, history: History, random: PieceRandom) -> Tensor:
        """Return the choices (N, ...) of one step."""

    def ahead(self, history: History, random: PieceRandom, steps: int) -> Any:
        """Return what the model's `choose_ahead` draws so many steps by, without this sampler.

        None, as by default, where it must see each step. Nothing is taken from the random numbers
        before the model asks for it, since it may leave the draw alone.

        Args:
            history: what was chosen so far.
            random: numbers of the pieces.
            steps: how many.
        """
        return None
