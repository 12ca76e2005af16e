"""What chains of samplers make of a run's music, beside the chorales it learned from.

The run is one of `pipelines/quickstart.toml` or of `pipelines/biaxial-chorales.toml`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import write_result

from musengine.config.fields import build
from musengine.config.quantities import Length
from musengine.data.dataset import prepare, read_corpus
from musengine.generation import engine
from musengine.generation.prompts import read_prompts
from musengine.interfaces.encoder import DecodeSettings
from musengine.pipeline.resolve import Pipeline
from musengine.plugins import manager
from musengine.plugins.registry import Registry
from musengine.runs.folder import RunFolder
from musengine.runs.trained import Trained, load_trained

Roll = npt.NDArray[np.uint8]

PIECES, STEPS, PROMPT = 96, 112, 16
C_MAJOR = (0, 2, 4, 5, 7, 9, 11)
THRESHOLD = {"type": "threshold", "threshold": 0.07}
INTERVAL = {"type": "smallest-interval", "semitones": 3}
FOUR = {"type": "notes-at-once", "at_least": 4, "at_most": 5}
HIGHER = {"type": "threshold", "threshold": 0.15}
COOLER = {"type": "temperature", "temperature": 0.8}
COLD = {"type": "temperature", "temperature": 0.6}
Chains = dict[str, list[dict[str, Any]]]
PLAIN: Chains = {"bernoulli": [{"type": "bernoulli"}], "temperature 0.8": [COOLER]}
CHAINS: dict[str, Chains] = {
    "lstm3": PLAIN
    | {
        "threshold 0.07": [THRESHOLD],
        "notes-at-once": [FOUR],
        "smallest-interval, notes-at-once": [INTERVAL, FOUR],
        "threshold 0.07, smallest-interval, notes-at-once": [THRESHOLD, INTERVAL, FOUR],
    },
    "biaxial": PLAIN
    | {
        "adaptive": [{"type": "adaptive"}],
        "threshold 0.07, notes-at-once": [THRESHOLD, FOUR],
        "threshold 0.15, smallest-interval, notes-at-once": [HIGHER, INTERVAL, FOUR],
        "temperature 0.6, notes-at-once": [COLD, FOUR],
    },
}


def chords(roll: Roll, lowest: int) -> list[frozenset[int]]:
    """Return the pitch classes of each step."""
    return [frozenset(((lowest + np.flatnonzero(step)) % 12).tolist()) for step in roll[..., 0]]


def common_chords(rolls: Iterable[Roll], lowest: int) -> set[frozenset[int]]:
    """Return the most frequent chords that make up nine tenths of the steps."""
    counted = Counter(chord for roll in rolls for chord in chords(roll, lowest))
    ranked = counted.most_common()
    reached = np.cumsum([count for _, count in ranked]) / counted.total()
    return {chord for chord, _ in ranked[: int(np.argmax(reached >= 0.9)) + 1]}


def note_lengths(roll: Roll) -> list[int]:
    """Return the lengths of all notes, in steps."""
    sound, onset = roll[..., 0].astype(bool), roll[..., 1].astype(bool)
    lengths = []
    for row in range(roll.shape[1]):
        starts = np.flatnonzero(sound[:, row] & (onset[:, row] | ~np.r_[False, sound[:-1, row]]))
        rests = np.r_[np.flatnonzero(~sound[:, row]), len(roll)]
        ends = rests[np.searchsorted(rests, starts)]
        lengths += (np.minimum(ends, np.r_[starts[1:], len(roll)]) - starts).tolist()
    return lengths


def figures(rolls: list[Roll], lowest: int, common: set[frozenset[int]]) -> dict[str, float]:
    """Return what can be counted of some pieces."""
    sound = [roll[..., 0].astype(bool) for roll in rolls]
    counts = np.concatenate([roll.sum(axis=1) for roll in sound])
    classes = (lowest + np.nonzero(np.concatenate(sound))[1]) % 12
    tops = [np.array([np.flatnonzero(step).max() for step in roll if step.any()]) for roll in sound]
    moves = np.abs(np.concatenate([np.diff(top) for top in tops]))
    lengths = [length for roll in rolls for length in note_lengths(roll)]
    steps = np.concatenate(sound)
    same = np.concatenate([(roll[1:] == roll[:-1]).all(axis=1) for roll in sound])
    known = [chord in common for roll in rolls for chord in chords(roll, lowest)]
    result = {
        "notes at once": counts.mean(),
        "steps with 3 to 5 notes": ((counts >= 3) & (counts <= 5)).mean(),
        "steps with a minor second": (steps[:, 1:] & steps[:, :-1]).any(axis=1).mean(),
        "steps with a major second": (steps[:, 2:] & steps[:, :-2]).any(axis=1).mean(),
        "steps on a common chord": np.mean(known),
        "steps like the one before": same.mean(),
        "notes in C major": np.isin(classes, C_MAJOR).mean(),
        "semitones the top voice moves": moves[moves > 0].mean(),
        "mean note, steps": np.mean(lengths),
        "longest note, steps": max(lengths),
    }
    return {name: round(float(value), 3) for name, value in result.items()}


def made_with(
    chain: list[dict[str, Any]], run: RunFolder, trained: Trained, registry: Registry
) -> list[Roll]:
    """Return pieces that go on from the run's prompts."""
    samplers = []
    for table in chain:
        options = dict(table)
        entry = registry.get("sampler", options.pop("type"))
        config, problems = build(
            entry.declaration.config, options, file="", name="", base_of=lambda key: Path()
        )
        assert not problems, problems
        samplers.append(entry.load()(config, trained.encoder.layout))
    prompts = [piece.encoded for piece in read_prompts(run.prompts, trained.encoder.layout)]
    prompts = [
        dataclasses.replace(
            prompts[k % len(prompts)], steps=prompts[k % len(prompts)].steps[:PROMPT]
        )
        for k in range(PIECES)
    ]
    plan = engine.GenerationPlan(
        prompts=prompts,
        first=[0] * PIECES,
        seeds=engine.piece_seeds(0, PIECES),
        length=Length(float(STEPS), "steps"),
        settings=[DecodeSettings()] * len(prompts),
    )
    made = engine.generate(trained.model, trained.encoder, samplers, plan, device=trained.device)
    return [piece.steps for piece in made]


def main() -> None:
    """Measure the training part, the held-out part and every chain."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python benchmarks/samplers.py RUN (see the top of the file)")
    registry = manager.load().registry
    run = RunFolder(Path(sys.argv[1]))
    pipeline: Pipeline = run.read_pipeline(registry)
    trained = load_trained(pipeline, run)
    parts = prepare(pipeline, read_corpus(pipeline, registry), trained.encoder).parts
    rolls = {part: [piece.encoded.steps for piece in pieces] for part, pieces in parts.items()}
    lowest = trained.encoder.layout.lowest  # type: ignore[attr-defined]
    common = common_chords(rolls["train"], lowest)
    rows = {
        "chorales, training part": figures(rolls["train"], lowest, common),
        "chorales, held out": figures(rolls["valid"], lowest, common),
    }
    model = pipeline.model.name
    for name, chain in CHAINS[model].items():
        rows[name] = figures(made_with(chain, run, trained, registry), lowest, common)
    write_result(f"samplers_{model}", f"python benchmarks/samplers.py {sys.argv[1]}", rows)


if __name__ == "__main__":
    main()
