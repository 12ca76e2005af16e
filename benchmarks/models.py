"""A hundred pieces of each trained model beside pieces by people that were held out.

    python benchmarks/models.py [--runs runs/models] [--models pop chorales tunes]

`--runs` is where `pipelines/models/train.py` left its runs, which name the held-out pieces. Each
model, as it is installed, makes a hundred pieces from nothing, those of `chorales` from Bach's
beginnings. Told are how alike their bars are that lie some bars apart, and the longest run of notes
copied from the training part, both beside held-out pieces cut to as many bars, with the 95 %
interval of the mean over a hundred; and how many are empty or stuck, of four hundred.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from common import stored_figures, write_result
from notes_pieces import copy_figures, form_figures, made, records_of

from musengine.api import Run, Score, find_run, load_registry, read_scores
from musengine_evaluation.features.form import first_bars

BARS = {"pop": 32, "chorales": 12, "tunes": 32}
"""To which pieces are cut: what most of the collection's have."""
PROMPTS = {"pop": "none", "chorales": "corpus", "tunes": "none"}
SEEDS = 4
"""Hundreds of pieces among which empty and stuck ones are counted: few of one tell nothing."""


def held_out(run: Path) -> list[Score]:
    """Return the pieces that a run did not learn from."""
    parts = json.loads((run / "split.json").read_text("utf-8"))["parts"]
    names = {*parts["valid"], *parts["test"]}
    (music,) = Run(run).pipeline().corpus.path
    scores = read_scores(music.text)
    return [score for name, score in scores.items() if name in names and len(score)]


def measured(run: Path, bars: int) -> dict[str, str]:
    """Return the figures of a model's pieces, the human interval in brackets."""
    model = find_run(run.name, load_registry()).folder.path
    folders = [
        made(model, bars, run.parent / f"{run.name}-pieces-{seed}", seed, PROMPTS[run.name])
        for seed in range(SEEDS)
    ]
    folder, drawn = folders[0], [record for each in folders for record in records_of(each)]
    records = records_of(folder)
    scores = read_scores(*sorted(folder.glob("*.mid")))
    pieces = [first_bars(score, bars) for score in scores.values()]
    human = [first_bars(score, bars) for score in held_out(run)]
    beside = {**form_figures(pieces, human), **copy_figures(model, records, human)}
    return {
        "bars": str(bars),
        "held-out pieces": str(len(human)),
        "empty or stuck": f"{sum(bool(each['faults']) for each in drawn)} of {len(drawn)}",
        "drawn again": f"{sum(each['attempts'] > 1 for each in drawn)} of {len(drawn)}",
        "notes a piece": f"{np.mean([len(piece) for piece in pieces]):.0f}",
        **{
            name: shown(beside[name], *beside[f"{name}, human interval"])
            for name in beside
            if f"{name}, human interval" in beside
        },
    }


def shown(value: float, low: float, high: float) -> str:
    """Return a figure with the interval of human pieces; empty where none are long enough."""
    return "" if np.isnan(low) else f"{value:.3g} ({low:.3g} to {high:.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs", "models"))
    parser.add_argument("--models", nargs="+", default=list(BARS), choices=BARS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.models:
        found = measured((given.runs / name).resolve(), BARS[name])
        figures = stored_figures("models")
        for figure, value in found.items():
            figures.setdefault(figure, {})[name] = value
        write_result("models", "python benchmarks/models.py", figures)


if __name__ == "__main__":
    main()
