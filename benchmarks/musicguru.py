"""MusicGuru's own report beside ours: its collection, how far the error falls, how similar it gets.

Trains on the collection for so many minutes of one thread, with the net and the constants of
`pipelines/musicguru.toml` or with a smaller net and Adam, makes pieces and holds them against the
training data. `--net none` holds up what a similarity is worth: pieces of a net before any
training, and real pieces of the collection against all others. Each writes its own rows.
"""

from __future__ import annotations

import argparse
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, data_folder, musengine, stored_figures, write_result

from musengine.api import DecodeSettings, Encoder, Score, load_pipeline, read_dataset
from musengine_evaluation.interval import mean_and_interval
from musengine_evaluation.similarity import nearest, states, windows_of

PIPELINE = ROOT / "pipelines" / "musicguru.toml"
PIECES, STEPS, SEED = 5, 640, 0
"""Pieces that are made of each kind, their steps, and the seed of training and drawing."""
BATCH_STEPS = 10 * 64
"""Steps of a batch, over which the error is summed."""
SMALLER = (
    *("model.time_layers=[100, 100]", "model.note_layers=[50, 25]", "model.dropout=0.2"),
    *("training.batch_size=10", "training.learning_rate=0.005", "training.schedule=cosine"),
)
NETS = {"original": (), "smaller": SMALLER}
ROWS = {"original": "ours, its net and constants", "smaller": "ours, a smaller net and Adam"}
"""Settings and name of each net."""


def run(folder: Path, corpus: Path, *settings: str, preset: bool = True) -> list[float]:
    """Carry out the pipeline; returns the similarity of each piece it made.

    Args:
        folder: of the run.
        corpus: the collection.
        settings: beside those that all runs have.
        preset: whether the net has the original's constants, or the model's own defaults.
    """
    pipeline = folder.with_suffix(".toml")
    text = PIPELINE.read_text(encoding="utf-8")
    pipeline.write_text(text if preset else text.replace('preset = "classic"', ""), "utf-8")
    given = (
        *(f"corpus.path={corpus}", f"training.seed={SEED}", f"generate.count={PIECES}"),
        *("training.threads=1", "callback=[]", 'training.precision="bfloat16"', *settings),
    )
    musengine("run", str(pipeline), "--run-dir", str(folder), settings=given)
    figures = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    return list(figures["generated"]["similarity_per_piece"].values())


def error(folder: Path) -> dict[str, Any]:
    """Return how the error went: the loss summed over the steps of a batch, mean of ten batches."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [record for line in lines if "loss" in (record := json.loads(line))]
    # What is logged is the loss that is descended: of a batch the sum, or a step's mean.
    scale = 1 if "summed" in records[0]["unit"] else BATCH_STEPS
    first, last = records[0]["loss"] * scale, records[-1]["loss"] * scale
    return {
        "iterations": records[-1]["step"],
        "at first": round(first),
        "at last": round(last),
        "at last, nats a step": round(last / BATCH_STEPS, 2),
    }


def real_similarities(corpus: Path) -> list[float]:
    """Return how like the rest of the collection some of its own pieces are, copies left out."""
    settings = (f"corpus.path={corpus}", "corpus.duplicates=drop")
    pipeline = load_pipeline(PIPELINE, settings)
    encoder, pieces = pipeline.encoder.create(), read_dataset(pipeline).parts["train"]
    scores = [_score(encoder, piece.encoded.steps) for piece in pieces]

    def others(own: int) -> Iterator[np.ndarray]:
        yield from (states(score) for index, score in enumerate(scores) if index != own)

    chosen = range(0, len(scores), len(scores) // PIECES)[:PIECES]
    found = []
    for index in chosen:
        piece = states(scores[index])[:STEPS]
        found.append(nearest(piece, others(index), windows_of(len(piece))).percent)
    return found


def _score(encoder: Encoder[Any], steps: np.ndarray) -> Score:
    score = encoder.decode(steps, DecodeSettings())
    assert isinstance(score, Score)
    return score


def shown(percents: Sequence[float]) -> dict[str, Any]:
    """Return a row of similarities."""
    estimate = mean_and_interval(percents)
    interval = f"{estimate.low:.1f} to {estimate.high:.1f}"
    return {"similarity, %": round(estimate.mean, 2), "95 % interval": interval}


def measure(net: str, minutes: float, folder: Path, figures: dict[str, Any]) -> None:
    """Add the rows of a net, or of what is compared with."""
    with tarfile.open(data_folder() / "musicguru" / "musicguru-collection.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    corpus, similarity = folder / "musicCollection", figures["similarity"]
    if net == "none":
        untrained = run(folder / "untrained", corpus, "training.steps=0")
        similarity[f"{PIECES} pieces of its net before training"] = shown(untrained)
        real = real_similarities(corpus)
        similarity[f"{PIECES} real pieces, each against all others"] = shown(real)
        return
    percents = run(
        folder / "run", corpus, f"training.minutes={minutes}", *NETS[net], preset=net == "original"
    )
    processor = os.times().children_user + os.times().children_system
    took = {"seed": SEED, "minutes": minutes, "processor minutes": round(processor / 60, 1)}
    figures["error"][ROWS[net]] = {**error(folder / "run"), **took}
    similarity[f"{ROWS[net]}, {PIECES} pieces"] = shown(percents)


def main() -> None:
    """Measure the rows that are asked for beside those measured before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", choices=(*NETS, "none"), default="original")
    parser.add_argument("--minutes", type=float, default=20.0, help="of training (20)")
    parsed = parser.parse_args()
    reported = {
        "iterations": 4100,
        "at first": 66_000,
        "at last": 350,
        "at last, nats a step": round(350 / BATCH_STEPS, 2),
    }
    figures = {
        "error": {"reported": reported},
        "similarity": {"reported": {"similarity, %": 73.54}},
    }
    for name, rows in stored_figures("musicguru").items():
        figures[name] = {**figures[name], **rows}
    with tempfile.TemporaryDirectory() as name:
        measure(parsed.net, parsed.minutes, Path(name), figures)
    write_result("musicguru", "python benchmarks/musicguru.py", figures)


if __name__ == "__main__":
    main()
