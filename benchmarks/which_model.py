"""Which model for which music: nats per note, and pieces that came out stuck, after minutes.

    python benchmarks/which_model.py [--minutes 5 20] [--collections NAME...] [--only MODEL...]

Every model is trained on every collection that it proposes itself for, in each of its sizes, and
measured on the same held-out pieces: the negative log-likelihood of all their time steps together,
over the notes that its encoder keeps of them. Then it makes eight pieces, and it is counted how
many had to be drawn again. A cell that is there already is not measured again, so that what was
interrupted goes on where it stopped; what is not measured yet says so.
"""

from __future__ import annotations

import argparse
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import torch
from common import data_folder, stored_figures, write_result

from musengine.api import (
    DecodeSettings,
    EncodedPiece,
    Evidence,
    Score,
    Source,
    SuggestedSize,
    build_pipeline,
    load_registry,
    predictions,
    read_dataset,
    run_pipeline,
)
from musengine.data.survey import survey_corpus

COLLECTIONS = {
    "pop909": ("pop909/pop909-main-001-808.tar.gz", 0.02),
    "piano-midi-de": ("piano-midi-de/piano-midi-de.tar.gz", 0.05),
    "nottingham": ("nottingham/ABC_cleaned", 0.05),
    "musicguru": ("musicguru/musicguru-collection.tar.gz", 0.05),
}
"""Where each lies, and the share of it that is held out."""
SIZES = ("layers", "units", "time_layers", "note_layers")
PIECES = 8
MISSING = "not measured"

Cells = dict[str, dict[str, dict[str, Any]]]
"""By collection, then model and size, then what was measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5.0, 20.0])
    parser.add_argument("--collections", nargs="+", default=list(COLLECTIONS))
    parser.add_argument("--only", nargs="+", help="models")
    parser.add_argument("--sizes", type=int, nargs="+", help="by number, 0 for the first")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for minutes in given.minutes:
        for name in given.collections:
            folder = unpacked(name)
            for model, number, row, size in proposals(folder):
                wanted = given.only is None or model in given.only
                if wanted and (given.sizes is None or number in given.sizes):
                    measure_cell(name, folder, row, size, minutes)


def unpacked(name: str) -> Path:
    """Return the folder of a collection's files."""
    source = data_folder() / COLLECTIONS[name][0]
    if source.is_dir():
        return source
    target = Path(tempfile.gettempdir()) / "which_model" / name
    if not target.is_dir():
        with tarfile.open(source) as archive:
            archive.extractall(target, filter="data")
    return target


def proposals(folder: Path) -> list[tuple[str, int, str, SuggestedSize]]:
    """Return each size of each model that suits a folder: the model, its number, its row's name."""
    registry, found = load_registry(), []
    survey = survey_corpus(Source(str(folder)), registry).survey
    for entry in registry.of_kind("model"):
        if (suggestion := entry.declaration.config.suits(survey)) is None:
            continue
        for number, size in enumerate(suggestion.sizes):
            model = size.tables["model"]
            units = ", ".join(f"{key} {model[key]}" for key in SIZES if key in model)
            found.append((entry.name, number, f"{entry.name}: {units}", size))
    return found


def measure_cell(name: str, folder: Path, row: str, size: SuggestedSize, minutes: float) -> None:
    """Measure a model on a collection, unless that was done, and write it down."""
    figures: Cells = stored_figures("which_model")
    for *_, each, _ in proposals(folder):
        figures.setdefault(name, {}).setdefault(each, {})
    cells, column = figures[name], f"nats per note, {minutes:g} minutes"
    if cells[row].get(column, MISSING) == MISSING:
        cells[row] |= measured(dict(size.tables), name, folder, minutes)
        columns = dict.fromkeys(key for cell in cells.values() for key in cell)
        figures[name] = {
            each: {key: cell.get(key, MISSING) for key in columns} for each, cell in cells.items()
        }
        write_result("which_model", "python benchmarks/which_model.py", dict(figures))


def measured(
    tables: dict[str, Any], name: str, folder: Path, minutes: float
) -> dict[str, float | str]:
    """Train one model for so many minutes and return its figures."""
    tables["corpus"] = {
        **tables.get("corpus", {}),
        "path": str(folder),
        "valid": COLLECTIONS[name][1],
        "duplicates": "drop",
    }
    tables["training"] = {
        **tables["training"],
        "minutes": minutes,
        "threads": 1,
        "checkpoint_every": f"{minutes / 4} minutes",
    }
    tables["generate"] = {**tables.get("generate", {}), "count": PIECES}
    tables |= {"output": [{"type": "midi"}], "callback": [], "evaluate": {"parts": []}}
    pipeline = build_pipeline(tables)
    with tempfile.TemporaryDirectory() as place:
        run = run_pipeline(pipeline, Path(place) / "run")
        trained = run.load()
        valid = read_dataset(pipeline).parts["valid"]
        scores = predictions(Evidence(trained.model, trained.encoder, valid, "valid")).nll
        assert scores is not None
        steps = max(record.get("step", 0) for record in run.history)
        lines = (run.path / "samples" / "generated.jsonl").read_text("utf-8").splitlines()
        redrawn = sum(json.loads(line)["attempts"] > 1 for line in lines)
    return {
        f"nats per note, {minutes:g} minutes": round(
            scores.total / notes_of(valid, trained.encoder), 3
        ),
        f"steps, {minutes:g} minutes": steps,
        f"stuck, {minutes:g} minutes": f"{redrawn} of {PIECES}",
    }


def notes_of(pieces: list[EncodedPiece], encoder: Any) -> int:
    """Return how many notes the encoder keeps of some pieces."""
    count, settings = 0, DecodeSettings()
    for piece in pieces:
        content = encoder.decode(piece.encoded.steps, settings)
        if not isinstance(content, Score):
            content = encoder.score_of(content, settings)
        count += len(content)
    return count


if __name__ == "__main__":
    main()
