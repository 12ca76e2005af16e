"""From the installed command to four pieces to listen to: how long it takes, and what takes it.

    python benchmarks/first_music.py MODEL [--times 3]

MODEL is a trained model that is installed, or a run. Each time the command `musengine generate
MODEL --count 4 --length "35 seconds"` runs in a process of its own, start-up included, into a new
folder, with its page where musengine-media is installed; then with `--count 0`, which shows what
starting and loading take. The median of the times is told, of processor time too, since other
programs may run beside it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common import stored_figures, write_result

from musengine.api import load_registry, read_scores

PIECES, SECONDS = 4, 35


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    figures = stored_figures("first_music")
    figures[given.model] = measured(given.model, given.times)
    write_result("first_music", "python benchmarks/first_music.py MODEL", figures)


def measured(model: str, times: int) -> dict[str, Any]:
    """Return the medians of a model."""
    place = Path(model)
    name = str(place.resolve()) if place.exists() else model
    whole = [once(name, PIECES) for _ in range(times)]
    empty = [once(name, 0) for _ in range(times)]
    took, processor, shortest = (median(each[n] for each in whole) for n in range(3))
    starting = median(each[0] for each in empty)
    return {
        "seconds": took,
        "processor seconds": processor,
        "seconds of starting and loading": starting,
        "seconds of making pieces and page": round(took - starting, 2),
        "seconds of the shortest piece": shortest,
        "page": "yes" if all(each[3] for each in whole) else "no",
    }


def median(values: Iterable[float]) -> float:
    return round(float(statistics.median(values)), 2)


def once(model: str, count: int) -> tuple[float, float, float, bool]:
    """Return seconds, processor seconds, seconds of the shortest piece, and whether a page."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "musengine", "generate", model, "--count", str(count)]
        command += ["--length", f"{SECONDS} seconds", "--out", "pieces", "--quiet"]
        before, began = os.times(), time.monotonic()
        subprocess.run(command, cwd=folder, check=True)
        took, after = time.monotonic() - began, os.times()
        processor = sum(after[2:4]) - sum(before[2:4])
        pieces = Path(folder, "pieces")
        scores = read_scores(pieces, registry=load_registry()) if count else {}
        lengths = [float(score.seconds(score.length)) for score in scores.values()]
        page = (pieces / "report.html").is_file()
    return took, processor, min(lengths, default=0.0), page


if __name__ == "__main__":
    main()
