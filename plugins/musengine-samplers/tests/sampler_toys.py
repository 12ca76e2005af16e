"""Models that say what a test tells them to, layouts of every kind, and pieces made with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from musengine.api import (
    Array,
    DecodeSettings,
    Draw,
    Grid,
    GridDraw,
    GridStep,
    Layout,
    Meter,
    Model,
    ModelConfig,
    Proposal,
    Sampler,
    Tokens,
)
from musengine.testing import create, generate_steps

SIXTEENTH = GridStep(Fraction(1, 4), "beat")
SURE = 30.0
"""A logit of a probability of almost 1; of almost 0 with the minus sign."""

MERGED = Grid(lowest=60, pitches=12, step=SIXTEENTH)
ONSETS = Grid(lowest=60, pitches=12, channels=("sound", "onset"), step=SIXTEENTH)
MARKER = Grid(lowest=60, pitches=12, step=SIXTEENTH, silence_marker=True)
GRIDS = {"merged": MERGED, "onsets": ONSETS, "marker": MARKER}

REST, HOLD, FIRST = 0, 13, 1
PITCHES = {FIRST + row: ("pitch", 60 + row) for row in range(12)}
MELODY = Tokens(size=13, step=SIXTEENTH, meanings={REST: ("rest", 0), **PITCHES})
"""0 is a rest, 1 to 12 are pitches; the same again is held."""
MELODY_HOLD = Tokens(
    size=14, step=SIXTEENTH, meanings={REST: ("rest", 0), HOLD: ("hold", 0), **PITCHES}
)
STEP = 0
ROLL = Tokens(size=13, step=SIXTEENTH, meanings={STEP: ("step", 1), **PITCHES})
"""0 ends a step, 1 to 12 are the pitches that sound in it."""
LINES = {"melody": MELODY, "melody-hold": MELODY_HOLD}
TOKENS = {**LINES, "roll": ROLL}
LETTERS = Tokens(size=5)
"""Tokens without a meaning, as of plain text."""


Say = Callable[[Tensor, int], Tensor]
"""The last step (N, ...), zeros before the first, and its number, to logits."""


class Told(Model[ModelConfig]):
    """A model whose logits are what a function says."""

    def __init__(self, layout: Layout, say: Say | Tensor) -> None:
        super().__init__(ModelConfig(), layout)
        self.say = say

    def start(self, pieces: int) -> Any:
        return (torch.zeros(pieces, 1),)

    def step(
        self, last: Tensor | None, state: Any, conditioning: Mapping[str, Tensor]
    ) -> tuple[Any, Any]:
        (count,) = state
        if last is None:
            last = torch.zeros((len(count), *self.layout.step_shape), dtype=torch.int64)
        if callable(self.say):
            logits = self.say(last, int(count[0, 0]))
        else:
            logits = self.say.expand(len(count), *self.say.shape)
        return logits, (count + 1,)


class NoteByNote(Told):
    """A model in which a note that sounds moves the logit of the next higher one."""

    pull = 3.0

    def propose(self, context: Tensor, draw: Draw) -> Proposal:
        assert isinstance(draw, GridDraw)
        logits, choice = context.clone(), torch.zeros(context.shape, dtype=torch.uint8)
        for row in range(context.shape[1]):
            if row:
                logits[:, row, 0] = context[:, row, 0] + self.pull * choice[:, row - 1, 0]
            choice[:, row] = logits[:, row] > draw.thresholds[:, row]
        if context.shape[2] == 2:
            choice[..., 1] &= choice[..., 0]
        return Proposal(choice, logits)


def sampler(kind: str, layout: Layout, **settings: Any) -> Sampler[Any]:
    """A sampler as a pipeline would choose it."""
    made: Sampler[Any] = create("sampler", kind, layout, **settings)
    return made


def chain(layout: Layout, *tables: tuple[str, Mapping[str, Any]] | str) -> list[Sampler[Any]]:
    """Samplers by name, or by name and settings."""
    pairs = [(table, {}) if isinstance(table, str) else table for table in tables]
    return [sampler(kind, layout, **settings) for kind, settings in pairs]


def make(
    model: Model[Any],
    samplers: Sequence[Sampler[Any]],
    steps: int,
    *,
    count: int = 1,
    seeds: Sequence[int] | None = None,
    prompt: Any = None,
    tempo: float = 120.0,
    meter: str = "4/4",
) -> list[Array]:
    """Generate pieces of so many steps or tokens; returns their arrays."""
    seeds = range(count) if seeds is None else seeds
    numerator, denominator = map(int, meter.split("/"))
    return generate_steps(
        model,
        samplers,
        length=f"{steps} tokens",
        seeds=seeds,
        prompts=None if prompt is None else [prompt] * len(seeds),
        settings=DecodeSettings(tempo=tempo, meter=Meter(numerator, denominator)),
    )


def logits_of(layout: Grid, sound: float | Sequence[float], onset: float = 0.0) -> Tensor:
    """The same logits for every step: of the pitches, and of every onset."""
    result = torch.zeros(layout.step_shape)
    result[:, 0] = torch.as_tensor(sound)
    if result.shape[1] == 2:
        result[:, 1] = onset
    return result


def holding(layout: Grid) -> Told:
    """A model that starts a note with probability 1/8 and never ends or strikes it again."""

    def say(last: Tensor, count: int) -> Tensor:
        logits = torch.full((len(last), *layout.step_shape), -SURE)
        logits[..., 0] = torch.where(last[..., 0] > 0, SURE, -2.0)
        return logits

    return Told(layout, say)


def longest_run(sound: Sequence[int] | Array) -> int:
    """The longest run of truths."""
    longest = run = 0
    for value in sound:
        run = run + 1 if value else 0
        longest = max(longest, run)
    return longest


def note_lengths(piece: Array, layout: Grid) -> list[int]:
    """The lengths of all notes in steps, as the encoder's decoding counts them."""
    lengths = []
    for row in range(layout.pitches):
        run = 0
        for step in piece[:, row]:
            struck = len(step) == 2 and step[1]
            if run and (struck or not step[0]):
                lengths.append(run)
                run = 0
            run += int(step[0])
        lengths.append(run)
    return [length for length in lengths if length]


def roll_steps(piece: Array) -> list[set[int]]:
    """The pitches of each whole step of a text roll."""
    steps: list[set[int]] = [set()]
    for token in piece:
        if token == STEP:
            steps.append(set())
        else:
            steps[-1].add(59 + int(token))
    return steps[:-1]
