"""A whole plugin in two modules, without a fault: what the planted faults are planted in."""

DECLARATIONS = """
from dataclasses import dataclass

from musengine.api import (
    BatchingDeclaration, CallbackDeclaration, CommandDeclaration, EncoderConfig,
    EncoderDeclaration, LossDeclaration, MetricDeclaration, ModelConfig, ModelDeclaration,
    NoSettings, OptimizerDeclaration, ReaderDeclaration, SamplerDeclaration,
    ScheduleDeclaration, Tokens, WriterDeclaration, hookimpl, setting,
)


@dataclass(frozen=True, kw_only=True)
class Settings(EncoderConfig):
    def layout(self):
        return Tokens(size=129, meanings={0: ("step", 1)})


@dataclass(frozen=True, kw_only=True)
class ModelSettings(ModelConfig):
    units: int = setting(8, doc="Units.", low=1)


@hookimpl
def musengine_readers():
    return [ReaderDeclaration(name="own", summary="", target="own_parts:Read", suffixes=(".own",))]


@hookimpl
def musengine_encoders():
    return [EncoderDeclaration(name="own", summary="", target="own_parts:Enc", config=Settings)]


@hookimpl
def musengine_models():
    return [ModelDeclaration(
        name="own", summary="", target="own_parts:Net", config=ModelSettings, layouts=("tokens",),
        defaults={"encoder": {"type": "own"}},
    )]


@hookimpl
def musengine_losses():
    return [LossDeclaration(name="own", summary="", target="own_parts:Cost")]


@hookimpl
def musengine_samplers():
    return [SamplerDeclaration(
        name="own", summary="", target="own_parts:Draw", layouts=("tokens",)
    )]


@hookimpl
def musengine_metrics():
    return [MetricDeclaration(name="own", summary="", target="own_parts:Measure")]


@hookimpl
def musengine_writers():
    return [WriterDeclaration(name="own", summary="", target="own_parts:Write")]


@hookimpl
def musengine_callbacks():
    return [CallbackDeclaration(name="own", summary="", target="own_parts:Watch")]


@hookimpl
def musengine_commands():
    return [CommandDeclaration(name="own", summary="", target="own_parts:command")]


@hookimpl
def musengine_optimizers():
    return [OptimizerDeclaration(name="own", summary="", target="own_parts:Descent")]


@hookimpl
def musengine_schedules():
    return [ScheduleDeclaration(name="own", summary="", target="own_parts:Rate")]


@hookimpl
def musengine_batching():
    return [BatchingDeclaration(name="own", summary="", target="own_parts:Plan")]
"""

PARTS = """
import numpy as np
import torch
from torch import nn

from musengine.api import (
    BatchingStrategy, Callback, Encoded, Encoder, Loss, Metric, Model, OptimizerFactory, Output,
    Piece, Reader, Row, Schedule, Score, TokenSampler, Tokens, Writer, negative_log_likelihood,
)


class Read(Reader):
    def read(self, item):
        pitches = [int(word) for word in item.read_text(10**6).split()]
        score = Score.from_notes(np.arange(len(pitches)), 1, pitches, ticks_per_beat=1)
        return [Piece(item.id, score)]


class Enc(Encoder):
    def encode(self, content):
        steps = np.zeros(2 * len(content), dtype=np.int64)
        steps[::2] = content.pitch + 1
        return Encoded(steps)

    def decode(self, steps, settings):
        pitches = steps[steps > 0] - 1
        return Score.from_notes(np.arange(len(pitches)), 1, pitches, ticks_per_beat=1)

    def elapsed(self, steps, unit, settings):
        passed = np.cumsum(steps == 0).astype(float)
        return passed

    def state(self):
        return {}


class Net(Model):
    def __init__(self, config, layout):
        super().__init__(config, layout)
        self.embedding = nn.Embedding(129, config.units)
        self.output = nn.Linear(config.units, 129)

    def forward(self, batch):
        logits = self.output(self.embedding(batch.inputs))
        return Output(logits=logits, targets=batch.targets, mask=batch.mask)

    def start(self, pieces):
        return torch.zeros(pieces, 1)

    def step(self, last, state, conditioning):
        if last is None:
            last = torch.zeros(len(state), dtype=torch.long)
        return self.output(self.embedding(last)), state


class Cost(Loss):
    unit = "nats per step"

    def per_step(self, output):
        return negative_log_likelihood(output, self.layout)


class Draw(TokenSampler):
    def logits(self, logits, history):
        return logits

    def observe(self, choice):
        pass


class Measure(Metric):
    def measure(self, evidence):
        return {"own": 1.0}


class Write(Writer):
    suffix = ".own"

    def write(self, content, path):
        path.write_text(str(len(content)))


class Watch(Callback):
    def on_step(self, progress):
        pass

    def state(self):
        return {}


class Descent(OptimizerFactory):
    def create(self, groups):
        return torch.optim.SGD(groups, lr=0.1)


class Rate(Schedule):
    def factor(self, progress):
        return 1.0


class Plan(BatchingStrategy):
    def plan(self, random):
        return [[Row(piece, 0, int(length))] for piece, length in enumerate(self.lengths)]


def command(parsed, context):
    return 0
"""

PIPELINE = """
[corpus]
path = "music"

[model]
type = "own"

[loss]
type = "own"

[training]
steps = 4
checkpoint_every = 2
batching = "own"
optimizer = "own"
schedule = "own"

[[sampler]]
type = "own"

[generate]
count = 2
length = "4 beats"
redraw = false

[[metric]]
type = "own"

[[output]]
type = "own"

[[callback]]
type = "own"
"""
