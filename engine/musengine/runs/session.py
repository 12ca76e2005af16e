"""The work of a run from its beginning to its end: train, generate, measure."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musengine.data.dataset import Dataset, prepare, read_corpus
from musengine.data.manifest import told_skipped
from musengine.distributed.ranks import ALONE, Ranks
from musengine.generation import output as outputs
from musengine.interfaces.callback import Callback
from musengine.interfaces.encoder import Encoder
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.blame import phase
from musengine.plugins.registry import Registry
from musengine.runs import folder as runfolder
from musengine.runs.assembly import decided, trainer_for, training_task
from musengine.runs.changes import refuse_changes
from musengine.runs.choice.timing import time_rest
from musengine.runs.evaluate import corpus_range, evaluate, generated_pieces, measure
from musengine.runs.folder import RunFolder
from musengine.runs.named import checkpoint_of
from musengine.runs.pieces import generate as generation
from musengine.runs.pieces import samplers
from musengine.runs.presentation import learning_curve
from musengine.runs.presentation.profile import keep_profile, tell_profile
from musengine.runs.presentation.report import (
    tell_dataset,
    tell_figures,
    tell_figures_in_short,
)
from musengine.runs.presentation.run_writers import write_run
from musengine.runs.processes.ranks import own_device
from musengine.runs.processes.training import begin_together
from musengine.runs.trained import learn_from, load_trained
from musengine.training import checkpoint as checkpoints
from musengine.training.fitting import fit
from musengine.training.state import TrainerState
from musengine.training.stopping import Ending, limit_reached
from musengine.training.task import TrainingTask
from musengine.utils.files import write_json
from musengine.utils.profile import UNPROFILED, Profiler
from musengine.utils.progress import SILENT, ProgressReporter
from musengine.utils.signals import stop_on_interrupt

if TYPE_CHECKING:
    import torch

    from musengine.runs.choice.budget import Budget
    from musengine.runs.choice.choice import Choice

logger = logging.getLogger(__name__)


GENERATION_TABLES = ("generate", "sampler", "output")


class Interrupted(Exception):  # noqa: N818  not an error
    """The user stopped the training; everything is saved."""


@dataclass
class Session:
    """One command's work on a run.

    Attributes:
        choice: where the pipeline was chosen for a folder of music, what a new run takes the length
            of its training from.
        budget: where a command with a pipeline file has its minutes, what a new run takes it from.
        ranks: the processes that work together, of which this is the first.
        profile: told what is done; what it measured is told and written at the end.
    """

    pipeline: Pipeline
    run: RunFolder
    registry: Registry
    dataset: Dataset | None = None
    reporter: ProgressReporter = SILENT
    choice: Choice | None = None
    budget: Budget | None = None
    ranks: Ranks = ALONE
    profile: Profiler = UNPROFILED
    begun: bool = False
    """Whether the run was found to be what is wanted, and anything was done for it."""

    @functools.cached_property
    def callbacks(self) -> list[Callback[Any]]:
        """The pipeline's callbacks, the same ones for training and generation."""
        # Once for the whole session: a callback that counts must not begin anew after training.
        created: list[Callback[Any]] = [each.create() for each in self.pipeline.callbacks]
        for callback in created:
            callback.reporter = self.reporter
        return created

    def work(self, *, train_only: bool = False) -> None:
        """Train, generate and measure, with the run's folder held.

        Raises:
            UserError: what the user can mend.
            Interrupted: the user pressed Ctrl-C; everything is saved.
        """
        with self.run.held():
            problem = ""
            try:
                self._work(train_only=train_only)
            except Interrupted:
                problem = "stopped before its end; the same command goes on from there"
                raise
            except Exception as error:
                problem = str(error) or type(error).__name__
                raise
            finally:
                # Of a run that is refused, what is told of it stays as it was.
                if self.begun:
                    with self.profile.stage("report"):
                        write_run(self.run, self.pipeline, self.registry, problem=problem)
                    self._keep_profile()

    def _work(self, *, train_only: bool) -> None:
        try:
            self.train()
            if not train_only:
                with self.profile.stage("generation"):
                    self.generate()
        finally:
            self.tell_skipped()
        if not train_only:
            with self.profile.stage("evaluation"):
                self.evaluate()

    def _keep_profile(self) -> None:
        """Tell and write where the time went, where that was asked for."""
        if (result := self.profile.result()) is not None:
            keep_profile(result, self.run.path / "profile.json", self.ranks.size)
            tell_profile(result)

    def train(self) -> None:
        """Train, from the beginning or from where it stopped; say so where nothing is left.

        Raises:
            UserError: what the user can mend.
            Interrupted: the user pressed Ctrl-C; everything is saved.
        """
        if self.run.exists:
            self.pipeline = _continued(self.pipeline, self.run, self.registry)
            # Before the corpus is read, so that a finished run answers within a second.
            if (finished := _finished_training(self.pipeline, self.run)) is not None:
                logger.info(f"{self.run.path} is trained already{finished}")
                self.begun = True
                return
        # The order of what follows is by cost: imports and the checkpoint's outline fail within a
        # second, reading the corpus may take an hour, and only then is anything written into the
        # folder.
        with self.profile.stage("setting up"):
            self.pipeline, device = decided(self.pipeline, self.run)
            encoder, origin = self._encoder()
        dataset = self.dataset = self._read(encoder, learned=origin is not None)
        with self.profile.stage("setting up"):
            task = self._task(encoder, dataset, own_device(device, self.ranks))
            resumes = self.pipeline.model_declaration.training != "fit"
            stored = None if origin is None else _load(task, origin, resumes=resumes)
            self._begin(encoder, dataset)
        begin_together(self.pipeline, dataset, encoder, stored, self.ranks)
        ending = _train(task, self.pipeline, self.run, stored)
        if ending.interrupted:
            raise Interrupted
        self.run.write_state(
            trained=ending.reason,
            stopped_by=_stopped_by(self.pipeline, ending),
            # What was made with the weights before is out of date now.
            generated=None,
            evaluated=None,
        )

    def _encoder(self) -> tuple[Encoder[Any], Path | None]:
        """Return the encoder, and the checkpoint from which it and the model go on, if any."""
        for component in self.pipeline.components():
            # What cannot be imported ends the run now, not after the corpus is read and learned.
            component.entry.load()
        encoder: Encoder[Any] = self.pipeline.encoder.create()
        origin = _origin(self.pipeline, self.run, self.registry)
        if origin is not None:
            learn_from(origin, self.pipeline, encoder)
        return encoder, origin

    def _read(self, encoder: Encoder[Any], *, learned: bool) -> Dataset:
        """Return the encoded corpus; of a run that exists, or was chosen, the files it knows."""
        known = self.run.known_files() if self.run.exists else None
        if self.choice is not None:
            known = self.choice.files
        with self.profile.stage("reading"):
            manifest = read_corpus(self.pipeline, self.registry, self.reporter, known)
        with self.profile.stage("encoding"):
            dataset = prepare(
                self.pipeline, manifest, encoder, learned=learned, reporter=self.reporter
            )
        tell_dataset(dataset)
        for line in self.pipeline.left_out():
            logger.warning(line)
        return dataset

    def _task(self, encoder: Encoder[Any], dataset: Dataset, device: torch.device) -> TrainingTask:
        """Return what is trained; a new run's length is settled by what its command has left."""
        if self.choice is not None:
            self.pipeline = self.choice.limited(self.pipeline)
        task = training_task(
            self.pipeline,
            self.run,
            device,
            encoder,
            dataset,
            [*self.callbacks, learning_curve.LearningCurve()],
            self.reporter,
            # What learns by itself does so in one process.
            ALONE if self.pipeline.model_declaration.training == "fit" else self.ranks,
            self.profile,
        )
        if self.budget is None or self.run.exists:
            return task
        trial = replace(task, ranks=ALONE, profile=UNPROFILED)
        rest = time_rest(self.pipeline, trial, encoder, dataset)
        self.pipeline = self.budget.limited(self.pipeline, *rest)
        return replace(task, config=self.pipeline.training)

    def _begin(self, encoder: Encoder[Any], dataset: Dataset) -> None:
        """Write what a run begins with, or what changes where it goes on."""
        if self.run.exists:
            self.run.check_split(dataset)
            # Taken back before training goes on: killed in between, the run must not look finished.
            self.run.write_state(trained=None, stopped_by=None)
            self.run.write_pipeline(self.pipeline)
        else:
            chosen = self.choice or self.budget
            if chosen is not None:
                write_json(self.run.path / "choice.json", chosen.record(self.pipeline))
            with phase("preparing the run"):
                self.run.begin(self.pipeline, dataset, encoder)
        self.begun = True
        if not self.run.corpus_range():
            self.run.write_corpus(dataset, corpus_range(dataset, encoder))
        if not self.run.samplers.is_file():
            samplers.learn(self.pipeline, encoder.layout, dataset, self.run.samplers)
        logger.info(f"run folder: {self.run.path}")

    def generate(self) -> None:
        """Make the run's pieces, unless they were made with these very settings."""
        made_with = runfolder.fingerprint_of(self.pipeline.tables(), GENERATION_TABLES)
        if self.run.state().get("generated") == made_with:
            logger.info(
                f"its pieces are in {self.run.samples}; `musengine generate {self.run.path}` "
                "makes more, --new trains another"
            )
            return
        seed = generation.run_seed(self.pipeline)
        self._begin_pieces(seed)
        written = generation.generate(
            self.pipeline,
            self.run,
            self.registry,
            seed=seed,
            reporter=self.reporter,
            ranks=self.ranks,
        )
        for path in (path for piece in written for path in piece.files):
            for callback in self.callbacks:
                callback.on_sample(path)
        self.run.write_pipeline(self.pipeline)
        self.run.write_state(generated=made_with, generating=None)

    def _begin_pieces(self, seed: int) -> None:
        """Note the number of the first piece; delete what a killed process had written of them."""
        begun = self.run.state().get("generating")
        if isinstance(begun, int):
            outputs.take_back(self.run.samples, "piece", begun, self.pipeline.generate.count, seed)
        else:
            first = outputs.highest_number(self.run.samples, "piece") + 1
            self.run.write_state(generating=first)

    def evaluate(self) -> None:
        """Measure the best weights on the parts that `[evaluate]` names, unless that was done."""
        made_with = self.run.state().get("generated")
        wanted = runfolder.fingerprint_of(
            {**self.pipeline.tables(), "pieces": made_with}, ("evaluate", "metric", "pieces")
        )
        if self.run.state().get("evaluated") == wanted or not self.pipeline.metrics:
            return
        parts = self.pipeline.evaluate.parts
        if self.dataset is None:
            results = evaluate(
                self.pipeline, self.run, self.registry, parts, self.reporter, self.ranks
            )
        else:
            trained = load_trained(self.pipeline, self.run)
            generated = generated_pieces(self.pipeline, self.run, self.registry)
            results = measure(
                self.pipeline, trained, self.dataset, parts, generated, self.reporter, self.ranks
            )
        self.run.write_evaluation(results)
        self.run.write_pipeline(self.pipeline)
        self.run.write_state(evaluated=wanted)
        if self.choice is None:
            tell_figures(results)
        else:
            tell_figures_in_short(results, self.run.path)

    def tell_skipped(self) -> None:
        """List what was left out of the corpus: late, where it is seen, but for the figures."""
        if self.dataset is None or not self.dataset.skipped:
            return
        for line in told_skipped(self.dataset.skipped, str(self.run.path / "split.json")):
            logger.warning(line)


