"""MusicGuru's own report beside ours: its collection, its net, how far the error falls, similarity.

Trains `pipelines/musicguru.toml` on the collection for so many minutes of one thread, makes pieces
and holds them against the training data; for comparison also the pieces of the net before any
training, and real pieces of the collection against all others.
"""

from __future__ import annotations

import argparse
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, data_folder, musengine, write_result

from musengine.api import DecodeSettings, Encoder, Score, load_pipeline, read_dataset
from musengine_evaluation.interval import mean_and_interval
from musengine_evaluation.similarity import nearest, states, windows_of

PIPELINE = ROOT / "pipelines" / "musicguru.toml"
PIECES, STEPS, SEED = 5, 640, 0
"""Pieces that are made of each kind, their steps, and the seed of training and drawing."""
BATCH_STEPS = 10 * 64
"""Steps of a batch, over which the error is summed."""


def run(folder: Path, corpus: Path, *settings: str) -> dict[str, Any]:
    """Carry out the pipeline; returns what is said of the pieces it made."""
    given = (
        *(f"corpus.path={corpus}", f"training.seed={SEED}", f"generate.count={PIECES}"),
        *("training.threads=1", "callback=[]", *settings),
    )
    musengine("run", str(PIPELINE), "--run-dir", str(folder), settings=given)
    figures = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    said: dict[str, Any] = figures["generated"]
    return said


def errors(folder: Path) -> list[tuple[int, float]]:
    """Return the means of every ten batches' errors, each with the number of the last of the ten.

    The error is the loss summed over a batch: nats a step times its steps.
    """
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [record for line in lines if "loss" in (record := json.loads(line))]
    return [(record["step"], record["loss"]) for record in records]


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


def shown(percents: Sequence[float], **more: Any) -> dict[str, Any]:
    """Return a row of similarities."""
    estimate = mean_and_interval(percents)
    interval = f"{estimate.low:.1f} to {estimate.high:.1f}"
    return {"similarity, %": round(estimate.mean, 2), "95 % interval": interval, **more}


def main() -> None:
    """Train, make pieces, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=18.0, help="of training (18)")
    minutes = parser.parse_args().minutes
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tarfile.open(data_folder() / "musicguru" / "musicguru-collection.tar.gz") as tar:
            tar.extractall(folder, filter="data")
        corpus = folder / "musicCollection"
        limits = (f"training.minutes={minutes}", 'training.precision="bfloat16"')
        trained = run(folder / "run", corpus, *limits)
        processor = os.times().children_user + os.times().children_system
        untrained = run(folder / "untrained", corpus, "training.steps=0")
        real = real_similarities(corpus)
        told = errors(folder / "run")
    steps = told[-1][0]
    first, last = told[0][1], float(np.mean([error for _, error in told[-3:]]))
    figures = {
        "error": {
            "reported": {
                "iterations": 4100,
                "at first": 66_000,
                "at last": 350,
                "at last, nats a step": round(350 / BATCH_STEPS, 2),
            },
            "ours": {
                "iterations": steps,
                "at first": round(first),
                "at last": round(last),
                "at last, nats a step": round(last / BATCH_STEPS, 2),
                "processor minutes": round(processor / 60, 1),
            },
        },
        "course of the error": {f"iterations to {step}": round(error) for step, error in told},
        "similarity": {
            "reported": {"similarity, %": 73.54, "95 % interval": "", "iterations": ""},
            f"ours, {PIECES} pieces": shown(
                list(trained["similarity_per_piece"].values()), iterations=steps
            ),
            f"{PIECES} pieces of the net before training": shown(
                list(untrained["similarity_per_piece"].values()), iterations=0
            ),
            f"{PIECES} real pieces, against the others": shown(real, iterations=""),
        },
        "minutes": {
            "of training": minutes,
            "of processor time in the run": round(processor / 60, 1),
            "in all": round((time.monotonic() - began) / 60, 1),
        },
    }
    write_result("musicguru", f"python benchmarks/musicguru.py --minutes {minutes:g}", figures)


if __name__ == "__main__":
    main()
