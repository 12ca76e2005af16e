"""The note model beside REMI tokens with a transformer: nats per note on held-out music.

    python benchmarks/notes.py [--minutes 20] [--collections pop909 ...] [--models notes ...]

The note model is a run of the engine. Both read the same quantised notes of the same pieces, move
them at random by up to six semitones, and learn for so many minutes of one thread's processor time,
so that another program beside them changes nothing. Of the pieces in order of their names every
20th is the test part, the one after it the validation part. REMI (Huang and Yang 2020) has tokens
for bar, position, part, pitch, duration and velocity; its transformer is decoder-only with rotary
positions, 512 tokens of context, each token scored with at least 256 before it, and about as many
weights.

A cell is a collection, a model, a number of minutes and a seed; it is measured once, written at
once, and left as it is when the program is run again (`--again` measures it anew). Runs stay in the
folder `--work`, and with them what `notes_pieces.py` needs.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, data_folder, stored_figures, write_result
from plain_remi import Remi, Transformer, nats_of, trained
from safetensors.torch import save_file
from torch import nn
from which_model import processor_time

from musengine.api import (
    EncodedPiece,
    Pipeline,
    build_pipeline,
    load_registry,
    read_dataset,
    read_scores,
    run_pipeline,
)
from musengine.data.dataset import prepare, read_corpus
from musengine.evaluation.likelihood import RESAMPLES, score_pieces
from musengine.testing import unpack
from musengine_notes.layout import FIRST_PART, PART, NoteEvents

COLLECTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "pop909": ("pop909/pop909-main-001-808.tar.gz", {}),
    "piano-midi-de": ("piano-midi-de/piano-midi-de.tar.gz", {"parts": "one"}),
    "nottingham": ("nottingham/ABC_cleaned", {}),
    "musicguru": ("musicguru/musicguru-collection.tar.gz", {}),
}
"""Where each lies, and settings of the encoder."""
MODELS: dict[str, dict[str, Any]] = {
    "notes": {},
    "notes without form": {"form": False},
    "notes, transformer": {"trunk": "transformer", "layers": 4, "width": 256},
    "remi": {},
}
SHORTEST = 30
"""Events of a test piece."""
WORK = ROOT / "build" / "notes"


def music_of(collection: str, work: Path) -> Path:
    """Return the folder of a collection's files, unpacked where that was not done."""
    source = data_folder() / COLLECTIONS[collection][0]
    if source.is_dir():
        return source
    folder = work / "music" / collection
    if not folder.is_dir():
        folder.mkdir(parents=True)
        unpack(source, folder)
    return folder


def split_of(collection: str, work: Path) -> Path:
    """Return a file that names the pieces of the test part and of the validation part."""
    file = work / f"{collection}.json"
    if not file.is_file():
        names = sorted(read_scores(music_of(collection, work)))
        split = {"test": names[19::20], "valid": names[20::20]}
        file.write_text(json.dumps(split, indent=1), encoding="utf-8")
    return file


def pipeline_of(collection: str, model: str, minutes: float, seed: int, work: Path) -> Pipeline:
    """Return what a note model is trained by."""
    return build_pipeline(
        {
            "corpus": {
                "path": str(music_of(collection, work)),
                "split": str(split_of(collection, work)),
            },
            "encoder": {"type": "notes", "pedal": False, **COLLECTIONS[collection][1]},
            "model": {"type": "notes", **MODELS[model]},
            "training": {
                "minutes": minutes,
                "batch_size": 12,
                "sequence_length": 128,
                "learning_rate": 0.002,
                "schedule": "cosine",
                "checkpoint_every": f"{minutes / 4} minutes",
                "threads": 1,
                "seed": seed,
            },
            "sampler": [{"type": "notes"}],
        }
    )


def cell_of(collection: str, model: str, minutes: float, seed: int) -> str:
    """Return the name of a cell."""
    return f"{collection}, {model}, {minutes:g} minutes, seed {seed}"


def folder_of(cell: str, work: Path) -> Path:
    """Return where the run of a cell stays."""
    return work / cell.replace(", ", "-").replace(" ", "-")


def weights_of(cell: str, work: Path) -> Path:
    """Return where the weights of the baseline stay."""
    folder = folder_of(cell, work)
    return folder.parent / f"{folder.name}.safetensors"


def tested(pieces: Sequence[EncodedPiece]) -> list[EncodedPiece]:
    """Return those of the test part that are long enough to tell anything."""
    return [piece for piece in pieces if len(piece) > SHORTEST]


def measured(collection: str, model: str, minutes: float, seed: int, work: Path) -> dict[str, Any]:
    """Train one model and return its figures."""
    if model == "remi":
        pipeline = pipeline_of(collection, "notes", minutes, seed, work)
        encoder = pipeline.encoder.create()
        dataset = prepare(pipeline, read_corpus(pipeline, load_registry()), encoder)
        layout = encoder.layout
        remi = Remi(layout)
        net, updates = trained(remi, dataset.parts["train"], minutes, seed)
        pieces = tested(dataset.parts["test"])
        save_file(net.state_dict(), weights_of(cell_of(collection, model, minutes, seed), work))
        return figures(nats_of(net, remi, pieces), pieces, layout, net, updates)
    pipeline = pipeline_of(collection, model, minutes, seed, work)
    with processor_time():
        folder = folder_of(cell_of(collection, model, minutes, seed), work)
        run = run_pipeline(pipeline, folder, train_only=True)
    net = run.load().model
    pieces = tested(read_dataset(pipeline).parts["test"])
    nats = [float(piece.sum()) for piece in score_pieces(net, pieces).pieces]
    updates = max(record.get("step", 0) for record in run.history)
    return figures(nats, pieces, net.layout, net, updates)


def figures(
    nats: Sequence[float],
    pieces: Sequence[EncodedPiece],
    layout: NoteEvents,
    model: nn.Module | Transformer,
    updates: int,
) -> dict[str, Any]:
    """Return nats per note, with a bootstrap interval over pieces."""
    counts = np.array([notes_in(piece, layout) for piece in pieces])
    sums, random = np.array(nats), np.random.default_rng(0)
    rows = random.integers(0, len(sums), (RESAMPLES, len(sums)))
    low, high = np.quantile(sums[rows].sum(axis=1) / counts[rows].sum(axis=1), (0.025, 0.975))
    return {
        "nats_per_note": round(float(sums.sum() / counts.sum()), 3),
        "low": round(float(low), 3),
        "high": round(float(high), 3),
        "pieces": len(sums),
        "notes": int(counts.sum()),
        "updates": updates,
        "weights": sum(weight.numel() for weight in model.parameters()),
    }


def notes_in(piece: EncodedPiece, layout: NoteEvents) -> int:
    """Return how many notes a piece has; rests are events, too."""
    part = piece.encoded.steps[:, PART]
    return int(((part >= FIRST_PART) & (part < layout.end)).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--collections", nargs="+", default=list(COLLECTIONS), choices=COLLECTIONS)
    parser.add_argument("--models", nargs="+", default=["notes", "remi"], choices=MODELS)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for collection in given.collections:
        for model in given.models:
            cell = cell_of(collection, model, given.minutes, given.seed)
            if cell in stored_figures("notes") and not given.again:
                continue
            print(cell, flush=True)
            load = round(os.getloadavg()[0], 1)
            found = measured(collection, model, given.minutes, given.seed, work)
            all_cells = {**stored_figures("notes"), cell: {**found, "load": load}}
            write_result("notes", "python benchmarks/notes.py", all_cells)


if __name__ == "__main__":
    main()
