"""Step-wise generation: prompts in, choices drawn step after step, arrays out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musengine.config.quantities import Length
from musengine.encoding.layouts import Layout, Tokens
from musengine.generation.lengths import length_shares, steps_in, time_tokens
from musengine.generation.sampler_chain import Chain
from musengine.interfaces.encoder import DecodeSettings, Encoded, Encoder
from musengine.interfaces.model import Model, Request, State, as_steps
from musengine.interfaces.sampler import History, PieceRandom, Sampler
from musengine.utils.arrays import Array

MOST_STEPS = 200_000
"""A piece ends here even if its musical time does not move on."""

AT_ONCE = 64
"""Pieces generated side by side."""

_CHECK_EVERY = 16


@dataclass(frozen=True)
class GenerationPlan:
    """What to generate.

    Attributes:
        prompts: one encoded prompt for each piece, possibly of no steps.
        first: index within its own piece of each prompt's first step.
        seeds: one for each piece.
        length: how long each piece shall be, its prompt not counted.
        settings: tempo and meter of each.
    """

    prompts: Sequence[Encoded]
    first: Sequence[int]
    seeds: Sequence[int]
    length: Length
    settings: Sequence[DecodeSettings]


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

    Pieces with prompts of one length, of one tempo and meter, are made side by side. A piece
    depends on its prompt and seed alone, not on how many are made.

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
    groups: dict[tuple[int, DecodeSettings], list[int]] = defaultdict(list)
    for index, prompt in enumerate(plan.prompts):
        groups[len(prompt.steps), plan.settings[index]].append(index)
    chunks = [
        group[start : start + AT_ONCE]
        for group in groups.values()
        for start in range(0, len(group), AT_ONCE)
    ]
    pieces: dict[int, GeneratedPiece] = {}
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            if own:
                return _own(model, encoder, plan)
            for number, chunk in enumerate(chunks):
                generator = _Generator(
                    model, encoder, samplers, plan, chunk, device, keep_logits=keep_logits
                )

                def report(share: float, number: int = number) -> None:
                    if beat is not None:
                        beat((number + share) / len(chunks))

                pieces.update(zip(chunk, generator.run(report), strict=True))
    finally:
        model.train(was_training)
    return [pieces[index] for index in range(len(plan.prompts))]


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


class _Generator:
    """Generates some pieces side by side, with prompts of one length, one tempo and one meter."""

    def __init__(
        self,
        model: Model[Any],
        encoder: Encoder[Any],
        samplers: Sequence[Sampler[Any]],
        plan: GenerationPlan,
        chunk: Sequence[int],
        device: torch.device,
        *,
        keep_logits: bool,
    ) -> None:
        self._logits: list[Tensor] | None = [] if keep_logits else None
        self.model, self.encoder, self.plan, self.device = model, encoder, plan, device
        self.settings = plan.settings[chunk[0]]
        self.layout = encoder.layout
        # Lengths in these units are reached after as many array steps.
        self._counted = ("tokens",) if time_tokens(self.layout) else ("tokens", "steps")
        self.chain = Chain(samplers, self.layout)
        self.random = PieceRandom([plan.seeds[index] for index in chunk], device)
        self.first = [plan.first[index] for index in chunk]
        prompts = np.stack([plan.prompts[index].steps for index in chunk])
        self.prompt_steps = prompts.shape[1]
        self._steps = as_steps(prompts, device)

    def run(self, report: Callable[[float], None]) -> list[GeneratedPiece]:
        """Generate until every piece is long enough."""
        state = self._read_prompts()
        last = self._steps[:, -1] if self.prompt_steps else None
        self.chain.begin(self._history(self.prompt_steps), self.random)
        made = 0
        while not self._all_done(made, report):
            conditioning = self._conditioning(self.prompt_steps + made, 1)
            here = {name: channel[:, 0] for name, channel in conditioning.items()}
            context, state = self.model.step(last, state, here)
            history = self._history(self.prompt_steps + made)
            proposal = self.chain.choose(self.model, context, history)
            last = proposal.choice
            self._append(last, self.prompt_steps + made)
            if self._logits is not None:
                self._logits.append(proposal.logits.float().cpu())
            made += 1
        pieces = self._steps[:, : self.prompt_steps + made].cpu().numpy()
        return [self._finished(row, piece) for row, piece in enumerate(pieces)]

    def _read_prompts(self) -> State:
        state = self.model.start(len(self.first))
        if not self.prompt_steps:
            return state
        return self.model.prefill(self._steps, state, self._conditioning(0, self.prompt_steps))

    def _conditioning(self, first: int, count: int) -> Mapping[str, Tensor]:
        rows = [
            self.encoder.conditioning(start + first, count, self.settings) for start in self.first
        ]
        return {
            name: torch.from_numpy(np.stack([row[name] for row in rows])).to(self.device)
            for name in rows[0]
        }

    def _history(self, count: int) -> History:
        return History(self.layout, self._steps[:, :count], self.prompt_steps, self.settings)

    def _append(self, choice: Tensor, index: int) -> None:
        if index == self._steps.shape[1]:
            # Doubling keeps the copying linear in the length.
            more = self._steps.new_zeros(
                self._steps.shape[0], max(index, 256), *self._steps.shape[2:]
            )
            self._steps = torch.cat([self._steps, more], dim=1)
        self._steps[:, index] = choice

    def _all_done(self, made: int, report: Callable[[float], None]) -> bool:
        length = self.plan.length
        if made >= MOST_STEPS or (length.unit in self._counted and made >= length.number):
            return True
        if made == 0 or made % _CHECK_EVERY:
            return False
        may_end = isinstance(self.layout, Tokens) and self.layout.end is not None
        if length.unit in self._counted and not may_end:
            report(made / length.number)
            return False
        so_far = self._steps[:, : self.prompt_steps + made].cpu().numpy()
        shares = [self._share(row[: self.prompt_steps], row[self.prompt_steps :]) for row in so_far]
        report(min(*shares, 1.0))
        return min(shares) >= 1 - 1e-9

    def _share(self, before: Array, piece: Array) -> float:
        """Return what share of its length a piece has, 1 where a token ended it."""
        if self._ended(piece) is not None:
            return 1.0
        length = self.plan.length
        shares = length_shares(length, piece, self.encoder, self.settings, before)
        return float(shares[-1])

    def _ended(self, piece: Array) -> int | None:
        """Return where an end token closes the piece."""
        if not isinstance(self.layout, Tokens) or self.layout.end is None:
            return None
        places = np.nonzero(piece == self.layout.end)[0]
        return int(places[0]) if len(places) else None

    def _finished(self, row: int, whole: Array) -> GeneratedPiece:
        before, piece = whole[: self.prompt_steps], whole[self.prompt_steps :]
        steps = _cut(
            piece[: self._ended(piece)], before, self.encoder, self.plan.length, self.settings
        )
        if not self._logits:
            return GeneratedPiece(steps)
        logits = torch.stack([step[row] for step in self._logits])
        return GeneratedPiece(steps, logits[: len(steps)].numpy())


def probabilities(logits: npt.NDArray[np.float32], layout: Layout) -> npt.NDArray[np.float32]:
    """Return logits as probabilities: of each element of a grid, of each token."""
    tensor = torch.from_numpy(logits)
    shares = tensor.softmax(dim=-1) if isinstance(layout, Tokens) else torch.sigmoid(tensor)
    result: npt.NDArray[np.float32] = shares.numpy()
    return result
