"""A small collection, learned from nothing and from a trained model: nats per note.

    python benchmarks/from_model.py [--start pop] [--rows ROW...] [--minutes-from 10] [--minutes 60]

Of the largest style of the MusicGuru collection twenty pieces are learned from and twenty others
measured. From nothing a model is trained that `musengine run` would propose, for `--minutes` of
one thread's processor time; from the trained model as `musengine run --from` does, for
`--minutes-from`, with other rates and with the trunk frozen. A model of more instruments has more
to say of each note, so that one from nothing is measured with the encoder of the trained model,
too. Early stopping has four pieces of the twenty to look at. Rows that are there are not measured
again.
"""

from __future__ import annotations

import argparse
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from common import data_folder, stored_figures, write_result

from musengine.api import Run, Source, load_registry
from musengine.data.survey import survey_corpus
from musengine.runs.choice.budget import Budget
from musengine.runs.choice.candidates import Start
from musengine.runs.choice.choice import choose
from musengine.runs.evaluate import evaluate_on
from musengine.runs.folder import RunFolder
from musengine.runs.named import find_run
from musengine.runs.session import Session
from musengine.training import checkpoint, trainer

PIECES = 20
FRESH = "nothing, with its encoder"
"""Told of each note as little as the encoder of the model holds: that alone can be compared."""
ROWS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    FRESH: ("training.learning_rate=0.002",),
    "as it is": ("training.steps=0",),
    "the same rate": ("training.learning_rate=0.002",),
    "half the rate": ("training.learning_rate=0.001",),
    "a quarter of the rate": (),
    "a tenth of the rate": ("training.learning_rate=0.0002",),
    "half the rate, trunk frozen": (
        "training.learning_rate=0.001",
        'training.frozen="trunk.*"',
    ),
}
"""What is set beside what is chosen; of the model that is gone on from but for the first."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", default="pop", help="a trained model, or a run")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--minutes-from", type=float, default=10.0)
    parser.add_argument("--minutes", type=float, default=60.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for row in given.rows:
        minutes = given.minutes if row in ("nothing", FRESH) else given.minutes_from
        label = f"{row}, {minutes:g} minutes"
        figures = stored_figures("from_model")
        if label not in figures:
            print(label, flush=True)
            figures[label] = measured(row, None if row == "nothing" else given.start, minutes)
            write_result("from_model", "python benchmarks/from_model.py", figures)


def music() -> tuple[Path, Path]:
    """Return the folders of the pieces that are learned from, and of those that are measured."""
    target = Path(tempfile.gettempdir()) / "from_model"
    if not target.is_dir():
        aside = target.with_name("from_model-whole")
        with tarfile.open(data_folder() / "musicguru" / "musicguru-collection.tar.gz") as archive:
            archive.extractall(aside, filter="data")
        folders = [folder for folder in aside.rglob("*") if "random" not in folder.name]
        files = max((midi_files(folder) for folder in folders), key=len)
        for name, part in (
            ("learned", files[: 2 * PIECES : 2]),
            ("measured", files[1::2][:PIECES]),
        ):
            (aside / name).mkdir()
            for file in part:
                shutil.copy(file, aside / name)
        aside.rename(target)
    return target / "learned", target / "measured"


def midi_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.suffix.lower() == ".mid")


@contextmanager
def processor_time() -> Iterator[None]:
    """Let training count processor time instead of time."""
    clock = SimpleNamespace(monotonic=time.process_time, time=time.time)
    with mock.patch.object(trainer, "time", clock):
        yield


def fresh_weights() -> AbstractContextManager[Any]:
    """Let a run take what the encoder learned, and leave the model's weights as they began."""
    return mock.patch.object(checkpoint, "load_weights")


def measured(row: str, start: str | None, minutes: float) -> dict[str, Any]:
    """Train as a row says, and return its figures."""
    learned, other = music()
    registry = load_registry()
    corpus = survey_corpus(Source(str(learned)), registry)
    settings = (*ROWS[row], f"training.minutes={minutes}", "training.threads=1", "generate.count=0")
    begins = None if start is None else Start(start, find_run(start, registry), minutes)
    budget = Budget(minutes, time.monotonic())
    choice = choose(corpus, registry, budget, settings, start=begins)
    with tempfile.TemporaryDirectory() as place, processor_time():
        run = RunFolder(Path(place) / "run")
        pipeline = choice.pipeline("run", registry)
        with fresh_weights() if row == FRESH else nullcontext():
            Session(pipeline, run, registry, choice=choice).work(train_only=True)
        found = evaluate_on(Source(str(other)), run.read_pipeline(registry), run, registry)
        history = Run(run.path).history
        ended = run.state().get("trained", "")
    (figures,) = found.values()
    return {
        "nats per note": round(figures["nats_per_note"], 3),
        "low": round(figures["nats_per_note_low"], 3),
        "high": round(figures["nats_per_note_high"], 3),
        "notes left out": f"{100 * figures['notes_left_out'] / figures['notes']:.1f} %",
        "pieces": int(figures["pieces"]),
        "model": choice.lines()[1].removeprefix("chosen: ").partition(":")[0],
        "steps": max((record.get("step", 0) for record in history), default=0),
        "ended": ended,
        "from": start or "",
    }


if __name__ == "__main__":
    main()
