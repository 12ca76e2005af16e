"""Runs for scripts and notebooks: what the command line does, as functions.

Nothing is printed: messages are log records, and a reporter receives the progress if one is given.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musengine.data.dataset import Dataset, prepare, read_corpus
from musengine.errors import MachineError
from musengine.interfaces.callback import Callback
from musengine.music.piece import SplitName, Text
from musengine.music.score import Score
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.manager import load_registry
from musengine.runs import evaluate, trained
from musengine.runs.evaluate import Figures
from musengine.runs.folder import RunFolder, find_folder, without_nan
from musengine.runs.packing import pack
from musengine.runs.pieces import generate, samplers
from musengine.runs.session import Interrupted, Session
from musengine.runs.trained import Trained
from musengine.utils.files import read_table
from musengine.utils.progress import SILENT, ProgressReporter

logger = logging.getLogger(__name__)


def read_dataset(pipeline: Pipeline, *, reporter: ProgressReporter = SILENT) -> Dataset:
    """Return a pipeline's corpus as training would see it: read, divided and encoded.

    Raises:
        UserError: there is no music to train on; says what was found and why it was left out.
    """
    manifest = read_corpus(pipeline, load_registry(), reporter)
    return prepare(pipeline, manifest, pipeline.encoder.create(), reporter=reporter)


def run_pipeline(
    pipeline: Pipeline,
    run_dir: str | Path | None = None,
    *,
    new: bool = False,
    train_only: bool = False,
    callbacks: Sequence[Callback[Any]] = (),
    reporter: ProgressReporter = SILENT,
) -> Run:
    """Train, generate and evaluate, as `musengine run` does; returns the run.

    A run that is there already is gone on with, or left as it is where it is finished.

    Args:
        pipeline: what to do.
        run_dir: the run's folder, `runs/NAME` without one.
        new: take the next free folder, `NAME-2` and on, where that one is taken.
        train_only: generate and evaluate nothing.
        callbacks: called during the training beside the pipeline's own.
        reporter: receives the progress.

    Raises:
        UserError: what the user can mend.
        KeyboardInterrupt: after Ctrl-C; all is saved, and the same call goes on from there.
    """
    registry = load_registry()
    folder = find_folder(pipeline.name, None if run_dir is None else Path(run_dir), new=new)
    session = Session(pipeline, folder, registry, reporter=reporter)
    session.callbacks.extend(callbacks)
    try:
        session.work(train_only=train_only)
    except Interrupted as error:
        raise KeyboardInterrupt(f"the same call goes on from here: {folder.path}") from error
    return Run(folder.path)


@dataclass(frozen=True)
class Run:
    """A run in its folder: what it has left, and more of it.

    Attributes:
        path: the folder.
    """

    path: Path

    def __post_init__(self) -> None:
        # A string is taken too, though the class is frozen.
        object.__setattr__(self, "path", Path(self.path))
        self._folder.require()

    @property
    def _folder(self) -> RunFolder:
        return RunFolder(self.path)

    @property
    def figures(self) -> dict[str, Figures]:
        """What was measured, by part (`"valid"`, `"test"`, `"generated"`) and name.

        None stands for a number that there is not, such as the interval of a single piece.
        """
        path = self.path / "evaluation.json"
        return read_table(path) if path.is_file() else {}

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`: losses and validation figures, each with its `step`."""
        return list(self._folder.records())

    @property
    def samples(self) -> list[Path]:
        """The files of its generated pieces, by name."""
        files = (path for path in self._folder.samples.glob("*") if path.is_file())
        return sorted(path for path in files if path.suffix != ".jsonl")

    def pipeline(self, settings: Sequence[str] = ()) -> Pipeline:
        """Return the pipeline it was made with, with settings that may change.

        Args:
            settings: `TABLE.KEY=VALUE` each.

        Raises:
            UserError: a plugin is missing, or a setting decides what the run is.
        """
        return self._folder.read_pipeline(load_registry(), settings)

    def load(self, settings: Sequence[str] = ()) -> Trained:
        """Return its model, in evaluation mode, with its encoder, device and checkpoint.

        Args:
            settings: such as `generate.checkpoint=last`, or a step, instead of the best.

        Raises:
            UserError: there is no checkpoint, or it is damaged.
        """
        return trained.load_trained(self.pipeline(settings), self._folder)

    def generate(
        self,
        settings: Sequence[str] = (),
        *,
        folder: str | Path | None = None,
        name: str = "piece",
        reporter: ProgressReporter = SILENT,
        **keys: Any,
    ) -> list[Score | Text]:
        """Return new pieces, as `musengine generate` makes them.

        Args:
            settings: `TABLE.KEY=VALUE` each, such as `sampler.0.threshold=0.3`.
            folder: where they are written too, with the pipeline's outputs; nowhere without one.
            name: what their files are called.
            reporter: receives the progress.
            keys: keys of `[generate]`, such as `count=2, length="8 bars", seed=7`.

        Raises:
            UserError: what the user can mend.
        """
        # JSON writes strings, numbers, booleans and lists as TOML does.
        own = [f"generate.{key}={json.dumps(value)}" for key, value in keys.items()]
        pipeline, registry = self.pipeline([*settings, *own]), load_registry()
        seed = generate.fresh_seed(pipeline)
        made = generate.make_pieces(pipeline, self._folder, registry, seed=seed, reporter=reporter)
        try:
            samplers.keep_found(pipeline, made.samplers, self._folder)
        except MachineError as error:  # what was made is not lost for that
            logger.warning(f"what was found for the pieces is not kept: {error}")
        if folder is not None:
            target = Path(folder)
            generate.write_pieces(made, pipeline, self._folder, seed=seed, folder=target, name=name)
        return [piece.content for piece in made.pieces]

    def evaluate(
        self,
        parts: Sequence[SplitName] = ("valid", "test"),
        settings: Sequence[str] = (),
        *,
        reporter: ProgressReporter = SILENT,
    ) -> dict[str, Figures]:
        """Return the figures of some parts, measured anew; they are written into the folder too.

        Those of another checkpoint than the run's own are only returned.

        Args:
            parts: which of `"train"`, `"valid"` and `"test"`.
            settings: `TABLE.KEY=VALUE` each, such as `metric=[{type="nll"}]`.
            reporter: receives the progress.

        Raises:
            UserError: its music is not there any more, or is not the same.
        """
        pipeline = self.pipeline(settings)
        registry = load_registry()
        measured = evaluate.evaluate(pipeline, self._folder, registry, parts, reporter)
        evaluate.keep_figures(measured, pipeline, self._folder, registry)
        return dict(without_nan(measured))

    def pack(
        self, folder: str | Path, *, name: str, prompts: int = 0, settings: Sequence[str] = ()
    ) -> None:
        """Write into an empty folder what it needs as a trained model, its weights in 16 bits.

        Four pieces that it makes come with it.

        Args:
            folder: made if it is not there.
            name: what the model is called.
            prompts: how many beginnings of pieces that were held out come with it, as music that
                can be played back; with none, pieces begin from nothing.
            settings: of the pieces that come with it, such as `generate.length=16 bars`.

        Raises:
            UserError: it has no checkpoint, or something in it is damaged.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        pack(
            self._folder,
            load_registry(),
            Path(folder),
            name=name,
            prompts=prompts,
            settings=settings,
        )
