"""The commands that work on a run: run, train, generate, evaluate."""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from musengine.cli.options import DEFAULT_MINUTES, add_settings, file_name, minutes, value_of
from musengine.cli.shorthands import add_checkpoint, add_shorthands, settings_of
from musengine.distributed.launch import place
from musengine.distributed.ranks import ALONE
from musengine.errors import ConfigError, MachineError, UserError
from musengine.interfaces.command import CommandContext, ExitStatus
from musengine.utils.profile import UNPROFILED, Profile, Profiler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from musengine.distributed.ranks import Ranks
    from musengine.music.piece import SplitName
    from musengine.pipeline.resolve import Pipeline
    from musengine.pipeline.values import Source
    from musengine.plugins.registry import Registry
    from musengine.runs.folder import RunFolder
    from musengine.runs.named import NamedRun
    from musengine.runs.session import Session

logger = logging.getLogger(__name__)


def _add_pipeline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        type=Path,
        metavar="MUSIC",
        help="a folder of music, for which all is chosen; or a pipeline file, PIPELINE.toml",
    )
    parser.add_argument(
        "--minutes",
        type=minutes,
        metavar="N",
        help="how long everything may take, from start to end "
        f"(a folder: {DEFAULT_MINUTES:g}; a pipeline file: as it says)",
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="NAME",
        help="go on from a trained model, or from a run, with this music",
    )
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run folder")
    parser.add_argument("--new", action="store_true", help="start a new run beside an earlier one")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="say at the end where the time went, and write it to RUN/profile.json",
    )
    add_settings(parser)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine run`."""
    _add_pipeline(parser)


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine train`."""
    _add_pipeline(parser)


def _add_run_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folder",
        nargs="?",
        type=Path,
        metavar="RUN",
        help="a run folder, or a trained model by name (the newest run)",
    )


def add_generate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine generate`."""
    _add_run_folder(parser)
    add_checkpoint(parser)
    add_shorthands(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where to, instead of RUN/samples, or of a new folder with a trained model's name",
    )
    parser.add_argument(
        "--name", type=file_name, default="piece", help="what the files are called (piece)"
    )
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="what goes on inside the model while it makes the first piece (.npz or .png)",
    )
    add_settings(parser)


def _music(text: str) -> Source:
    from musengine.pipeline.values import Source

    return value_of(lambda text: Source.from_toml(text, Path.cwd()), text)


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine evaluate`."""
    _add_run_folder(parser)
    add_checkpoint(parser)
    parser.add_argument(
        "--split",
        action="append",
        choices=("train", "valid", "test"),
        help="which part; may be given again (those in evaluate.parts)",
    )
    parser.add_argument(
        "--on",
        type=_music,
        metavar="MUSIC",
        help="measure all of this music instead: a file, folder, corpus",
    )
    parser.add_argument("--json", action="store_true", help="figures as JSON on stdout")
    add_settings(parser)


def _session(parsed: argparse.Namespace, context: CommandContext, ranks: Ranks) -> Session:
    from musengine.data.discovery import check_sources, music_source
    from musengine.pipeline.resolve import load_pipeline

    began, registry = time.monotonic(), context.registry
    # A folder of music and a pipeline file are given in the same place; what it is decides.
    if (source := music_source(parsed.file, registry)) is not None:
        from musengine.runs.choice.music import begin_or_go_on

        return begin_or_go_on(
            source,
            registry,
            minutes=parsed.minutes,
            default=DEFAULT_MINUTES,
            began=began,
            run_dir=parsed.run_dir,
            new=parsed.new,
            start=parsed.start,
            settings=parsed.settings,
            reporter=context.reporter,
            ranks=ranks,
        )
    if parsed.start is not None:
        from musengine.runs.named import find_run

        origin = find_run(parsed.start, registry).origin
        parsed.settings.append(f"training.init_from={json.dumps(origin.to_toml())}")
    try:
        loaded = load_pipeline(parsed.file, registry, parsed.settings, check_sources=check_sources)
    except ConfigError as error:
        from musengine.runs.folder import find_folder
        from musengine.runs.needed_plugins import with_needed

        run = find_folder(parsed.file.stem, parsed.run_dir, new=parsed.new, ranks=ranks)
        # The run that is there may have been made with a plugin that is missing now: it says which.
        raise with_needed(error, run.path, registry) from error
    # What needs PyTorch comes after the mistakes that can be found without.
    from musengine.runs.choice.budget import Budget, going_on
    from musengine.runs.folder import find_folder
    from musengine.runs.session import Session

    folder = find_folder(loaded.name, parsed.run_dir, new=parsed.new, ranks=ranks)
    session = Session(loaded, folder, registry, reporter=context.reporter)
    named = any(setting.startswith("training.minutes") for setting in parsed.settings)
    if parsed.minutes is None or named:
        return session
    if not folder.exists:
        session.budget = Budget(parsed.minutes, began)
        return session
    longer = going_on(loaded, folder, parsed.minutes)
    if longer is None:
        raise UserError(
            f"{folder.path} was begun without --minutes, which are a whole command's; leave them "
            "out (--set training.minutes=N trains it longer), or start afresh with --new",
            code="option-conflict",
        )
    session.pipeline = longer
    return session


def _together(context: CommandContext, work: Callable[[Ranks], int]) -> int:
    """Carry out a command alone, or as the first of the processes that `torchrun` has started."""
    here = place()
    if here is None:
        return work(ALONE)
    from musengine.runs.processes.ranks import work_together

    return work_together(here, context.registry, work)


def run(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine run`."""
    return _together(context, lambda ranks: _work(parsed, context, ranks, train_only=False))


def train(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine train`."""
    return _together(context, lambda ranks: _work(parsed, context, ranks, train_only=True))


