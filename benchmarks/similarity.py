"""Cosine similarity of a composition of 640 steps against 50,000 windows, and the bare products."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from common import write_result

from musengine_evaluation.similarity import WINDOW, nearest, windows_of

STEPS, PIECES, PIECE_STEPS = 640, 20, 2_563
"""Twenty pieces of as many steps have 50,000 windows of 64 steps."""
DENSITY = 0.03
"""Share of ones in the state matrices of real piano music, about four notes of 128."""
RUNS = 7


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure both, the runs interleaved."""
    random = np.random.default_rng(0)
    piece = (random.random((STEPS, 256)) < DENSITY).astype(np.float32)
    corpus = [
        (random.random((PIECE_STEPS, 256)) < DENSITY).astype(np.float32) for _ in range(PIECES)
    ]
    first, together = windows_of(STEPS), np.concatenate(corpus)
    measured: list[float] = []
    bare: list[float] = []
    for _ in range(RUNS):
        measured.append(seconds(lambda: nearest(piece, corpus, first)))
        bare.append(seconds(lambda: piece @ together.T))
    figures = {
        "windows_of_the_piece": len(first),
        "windows_of_the_corpus": PIECES * (PIECE_STEPS - WINDOW + 1),
        "median_seconds": round(statistics.median(measured), 3),
        "slowest_seconds": round(max(measured), 3),
        "matrix_products_alone_median_seconds": round(statistics.median(bare), 3),
        "runs": RUNS,
    }
    write_result("similarity", "python benchmarks/similarity.py", figures)


if __name__ == "__main__":
    main()
