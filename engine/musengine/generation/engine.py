"""Step-wise generation: prompts in, choices drawn step after step, arrays out."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musengine.config.quantities import Length
from musengine.encoding.layouts import Layout, Tokens
from musengine.generation.lengths import length_shares, steps_in, time_tokens
from musengine.generation.sampler_chain import Chain
from musengine.interfaces.contracts.tensors import check_drawn, check_step
from musengine.interfaces.encoder import DecodeSettings, Encoded, Encoder
from musengine.interfaces.model import (
    Model,
    Proposal,
    Request,
    State,
    as_steps,
    evaluation_mode,
    joined_states,
)
from musengine.interfaces.sampler import History, PieceRandom, Sampler
from musengine.interfaces.steering import Steering
from musengine.utils.arrays import Array

logger = logging.getLogger(__name__)

MOST_STEPS = 200_000
"""A piece ends here even if its musical time does not move on."""

AT_ONCE = 64
"""Pieces generated side by side."""

CHECK_EVERY = 16
"""Steps from one look at the numbers of a draw, and at how far pieces are, to the next."""


@dataclass(frozen=True)
class GenerationPlan:
    """What to generate.

    Attributes:
        prompts: one encoded prompt for each piece, possibly of no steps.
        first: index within its own piece of each prompt's first step.
        seeds: one for each piece.
        length: how long each piece shall be, its prompt not counted.
        settings: tempo and meter of each.
        steering: what is asked of the notes that are drawn, of models that heed it.
    """

    prompts: Sequence[Encoded]
    first: Sequence[int]
    seeds: Sequence[int]
    length: Length
    settings: Sequence[DecodeSettings]
    steering: Steering = field(default_factory=Steering)

    def only(self, numbers: Sequence[int]) -> GenerationPlan:
        """Return what to generate of the pieces of these numbers."""
        return replace(
            self,
            prompts=[self.prompts[number] for number in numbers],
            first=[self.first[number] for number in numbers],
            seeds=[self.seeds[number] for number in numbers],
            settings=[self.settings[number] for number in numbers],
        )


@dataclass(frozen=True)
class GeneratedPiece:
    """A generated piece: steps (T, ...) and, if kept, the logits (T, ...) they were drawn from."""

    steps: Array
    logits: npt.NDArray[np.float32] | None = None


def piece_seeds(seed: int, count: int, attempt: int = 0) -> list[int]:
    """Return a seed for each piece; the k-th is the same however many there are.

    Args:
        seed: of all of them.
        count: how many pieces.
        attempt: which draw of them it is, from 0; each has seeds of its own.
    """
    later = [attempt] if attempt else []
    entropy = [np.random.SeedSequence([seed, index, *later]) for index in range(count)]
    # Of 63 bits, as torch's generators take signed seeds. The first attempt adds nothing to the
    # entropy, so that a piece is the same with and without redraws.
    return [int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)) for sequence in entropy]


def generate(
    model: Model[Any],
    encoder: Encoder[Any],
    samplers: Sequence[Sampler[Any]],
    plan: GenerationPlan,
    *,
    device: torch.device,
    own: bool = False,
    keep_logits: bool = False,
    beat: Callable[[float], None] | None = None,
) -> list[GeneratedPiece]:
    """Return the generated pieces, prompts not included.

    Pieces are made side by side where the model's state and all samplers allow it: with prompts of
    different length, and of different tempo and meter. A piece depends on its prompt and seed
    alone, not on how many are made.

    Args:
        model: the trained model, on the device.
        encoder: what made the prompts.
        samplers: the chain, first to last.
        plan: what to generate.
        device: where the model is.
        own: the model generates by itself, without samplers.
        keep_logits: also return what the choices were drawn from.
        beat: called now and then with the share that is done, 0 to 1.
    """
    with evaluation_mode(model):
        if own:
            return _own(model, encoder, plan)
        pieces: dict[int, GeneratedPiece] = {}
        generator_of = partial(
            _Generator, model, encoder, samplers, plan, device=device, keep_logits=keep_logits
        )
        for chunk in _side_by_side(plan, encoder.layout, samplers):
            for generator in _generators(generator_of, plan, chunk):

                def report(share: float, numbers: list[int] = generator.chunk) -> None:
                    if beat is not None:
                        beat((len(pieces) + share * len(numbers)) / len(plan.prompts))

                pieces.update(zip(generator.chunk, generator.run(report), strict=True))
    return [pieces[index] for index in range(len(plan.prompts))]


def tune(
    samplers: Sequence[Sampler[Any]],
    model: Model[Any],
    encoder: Encoder[Any],
    plan: GenerationPlan,
    device: torch.device,
) -> None:
    """Let samplers learn what they need to know of a trained model for what is to be generated."""
    if not plan.prompts:
        return
    rows = [
        encoder.conditioning(first + len(prompt.steps), 1, settings)
        for first, prompt, settings in zip(plan.first, plan.prompts, plan.settings, strict=True)
    ]
    channels = {
        name: torch.from_numpy(np.concatenate([row[name] for row in rows])).to(device)
        for name in rows[0]
    }
    with evaluation_mode(model):
        for sampler in samplers:
            sampler.tune(model, channels)


def _side_by_side(
    plan: GenerationPlan, layout: Layout, samplers: Sequence[Sampler[Any]]
) -> list[list[int]]:
    """Return the pieces that may be made side by side, by their indices.

    They share tempo and meter where a sampler reads them, or what is asked of the notes is told
    by them. Prompts may differ in length where all samplers know of it; but only a begin token
    stands for the step before a piece that has none.
    """
    any_length = all(sampler.heeds_padding for sampler in samplers)
    any_time = not plan.steering and not any(sampler.reads_settings for sampler in samplers)
    begins = isinstance(layout, Tokens) and layout.begin is not None
    groups: dict[tuple[int, DecodeSettings | None], list[int]] = defaultdict(list)
    for index, prompt in enumerate(plan.prompts):
        steps = len(prompt.steps)
        # What pieces of a group have equal: nothing, whether there is a prompt, or the prompt's
        # length.
        alike = (0 if begins else min(steps, 1)) if any_length else steps
        groups[alike, None if any_time else plan.settings[index]].append(index)
    return [
        # More side by side would gain little and take memory.
        group[start : start + AT_ONCE]
        for group in groups.values()
        for start in range(0, len(group), AT_ONCE)
    ]


def _generators(
    generator_of: Callable[[list[int]], _Generator], plan: GenerationPlan, chunk: list[int]
) -> Iterator[_Generator]:
    """Yield what makes the pieces of a chunk: one for all, or one for each length of prompt.

    Pieces share a state only where its tensors have one shape however much was read.
    """
    together = generator_of(chunk)
    if together.read_prompts():
        yield together
        return
    by_length: dict[int, list[int]] = defaultdict(list)
    for index in chunk:
        by_length[len(plan.prompts[index].steps)].append(index)
    for part in by_length.values():
        apart = generator_of(part)
        apart.read_prompts()
        yield apart


def _own(model: Model[Any], encoder: Encoder[Any], plan: GenerationPlan) -> list[GeneratedPiece]:
    def done(index: int, steps: Array) -> bool:
        before = plan.prompts[index].steps
        reached = steps_in(plan.length, steps, encoder, plan.settings[index], before) is not None
        return reached or len(steps) >= MOST_STEPS

    request = Request([prompt.steps for prompt in plan.prompts], done, list(plan.seeds))
    pieces = model.generate(request)
    return [
        GeneratedPiece(_cut(steps, prompt.steps, encoder, plan.length, settings))
        for steps, prompt, settings in zip(pieces, plan.prompts, plan.settings, strict=True)
    ]


def _cut(
    steps: Array, before: Array, encoder: Encoder[Any], length: Length, settings: DecodeSettings
) -> Array:
    wanted = steps_in(length, steps, encoder, settings, before)
    return steps if wanted is None else steps[:wanted]


def with_steps(steps: Tensor, new: Tensor, index: int) -> Tensor:
    """Return steps (N, T, ...) that have others (N, K, ...) from an index on, longer if need be.

    Args:
        steps: those before the index count; changed where there is room.
        new: the others.
        index: T at the most.
    """
    end = index + new.shape[1]
    if end > steps.shape[1]:
        # Doubling keeps the copying linear in the length.
        more = steps.new_zeros(len(steps), max(end, 256), *steps.shape[2:])
        steps = torch.cat([steps, more], dim=1)
    steps[:, index:end] = new
    return steps


class _Generator:
    """Generates some pieces side by side."""

    def __init__(
        self,
        model: Model[Any],
        encoder: Encoder[Any],
        samplers: Sequence[Sampler[Any]],
        plan: GenerationPlan,
        chunk: list[int],
        device: torch.device,
        *,
        keep_logits: bool,
    ) -> None:
        self._logits: list[Tensor] | None = [] if keep_logits else None
        self.model, self.encoder, self.plan, self.device = model, encoder, plan, device
        self.chunk = chunk
        self.settings = [plan.settings[index] for index in chunk]
        self.layout = encoder.layout
        # Lengths in these units are reached after as many array steps.
        self._counted = ("tokens",) if time_tokens(self.layout) else ("tokens", "steps")
        self.chain = Chain(samplers, self.layout)
        self.random = PieceRandom([plan.seeds[index] for index in chunk], device)
        self.first = [plan.first[index] for index in chunk]
        prompts = [plan.prompts[index].steps for index in chunk]
        self.prompt_steps = max(map(len, prompts))
        # All prompts end at the same step; before the shorter ones stands padding.
        self.padding = [self.prompt_steps - len(prompt) for prompt in prompts]
        # (N, P, ...), padded on the left.
        whole = np.zeros((len(chunk), self.prompt_steps, *prompts[0].shape[1:]), prompts[0].dtype)
        for row, prompt, padding in zip(whole, prompts, self.padding, strict=True):
            row[padding:] = prompt
        self._steps = as_steps(whole, device)
        self._padding_N = torch.tensor(self.padding, device=device) if any(self.padding) else None
        self._state: State = None

    def read_prompts(self) -> bool:
        """Read the prompts; False where the states after them do not fit into one."""
        rows_of: dict[int, list[int]] = defaultdict(list)
        for row, padding in enumerate(self.padding):
            rows_of[padding].append(row)
        # Each length is read by itself, without its padding: a recurrent state would remember
        # padding.
        states = [self._state_after(rows, padding) for padding, rows in rows_of.items()]
        if len(states) > 1:
            order = [row for rows in rows_of.values() for row in rows]
            # `order` says which row each joined one is; its argsort is the inverse permutation.
            back = torch.tensor(np.argsort(order), device=self.device)
            try:
                self._state = joined_states(states, back)
            # Then the generator is made anew for each length, see `_generators`.
            except ValueError:
                return False
        else:
            (self._state,) = states
        return True

    def _state_after(self, rows: list[int], padding: int) -> State:
        state = self.model.start(len(rows))
        if padding == self.prompt_steps:
            return state
        conditioning = self._conditioning(0, self.prompt_steps - padding, rows)
        return self.model.prefill(self._steps[rows, padding:], state, conditioning)

    def run(self, report: Callable[[float], None]) -> list[GeneratedPiece]:
        """Generate until every piece is long enough."""
        state, last, rows = self._state, self._last(), range(len(self.chunk))
        self.chain.begin(self._history(self.prompt_steps), self.random)
        steered, made, ahead = self._steered(), 0, not self.plan.steering
        while not self._all_done(made, report):
            # Until the next look at how far pieces are; one by one, if that is what has to be.
            count = self._until_looked_at(made) if ahead else 1
            conditioning = self._conditioning(self.prompt_steps + made, count, rows)
            history = self._history(self.prompt_steps + made)
            chosen = None
            if ahead:
                chosen = self.chain.choose_ahead(
                    self.model, last, state, conditioning, history, count
                )
                # What is once done step by step is so to the end.
                ahead = chosen is not None
            if chosen is None:
                here = {name: channel[:, 0] for name, channel in conditioning.items()} | steered
                context, state = check_step(self.model, self.model.step(last, state, here))
                one = self.chain.choose(self.model, context, history)
                chosen = Proposal(one.choice[:, None], one.logits[:, None]), state
            proposal, state = chosen
            if made % CHECK_EVERY == 0:
                # Not at each step: on a GPU every look at the numbers waits for the device.
                check_drawn(self.model, proposal)
            last = proposal.choice[:, -1]
            self._steps = with_steps(self._steps, proposal.choice, self.prompt_steps + made)
            if self._logits is not None:
                # On the CPU at once: hours of logits would not fit beside the model.
                self._logits += proposal.logits.float().cpu().unbind(1)
            made += proposal.choice.shape[1]
        pieces = self._steps[:, : self.prompt_steps + made].cpu().numpy()
        return [self._finished(row, piece) for row, piece in enumerate(pieces)]

    def _until_looked_at(self, made: int) -> int:
        """Return how many steps there are up to the next look at how far pieces are."""
        count = min(CHECK_EVERY - made % CHECK_EVERY, MOST_STEPS - made)
        length = self.plan.length
        if length.unit in self._counted:
            count = min(count, math.ceil(length.number) - made)
        return count

    def _last(self) -> Tensor | None:
        """Return the step before the first to be made: a prompt's last, or the begin token."""
        begin = self.model.before_first(len(self.chunk))
        if not self.prompt_steps:
            return begin
        last = self._steps[:, -1]
        if begin is None or self._padding_N is None:
            return last
        # A row that is all padding has no prompt.
        return torch.where(self._padding_N == self.prompt_steps, begin, last)

    def _conditioning(self, first: int, count: int, rows: Iterable[int]) -> Mapping[str, Tensor]:
        """Return the channels of steps of some pieces, which stand at `first` with their padding.

        Of prompts alone, which are read by their length, the padding is left out already.
        """
        channels = []
        for row in rows:
            # `first` counts in the padded array; conditioning is by the place in the piece itself.
            skipped = self.padding[row] if first else 0
            start = self.first[row] + first - skipped
            channels.append(self.encoder.conditioning(start, count, self.settings[row]))
        return {
            name: torch.from_numpy(np.stack([each[name] for each in channels])).to(self.device)
            for name in channels[0]
        }

    def _steered(self) -> dict[str, Tensor]:
        """Return the channels that say what is asked of each step that is drawn."""
        if not self.plan.steering:
            return {}
        channels = self.encoder.steered(self.plan.steering, len(self.chunk), self.settings[0])
        return {
            name: torch.from_numpy(np.ascontiguousarray(channel)).to(self.device)
            for name, channel in channels.items()
        }

    def _history(self, count: int) -> History:
        steps = self._steps[:, :count]
        return History(self.layout, steps, self.prompt_steps, self.settings[0], self._padding_N)

    def _all_done(self, made: int, report: Callable[[float], None]) -> bool:
        length = self.plan.length
        if length.unit in self._counted and made >= length.number:
            return True
        if made >= MOST_STEPS:
            logger.warning(
                f"after {made:,} steps a piece is not {length.to_toml()} long yet, and ends here: "
                "the model draws nothing that moves time on, or elapsed() stands still"
            )
            return True
        # How far pieces are takes decoding all of them; some steps too many are cut off at the end.
        if made == 0 or made % CHECK_EVERY:
            return False
        may_end = isinstance(self.layout, Tokens) and self.layout.end is not None
        if length.unit in self._counted and not may_end:
            report(made / length.number)
            return False
        so_far = self._steps[:, : self.prompt_steps + made].cpu().numpy()
        shares = [
            self._share(row[padding : self.prompt_steps], row[self.prompt_steps :], settings)
            for row, padding, settings in zip(so_far, self.padding, self.settings, strict=True)
        ]
        report(min(*shares, 1.0))
        # All run on until the last one is long enough: what is beyond an end is cut by `_finished`.
        return min(shares) >= 1 - 1e-9

    def _share(self, before: Array, piece: Array, settings: DecodeSettings) -> float:
        """Return what share of its length a piece has, 1 where a token ended it."""
        if self._ended(piece) is not None:
            return 1.0
        length = self.plan.length
        shares = length_shares(length, piece, self.encoder, settings, before)
        return float(shares[-1])

    def _ended(self, piece: Array) -> int | None:
        """Return where an end token closes the piece."""
        if not isinstance(self.layout, Tokens) or self.layout.end is None:
            return None
        places = np.nonzero(piece == self.layout.end)[0]
        return int(places[0]) if len(places) else None

    def _finished(self, row: int, whole: Array) -> GeneratedPiece:
        before, piece = whole[self.padding[row] : self.prompt_steps], whole[self.prompt_steps :]
        steps = _cut(
            piece[: self._ended(piece)], before, self.encoder, self.plan.length, self.settings[row]
        )
        if not self._logits:
            return GeneratedPiece(steps)
        # The logits of the steps that were cut off go with them.
        logits = torch.stack([step[row] for step in self._logits])
        return GeneratedPiece(steps, logits[: len(steps)].numpy())


def probabilities(logits: npt.NDArray[np.float32], layout: Layout) -> npt.NDArray[np.float32]:
    """Return logits as probabilities: of each element of a grid, of each token."""
    tensor = torch.from_numpy(logits)
    shares = tensor.softmax(dim=-1) if isinstance(layout, Tokens) else torch.sigmoid(tensor)
    result: npt.NDArray[np.float32] = shares.numpy()
    return result
