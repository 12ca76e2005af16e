"""The three-layer LSTM on the JSB chorales: test NLL by both conventions, several seeds."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, data_folder, write_result

SEEDS = (0, 1, 2)


def run(seed: int, folder: Path) -> dict[str, float]:
    """Train with one seed; returns the figures of the test part and the wall time."""
    path = data_folder() / "poly-benchmarks" / "jsb_chorales.npz"
    target = folder / f"seed{seed}"
    settings = [f"corpus.path={path}", f"training.seed={seed}", "generate.count=0"]
    arguments = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "musengine", "run", str(ROOT / "pipelines/lstm3-jsb.toml")]
    began = time.perf_counter()
    subprocess.run([*command, "--run-dir", str(target), "--quiet", *arguments], check=True)
    figures = json.loads((target / "evaluation.json").read_text())["test"]
    wall = round(time.perf_counter() - began, 1)
    return {"nll": figures["nll"], "nll_skip_first": figures["nll_skip_first"], "seconds": wall}


def main() -> None:
    """Train with every seed."""
    with tempfile.TemporaryDirectory() as name:
        runs = {f"seed {seed}": run(seed, Path(name)) for seed in SEEDS}
    medians = {
        f"median {key}": statistics.median(figures[key] for figures in runs.values())
        for key in ("nll", "nll_skip_first", "seconds")
    }
    write_result("jsb", "python benchmarks/jsb.py", {**runs, **medians})


if __name__ == "__main__":
    main()
