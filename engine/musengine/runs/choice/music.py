"""A run on a folder of music: chosen for it at first, gone on with from then on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from musengine.data.survey import survey_corpus
from musengine.errors import UserError
from musengine.pipeline.resolve import Pipeline
from musengine.pipeline.values import Source
from musengine.plugins.registry import Registry
from musengine.runs.choice.budget import Budget, going_on
from musengine.runs.choice.nearest import nearest_model
from musengine.runs.folder import RunFolder, find_folder
from musengine.runs.named import find_run
from musengine.utils.progress import SILENT, ProgressReporter

if TYPE_CHECKING:
    from musengine.distributed.ranks import Ranks
    from musengine.runs.choice.candidates import Start
    from musengine.runs.session import Session

logger = logging.getLogger(__name__)


def begin_or_go_on(
    source: Source,
    registry: Registry,
    *,
    minutes: float | None,
    default: float,
    began: float,
    run_dir: Path | None = None,
    new: bool = False,
    start: str | None = None,
    settings: Sequence[str] = (),
    reporter: ProgressReporter = SILENT,
    ranks: Ranks | None = None,
) -> Session:
    """Return the work on a corpus: a new choice, or the one that its run folder holds.

    Args:
        source: the music.
        registry: the components.
        minutes: how long the command may take; None for `default`, or what was chosen with.
        default: the minutes without a word.
        began: when the command began, by the clock of `time.monotonic`.
        run_dir: the run's folder; `runs/` and the music's name without one.
        new: choose again, in the next free folder.
        start: a run or a trained model to go on from.
        settings: `TABLE.KEY=VALUE` each, laid over the choice.
        reporter: receives the progress.
        ranks: the processes of the job, if it is one.

    Raises:
        UserError: there is no music, no model for it, or the folder is another run's.
    """
    name = name_of(source)
    folder = find_folder(name, run_dir, new=new, ranks=ranks)
    wanted = _start(start, registry, minutes or default)
    if folder.exists:
        pipeline = _chosen_before(folder, source, registry, minutes, settings)
        _refuse_other_start(folder, pipeline, wanted)
        from musengine.runs.session import Session

        return Session(pipeline, folder, registry, reporter=reporter)
    corpus = survey_corpus(source, registry, reporter)
    # What needs PyTorch comes after the mistakes that can be found without.
    from musengine.runs.choice.choice import choose
    from musengine.runs.session import Session

    budget = Budget(minutes or default, began)
    choice = choose(corpus, registry, budget, settings, reporter, wanted)
    for line in choice.lines():
        logger.info(line)
    if wanted is None and (near := nearest_model(corpus.survey, registry)) is not None:
        logger.info(
            f"few pieces: --from {near.name} goes on from a model trained on {near.trained_on} "
            "(--new, if this run has begun)"
        )
    pipeline = choice.pipeline(name, registry)
    return Session(pipeline, folder, registry, reporter=reporter, choice=choice)


def name_of(source: Source) -> str:
    """Return what a run on some music is called: as its folder is."""
    return Path(source.name).stem or "music"


def _chosen_before(
    folder: RunFolder,
    source: Source,
    registry: Registry,
    minutes: float | None,
    settings: Sequence[str],
) -> Pipeline:
    """Return the pipeline of a run that is there; more minutes than before train on."""
    pipeline = folder.read_pipeline(registry, settings)
    # With links followed, as what a pipeline names is.
    if pipeline.corpus.path != (Source.from_toml(source.to_toml(), Path.cwd()),):
        where = ", ".join(path.text for path in pipeline.corpus.path)
        raise UserError(
            f"{folder.path} is a run on {where}; name another folder with --run-dir, or use --new",
            code="run-of-other-music",
        )
    logger.info(f"{folder.path} goes on with what was chosen: {pipeline.model.name}")
    longer = going_on(pipeline, folder, minutes) or pipeline
    return longer if _minutes(longer) > _minutes(pipeline) else pipeline


def _minutes(pipeline: Pipeline) -> float:
    return pipeline.training.minutes or 0.0


def _start(name: str | None, registry: Registry, minutes: float) -> Start | None:
    if name is None:
        return None
    from musengine.runs.choice.candidates import Start

    return Start(name, find_run(name, registry), minutes)


def _refuse_other_start(folder: RunFolder, pipeline: Pipeline, wanted: Start | None) -> None:
    """Refuse to go on with a run that started from something else than is asked for.

    Raises:
        UserError: it did; without a word it may have started from anything.
    """
    if wanted is None or pipeline.training.init_from == wanted.run.origin:
        return
    raise UserError(
        f"{folder.path} was not begun with --from {wanted.name}; leave it out to go on, or start "
        "afresh with --new",
        code="settings-changed",
    )
