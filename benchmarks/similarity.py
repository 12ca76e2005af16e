"""What comparing pieces with a corpus takes: similarity by itself, and `musengine originality`.

The similarity of a composition of 640 steps to 50,000 windows stands beside the bare products.
Originality is that of seven tunes to the Nottingham collection in ABC notation, the whole command
from its start to its end, reading all tunes; seven of them, evenly over the collection and moved by
three semitones, stand for tunes that were made.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import data_folder, musengine, write_result

from musengine.api import read_scores
from musengine.testing import write_midi
from musengine_evaluation.similarity import WINDOW, nearest, windows_of

STEPS, LENGTHS = 640, [2_700] * 19 + [2_699]
"""Twenty pieces of so many steps have 52,739 windows of 64 steps."""
DENSITY = 0.03
"""Share of ones in the state matrices of real piano music, about four notes of 128."""
RUNS = 7
TUNES = 7
ORIGINALITY_RUNS = 3


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def originality() -> dict[str, float]:
    """Return what the command takes for seven tunes."""
    corpus = data_folder() / "nottingham" / "ABC_cleaned"
    scores = list(read_scores(corpus).values())
    took, processor = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, score in enumerate(scores[:: len(scores) // TUNES][:TUNES]):
            write_midi(score.transpose(3), Path(folder) / f"{number}.mid")
        for _ in range(ORIGINALITY_RUNS):
            before = os.times()
            words = ("originality", folder, "--against", str(corpus))
            took.append(seconds(lambda words=words: musengine(*words)))
            after = os.times()
            spent = after.children_user + after.children_system
            processor.append(spent - before.children_user - before.children_system)
    return {
        "tunes_of_the_corpus": len(scores),
        "tunes": TUNES,
        "median_seconds": round(statistics.median(took), 1),
        "median_processor_seconds": round(statistics.median(processor), 1),
        "runs": ORIGINALITY_RUNS,
    }


def comparing() -> tuple[Callable[[], object], Callable[[], object]]:
    """Return what finds the nearest windows of a composition, and the bare products of that."""
    random = np.random.default_rng(0)
    piece, *corpus = (
        (random.random((steps, 256)) < DENSITY).astype(np.float32) for steps in (STEPS, *LENGTHS)
    )
    first, together = windows_of(STEPS), np.concatenate(corpus)
    return lambda: nearest(piece, corpus, first), lambda: piece @ together.T


def similarity() -> dict[str, float]:
    """Measure both, the runs interleaved."""
    ours, products = comparing()
    measured: list[float] = []
    bare: list[float] = []
    for _ in range(RUNS):
        measured.append(seconds(ours))
        bare.append(seconds(products))
    return {
        "windows_of_the_piece": len(windows_of(STEPS)),
        "windows_of_the_corpus": sum(steps - WINDOW + 1 for steps in LENGTHS),
        "median_seconds": round(statistics.median(measured), 3),
        "slowest_seconds": round(max(measured), 3),
        "matrix_products_alone_median_seconds": round(statistics.median(bare), 3),
        "runs": RUNS,
    }


def main() -> None:
    """Measure both and write the figures."""
    figures = {"similarity": similarity(), "originality": originality()}
    write_result("similarity", "python benchmarks/similarity.py", figures)


if __name__ == "__main__":
    main()
