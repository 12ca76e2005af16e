"""What the engine adds to the processor time of a training step, beside a bare loop of PyTorch.

The models of grids and the character model; for tokens see tokens.py, for the turns turns.py.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from common import stored_figures, write_result
from torch import Tensor
from torch.nn import functional
from turns import BareLoss, in_turns, medians

from musengine.builtin.optimizers import AdamFactory
from musengine.config.quantities import GridStep
from musengine.encoding.layouts import Grid
from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.interfaces.model import Batch, Model
from musengine.interfaces.training import TrainingConfig
from musengine.utils.allocator import keep_freed_memory
from musengine_biaxial.config import BiaxialConfig
from musengine_biaxial.model import Biaxial
from musengine_charrnn.config import CharRnnConfig, TextRollConfig
from musengine_charrnn.model import CharRnn
from musengine_charrnn.textroll import TextRoll
from musengine_lstm3.config import Lstm3Config
from musengine_lstm3.model import Lstm3

STEP = GridStep(Fraction(1, 4), "beat")
RATE = 0.001
PIECES, LENGTH = 32, 1000


@dataclass(frozen=True)
class Measured:
    """A model, how large its batches are, and the loss as one would write it."""

    make: Callable[[], Model[Any]]
    rows: int
    steps: int
    turns: int
    bare_loss: BareLoss


def grid_loss(model: Any, batch: Batch) -> Tensor:
    """Return the nats of a step of a grid."""
    output = model(batch)
    wanted = batch.targets.to(output.logits.dtype)
    logits = output.logits
    total = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    return total / batch.mask.numel()


def character_loss(model: Any, batch: Batch) -> Tensor:
    """Return the nats of a character."""
    return functional.cross_entropy(model(batch).logits.flatten(0, 1), batch.targets.flatten())


def lstm3() -> Model[Any]:
    """Return the model of the quickstart."""
    layout = Grid(lowest=31, pitches=54, channels=("sound",), step=STEP)
    return Lstm3(Lstm3Config(layers=(160, 160, 160), dropout=0.0), layout)


def biaxial() -> Model[Any]:
    """Return the model with its defaults."""
    layout = Grid(
        lowest=36,
        pitches=48,
        channels=("sound", "onset"),
        step=STEP,
        conditioning=("beat",),
    )
    return Biaxial(BiaxialConfig(dropout=0.0), layout)


def charrnn() -> Model[Any]:
    """Return the model with its defaults."""
    return CharRnn(CharRnnConfig(dropout=0.0), TextRoll(TextRollConfig()).layout)


MODELS = {
    "lstm3": Measured(lstm3, 32, 64, 40, grid_loss),
    "biaxial": Measured(biaxial, 4, 32, 24, grid_loss),
    "charrnn": Measured(charrnn, 32, 64, 40, character_loss),
}


def pieces(model: Model[Any]) -> list[EncodedPiece]:
    """Return pieces drawn at random: how fast they are learned is all the same."""
    random = np.random.default_rng(0)
    found = []
    for number in range(PIECES):
        layout = model.layout
        if isinstance(layout, Grid):
            steps = (random.random((LENGTH, *layout.step_shape)) < 0.05).astype(np.uint8)
            number = np.arange(LENGTH, dtype=np.float32)
            beat = np.stack([number, number % 16 / 16, number % 4 / 4], axis=1)
            encoded = Encoded(steps, {"beat": beat} if layout.conditioning else {})
        else:
            encoded = Encoded(random.integers(0, layout.size, LENGTH))
        found.append(EncodedPiece(str(number), encoded, ""))
    return found


def overhead(measured: Measured) -> dict[str, Any]:
    """Return the milliseconds of a step, and what the engine adds to them."""
    torch.manual_seed(0)
    model = measured.make()
    config = TrainingConfig(
        batch_size=measured.rows,
        sequence_length=measured.steps,
        learning_rate=RATE,
        clip_norm=1.0,
        steps=measured.turns,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    turns = in_turns(model, pieces(model), config, AdamFactory, optimizer, measured.bare_loss)
    engine, bare, share = medians(turns)
    return {
        "parameters": sum(each.numel() for each in model.parameters()),
        "batch": f"{measured.rows} segments of {measured.steps} steps",
        "milliseconds of the engine": round(1000 * engine, 2),
        "milliseconds of the bare loop": round(1000 * bare, 2),
        "the engine adds": f"{100 * (1 / share - 1):.1f} %",
        "turns": len(turns),
    }


def main() -> None:
    """Measure the models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=tuple(MODELS))
    parser.add_argument("--turns", type=int, help="steps of each, the first of which warms up")
    parsed = parser.parse_args()
    keep_freed_memory()  # as in every run; the bare loops have it, too
    torch.set_num_threads(1)
    found = stored_figures("training")
    for name in parsed.models:
        measured = MODELS[name]
        if parsed.turns:
            measured = replace(measured, turns=parsed.turns)
        found[name] = overhead(measured)
    found["load of the machine"] = {"batch": f"{os.getloadavg()[0]:.1f}"}
    packages = ("musengine", "torch", "numpy")
    write_result("training", "python benchmarks/training.py", found, packages)


if __name__ == "__main__":
    main()
