"""How fast the melody model learns and makes music, beside a plain nn.LSTM on windows of 20.

One thread; the best of five rounds, by the clock and by the processor's time, which on a machine
that does other work at the same time says more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from common import write_result
from torch import nn
from torch.nn import functional

from musengine.builtin.batching import StatefulBatching, WindowBatching
from musengine.builtin.losses import CrossEntropy
from musengine.builtin.optimizers import AdamFactory
from musengine.builtin.samplers import Categorical
from musengine.config.quantities import Length
from musengine.data.batching import Batches
from musengine.generation import engine as generation
from musengine.interfaces.batching import BatchingStrategy
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece
from musengine.interfaces.training import TrainingConfig
from musengine.plugins.configs import NoSettings
from musengine.training import checkpoint
from musengine.training.optim import clip_gradients, make_optimizer
from musengine_melody.config import MelodyEncoderConfig, MelodyModelConfig
from musengine_melody.encoder import Melody
from musengine_melody.model import MelodyLSTM

UNITS, WINDOW, ROUNDS = 64, 20, 5
ENCODER = Melody(MelodyEncoderConfig())
SIZE = ENCODER.layout.size  # type: ignore[attr-defined]
CPU = torch.device("cpu")


def melodies(count: int, length: int) -> list[EncodedPiece]:
    """Return made-up melodies; how fast they are learned does not depend on what they are."""
    random = np.random.default_rng(0)
    tokens = random.integers(0, SIZE, (count, length)).astype(np.int16)
    return [EncodedPiece(str(n), Encoded(steps=row), "") for n, row in enumerate(tokens)]


def best(work: Callable[[], int]) -> dict[str, int]:
    """Return how many of what the work counts there are in a second."""
    rates = []
    for _ in range(ROUNDS + 1):
        clock, processor = time.perf_counter(), time.process_time()
        done = work()
        rates.append(
            (done / (time.perf_counter() - clock), done / (time.process_time() - processor))
        )
    wall, own = (round(max(column)) for column in zip(*rates[1:], strict=True))
    return {"per second": wall, "per second of processor time": own}


def learning(batching: type[BatchingStrategy], training: TrainingConfig) -> Callable[[], int]:
    """Return what trains the melody model on 100 batches as the engine does, counting targets."""
    model = MelodyLSTM(MelodyModelConfig(layers=(UNITS,)), ENCODER.layout).train()
    optimizer = make_optimizer(model, AdamFactory(NoSettings(), training))
    loss, pieces = CrossEntropy(NoSettings(), ENCODER.layout), melodies(32, 4000)
    batches = Batches(pieces, batching(NoSettings(), training, [len(piece) for piece in pieces]))

    def endless() -> Iterator[object]:
        for epoch in range(1000):
            yield from batches.epoch(epoch)

    source, state = endless(), None

    def work() -> int:
        nonlocal state
        targets = 0
        for _ in range(100):
            output = model(replace(next(source), carried=state))  # type: ignore[type-var]
            optimizer.zero_grad(set_to_none=True)
            loss(output).backward()
            clip_gradients(optimizer, training)
            optimizer.step()
            if batching is StatefulBatching:
                state = checkpoint.map_tensors(output.state, torch.Tensor.detach)
            targets += int(output.mask.sum())
        return targets

    return work


class Plain(nn.Module):
    """What one would write first: one-hot, nn.LSTM, dropout, a linear layer on the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.drop = nn.LSTM(SIZE, UNITS, batch_first=True), nn.Dropout(0.2)
        self.output = nn.Linear(UNITS, SIZE)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, size) of what follows windows (B, 20)."""
        hidden, _ = self.lstm(functional.one_hot(tokens, SIZE).float())
        return self.output(self.drop(hidden[:, -1]))  # type: ignore[no-any-return]


def plain_learning() -> int:
    """Train a plain model on 100 batches of 32 windows; returns the number of targets."""
    tokens = torch.from_numpy(melodies(1, 100 * 32 + WINDOW)[0].encoded.steps.astype(np.int64))
    windows = tokens.unfold(0, WINDOW + 1, 1)
    windows = windows[torch.randperm(len(windows))]
    optimizer = torch.optim.Adam(PLAIN.parameters())
    for batch in windows.split(32):
        optimizer.zero_grad()
        functional.cross_entropy(PLAIN(batch[:, :-1]), batch[:, -1]).backward()
        nn.utils.clip_grad_value_(PLAIN.parameters(), 5.0)
        optimizer.step()
    return len(windows)


def making() -> int:
    """Make 10 melodies of 1,000 sixteenths at once; returns how many sixteenths."""
    plan = generation.GenerationPlan(
        prompts=[Encoded(steps=ENCODER.empty())] * 10,
        first=[0] * 10,
        seeds=generation.piece_seeds(0, 10),
        length=Length(1000, "steps"),
        settings=[DecodeSettings()] * 10,
    )
    samplers = [Categorical(NoSettings(), ENCODER.layout)]
    made = generation.generate(MODEL, ENCODER, samplers, plan, device=CPU)
    return sum(len(ENCODER.decode(piece.steps, plan.settings[0])) > 0 for piece in made) * 1000


@torch.no_grad()
def plain_making() -> int:
    """Make one melody of 200 sixteenths, reading the last 20 anew for each; returns how many."""
    PLAIN.eval()
    tokens = torch.zeros(1, WINDOW, dtype=torch.int64)
    for _ in range(200):
        drawn = torch.multinomial(PLAIN(tokens[:, -WINDOW:]).softmax(-1), 1)
        tokens = torch.cat([tokens, drawn], dim=1)
    PLAIN.train()
    return 200


MODEL, PLAIN = MelodyLSTM(MelodyModelConfig(layers=(UNITS,)), ENCODER.layout), Plain()


def main() -> None:
    """Measure all five."""
    torch.set_num_threads(1)
    stateful = learning(
        StatefulBatching,
        TrainingConfig(batch_size=16, sequence_length=64, learning_rate=0.005, clip_norm=1.0),
    )
    windows = learning(
        WindowBatching, TrainingConfig(batch_size=32, sequence_length=WINDOW, clip_value=5.0)
    )
    figures = {
        "targets learned: melody, stateful, 16 streams of 64": best(stateful),
        "targets learned: melody, windows of 20, batches of 32": best(windows),
        "targets learned: plain nn.LSTM, windows of 20, batches of 32": best(plain_learning),
        "sixteenths made: melody, 10 melodies of 1,000 at once": best(making),
        "sixteenths made: plain nn.LSTM, reading 20 steps for each": best(plain_making),
    }
    write_result("melody", "python benchmarks/melody.py", figures)


if __name__ == "__main__":
    main()
