"""The recurrent models beside plain PyTorch: seconds for the same work, learned and drawn.

    python benchmarks/recurrent.py [--quick] [--json FILE] [--only NAME ...]

The two of a row take turns, so that what else the machine does falls on both, and the median of
each counts; by processor time, of all threads, stands how many times as fast ours is where others
have the processor meanwhile. Beside similarity stand twice the bare matrix products, beside the
reading of files symusic. `--quick` takes fewer turns, within ten minutes; `--json` writes the rows
alone to a file.
Rows left out by `--only` stay as they were measured before.
"""

from __future__ import annotations

import os

# How threads wait is said before PyTorch is imported, as the commands do.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import biaxial
import charrnn
import ingest
import melody
import numpy as np
import plain
import similarity
import torch
from common import stored_figures, write_result
from torch import nn
from torch.nn import functional

from musengine.builtin.batching import StatefulBatching, WindowBatching
from musengine.config.quantities import GridStep, Length
from musengine.data.batching import collate
from musengine.encoding.layouts import Grid
from musengine.generation import engine
from musengine.interfaces.batching import Row
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece
from musengine.interfaces.loss import negative_log_likelihood
from musengine.interfaces.sampler import GridDraw
from musengine.interfaces.training import TrainingConfig
from musengine.testing import score_of
from musengine.training.device import supports_bfloat16
from musengine.utils.allocator import keep_freed_memory

Work = Callable[[], int]
"""Does some work; returns how many units of it."""

FULL, QUICK = 15, 5
"""Turns of each row but the slowest, which take a third."""


@dataclass(frozen=True)
class Compared:
    """A row.

    Attributes:
        unit: what the seconds are for.
        make: returns ours and what stands beside it.
        threads: of PyTorch.
        slow: a turn takes seconds.
        baseline: what stands beside it.
        scale: what its seconds are multiplied by.
    """

    unit: str
    make: Callable[[], tuple[Work, Work]]
    threads: int = 2
    slow: bool = False
    baseline: str = "plain PyTorch"
    scale: float = 1.0


def repeated(work: Callable[[], object], times: int) -> Work:
    """Return work that counts its calls."""

    def several() -> int:
        for _ in range(times):
            work()
        return times

    return several


def biaxial_batch(low: bool) -> tuple[Work, Work]:
    """Return a training batch in float32, or in bfloat16."""
    ours, plainly = (biaxial.training(plainly, low) for plainly in (False, True))
    return repeated(ours, 1), repeated(plainly, 1)