def _continued(pipeline: Pipeline, run: RunFolder, registry: Registry) -> Pipeline:
    """Take over what the run decided when it began; refuse what cannot change."""
    stored = run.read_pipeline(registry)
    changed = refuse_changes(run.path, stored.tables(), pipeline)
    if changed:
        logger.info(f"going on with changed settings: {', '.join(changed)}")
        run.log({"changed": changed})
    wanted, before = pipeline.training, stored.training
    if wanted.precision not in (before.precision, "auto"):
        logger.info(
            f"training.precision: {run.path} stays in {before.precision}, in which it was "
            "trained last"
        )
    device = before.device if wanted.device == "auto" else wanted.device
    threads = wanted.threads or before.threads
    training = replace(wanted, precision=before.precision, device=device, threads=threads)
    return replace(pipeline, training=training)


def _finished_training(pipeline: Pipeline, run: RunFolder) -> str | None:
    """Return what there is to say of a finished training, possibly nothing; None if it goes on."""
    state = run.state()
    if not state.get("trained") or not run.checkpoint_paths():
        return None
    if pipeline.model_declaration.training == "fit":
        return ""
    meta = checkpoints.outline(run.checkpoint_for("last")).meta
    with checkpoints.well_formed(run.checkpoint_for("last")):
        reached = limit_reached(pipeline.training, TrainerState.from_json(meta["state"]))
    if reached is not None:
        return ""
    # A callback's word holds as long as the pipeline has that very callback: a limit that is
    # raised is not what ended the training.
    stopped_by = state.get("stopped_by")
    if stopped_by is None or stopped_by not in [each.table() for each in pipeline.callbacks]:
        return None
    return (
        f": callback {stopped_by['type']!r} ended it ({state['trained']}); leave it out or change "
        "its settings to go on"
    )


