"""One LSTM layer by every way there is to run it: processor time of one thread, in turns.

    python benchmarks/recurrent_ways.py [--only NAME ...]

Learning is forward and backward along 128 steps of 780 sequences, 300 inputs and units, as a layer
of `biaxial` has; a step is one of one sequence, 178 inputs and units, as a layer of `charrnn` has.
Of ways that are compiled where they run, what the first run takes, compilers included: with nothing
kept from before, and with what that has left in files. How far hidden states and the gradient of
the hidden weights are from those of nn.LSTM are shares of the largest. What is not installed is
said in words; Numba needs SciPy.
"""

from __future__ import annotations

import os

# One thread, said before the libraries are imported.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from common import stored_figures, write_result
from lstm_ways import (
    COMPILED_WHERE_IT_RUNS,
    WAYS,
    Given,
    State,
    Step,
    forget,
    learned,
    library,
)
from torch import Tensor

LENGTH, ROWS, UNITS, STEP_UNITS = 128, 780, 300, 178
TURNS, STEPS = 3, 2000
CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "NUMBA_CACHE_DIR")
OPERATIONS = 2 * 3 * LENGTH * ROWS * 4 * UNITS * 2 * UNITS
"""Of the products: forward, and twice as many back."""


@dataclass(frozen=True)
class Task:
    """The work that every way does, and what nn.LSTM gives for it."""

    x: Tensor
    given: Given
    d_hidden: Tensor
    step_given: Given
    wanted: tuple[Tensor, Tensor]


@dataclass
class Way:
    """What is known of a way: its figures, and its work where it runs."""

    figures: dict[str, Any]
    learn: Callable[[], Any] | None = None
    steps: Callable[[], Any] | None = None


def weights(units: int) -> Given:
    """Return random weights of a layer that is as wide as its input."""
    made = torch.randn(4 * units, 2 * units) * units**-0.5
    return made[:, :units].contiguous(), made[:, units:].contiguous(), torch.randn(4 * units)


def task() -> Task:
    """Return random numbers to compute with."""
    torch.manual_seed(0)
    given, x, d_hidden = weights(UNITS), *torch.randn(2, LENGTH, ROWS, UNITS)
    return Task(x, given, d_hidden, weights(STEP_UNITS), learned(library)(x, given, d_hidden))


def in_words(error: Exception) -> str:
    """Return the first line of what went wrong."""
    return str(error).strip().splitlines()[0][:100] or type(error).__name__


def apart(found: Tensor, wanted: Tensor) -> float:
    """Return the largest difference, as a share of the largest number."""
    return float(f"{(found.float() - wanted).abs().max() / wanted.abs().max():.1g}")


def stepping(step: Step) -> Callable[[], None]:
    """Return work of many steps."""
    x, start = torch.randn(1, STEP_UNITS), torch.zeros(1, STEP_UNITS)

    @torch.inference_mode()
    def steps() -> None:
        state: State = (start, start)
        for _ in range(STEPS):
            state = step(x, state)

    return steps


def first_run(learn: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor seconds, of compilers too, of a run, and what it gives."""
    began = os.times()
    made = learn()
    # User and system, of this process and of those that it has started.
    return round(sum(os.times()[:4]) - sum(began[:4]), 1), made


def tried(name: str, task: Task) -> Way:
    """Return a way that has run once, or what it lacks."""
    make_learn, make_step = WAYS[name]
    compiles = name.startswith(COMPILED_WHERE_IT_RUNS)
    # In the order of the table's columns; what is measured later is filled in.
    way = Way({"learned, s": "", "GFLOP/s": "", "step, us": ""})

    def learn() -> Any:
        return make_learn()(task.x, task.given, task.d_hidden)

    try:
        seconds, found = first_run(learn)
        for key, pair in zip(
            ("hidden", "gradient"), zip(found, task.wanted, strict=True), strict=True
        ):
            way.figures[f"{key} apart"] = apart(*pair)
        if compiles:
            forget()
            way.figures |= {"first run, s": seconds, "with its cache, s": first_run(learn)[0]}
        if make_step:
            steps = stepping(make_step(task.step_given))
            steps()
            way.steps = steps
        made = make_learn()
        way.learn = lambda: made(task.x, task.given, task.d_hidden)
    # What a way lacks is as much a finding as its time.
    except Exception as error:
        return Way({"learned, s": in_words(error)})
    return way


def median_seconds(works: list[Callable[[], Any]]) -> list[float]:
    """Return the processor seconds of each, which take turns; the first turn is left out."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(TURNS + 1):
        for work, found in zip(works, seconds, strict=True):
            began = time.process_time()
            work()
            found.append(time.process_time() - began)
    return [statistics.median(found[1:]) for found in seconds]


def main() -> None:
    """Measure every way, or some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="ways whose names begin so")
    chosen = parser.parse_args().only
    torch.set_num_threads(1)
    work = task()
    ways: dict[str, Way] = {}
    with tempfile.TemporaryDirectory() as folder:
        # Caches that begin empty.
        os.environ.update({variable: f"{folder}/{variable}" for variable in CACHES})
        for name in WAYS:
            if not chosen or name.startswith(tuple(chosen)):
                ways[name] = tried(name, work)
                print(name, ways[name].figures, flush=True)
    learning = {way.learn: way.figures for way in ways.values() if way.learn}
    for figures, seconds in zip(learning.values(), median_seconds(list(learning)), strict=True):
        figures["learned, s"] = float(f"{seconds:.3g}")
        figures["GFLOP/s"] = round(OPERATIONS / seconds / 1e9)
    drawing = {way.steps: way.figures for way in ways.values() if way.steps}
    for figures, seconds in zip(drawing.values(), median_seconds(list(drawing)), strict=True):
        figures["step, us"] = float(f"{1e6 * seconds / STEPS:.3g}")
    kept = stored_figures("recurrent_ways") if chosen else {}
    found = kept | {name: way.figures for name, way in ways.items()}
    write_result("recurrent_ways", "python benchmarks/recurrent_ways.py", found)


if __name__ == "__main__":
    main()