def _work(
    parsed: argparse.Namespace, context: CommandContext, ranks: Ranks, *, train_only: bool
) -> int:
    profile: Profiler = Profile() if parsed.profile else UNPROFILED
    with profile.stage("setting up"):
        session = _session(parsed, context, ranks)
    session.ranks, session.profile = ranks, profile
    from musengine.runs.session import Interrupted

    try:
        session.work(train_only=train_only)
    except Interrupted:
        logger.warning(f"stopped; the same command goes on from here: {session.run.path}")
        return ExitStatus.INTERRUPTED
    return ExitStatus.DONE


def _named_run(parsed: argparse.Namespace, registry: Registry) -> NamedRun:
    from musengine.runs.folder import newest_run
    from musengine.runs.named import NamedRun, find_run

    if parsed.run_folder is None:
        return NamedRun(newest_run())
    return find_run(parsed.run_folder, registry)


def _pieces_folder(parsed: argparse.Namespace, named: NamedRun) -> Path | None:
    """Return where pieces go; None for the run's own samples, which a trained model has none of."""
    out: Path | None = parsed.out
    if out is not None or named.trained is None:
        return out
    from musengine.runs.folder import find_folder

    name = named.trained.name
    return find_folder(name, Path(name), new=True).path


def generate(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine generate`."""
    return _together(context, lambda ranks: _generate(parsed, context, ranks))


def _generate(parsed: argparse.Namespace, context: CommandContext, ranks: Ranks) -> int:
    registry = context.registry
    named = _named_run(parsed, registry)
    run, folder = named.folder, _pieces_folder(parsed, named)
    pipeline = run.read_pipeline(registry, parsed.settings)
    if more := settings_of(parsed, pipeline, registry):
        pipeline = run.read_pipeline(registry, [*parsed.settings, *more])
    from musengine.runs.pieces import generate as generation
    from musengine.runs.presentation.run_writers import write_run

    seed = generation.fresh_seed(pipeline)
    generation.generate(
        pipeline,
        run,
        registry,
        seed=seed,
        folder=folder,
        name=parsed.name,
        record=parsed.record,
        reporter=context.reporter,
        ranks=ranks,
    )
    if folder is None or named.trained is not None:
        write_run(run, pipeline, registry, pieces=folder)
    return ExitStatus.DONE


def evaluate(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine evaluate`."""
    return _together(context, lambda ranks: _evaluate(parsed, context, ranks))


def _evaluate(parsed: argparse.Namespace, context: CommandContext, ranks: Ranks) -> int:
    registry = context.registry
    named = _named_run(parsed, registry)
    run = named.folder
    pipeline = run.read_pipeline(registry, parsed.settings)
    if parsed.on is not None:
        return _evaluate_on(parsed, context, run, pipeline)
    if named.trained is not None:
        raise UserError(
            f"the music that {named.trained.name} was trained on is not with it; name other music "
            "with --on, and see its model card for the figures",
            code="music-missing",
        )
    from musengine.runs.evaluate import evaluate as evaluate_run
    from musengine.runs.evaluate import keep_figures
    from musengine.runs.folder import without_nan
    from musengine.runs.presentation.report import tell_figures
    from musengine.runs.presentation.run_writers import write_run

    parts: Sequence[SplitName] = parsed.split or pipeline.evaluate.parts
    results = evaluate_run(pipeline, run, registry, parts, context.reporter, ranks)
    if not results:
        raise UserError(
            f"{run.path} has nothing to measure in {' or '.join(parts)}", code="nothing-to-measure"
        )
    if parsed.json:
        print(json.dumps(without_nan(results), indent=1))
    else:
        tell_figures(results)
    try:
        keep_figures(results, pipeline, run, registry)
    except MachineError as error:
        logger.warning(f"the figures are told here alone: {error}")
        return ExitStatus.DONE
    write_run(run, pipeline, registry)
    return ExitStatus.DONE


def _evaluate_on(
    parsed: argparse.Namespace, context: CommandContext, run: RunFolder, pipeline: Pipeline
) -> int:
    """Tell how well a run's model predicts other music; nothing is written."""
    from musengine.runs.evaluate import evaluate_on
    from musengine.runs.folder import without_nan
    from musengine.runs.presentation.report import tell_figures

    results = evaluate_on(parsed.on, pipeline, run, context.registry, context.reporter)
    if parsed.json:
        print(json.dumps(without_nan(results), indent=1))
    else:
        tell_figures(results)
    return ExitStatus.DONE
