"""What the note model's runs make: a hundred pieces beside human ones, files, speed.

    python benchmarks/notes_pieces.py [--minutes 20] [--collections pop909 ...] [--models notes ...]

Of the runs that `notes.py` left in `--work`, each makes a hundred pieces of 32 bars from nothing
with the sampler as it is by default. Told are how many are empty or stuck; how alike their bars are
that lie some bars apart, and the longest run of notes copied from the training part, both beside
held-out human pieces cut to as many bars, with the 95 % interval of the mean over a hundred of
them, or all; what the bound on copied runs costs, in nats a note of the model's own pieces; how
many files miditoolkit or symusic read otherwise than they were written; and notes, of one piece at
a time, made in a second of one thread's processor time, beside a plain loop over the baseline of
`notes.py`, which reads its context anew for each token.

A cell that is there is not measured again (`--again` does).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import musengine, stored_figures, write_result
from notes import (
    COLLECTIONS,
    MODELS,
    WORK,
    cell_of,
    folder_of,
    music_of,
    notes_in,
    split_of,
    weights_of,
)
from plain_remi import Remi, Transformer, drawn
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_weights

from musengine.api import EncodedPiece, Run, Score, read_scores
from musengine.evaluation.likelihood import score_pieces
from musengine_evaluation.features.form import bootstrap, first_bars, form
from musengine_notes.copies import CopyIndex

PIECES = 100
BARS = 32
SCORED = 32
"""Pieces made with the bound on copied runs and without."""
TOKENS = 600
"""That the plain loop draws of each piece: beyond its context, so that its pace is settled."""
TURNS = 3
TIMED = 8
"""Pieces made one after another in a turn: one alone may end after a few notes."""


def made(run: Path, bars: int, out: Path, seed: int = 0, prompt: str = "none") -> Path:
    """Return the folder of a hundred pieces of so many bars, made where that was not done."""
    if not (out / "generated.jsonl").is_file():
        words = ["--count", str(PIECES), "--length", f"{bars} bars", "--seed", str(seed)]
        words += ["--prompt", prompt]
        musengine("generate", str(run), "--out", str(out), "--format", "midi", *words)
    return out


def records_of(folder: Path) -> list[dict[str, Any]]:
    """Return what was noted of a folder's pieces."""
    lines = (folder / "generated.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def beside_human(name: str, generated: Sequence[float], human: Sequence[float]) -> dict[str, Any]:
    """Return a mean, that of human pieces with its interval, and whether it lies in that."""
    low, high = bootstrap(human, PIECES)
    mean = float(np.nanmean(generated))
    return {
        name: round(mean, 4),
        f"{name}, human": round(float(np.nanmean(human)), 4),
        f"{name}, human interval": [round(low, 4), round(high, 4)],
        f"{name}, within": low <= mean <= high,
    }


def form_figures(pieces: Sequence[Score], human: Sequence[Score]) -> dict[str, Any]:
    """Return how much comes back."""
    ours = [form(score) for score in pieces]
    theirs = [form(score) for score in human]
    found: dict[str, Any] = {}
    for name in ours[0]:
        values = [each[name] for each in ours], [each[name] for each in theirs]
        found |= beside_human(name.replace("_", " "), *values)
    return found


def copy_figures(run: Path, records: Sequence[dict[str, Any]], human: Sequence[Score]) -> Any:
    """Return the longest copied runs."""
    state = load_file(run / "samplers.safetensors")
    arrays = {key.partition("/")[2]: array for key, array in state.items()}
    index, encoder = CopyIndex.from_arrays(arrays), Run(run).load().encoder
    theirs = [index.longest(encoder.encode(score).steps, encoder.layout) for score in human]
    ours = [record["figures"]["longest_copy"] for record in records]
    return beside_human("longest copied run", ours, theirs)


def bound_figures(run: Path) -> dict[str, Any]:
    """Return what the bound on copied runs costs: nats a note of pieces with it and without."""
    trained = Run(run)
    loaded = trained.load()
    nats: dict[str, float] = {}
    for name, settings in (("bounded", []), ("free", ["sampler.0.longest_copy=0"])):
        scores = trained.generate(
            settings, count=SCORED, length=f"{BARS} bars", seed=0, prompt="none"
        )
        encoded = [
            EncodedPiece(str(number), loaded.encoder.encode(score), "")
            for number, score in enumerate(scores)
        ]
        scored = score_pieces(loaded.model, encoded).pieces
        notes = sum(notes_in(piece, loaded.encoder.layout) for piece in encoded)
        nats[name] = sum(float(piece.sum()) for piece in scored) / notes
    return {
        "nats a note of its own pieces, free": round(nats["free"], 4),
        "nats a note of its own pieces, bounded": round(nats["bounded"], 4),
        "cost of the bound": f"{100 * (nats['bounded'] / nats['free'] - 1):.2f} %",
    }


def read_otherwise(files: Sequence[Path]) -> int:
    """Return how many files two other readers read otherwise than ours."""
    import miditoolkit
    import symusic

    wrong = 0
    for file in files:
        (score,) = read_scores(file).values()
        other, third = miditoolkit.MidiFile(str(file)), symusic.Score(str(file))
        ours = sorted(
            zip(
                score.onset.tolist(),
                (score.onset + score.duration).tolist(),
                score.pitch.tolist(),
                strict=True,
            )
        )
        theirs = sorted((n.start, n.end, n.pitch) for i in other.instruments for n in i.notes)
        thirds = sorted((n.start, n.end, n.pitch) for t in third.tracks for n in t.notes)
        programs = sorted((t.program, t.is_drum) for t in score.tracks)
        wrong += not (
            ours == theirs == thirds
            and programs == sorted((i.program, i.is_drum) for i in other.instruments)
            and programs == sorted((t.program, t.is_drum) for t in third.tracks)
            and np.isclose(score.tempo_bpm[0], other.tempo_changes[0].tempo, rtol=1e-4)
            and np.isclose(score.tempo_bpm[0], third.tempos[0].qpm, rtol=1e-4)
        )
    return wrong


def speed(run: Path, baseline: Path) -> dict[str, Any]:
    """Return notes made in a second, ours and the plain loop's in turns."""
    trained = Run(run)
    layout = trained.load().encoder.layout
    remi = Remi(layout)
    model = Transformer(remi.size)
    model.load_state_dict(load_weights(baseline))
    model.eval()
    rates: dict[str, list[float]] = {}
    for _ in range(TURNS):
        began = time.process_time()
        notes = 0
        for seed in range(TIMED):
            (score,) = trained.generate(count=1, length=f"{BARS} bars", seed=seed, prompt="none")
            notes += len(score)
        rates.setdefault("ours", []).append(notes / (time.process_time() - began))
        began = time.process_time()
        notes = drawn(model, remi, 1, TOKENS, seed=1)
        rates.setdefault("plain loop", []).append(notes / (time.process_time() - began))
    median = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    times = round(median["ours"] / median["plain loop"], 1)
    return {"notes a second": {**median, "times": times}}


def measured(collection: str, model: str, minutes: float, seed: int, work: Path) -> dict[str, Any]:
    """Return the figures of one run's pieces."""
    run = folder_of(cell_of(collection, model, minutes, seed), work)
    folder = made(run, BARS, run.parent / f"{run.name}-pieces")
    records = records_of(folder)
    files = sorted(folder.glob("*.mid"))
    pieces = [first_bars(score, BARS) for score in read_scores(*files).values()]
    split = json.loads(split_of(collection, work).read_text("utf-8"))
    held_out = {*split["valid"], *split["test"]}
    scores = read_scores(music_of(collection, work))
    human = [first_bars(scores[name], BARS) for name in sorted(held_out) if len(scores[name])]
    found = {
        "empty or stuck": f"{sum(bool(each['faults']) for each in records)} of {PIECES}",
        "drawn again": f"{sum(each['attempts'] > 1 for each in records)} of {PIECES}",
        "notes a piece": round(float(np.mean([len(piece) for piece in pieces])), 1),
        "files read otherwise": read_otherwise(files),
        **form_figures(pieces, human),
        **copy_figures(run, records, human),
        **bound_figures(run),
    }
    baseline = weights_of(cell_of(collection, "remi", minutes, seed), work)
    return {**found, **(speed(run, baseline) if baseline.is_file() else {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--collections", nargs="+", default=list(COLLECTIONS), choices=COLLECTIONS)
    parser.add_argument("--models", nargs="+", default=["notes"], choices=[*MODELS][:-1])
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for collection in given.collections:
        for model in given.models:
            cell = cell_of(collection, model, given.minutes, given.seed)
            if cell in stored_figures("notes_pieces") and not given.again:
                continue
            found = measured(collection, model, given.minutes, given.seed, given.work.resolve())
            known = {**stored_figures("notes_pieces"), cell: found}
            write_result("notes_pieces", "python benchmarks/notes_pieces.py", known)


if __name__ == "__main__":
    main()
