"""Test NLL of the three-layer LSTM and the biaxial net on standard sets, by both conventions.

Sets named on the command line are measured anew, the figures of the others are kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, data_folder, stored_figures, write_result

RUNS = {
    "JSB chorales": ("lstm3-jsb.toml", "jsb_chorales.npz", (0, 1, 2)),
    "Nottingham": ("lstm3-nottingham.toml", "nottingham.npz", (0,)),
    "biaxial, JSB chorales": ("biaxial-jsb.toml", "jsb_chorales.npz", (0,)),
}


def run(pipeline: str, data: str, seed: int, target: Path) -> dict[str, float]:
    """Train with one seed; returns the figures of the held-out parts and the wall time."""
    path = data_folder() / "poly-benchmarks" / data
    settings = [f"corpus.path={path}", f"training.seed={seed}", "generate.count=0"]
    arguments = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "musengine", "run", str(ROOT / "pipelines" / pipeline)]
    began = time.perf_counter()
    subprocess.run([*command, "--run-dir", str(target), "--quiet", *arguments], check=True)
    wall = time.perf_counter() - began
    parts = json.loads((target / "evaluation.json").read_text())
    return {
        "test NLL": round(parts["test"]["nll"], 3),
        "test NLL, first steps skipped": round(parts["test"]["nll_skip_first"], 3),
        "validation NLL": round(parts["valid"]["nll"], 3),
        "wall time, seconds": round(wall),
    }


def main() -> None:
    """Train every pipeline with every seed, one after the other."""
    chosen = sys.argv[1:] or list(RUNS)
    figures = {
        name: row
        for name, row in stored_figures("standard_sets").items()
        if not name.startswith(tuple(chosen))
    }
    with tempfile.TemporaryDirectory() as name:
        for title in chosen:
            pipeline, data, seeds = RUNS[title]
            for seed in seeds:
                target = Path(name) / f"{pipeline}-{seed}"
                figures[f"{title}, seed {seed}"] = run(pipeline, data, seed, target)
    write_result("standard_sets", "python benchmarks/standard_sets.py", figures)


if __name__ == "__main__":
    main()
