"""A chain of samplers: limits, thresholds or logits through each, then review."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, cast

import torch
from torch import Tensor

from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.generation.grammar_state import GrammarState
from musengine.interfaces.contracts.tensors import (
    check_ahead,
    check_limits,
    check_proposal,
    check_reshaped,
    check_verdict,
    choice_shape,
)
from musengine.interfaces.model import Model, Proposal, State
from musengine.interfaces.sampler import (
    Draw,
    GridDraw,
    GridSampler,
    History,
    LayoutSampler,
    Limits,
    PieceRandom,
    Sampler,
    TokensAhead,
    TokenSampler,
    gumbel_noise,
    onsets_where_sounding,
)


@dataclass(frozen=True)
class _TokenDraw(Draw):
    noise: Tensor
    samplers: tuple[TokenSampler[Any], ...]
    history: History
    forbidden: Tensor | None

    def __call__(self, logits: Tensor) -> Tensor:
        if not self.samplers and self.forbidden is not None and logits.device.type == "cpu":
            return self._plain(logits, self.forbidden)
        # Masked before the samplers, which rank what may come, and again after them: a sampler may
        # have given a forbidden token a finite logit.
        logits = self._allowed(logits)
        for sampler in self.samplers:
            made = sampler.logits(logits, self.history)
            logits = check_reshaped(sampler, "logits", made, logits)
        if self.samplers:
            logits = self._allowed(logits)
        # The Gumbel-max trick: the argmax of logits plus Gumbel noise is a draw from their softmax.
        # The noise is of the piece alone, so that a draw can be repeated under other limits.
        return (logits + self.noise).argmax(dim=-1)

    def _plain(self, logits: Tensor, forbidden: Tensor) -> Tensor:
        """Draw from logits as they are; whether a token is left is seen by what was drawn."""
        best, choice = logits.masked_fill(forbidden, -torch.inf).add_(self.noise).max(dim=-1)
        if best.isneginf().any():
            return (self._allowed(logits) + self.noise).argmax(dim=-1)
        return choice

    def _allowed(self, logits: Tensor) -> Tensor:
        """Mask what is forbidden; where nothing else has any probability, all else is equal."""
        if self.forbidden is None:
            return logits
        masked = logits.masked_fill(self.forbidden, -torch.inf)
        nothing = masked.amax(dim=-1, keepdim=True).isneginf()
        # To ask costs less than to fill, but on a graphics card, which would have to be awaited.
        if nothing.device.type == "cpu" and not nothing.any():
            return masked
        return masked.masked_fill(nothing & ~self.forbidden, 0.0)


@dataclass(frozen=True)
class _LayoutDraw(Draw):
    sampler: LayoutSampler[Any]
    random: PieceRandom
    history: History

    def __call__(self, logits: Tensor) -> Tensor:
        return self.sampler.draw(logits, self.history, self.random)


class _Redraw(PieceRandom):
    """The numbers of a redraw: fresh ones for the pieces sent back, none taken from the others."""

    def __init__(self, random: PieceRandom, again_N: Tensor) -> None:
        self.device, self._random, self._again_N = random.device, random, again_N

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Return (N, *shape); pieces that keep their step get numbers that are not used."""
        # 0.5 is in the middle of (0, 1): thresholds and noise made of it are finite.
        numbers = torch.full((len(self._again_N), *shape), 0.5, device=self.device)
        pieces = self._again_N.nonzero()[:, 0]
        numbers[pieces] = self.redraw(pieces, shape)
        return numbers

    def gumbel(self, shape: tuple[int, ...]) -> Tensor:
        """Return them as Gumbel noise; none is drawn ahead."""
        return gumbel_noise(self.uniform(shape))

    def redraw(self, pieces: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return (K, *shape) for K chosen pieces."""
        return self._random.redraw(pieces, shape)


class Chain:
    """Draws step after step for N pieces of one layout."""

    def __init__(self, samplers: Sequence[Sampler[Any]], layout: Layout) -> None:
        self.samplers = tuple(samplers)
        self.layout = layout
        self.shape = choice_shape(layout)
        self._grammar = GrammarState(layout) if isinstance(layout, Tokens) else None

    def begin(self, history: History, random: PieceRandom) -> None:
        """Start N pieces whose prompts are in the history."""
        self.random = random
        free = torch.zeros(
            (len(history.steps), *self.shape), dtype=torch.bool, device=history.steps.device
        )
        # One object for the whole chain: identity with it means that no sampler limits anything.
        self.unlimited = Limits(free, free)
        if self._grammar is not None:
            self._grammar.begin(history)
        for sampler in self.samplers:
            sampler.begin(history, random)

    def choose(
        self,
        model: Model[Any],
        context: Any,
        history: History,
        settle: Callable[[Tensor], Tensor] | None = None,
    ) -> Proposal:
        """Let the model propose a step; draw again the pieces that a sampler sends back.

        Args:
            model: the model.
            context: what its `step` returned.
            history: what was chosen so far.
            settle: returns the step that is taken, given the one drawn.
        """

        def propose(random: PieceRandom, numbers: Tensor | None, limits: Limits) -> Proposal:
            draw = self._draw(random, numbers, limits, history)
            proposal = check_proposal(model, model.propose(context, draw), len(history.steps))
            return self._with_forced(proposal, limits)

        limits = self._limits(history)
        random, numbers = self.random, self._numbers(self.random)
        proposal = propose(random, numbers, limits)
        redraws = 0
        while True:
            verdicts = [
                check_verdict(sampler, sampler.review(proposal, history), len(history.steps))
                for sampler in self.samplers
            ]
            # Each sampler may send back so often; its verdict counts further on for `_settled`.
            asking = [redraws < sampler.max_redraws for sampler in self.samplers]
            again_N = _any(compress(verdicts, asking))
            if again_N is None:
                break
            random = _Redraw(self.random, again_N)
            fresh = self._numbers(random)
            if fresh is not None and numbers is not None:
                # Pieces that keep their step must draw the very same one in the common draw below.
                numbers = _where(again_N, fresh, numbers)
            proposal = _replaced(again_N, propose(random, numbers, limits), proposal)
            redraws += 1
        # After the last redraw a sampler may insist: the step is drawn once more with the same
        # numbers, within limits in which its fault cannot come.
        if numbers is not None and _any(verdicts) is not None:
            settled = self._settled(verdicts, limits, proposal, history)
            if settled is not None:
                at_fault_N, limits = settled
                proposal = _replaced(at_fault_N, propose(random, numbers, limits), proposal)
        choice = self._with_silence_marked(proposal.choice)
        proposal = Proposal(choice if settle is None else settle(choice), proposal.logits)
        if self._grammar is not None:
            self._grammar.observe(proposal.choice)
        for sampler in self.samplers:
            sampler.observe(proposal.choice)
        return proposal

    def choose_ahead(
        self,
        model: Model[Any],
        last: Tensor | None,
        state: State,
        conditioning: Mapping[str, Tensor],
        history: History,
        steps: int,
    ) -> tuple[Proposal, State] | None:
        """Let the model choose several steps at once; None where each has to be seen.

        Args:
            model: the model.
            last: the step before.
            state: the model's.
            conditioning: channels (N, steps, ...).
            history: what was chosen so far.
            steps: how many.
        """
        draw: Any = None
        if isinstance(self.layout, Tokens):
            if not self.layout.restricted and all(map(_sees_nothing, self.samplers)):
                draw = TokensAhead(steps, self.random)
        elif self.samplers and isinstance(self.samplers[0], LayoutSampler):
            draw = self.samplers[0].ahead(history, self.random, steps)
        made = None if draw is None else model.choose_ahead(last, state, conditioning, draw)
        return None if made is None else check_ahead(model, made, len(history.steps), steps)

    def _with_silence_marked(self, choice: Tensor) -> Tensor:
        """Mark a step in which nothing was drawn as the encoder does, where it does.

        A model that has learned with marked silences has never seen a step without one; most
        answer with silence for ever.
        """
        if not isinstance(self.layout, Grid) or not self.layout.silence_marker:
            return choice
        marked = choice.clone()
        # Channel 0 is what sounds; the encoder marks silence at its lowest pitch.
        marked[:, 0, 0] |= ~choice[..., 0].bool().any(dim=-1)
        return marked

    def _limits(self, history: History) -> Limits:
        limits = self.unlimited
        if self._grammar is not None and (forbidden := self._grammar.forbidden()) is not None:
            limits = Limits(forbidden, limits.forced)
        for sampler in self.samplers:
            made = sampler.limit(limits, history)
            if made is not limits:
                limits = self._leaving_some(limits, check_limits(sampler, "limit", made, limits))
        return limits

    def _leaving_some(self, before: Limits, after: Limits) -> Limits:
        """Return the new limits, or for pieces that no token would be left to, those before."""
        if not isinstance(self.layout, Tokens):
            return after
        # The grammar's limits come first and leave some token; a sampler that would leave none is
        # ignored.
        none_left = after.forbidden.all(dim=-1, keepdim=True)
        return Limits(torch.where(none_left, before.forbidden, after.forbidden), after.forced)

    def _settled(
        self,
        verdicts: Sequence[Tensor | None],
        limits: Limits,
        proposal: Proposal,
        history: History,
    ) -> tuple[Tensor, Limits] | None:
        """Return which pieces are at fault still, and limits within which they cannot be."""
        wanted = []
        pairs = zip(self.samplers, verdicts, strict=True)
        # Samplers that only forbid come first, those that force last: they know what is forbidden.
        for sampler, verdict in sorted(pairs, key=lambda pair: pair[0].forces):
            insisted = sampler.insist(limits, proposal, history)
            if insisted is not None:
                insisted = check_limits(sampler, "insist", insisted, limits)
                limits = self._leaving_some(limits, insisted)
                wanted.append(verdict)
        at_fault_N = _any(wanted)
        return None if at_fault_N is None else (at_fault_N, limits)

    def _with_forced(self, proposal: Proposal, limits: Limits) -> Proposal:
        """Hold what is forced even against a probability of nought."""
        if limits is self.unlimited or not isinstance(self.layout, Grid):
            return proposal
        # A threshold of 0 does not force a note whose probability is exactly 0.
        choice = proposal.choice | (limits.forced & ~limits.forbidden)
        return Proposal(onsets_where_sounding(choice, self.layout), proposal.logits)

    def _numbers(self, random: PieceRandom) -> Tensor | None:
        """Return a threshold or the noise for each choice; None where a sampler draws by itself."""
        if isinstance(self.layout, Tokens):
            return random.gumbel(self.shape)
        return random.uniform(self.shape) if isinstance(self.layout, Grid) else None

    def _draw(
        self, random: PieceRandom, numbers: Tensor | None, limits: Limits, history: History
    ) -> Draw:
        if numbers is None:
            return _LayoutDraw(cast(LayoutSampler[Any], self.samplers[0]), random, history)
        limited = limits is not self.unlimited
        if isinstance(self.layout, Grid):
            thresholds = numbers
            # u < f2(f1(p)) is f1⁻¹(f2⁻¹(u)) < p: inverses apply from the last to the first.
            for sampler in reversed(self.samplers):
                made = cast(GridSampler[Any], sampler).thresholds(thresholds, history)
                thresholds = check_reshaped(sampler, "thresholds", made, thresholds)
            if limited:
                # Forbidden second: where both are asked for, the note does not sound.
                thresholds = thresholds.masked_fill(limits.forced, 0.0)
                thresholds = thresholds.masked_fill(limits.forbidden, 1.0)
            # u < sigmoid(x) is logit(u) < x: the thresholds are moved once, not the logits of each
            # note, and logits keep their precision far from 0.
            return GridDraw(torch.logit(thresholds), self.layout)
        reshaping = tuple(sampler for sampler in self.samplers if sampler.reshapes)
        samplers = cast(tuple[TokenSampler[Any], ...], reshaping)
        return _TokenDraw(numbers, samplers, history, limits.forbidden if limited else None)


def _sees_nothing(sampler: Sampler[Any]) -> bool:
    """Return whether a sampler leaves each token as it is drawn, and looks at none."""
    hooks = ("limit", "review", "insist", "observe")
    return not sampler.reshapes and all(
        getattr(type(sampler), hook) is getattr(Sampler, hook) for hook in hooks
    )


def _any(verdicts: Iterable[Tensor | None]) -> Tensor | None:
    """Return (N,) bool, True where one of the verdicts is; None where that is nowhere."""
    given = [verdict for verdict in verdicts if verdict is not None]
    together = torch.stack(given).any(dim=0) if given else None
    return together if together is not None and bool(together.any()) else None


def _where(pieces_N: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(pieces_N.reshape(-1, *[1] * (old.dim() - 1)), new, old)


def _replaced(pieces_N: Tensor, new: Proposal, old: Proposal) -> Proposal:
    """Return the old proposal with some pieces of the new one."""
    return Proposal(
        _where(pieces_N, new.choice, old.choice), _where(pieces_N, new.logits, old.logits)
    )
