"""Passages among given notes: drawn side by side, led past what is given by the encoder's guide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musengine.evaluation.likelihood import score_pieces
from musengine.generation.engine import CHECK_EVERY, MOST_STEPS, with_steps
from musengine.generation.sampler_chain import Chain
from musengine.interfaces.contracts.tensors import check_drawn, check_step
from musengine.interfaces.encoder import DecodeSettings, EncodedPiece, Encoder
from musengine.interfaces.model import Model, State, as_steps, evaluation_mode, joined_states
from musengine.interfaces.sampler import History, PieceRandom, Sampler
from musengine.interfaces.steering import Guide, Infill, Passage


def draw_passages(
    model: Model[Any],
    encoder: Encoder[Any],
    samplers: Sequence[Sampler[Any]],
    infill: Infill,
    *,
    seeds: Sequence[int],
    settings: DecodeSettings,
    device: torch.device,
    beat: Callable[[], None] | None = None,
) -> list[Passage]:
    """Return a passage for each seed.

    Args:
        model: the trained model, on the device.
        encoder: of its layout.
        samplers: the chain, first to last.
        infill: what is made anew.
        seeds: one for each.
        settings: tempo and meter of the piece.
        device: where the model is.
        beat: called now and then.

    Raises:
        UserError: no such instrument was learned.
    """
    guide = encoder.guide(infill, len(seeds), settings)
    with evaluation_mode(model):
        _Drawing(model, encoder, samplers, guide, seeds, settings, device).run(beat)
    return [guide.passage(number) for number in range(len(seeds))]


def suiting(model: Model[Any], passages: Sequence[Passage]) -> list[float]:
    """Return for each passage the mean negative log-likelihood, in nats, of the given steps.

    Of those in it and after it, given the new notes; 0 where there are none.

    Args:
        model: one that declares a likelihood.
        passages: of one infill.
    """
    pieces = [EncodedPiece("", passage.whole, "") for passage in passages]
    nlls = score_pieces(model, pieces).pieces
    return [
        float(nll[passage.given].mean()) if passage.given.any() else 0.0
        for nll, passage in zip(nlls, passages, strict=True)
    ]


class _Drawing:
    """Draws passages side by side until the guide says that all are over."""

    def __init__(
        self,
        model: Model[Any],
        encoder: Encoder[Any],
        samplers: Sequence[Sampler[Any]],
        guide: Guide,
        seeds: Sequence[int],
        settings: DecodeSettings,
        device: torch.device,
    ) -> None:
        self.model, self.guide, self.settings, self.device = model, guide, settings, device
        self.layout = encoder.layout
        self.chain = Chain(samplers, self.layout)
        self.random = PieceRandom(list(seeds), device)
        self.count = len(seeds)
        prompt = as_steps(guide.prompt.steps, device)
        self.prompt_steps = len(prompt)
        # A view of one prompt for all rows; `with_steps` copies as soon as a step is added.
        self._steps = prompt.expand(self.count, *prompt.shape)

    def run(self, beat: Callable[[], None] | None) -> None:
        """Draw steps until the guide is over, `MOST_STEPS` at most; call `beat` now and then."""
        state, last, made = self._begun(), self._last(), 0
        self.chain.begin(self._history(0), self.random)
        while not self.guide.over and made < MOST_STEPS:
            here = {name: self._tensor(each) for name, each in self.guide.conditioning().items()}
            context, state = check_step(self.model, self.model.step(last, state, here))
            # The guide has the last word on each step: where given notes are due, they take the
            # drawn one's place, and the model reads them next.
            proposal = self.chain.choose(self.model, context, self._history(made), self._settled)
            if made % CHECK_EVERY == 0:
                check_drawn(self.model, proposal)
                if beat is not None:
                    beat()
            last = proposal.choice
            self._steps = with_steps(self._steps, last[:, None], self.prompt_steps + made)
            made += 1

    def _begun(self) -> State:
        """Return the state after the prompt, which is read once for all."""
        prompt = self.guide.prompt
        if not self.prompt_steps:
            return self.model.start(self.count)
        channels = {name: self._tensor(each)[None] for name, each in prompt.conditioning.items()}
        # Read once and its state repeated: all rows have the same prompt.
        state = self.model.prefill(self._steps[:1], self.model.start(1), channels)
        return joined_states([state], torch.zeros(self.count, dtype=torch.int64))

    def _last(self) -> Tensor | None:
        return self._steps[:, -1] if self.prompt_steps else self.model.before_first(self.count)

    def _settled(self, choice: Tensor) -> Tensor:
        steps = self.guide.settle(choice.cpu().numpy())
        return torch.from_numpy(steps).to(choice)

    def _tensor(self, array: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _history(self, made: int) -> History:
        steps = self._steps[:, : self.prompt_steps + made]
        return History(self.layout, steps, self.prompt_steps, self.settings)
