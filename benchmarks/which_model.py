"""Which model for which music: nats per note of each model after minutes of training.

    python benchmarks/which_model.py [--minutes 5 20] [--collections DIR...] [--only MODEL...]

Every model is trained on every collection that it proposes itself for, in each size, and measured
on the same held-out pieces: the negative log-likelihood of all their time steps together, over the
notes that its encoder keeps. A cell that is there already is not measured again, so that what was
interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import data_folder, stored_figures, write_result

from musengine.api import (
    DecodeSettings,
    Evidence,
    Run,
    Score,
    Source,
    build_pipeline,
    load_registry,
    predictions,
    read_dataset,
    run_pipeline,
)
from musengine.data.survey import survey_corpus

COLLECTIONS = {
    "pop909": "pop909/pop909-main-001-808.tar.gz",
    "piano-midi-de": "piano-midi-de/piano-midi-de.tar.gz",
    "nottingham": "nottingham/ABC_cleaned",
    "musicguru": "musicguru/musicguru-collection.tar.gz",
}
VALID = {"pop909": 0.02, "piano-midi-de": 0.05, "nottingham": 0.05, "musicguru": 0.05}


def unpacked(name: str, folder: Path) -> Path:
    """Return the folder of a collection's files."""
    source = data_folder() / COLLECTIONS[name]
    if source.is_dir():
        return source
    target = folder / name
    if not target.is_dir():
        with tarfile.open(source) as archive:
            archive.extractall(target, filter="data")
    return target


def notes_of(pieces: list[Any], encoder: Any) -> int:
    """Return how many notes the encoder keeps of some pieces."""
    count, settings = 0, DecodeSettings()
    for piece in pieces:
        content = encoder.decode(piece.encoded.steps, settings)
        if not isinstance(content, Score):
            content = encoder.score_of(content, settings)
        count += len(content)
    return count


def measure(tables: dict[str, Any], name: str, path: Path, minutes: float) -> dict[str, float]:
    """Train one model for so many minutes and return its figures."""
    kept = ("corpus", "encoder", "model", "training")
    tables = {key: dict(tables[key]) for key in kept if key in tables}
    tables.setdefault("corpus", {}).update(path=str(path), valid=VALID[name], duplicates="drop")
    tables["training"] |= {
        "minutes": minutes,
        "schedule": "cosine",
        "threads": 1,
        "checkpoint_every": f"{minutes / 4} minutes",
    }
    tables["evaluate"] = {"parts": []}
    tables["callback"] = []
    pipeline = build_pipeline(tables)
    with tempfile.TemporaryDirectory() as folder:
        run = run_pipeline(pipeline, Path(folder) / "run", train_only=True)
        trained = run.load()
        dataset = read_dataset(pipeline)
        valid = dataset.parts["valid"]
        began = time.monotonic()
        scores = predictions(Evidence(trained.model, trained.encoder, valid, "valid")).nll
        took = time.monotonic() - began
        assert scores is not None
        steps = max(record.get("step", 0) for record in Run(run.path).history)
    notes = notes_of(valid, trained.encoder)
    return {
        "nats_per_note": scores.total / notes,
        "nats_per_step": scores.mean,
        "notes": notes,
        "optimizer_steps": steps,
        "validation_seconds": took,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5.0, 20.0])
    parser.add_argument("--collections", nargs="+", default=list(COLLECTIONS))
    parser.add_argument("--only", nargs="+", help="models")
    parser.add_argument("--sizes", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", default="which_model")
    given = parser.parse_args()
    torch.set_num_threads(1)
    registry, folder = load_registry(), Path(tempfile.gettempdir()) / "which_model"
    for minutes in given.minutes:
        for name in given.collections:
            path = unpacked(name, folder)
            survey = survey_corpus(Source(str(path)), registry).survey
            for entry in registry.of_kind("model"):
                proposal = entry.declaration.config.suits(survey)
                if proposal is None or (given.only and entry.name not in given.only):
                    continue
                for number, size in enumerate(proposal.sizes):
                    cell = f"{name}, {minutes:g} minutes, {entry.name} {json.dumps(_units(size))}"
                    if number not in given.sizes or cell in stored_figures(given.out):
                        continue
                    figures = measure(dict(size.tables), name, path, minutes)
                    write_result(
                        given.out,
                        "python benchmarks/which_model.py",
                        {**stored_figures(given.out), cell: figures},
                    )


def _units(size: Any) -> Any:
    model = size.tables["model"]
    keys = ("layers", "units", "time_layers", "note_layers")
    return [model[key] for key in keys if key in model]


if __name__ == "__main__":
    main()
