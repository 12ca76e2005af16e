"""Test NLL of every grid model on the four standard sets, by both conventions.

Rows named on the command line (`"Nottingham: biaxial"`, or `"Nottingham"` for all of a set) are
measured anew, the figures of the others are kept. Every model learns on one thread, so that two
rows can be measured side by side on two cores.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import ROOT, data_folder, musengine, stored_figures, write_result

SETS = {
    "JSB chorales": ("jsb_chorales.npz", "1 beat"),
    "Nottingham": ("nottingham.npz", "1/2 beat"),
    "Piano-midi.de": ("piano_midi_de.npz", "1/2 beat"),
    "MuseData": ("musedata.npz", "1/2 beat"),
}

FREQUENCIES = """
[corpus.reader]
type = "rolls"
step = "{step}"
[encoder]
type = "piano-roll"
lowest = 21
highest = 108
step = "{step}"
[model]
type = "frequencies"
given = "{given}"
"""


@dataclass(frozen=True)
class Row:
    """A model and how it is trained: a pipeline file and what is set otherwise."""

    model: str
    pipeline: str
    settings: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)


def frequencies() -> Iterator[Row]:
    """Yield the simplest yardsticks: rates, which need no training."""
    for given, meaning in (("pitch", "each pitch's rate"), ("last", "given the step before")):
        yield Row(f"frequencies, {meaning}", given)


ROWS = {
    "JSB chorales": [
        *frequencies(),
        Row("lstm3", "lstm3-jsb.toml", seeds=(0, 1, 2)),
        Row("biaxial", "biaxial-jsb.toml"),
    ],
    "Nottingham": [
        *frequencies(),
        Row("lstm3", "lstm3-nottingham.toml"),
        Row("biaxial", "biaxial-nottingham.toml"),
    ],
    "Piano-midi.de": [
        *frequencies(),
        Row("lstm3", "lstm3-nottingham.toml"),
        Row("biaxial", "biaxial-nottingham.toml"),
    ],
    "MuseData": [
        *frequencies(),
        Row("lstm3", "lstm3-nottingham.toml"),
        Row("biaxial", "biaxial-nottingham.toml", ("training.epochs=3",)),
    ],
}

PUBLISHED: dict[str, dict[str, float]] = {
    "LSTM (Bai et al. 2018)": {"JSB chorales": 8.45, "Nottingham": 3.29},
    "GRU (Bai et al. 2018)": {"JSB chorales": 8.43, "Nottingham": 3.46},
    "TCN (Bai et al. 2018), first steps skipped": {"JSB chorales": 8.10, "Nottingham": 3.07},
    "RNN-NADE (Boulanger-Lewandowski et al. 2012)": {
        "JSB chorales": 5.56,
        "Nottingham": 2.31,
        "Piano-midi.de": 7.05,
        "MuseData": 5.60,
    },
    "biaxial, median of five (Johnson 2017)": {
        "JSB chorales": 5.86,
        "Nottingham": 1.62,
        "Piano-midi.de": 5.00,
        "MuseData": 4.41,
    },
    "biaxial, best of five (Johnson 2017)": {
        "JSB chorales": 5.05,
        "Nottingham": 1.55,
        "Piano-midi.de": 4.90,
        "MuseData": 3.90,
    },
}


def run(title: str, row: Row, seed: int, folder: Path) -> dict[str, float]:
    """Train with one seed; returns the figures of the held-out parts and the wall time."""
    data, step = SETS[title]
    path = data_folder() / "poly-benchmarks" / data
    pipeline = ROOT / "pipelines" / row.pipeline
    if not pipeline.suffix:
        pipeline = folder / f"{row.pipeline}.toml"
        pipeline.write_text(FREQUENCIES.format(step=step, given=row.pipeline), encoding="utf-8")
    settings = [
        *(f"corpus.path={path}", f"training.seed={seed}", "training.threads=1"),
        *("generate.count=0", 'metric=[{type="nll"}]', *row.settings),
    ]
    target = folder / f"{pipeline.stem}-{seed}"
    began = time.perf_counter()
    musengine("run", str(pipeline), "--run-dir", str(target), settings=settings)
    wall = time.perf_counter() - began
    parts = json.loads((target / "evaluation.json").read_text(encoding="utf-8"))
    return {
        "test NLL": round(parts["test"]["nll"], 3),
        "first steps skipped": round(parts["test"]["nll_skip_first"], 3),
        "validation NLL": round(parts["valid"]["nll"], 3),
        "wall time, seconds": round(wall),
    }


def keep(title: str, name: str, figures: dict[str, float]) -> None:
    """Write one row's figures among those of the others, which another process may have added."""
    stored = stored_figures("standard_sets")
    sets: dict[str, Any] = {}
    for each, rows in ROWS.items():
        found = {**stored.get(each, {}), **({name: figures} if each == title else {})}
        order = [row.model for row in rows]
        measured = sorted(
            (key for key in found if key.partition(", seed ")[0] in order),
            key=lambda key: (order.index(key.partition(", seed ")[0]), key),
        )
        sets[each] = {key: found[key] for key in measured} | {
            f"published: {paper}": {"test NLL": values[each]}
            for paper, values in PUBLISHED.items()
            if each in values
        }
    write_result("standard_sets", "python benchmarks/standard_sets.py", sets)


def main() -> None:
    """Train every row with every seed, one after the other."""
    chosen = tuple(sys.argv[1:])
    for title, rows in ROWS.items():
        for row in rows:
            if chosen and not f"{title}: {row.model}".startswith(chosen):
                continue
            for seed in row.seeds:
                name = row.model if "," in row.model else f"{row.model}, seed {seed}"
                with tempfile.TemporaryDirectory() as folder:
                    figures = run(title, row, seed, Path(folder))
                keep(title, name, figures)


if __name__ == "__main__":
    main()
