"""Which model for which music: nats per note, and pieces that came out stuck, after minutes.

    python benchmarks/which_model.py [--minutes 5 20] [--collections NAME...] [--only MODEL...]

Every model is trained on every collection that it proposes itself for, in its smallest size or in
those of `--sizes`, for the most of these minutes of one thread's processor time, so that other
programs beside it change nothing. Its best checkpoint within each of them is measured on the same
held-out pieces, as `musengine evaluate` does. Then it makes fifty pieces, and it is counted how
many came out empty or stuck at first, and how many are so as they are kept; and of how many musical
statistics the mean lies between the 5th and the 95th percentile of the collection's, cut to as many
bars.

Beside that stands what `musengine run` would choose with so many minutes, and whether that is
within 5 % of the best of those that leave under 2 % of their pieces stuck. Nats per note count all
that is said of a note, and some encoders say more, such as its instrument and how loud it is. So
it stands beside those alone that say as much and leave out no more of the notes; and `notes` has
rows in which it is told no more than a grid holds, which a second line has beside the others.

A cell that is there already is not measured again, so that what was interrupted goes on where it
stopped; what is not measured yet says so.
"""

from __future__ import annotations

import argparse
import json
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from common import data_folder, stored_figures, write_result

from musengine.api import (
    FloatArray,
    Pipeline,
    Run,
    Source,
    SuggestedSize,
    build_pipeline,
    load_registry,
    read_scores,
    run_pipeline,
)
from musengine.data.survey import SurveyedCorpus, survey_corpus
from musengine.runs.choice import timing
from musengine.runs.choice.budget import Budget
from musengine.runs.choice.choice import choose
from musengine.training import task, trainer
from musengine_evaluation.features.form import first_bars
from musengine_evaluation.features.summary import SCALARS, table

COLLECTIONS = {
    "pop909": ("pop909/pop909-main-001-808.tar.gz", 0.02),
    "piano-midi-de": ("piano-midi-de/piano-midi-de.tar.gz", 0.05),
    "nottingham": ("nottingham/ABC_cleaned", 0.05),
    "musicguru": ("musicguru/musicguru-collection.tar.gz", 0.05),
}
"""Where each lies, and the share of it that is held out."""
SIZES = ("layers", "units", "width", "time_layers", "note_layers")
PIECES = 50
MISSING = "not measured"
REFERENCE = 200
"""Pieces of a collection that statistics are compared with, about."""
STUCK = 0.02
"""Of its pieces, a model that counts as the best leaves fewer stuck."""
NEAR = 0.05
MORE_LEFT_OUT = 5.0
"""Percent of the notes that a model may leave out more than the chosen one to be compared."""

BARE = {"notes": {"parts": "one", "velocities": 1, "drums": False, "pedal": False}}
"""By encoder, what leaves it no more to say of each note than a grid says."""

COLUMNS = (
    "nats per note, {:g} minutes",
    "notes left out",
    "steps, {:g} minutes",
    "stuck at first, {:g} minutes",
    "stuck as kept, {:g} minutes",
    "statistics in range, {:g} minutes",
)

Cells = dict[str, dict[str, Any]]
"""By model and size, what was measured."""


@dataclass(frozen=True)
class Proposal:
    """One size of a model that suits a collection.

    Attributes:
        model: its name.
        number: of the size, 0 for the first.
        row: the model and its size.
        size: what it proposes.
        bare: it is a row for comparison, which `musengine run` does not choose from.
    """

    model: str
    number: int
    row: str
    size: SuggestedSize
    bare: bool = False

    @property
    def encoder(self) -> str:
        """The encoder it proposes."""
        return str(self.size.tables["encoder"]["type"])

    @property
    def plain(self) -> bool:
        """Whether its arrays hold pitches and times alone, all instruments being one."""
        config = load_registry().get("encoder", self.encoder).declaration.config
        return self.bare or not config().keeps()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5.0, 20.0])
    parser.add_argument("--collections", nargs="+", default=list(COLLECTIONS), choices=COLLECTIONS)
    parser.add_argument("--only", nargs="+", help="models")
    parser.add_argument("--bare", action="store_true", help="as a grid holds them, alone")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[0], help="by number, 0 for the first"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.collections:
        folder = unpacked(name)
        found = survey_corpus(Source(str(folder)), load_registry())
        proposed = proposals(found)
        for minutes in given.minutes:
            note_choice(name, found, proposed, minutes)
        for each in proposed:
            wanted = given.only is None or each.model in given.only
            wanted &= each.bare or not given.bare
            if wanted and each.number in given.sizes:
                measure_cells(name, folder, each, proposed, given.minutes)


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