def biaxial_step(pieces: int) -> tuple[Work, Work]:
    """Return steps of so many pieces."""
    ours, plainly = (biaxial.generating(plainly, pieces) for plainly in (False, True))
    return repeated(ours, 32 // pieces), repeated(plainly, 32 // pieces)


NOTES, UNITS = 88, (176, 176, 176)
ROLL = Grid(
    lowest=21, pitches=NOTES, channels=("sound",), step=GridStep(biaxial.LAYOUT.step.size, "beat")
)


def rolls(rows: int, steps: int) -> list[EncodedPiece]:
    """Return random piano-rolls with about four notes at once."""
    random = np.random.default_rng(0)
    made = (random.random((rows, steps, NOTES, 1)) < 0.045).astype(np.uint8)
    return [EncodedPiece(str(n), biaxial.Encoded(steps=roll), "") for n, roll in enumerate(made)]


def lstm3(**settings: Any) -> Any:
    """Return the model of three layers."""
    from musengine_lstm3.config import Lstm3Config
    from musengine_lstm3.model import Lstm3

    return Lstm3(Lstm3Config(layers=UNITS, dropout=0.0, **settings), ROLL)


def lstm3_minibatch(**settings: Any) -> tuple[Work, Work]:
    """Return minibatches of 5 tunes of 98 steps."""
    model, other = lstm3(**settings).train(), plain.Roll(NOTES, UNITS)
    optimizers = [torch.optim.RMSprop(each.parameters(), lr=0.001) for each in (model, other)]
    batch = collate([Row(k, 0, 98) for k in range(5)], rolls(5, 98))
    before, after = (x.flatten(2).float() for x in (batch.inputs, batch.targets))

    def ours() -> None:
        optimizers[0].zero_grad(set_to_none=True)
        negative_log_likelihood(model(batch), ROLL).mean().backward()
        optimizers[0].step()

    def plainly() -> None:
        optimizers[1].zero_grad(set_to_none=True)
        functional.binary_cross_entropy_with_logits(other(before), after).backward()
        optimizers[1].step()

    return repeated(ours, 3), repeated(plainly, 3)


def lstm3_step(**settings: Any) -> tuple[Work, Work]:
    """Return steps of one piece, drawn."""
    model, other = lstm3(**settings).eval(), plain.Roll(NOTES, UNITS)
    states, draws = other.as_cells(), torch.rand(64, 1, NOTES, 1)
    thresholds = torch.logit(draws)

    @torch.inference_mode()
    def ours() -> int:
        last, state = torch.zeros(1, NOTES, 1), model.start(1)
        for number in range(200):
            context, state = model.step(last, state, {})
            last = model.propose(context, GridDraw(thresholds[number % 64], ROLL)).choice
        return 200

    @torch.inference_mode()
    def plainly() -> int:
        last = torch.zeros(1, NOTES)
        for number in range(200):
            last = other.step(last, states, draws[number % 64, ..., 0])
        return 200

    return ours, plainly


def tokens_learned(
    ours: Work, other: plain.Characters, rows: int, steps: int, clip: float
) -> tuple[Work, Work]:
    """Return ours beside learning a chunk of steps of each row with a plain model and Adam."""
    tokens = torch.randint(other.size, (rows, 32 * steps + 1))
    optimizer, state, number = torch.optim.Adam(other.parameters()), None, 0

    def plainly() -> int:
        nonlocal state, number
        chunk = tokens[:, number * steps : (number + 1) * steps + 1]
        number = (number + 1) % 32
        optimizer.zero_grad()
        logits, after = other(chunk[:, :-1], state)
        functional.cross_entropy(logits.flatten(0, 1), chunk[:, 1:].flatten()).backward()
        if clip:
            nn.utils.clip_grad_norm_(other.parameters(), clip)
        optimizer.step()
        state = tuple(each.detach() for each in after)
        return rows * steps

    def several() -> int:
        return sum(plainly() for _ in range(20))

    return ours, several


def charrnn_model() -> tuple[Any, Any, plain.Characters]:
    """Return the character model, its encoder, and the plain model of its size."""
    encoder = charrnn.TextRoll(charrnn.TextRollConfig())
    units = charrnn.UNITS
    config = charrnn.CharRnnConfig(layers=charrnn.LAYERS, units=units, embedding=units)
    model = charrnn.CharRnn(config, encoder.layout)
    return model, encoder, plain.Characters(model.size, units, units, charrnn.LAYERS)


def charrnn_learned() -> tuple[Work, Work]:
    """Return learning chunks of one text."""
    model, _, other = charrnn_model()
    once = charrnn.learning(model, 1)
    return tokens_learned(lambda: sum(once() for _ in range(20)), other, 1, charrnn.CHUNK, 0.0)


def charrnn_drawn() -> tuple[Work, Work]:
    """Return drawing one text."""
    model, encoder, other = charrnn_model()
    return charrnn.drawing(model, encoder, 1), lambda: other.drawn(1, charrnn.DRAWN).numel()


def melody_learned() -> tuple[Work, Work]:
    """Return learning 16 streams, 64 steps of each at a time."""
    training = TrainingConfig(batch_size=16, sequence_length=64, learning_rate=0.005, clip_norm=1.0)
    other = plain.Characters(melody.SIZE, 0, melody.UNITS, 1)
    return tokens_learned(melody.learning(StatefulBatching, training), other, 16, 64, 1.0)


def melody_windows() -> tuple[Work, Work]:
    """Return learning windows of 20 steps."""
    training = TrainingConfig(batch_size=32, sequence_length=melody.WINDOW, clip_value=5.0)
    return melody.learning(WindowBatching, training), melody.plain_learning


def melody_drawn() -> tuple[Work, Work]:
    """Return drawing 10 melodies of 1,000 steps at once."""
    other = plain.Characters(melody.SIZE, 0, melody.UNITS, 1)
    return melody.making, lambda: other.drawn(10, 1000).numel()


def notes_model() -> tuple[Any, Any, list[EncodedPiece], plain.Fields]:
    """Return the note model without look-back, its encoder, music, and a plain model alike."""
    from musengine.api import Piece
    from musengine_notes.config import NotesEncoderConfig, NotesModelConfig
    from musengine_notes.encoder import Notes
    from musengine_notes.model import NoteModel

    random = np.random.default_rng(0)
    scores = [
        score_of([(4 * n, 4, int(p), 80) for n, p in enumerate(random.integers(48, 84, 200))])
        for _ in range(12)
    ]
    encoder = Notes(NotesEncoderConfig())
    encoder.fit([Piece(str(n), score) for n, score in enumerate(scores)])
    pieces = [EncodedPiece(str(n), encoder.encode(each), "") for n, each in enumerate(scores)]
    config = NotesModelConfig(form=False, dropout=0.0, transpose=0)
    layout = encoder.layout
    other = plain.Fields(layout.sizes, layout.places, config.width, config.hidden)
    return NoteModel(config, layout), encoder, pieces, other


def notes_learned() -> tuple[Work, Work]:
    """Return learning 12 pieces, 128 notes of each."""
    model, _, pieces, other = notes_model()
    model.train()
    optimizers = [torch.optim.AdamW(each.parameters()) for each in (model, other)]
    batch = collate([Row(k, 0, 129) for k in range(12)], pieces)
    place = batch.conditioning["metre"][..., 1].long()

    def ours() -> int:
        optimizers[0].zero_grad(set_to_none=True)
        model(batch).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers[0].step()
        return 12 * 129

    def plainly() -> int:
        optimizers[1].zero_grad(set_to_none=True)
        other(batch.targets.long(), place).backward()
        nn.utils.clip_grad_norm_(other.parameters(), 1.0)
        optimizers[1].step()
        return 12 * 128

    return ours, plainly


def notes_drawn() -> tuple[Work, Work]:
    """Return drawing the notes of one piece, the whole way that `musengine generate` goes."""
    from musengine_notes.config import NotesSamplerConfig
    from musengine_notes.sampler import NotesSampler

    model, encoder, pieces, other = notes_model()
    width = model.config.width
    samplers = [NotesSampler(NotesSamplerConfig(), encoder.layout)]
    plan = engine.GenerationPlan(
        prompts=[Encoded(encoder.empty())],
        first=[0],
        seeds=engine.piece_seeds(0, 1),
        length=Length(160.0, "steps"),
        settings=[DecodeSettings()],
    )
    begin = torch.from_numpy(pieces[0].encoded.steps[None, :1].astype(np.int64))

    def ours() -> int:
        made = engine.generate(model, encoder, samplers, plan, device=torch.device("cpu"))
        return len(made[0].steps)

    @torch.inference_mode()
    def plainly() -> int:
        last, states, place = begin[:, 0], other.as_cells(width), torch.zeros(1, dtype=torch.int64)
        for _ in range(50):
            last = other.step(last, place, states, 0.95)
        return 50

    return ours, plainly


def similarities() -> tuple[Work, Work]:
    """Return the comparison of a composition with 20 pieces."""
    ours, products = similarity.comparing()
    return repeated(ours, 1), repeated(products, 1)


def files_read(folder: Path) -> tuple[Work, Work]:
    """Return reading every fifth pop909 file to a Score."""
    paths = ingest.pop909(folder)[::5]
    ours = ingest.Ours(compiled=True)

    def read(one: Callable[[Path], object]) -> int:
        for path in paths:
            one(path)
        return len(paths)

    return partial(read, ours.read), partial(read, ingest.symusic_reads)


def rows(folder: Path) -> dict[str, Compared]:
    """Return all rows by their names."""
    made = {
        "biaxial batch float32": Compared("batch", partial(biaxial_batch, False), slow=True),
        "biaxial batch bfloat16": Compared("batch", partial(biaxial_batch, True), slow=True),
        "biaxial step 1": Compared("step", partial(biaxial_step, 1)),
        "biaxial step 16": Compared("step of all", partial(biaxial_step, 16)),
        "lstm3 minibatch": Compared("minibatch", lstm3_minibatch),
        "lstm3 step": Compared("step", lstm3_step),
    }
    for threads, name in ((1, "1 thread"), (2, "2 threads")):
        made[f"charrnn learned, {name}"] = Compared("character", charrnn_learned, threads)
        made[f"charrnn drawn, {name}"] = Compared("character", charrnn_drawn, threads)
    return made | {
        "melody learned": Compared("target", melody_learned, 1),
        "melody learned, windows of 20": Compared("target", melody_windows, 1),
        "melody drawn": Compared("step", melody_drawn, 1),
        "notes learned": Compared("note", notes_learned),
        "notes drawn": Compared("note", notes_drawn, 1),
        "similarity": Compared(
            "composition", similarities, baseline="twice the bare products", scale=2.0
        ),
        "files to Score": Compared("file", partial(files_read, folder), 1, baseline="symusic"),
    }


def measured(row: Compared, turns: int) -> dict[str, Any]:
    """Return the median seconds of a unit of both, taking turns; the first turn is left out."""
    torch.set_num_threads(row.threads)
    torch.manual_seed(0)
    works = row.make()
    clocks = {"times": time.perf_counter, "by processor time": time.process_time}
    seconds: list[dict[str, list[float]]] = [{clock: [] for clock in clocks} for _ in works]
    for _ in range(turns + 1):
        for work, found in zip(works, seconds, strict=True):
            began = {clock: now() for clock, now in clocks.items()}
            units = work()
            for clock, now in clocks.items():
                found[clock].append((now() - began[clock]) / units)
    medians = [{c: statistics.median(each[1:]) for c, each in found.items()} for found in seconds]
    ours, beside = medians
    times = {clock: round(beside[clock] * row.scale / ours[clock], 2) for clock in clocks}
    return {
        "unit": row.unit,
        "ours": float(f"{ours['times']:.4g}"),
        "plain": float(f"{beside['times'] * row.scale:.4g}"),
        **times,
        "beside": row.baseline,
    }


def main() -> None:
    """Measure every row, or some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows whose names begin so")
    chosen = parser.parse_args()
    keep_freed_memory()
    able = supports_bfloat16(torch.device("cpu"))
    found: dict[str, dict[str, Any]] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, row in rows(Path(folder)).items():
                left_out = chosen.only and not name.startswith(tuple(chosen.only))
                if left_out or ("bfloat16" in name and not able):
                    continue
                turns = QUICK if chosen.quick else FULL
                found[name] = measured(row, max(2, turns // 3) if row.slow else turns)
                print(name, found[name], flush=True)
    finally:  # what is interrupted leaves the rows that it has measured
        words = "python benchmarks/recurrent.py" + (" --quick" if chosen.quick else "")
        write_result("recurrent", words, stored_figures("recurrent") | found)
    if chosen.json:
        listed = [
            {"name": name, "ours": f["ours"], "plain": f["plain"]} for name, f in found.items()
        ]
        chosen.json.write_text(json.dumps({"rows": listed}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
