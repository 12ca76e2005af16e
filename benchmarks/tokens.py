"""Tokens a second in training and generation: through the engine, and in a bare loop of PyTorch.

The same model object, one thread. The two take turns; see turns.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from common import write_result
from torch import Tensor
from torch.nn import functional
from turns import clock, in_turns, medians

from musengine.builtin.optimizers import AdamWFactory
from musengine.builtin.samplers import Categorical
from musengine.config.quantities import Length
from musengine.generation import engine as generation
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece
from musengine.interfaces.model import Batch
from musengine.interfaces.training import TrainingConfig
from musengine.plugins.configs import NoSettings
from musengine.utils.allocator import keep_freed_memory
from musengine_remi.config import MidiTokConfig, TransformerConfig
from musengine_remi.encoder import MidiTokEncoder
from musengine_remi.model import Transformer

CPU = torch.device("cpu")
MODELS = {"2 layers of 128": (2, 128, 120, 41), "4 layers of 256, the defaults": (4, 256, 30, 15)}
"""Layers and units, turns of a step in training, turns in generation; the first warms up."""
PIECES, TOKENS = 4, 256
"""What is generated."""

ENCODER = MidiTokEncoder(MidiTokConfig())
CONFIG = TrainingConfig(batch_size=8, sequence_length=128, learning_rate=0.001, clip_norm=1.0)


def pieces() -> list[EncodedPiece]:
    """Return pieces drawn from the encoder's grammar; how fast they are learned is all the same."""
    random, grammar = np.random.default_rng(0), ENCODER.layout.grammar
    assert grammar is not None
    found = []
    for number in range(8):
        state, drawn = grammar.start, []
        for _ in range(3000):
            drawn.append(int(random.choice(np.flatnonzero(grammar.may_come[state]))))
            state = int(grammar.leads_to[state, drawn[-1]])
        found.append(EncodedPiece(str(number), Encoded(np.array(drawn, np.int16)), ""))
    return found


def bare_loss(model: Any, batch: Batch) -> Tensor:
    """Return the loss as one would write it."""
    logits, _ = model.read(batch.inputs, None)
    return functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())


def engine_makes(model: Transformer) -> None:
    """Make pieces through the engine."""
    plan = generation.GenerationPlan(
        prompts=[Encoded(steps=ENCODER.empty())] * PIECES,
        first=[0] * PIECES,
        seeds=generation.piece_seeds(0, PIECES),
        length=Length(TOKENS, "tokens"),
        settings=[DecodeSettings()] * PIECES,
    )
    samplers = [Categorical(NoSettings(), ENCODER.layout)]
    generation.generate(model, ENCODER, samplers, plan, device=CPU)


@torch.inference_mode()
def bare_makes(model: Transformer) -> None:
    """Make as many tokens as one would write it."""
    model.eval()
    last, state = torch.full((PIECES, 1), model.begin), model.start(PIECES)
    made = []
    for _ in range(TOKENS):
        logits, state = model.read(last, state)
        last = torch.multinomial(logits[:, -1].softmax(-1), 1)
        made.append(last)
    torch.cat(made, dim=1)
    model.train()


def making(model: Transformer, turns: int) -> list[tuple[float, float]]:
    """Return the seconds of each turn, the engine's and the bare loop's."""

    def seconds(work: Callable[[Transformer], None]) -> float:
        began = clock()
        work(model)
        return clock() - began

    return [(seconds(engine_makes), seconds(bare_makes)) for _ in range(turns)][1:]


def figures(turns: list[tuple[float, float]], tokens: int) -> dict[str, Any]:
    """Return tokens a second of processor time of both, and the engine's share."""
    engine, bare, share = medians(turns)
    return {
        "engine": round(tokens / engine),
        "bare loop": round(tokens / bare),
        "engine, of the bare loop's": f"{100 * share:.1f} %",
    }


def main() -> None:
    """Measure both."""
    keep_freed_memory()  # as in every run; the bare loops have it, too
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for name, (layers, units, steps, turns) in MODELS.items():
        torch.manual_seed(0)
        config = TransformerConfig(layers=layers, units=units, dropout=0.0)
        model = Transformer(config, ENCODER.layout)
        learned = in_turns(
            model,
            pieces(),
            replace(CONFIG, steps=steps),
            AdamWFactory,
            torch.optim.AdamW(model.parameters(), lr=0.001),
            bare_loss,
        )
        found[f"training, {name}"] = figures(learned, 8 * 128)
        found[f"generation, {name}"] = figures(making(model, turns), PIECES * TOKENS)
    found["load of the machine"] = {"engine": f"{os.getloadavg()[0]:.1f}"}
    write_result(
        "tokens",
        "python benchmarks/tokens.py",
        found,
        packages=("musengine", "torch", "numpy", "miditok"),
    )


if __name__ == "__main__":
    main()