def row_of(model: dict[str, Any]) -> str:
    """Return what a row is called: the model and its size."""
    units = ", ".join(f"{key} {model[key]}" for key in SIZES if key in model)
    return f"{model['type']}: {units}"


def proposals(found: SurveyedCorpus) -> list[Proposal]:
    """Return each size of each model that suits a collection."""
    proposed: list[Proposal] = []
    for entry in load_registry().of_kind("model"):
        if (suggestion := entry.declaration.config.suits(found.survey)) is None:
            continue
        for number, size in enumerate(suggestion.sizes):
            row = row_of(size.tables["model"])
            proposed.append(Proposal(entry.name, number, row, size))
            encoder = size.tables["encoder"]
            if less := BARE.get(encoder["type"]):
                told = replace(size, tables={**size.tables, "encoder": {**encoder, **less}})
                bare = Proposal(entry.name, number, f"{row}; as a grid", told, bare=True)
                proposed.append(bare)
    return proposed


@contextmanager
def processor_time() -> Iterator[None]:
    """Let training and the timing before a choice count processor time instead of time."""
    clock = SimpleNamespace(monotonic=time.process_time, time=time.time)
    with mock.patch.object(trainer, "time", clock), mock.patch.object(timing, "time", clock):
        yield


def note_choice(name: str, found: SurveyedCorpus, proposed: list[Proposal], minutes: float) -> None:
    """Write down what `musengine run` chooses with so many minutes, unless that was done."""
    figures = stored_figures("which_model")
    if f"{name}, {minutes:g} minutes" not in figures.get("choice", {}):
        with processor_time():
            chosen = choose(found, load_registry(), Budget(minutes, time.monotonic()))
        write(name, proposed, minutes, chosen=row_of(chosen.tables["model"]))


