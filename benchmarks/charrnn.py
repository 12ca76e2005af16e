"""Characters a second that the character model learns and draws, one text and 64 at once.

With PyTorch's own number of threads, which then wait as the commands of musengine let them, and
with one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

# How threads wait is said before PyTorch is imported, as the commands do.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from common import write_result

from musengine.builtin.batching import StatefulBatching
from musengine.builtin.losses import CrossEntropy
from musengine.builtin.optimizers import AdamFactory
from musengine.builtin.samplers import Categorical
from musengine.config.quantities import Length
from musengine.data.batching import Batches
from musengine.generation import engine
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece
from musengine.interfaces.model import Batch
from musengine.interfaces.training import TrainingConfig
from musengine.plugins.configs import NoSettings
from musengine.training import checkpoint
from musengine.training.optim import make_optimizer
from musengine.utils.format import counted
from musengine_charrnn.config import CharRnnConfig, TextRollConfig
from musengine_charrnn.model import CharRnn
from musengine_charrnn.textroll import TextRoll

UNITS, LAYERS, CHUNK = 178, 3, 64
DRAWN = 400
SECONDS = 6.0
"""How long each figure is measured; the fastest of several goes counts, since others may run."""


def fastest(once: Callable[[], int]) -> float:
    """Return the characters a second of the fastest of all goes after the first."""
    once()
    rates, began = [], time.perf_counter()
    while time.perf_counter() - began < SECONDS or len(rates) < 3:
        start = time.perf_counter()
        characters = once()
        rates.append(characters / (time.perf_counter() - start))
    return max(rates)


def learning(model: CharRnn, rows: int) -> Callable[[], int]:
    """Return what learns a chunk of each row, counting characters: no clipping, Adam."""
    random = np.random.default_rng(0)
    pieces = [
        EncodedPiece(str(row), Encoded(random.integers(0, model.size, 64 * CHUNK)), "")
        for row in range(rows)
    ]
    training = TrainingConfig(batch_size=rows, sequence_length=CHUNK)
    optimizer = make_optimizer(model, AdamFactory(NoSettings(), training))
    loss = CrossEntropy(NoSettings(), model.layout)
    strategy = StatefulBatching(NoSettings(), training, [len(piece) for piece in pieces])
    waiting: list[Batch] = list(Batches(pieces, strategy).epoch(0))
    carried = None
    model.train()

    def once() -> int:
        nonlocal carried
        batch = replace(waiting[0], carried=carried)
        waiting.append(waiting.pop(0))
        optimizer.zero_grad(set_to_none=True)
        output = model(batch)
        torch.autograd.backward(loss(output))
        optimizer.step()
        carried = checkpoint.map_tensors(output.state, torch.Tensor.detach)
        return rows * CHUNK

    return once


def drawing(model: CharRnn, encoder: TextRoll, texts: int) -> Callable[[], int]:
    """Return what draws texts the whole way that `musengine generate` goes, counting characters."""
    plan = engine.GenerationPlan(
        prompts=[Encoded(encoder.empty())] * texts,
        first=[0] * texts,
        seeds=engine.piece_seeds(0, texts),
        length=Length(float(DRAWN), "tokens"),
        settings=[DecodeSettings()] * texts,
    )
    samplers: list[Any] = [Categorical(NoSettings(), encoder.layout)]

    def once() -> int:
        made = engine.generate(model, encoder, samplers, plan, device=torch.device("cpu"))
        return sum(len(piece.steps) for piece in made)

    return once


def main() -> None:
    """Measure both, with one text and with 64."""
    torch.manual_seed(0)
    encoder = TextRoll(TextRollConfig())
    config = CharRnnConfig(layers=LAYERS, units=UNITS, embedding=UNITS)
    model = CharRnn(config, encoder.layout)
    figures: dict[str, Any] = {}
    for threads in (torch.get_num_threads(), 1):
        torch.set_num_threads(threads)
        for what, one, many in (
            ("learned", fastest(learning(model, 1)), fastest(learning(model, 64))),
            ("drawn", fastest(drawing(model, encoder, 1)), fastest(drawing(model, encoder, 64))),
        ):
            figures[f"characters a second {what}, {counted(threads, 'thread')}"] = {
                "1 at once": round(one),
                "64 at once": round(many),
                "64 at once against one": round(many / one, 1),
            }
    write_result("charrnn", "python benchmarks/charrnn.py", figures)


if __name__ == "__main__":
    main()
