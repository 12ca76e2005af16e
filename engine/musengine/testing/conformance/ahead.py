"""Whether the tokens that a model chooses ahead are those that it would choose one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from musengine.encoding.layouts import Tokens
from musengine.interfaces.model import Batch, Model
from musengine.interfaces.sampler import Draw, PieceRandom, TokensAhead


def faults_ahead(
    model: Model[Any], layout: Tokens, batch: Batch, known: Draw, tolerance: float
) -> Iterator[str]:
    """Yield what is wrong with `choose_ahead`; nothing where it chooses nothing.

    Args:
        model: in evaluation mode.
        layout: its layout.
        batch: of at least two steps, of which only the conditioning is read.
        known: a draw for `propose`, whatever it draws.
        tolerance: of logits; of two tokens as near as that either may be chosen.
    """
    rows, steps = batch.mask.shape
    channels = batch.conditioning
    ahead = {name: channel[:, : steps - 1] for name, channel in channels.items()}
    one, other = (
        TokensAhead(steps - 1, PieceRandom(list(range(rows)), torch.device("cpu")))
        for _ in range(2)
    )
    noise = other.noise(layout.size)
    last, state = model.before_first(rows), model.start(rows)
    with torch.no_grad():
        made = model.choose_ahead(last, state, ahead, one)
        if made is None:
            return
        proposal, after = made
        if tuple(proposal.choice.shape) != (rows, steps - 1):
            shape = tuple(proposal.choice.shape)
            yield f"its choices have the shape {shape}, not {(rows, steps - 1)}"
            return
        for t in range(steps):
            here = {name: channel[:, t] for name, channel in channels.items()}
            context, state = model.step(last, state, here)
            logits = model.propose(context, known).logits.float()
            if t == steps - 1:
                said = model.propose(model.step(last, after, here)[0], known).logits.float()
                if not torch.allclose(said, logits, atol=tolerance, rtol=tolerance):
                    yield "after it the model is in another state than step by step"
                return
            said, chosen = proposal.logits[:, t].float(), proposal.choice[:, t].long()
            if not torch.allclose(said, logits, atol=tolerance, rtol=tolerance):
                yield f"its logits differ from those step by step, first at step {t}"
                return
            scores = logits + noise[:, t]
            short = scores.amax(dim=1) - scores.gather(1, chosen[:, None])[:, 0]
            if bool((short > tolerance).any()):
                yield f"it draws other tokens than step by step, first at step {t}"
                return
            last = chosen