def _stopped_by(pipeline: Pipeline, ending: Ending) -> dict[str, Any] | None:
    """Return the table of the pipeline's callback that ended the training, if one did."""
    if ending.callback is None or ending.callback >= len(pipeline.callbacks):
        return None  # a callback that was handed over, and is not there when the run goes on
    return pipeline.callbacks[ending.callback].table()


def _origin(pipeline: Pipeline, run: RunFolder, registry: Registry) -> Path | None:
    """Return the checkpoint that training goes on from, or that a new run starts from, if any.

    Raises:
        UserError: `training.init_from` names none.
    """
    if run.checkpoint_paths():
        return run.checkpoint_for("last")
    wanted = pipeline.training.init_from
    return None if wanted is None else checkpoint_of(wanted, registry)


def _load(task: TrainingTask, origin: Path, *, resumes: bool) -> checkpoints.Checkpoint | None:
    """Put a checkpoint's weights into the model; returns it where training goes on from it.

    Raises:
        UserError: it is damaged, or belongs to another model.
    """
    own = origin.parent == task.store.checkpoints
    stored = checkpoints.load(origin, weights_only=not own)
    checkpoints.load_weights(task.model, stored.model, origin)
    if own:
        if resumes:
            with checkpoints.well_formed(origin):
                checkpoints.check_resumable(stored)
        return stored
    logger.info(f"starting from the weights of {origin}")
    return None


def _train(
    task: TrainingTask, pipeline: Pipeline, run: RunFolder, stored: checkpoints.Checkpoint | None
) -> Ending:
    if pipeline.model_declaration.training == "fit":
        fitted = None if stored is None else TrainerState.from_json(stored.meta["state"])
        return fit(task, fitted)
    parameters = sum(p.numel() for p in task.model.parameters())
    unit = f"; loss in {task.unit}" if task.unit else ""
    logger.info(f"model {pipeline.model.name}: {parameters:,} parameters, on {task.device}{unit}")
    with task.profile.stage("setting up"):
        trainer = trainer_for(task, pipeline, stored)
    if stored is not None:
        task.take_in_last(stored.meta)
        logger.info(f"going on after step {trainer.state.step}")
    run.forget_after(trainer.state.step, trainer.losses.steps)
    try:
        once = task.ranks.alone
        with stop_on_interrupt(logger.warning, once=once) as stop, phase("training"):
            return trainer.train(stop)
    finally:
        learning_curve.draw(run)