def measure_cells(
    name: str,
    folder: Path,
    each: Proposal,
    proposed: list[Proposal],
    all_minutes: Sequence[float],
) -> None:
    """Measure a model on a collection, unless that was done, and write it down."""
    cells: Cells = stored_figures("which_model").get(name, {})
    known = cells.get(each.row, {})
    missing = [
        minutes
        for minutes in sorted(all_minutes)
        if known.get(f"nats per note, {minutes:g} minutes", MISSING) == MISSING
    ]
    if not missing:
        return
    print(f"{name}, {each.row}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        pipeline = pipeline_of(dict(each.size.tables), name, folder, missing)
        with processor_time():
            run = run_pipeline(pipeline, Path(place) / "run", train_only=True)
        for minutes in missing:
            pieces = Path(place) / f"after {minutes:g} minutes"
            cell = measured(run, minutes, pieces, folder)
            write(name, proposed, minutes, row=each.row, cell=cell)


def pipeline_of(
    tables: dict[str, Any], name: str, folder: Path, all_minutes: Sequence[float]
) -> Pipeline:
    """Return what one model is trained by, for the most of these minutes."""
    tables["corpus"] = {
        **tables.get("corpus", {}),
        "path": str(folder),
        "valid": COLLECTIONS[name][1],
        "duplicates": "drop",
    }
    tables["training"] = {
        **tables.get("training", {}),
        "minutes": max(all_minutes),
        "threads": 1,
        "checkpoint_every": f"{min(all_minutes) / 4} minutes",
        "keep_checkpoints": "all",
    }
    tables["generate"] = {**tables.get("generate", {}), "count": PIECES}
    tables |= {
        "output": [{"type": "midi"}],
        "callback": [],
        "metric": [{"type": "nll"}],
        "evaluate": {"parts": ["valid"]},
    }
    return build_pipeline(tables)


def best_within(run: Run, minutes: float) -> tuple[int, int]:
    """Return the step of the best checkpoint within so many minutes, and the last step in them."""
    last, seconds, reached = 0, 0.0, []
    for record in run.history:
        seconds = record.get("seconds", seconds)
        # The last step ends a little after its time is over.
        if seconds > 60 * minutes + 1:
            break
        last = record["step"]
        if "valid" in record:
            reached.append((task.judged(record["valid"]), last))
    return min(reached)[1], last


def measured(run: Run, minutes: float, pieces: Path, folder: Path) -> dict[str, float | str]:
    """Return the figures of a model after so many minutes of its training."""
    best, last = best_within(run, minutes)
    settings = [f"generate.checkpoint={best}"]
    figures = run.evaluate(["valid"], settings)["valid"]
    run.generate(settings, folder=pieces, seed=0)
    lines = (pieces / "generated.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    first = sum(each["attempts"] > 1 for each in records)
    kept = sum(bool(each["faults"]) for each in records)
    left_out = 100 * figures["notes_left_out"] / figures["notes"]
    values = (
        round(figures["nats_per_note"], 3),
        f"{left_out:.1f} %",
        last,
        f"{first} of {PIECES}",
        f"{kept} of {PIECES}",
        statistics_in_range(sorted(pieces.glob("*.mid")), folder),
    )
    return dict(zip(columns(minutes), values, strict=True))


@cache
def corpus_table(folder: Path, bars: int) -> dict[str, FloatArray]:
    """Return the statistics of some pieces of a collection, of so many bars each."""
    scores = read_scores(folder)
    names = sorted(scores)[:: max(1, len(scores) // REFERENCE)]
    return table(first_bars(scores[name], bars) for name in names if len(scores[name]))


def statistics_in_range(samples: Sequence[Path], folder: Path) -> str:
    """Return of how many statistics the pieces' mean lies in the collection's range."""
    scores = read_scores(*samples).values()
    corpus = corpus_table(folder, max(1, int(np.median([score.n_bars for score in scores]))))
    pieces = table(scores)
    known = within = 0
    for name in SCALARS:
        values, own = corpus[name][:, 0], pieces[name][:, 0]
        if np.isnan(values).all() or np.isnan(own).all():
            continue
        low, high = np.nanquantile(values, (0.05, 0.95))
        known, within = known + 1, within + int(low <= np.nanmean(own) <= high)
    return f"{within} of {known}"


def columns(minutes: float) -> list[str]:
    """Return the columns of so many minutes."""
    return [name.format(minutes) for name in COLUMNS]


def write(
    name: str,
    proposed: list[Proposal],
    minutes: float,
    *,
    row: str = "",
    cell: dict[str, float | str] | None = None,
    chosen: str = "",
) -> None:
    """Write down a cell or a choice, beside what other processes have written meanwhile."""
    figures = stored_figures("which_model")
    before: Cells = figures.get(name, {})
    # Of larger sizes those that somebody measured.
    told = {name for name, known in before.items() if set(known.values()) - {MISSING}}
    proposed = [each for each in proposed if not each.number or each.row in {*told, row, chosen}]
    rows: Cells = {each.row: {**before.get(each.row, {})} for each in proposed}
    if cell is not None:
        rows[row] |= cell
    known_columns = [key for each in rows.values() for key in each]
    all_columns = dict.fromkeys([*known_columns, *columns(minutes)])
    figures[name] = {
        each: {key: known.get(key, MISSING) for key in all_columns} for each, known in rows.items()
    }
    choices = figures.setdefault("choice", {})
    label = f"{name}, {minutes:g} minutes"
    chosen = chosen or choices[label]["chosen"]
    own = next(each for each in proposed if each.row == chosen)
    found = figures[name]
    as_much = [each.row for each in proposed if each.plain == own.plain and not each.bare]
    choices[label] = judged(chosen, as_much, found, minutes)
    like = next((each for each in proposed if each.row == f"{chosen}; as a grid"), own)
    if like.bare:
        as_little = [each.row for each in proposed if each.plain]
        choices[f"{label}, as a grid"] = judged(like.row, as_little, found, minutes)
    write_result("which_model", "python benchmarks/which_model.py", figures)


def judged(chosen: str, among: list[str], found: Cells, minutes: float) -> dict[str, float | str]:
    """Return a choice beside the best of some rows that leaves few pieces stuck."""
    cells = {row: found[row] for row in among}
    nats, stuck = f"nats per note, {minutes:g} minutes", f"stuck as kept, {minutes:g} minutes"
    known = {row: cell for row, cell in cells.items() if cell.get(nats, MISSING) != MISSING}
    left_out = {row: float(cell["notes left out"].split()[0]) for row, cell in known.items()}
    # What a model leaves out costs it nothing: those that leave out more are no measure.
    worth = {
        row: cell[nats]
        for row, cell in known.items()
        if share(cell[stuck]) < STUCK and left_out[row] <= left_out.get(chosen, 0.0) + MORE_LEFT_OUT
    }
    own = cells[chosen].get(nats, MISSING)
    best = min(worth, key=lambda row: worth[row], default=MISSING)
    over = own / worth[best] - 1 if worth and own != MISSING else None
    all_known = len(known) == len(cells)
    if over is None:
        verdict = "not known"
    elif over > NEAR:
        verdict = "no"
    else:
        verdict = "yes" if all_known else "yes, of those measured"
    return {
        "chosen": chosen,
        "its nats per note": own,
        "the best": best,
        "its nats": worth.get(best, MISSING),
        "over the best": MISSING if over is None else f"{100 * over:.1f} %",
        "cells measured": f"{len(known)} of {len(cells)}",
        "within 5 %": verdict,
    }


def share(text: str) -> float:
    """Return `3 of 50` as a share."""
    part, _, whole = text.partition(" of ")
    return int(part) / int(whole)


if __name__ == "__main__":
    main()
