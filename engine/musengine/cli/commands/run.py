"""The commands that work on a run: run, train, generate, evaluate."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from musengine.cli.common import INTERRUPT, OK, Commands, add_settings, command, load_registry
from musengine.errors import UserError

if TYPE_CHECKING:
    from musengine.runs.folder import RunFolder
    from musengine.runs.session import Session


def add(commands: Commands) -> None:
    """Add the commands to the parser."""
    _add_run(commands)
    _add_train(commands)
    _add_generate(commands)
    _add_evaluate(commands)


def _add_pipeline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="PIPELINE.toml", help="the pipeline file")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run folder")
    parser.add_argument("--new", action="store_true", help="start a new run beside an earlier one")
    add_settings(parser)


def _add_run(commands: Commands) -> None:
    parser = command(commands, "run", _run, "train, generate and measure: everything")
    _add_pipeline(parser)


def _add_train(commands: Commands) -> None:
    parser = command(commands, "train", _train, "train only; run again to go on")
    _add_pipeline(parser)


def _add_run_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folder",
        nargs="?",
        type=Path,
        metavar="RUN",
        help="a run folder (the newest)",
    )


def _add_generate(commands: Commands) -> None:
    parser = command(commands, "generate", _generate, "make more pieces from a trained run")
    _add_run_folder(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to, instead of RUN/samples")
    parser.add_argument("--name", default="piece", help="what the files are called (piece)")
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="what goes on inside the model while it makes the first piece (.npz or .png)",
    )
    add_settings(parser)


def _add_evaluate(commands: Commands) -> None:
    parser = command(commands, "evaluate", _evaluate, "measure a trained run on held-out music")
    _add_run_folder(parser)
    parser.add_argument(
        "--split",
        action="append",
        choices=("train", "valid", "test"),
        help="which part; may be given again (valid and test)",
    )
    parser.add_argument("--json", action="store_true", help="figures as JSON on stdout")
    add_settings(parser)


def _session(parsed: argparse.Namespace) -> Session:
    from musengine.data.discovery import check_sources
    from musengine.pipeline import resolve as pipeline
    from musengine.runs import folder as runfolder

    registry = load_registry()
    loaded = pipeline.load(parsed.file, registry, parsed.settings, check_sources=check_sources)
    folder = runfolder.find_folder(loaded.name, parsed.run_dir, new=parsed.new)
    from musengine.runs.session import Session

    return Session(loaded, folder, registry)


def _run(parsed: argparse.Namespace) -> int:
    return _work(parsed, everything=True)


def _train(parsed: argparse.Namespace) -> int:
    return _work(parsed, everything=False)


def _work(parsed: argparse.Namespace, *, everything: bool) -> int:
    session = _session(parsed)
    from musengine.runs.session import Interrupted
    from musengine.utils.console import Console

    try:
        with session.run.held():
            session.train()
            if everything:
                session.generate()
                session.evaluate()
    except Interrupted:
        Console.current().warn(f"stopped; the same command goes on from here: {session.run.path}")
        return INTERRUPT
    finally:
        session.tell_skipped()
    return OK


def _run_folder(parsed: argparse.Namespace) -> RunFolder:
    from musengine.runs.folder import RunFolder, newest_run

    return newest_run() if parsed.run_folder is None else RunFolder(parsed.run_folder)


def _generate(parsed: argparse.Namespace) -> int:
    run, registry = _run_folder(parsed), load_registry()
    pipeline = run.read_pipeline(registry, parsed.settings)
    from musengine.runs import generate as making

    seed = making.fresh_seed(pipeline)
    making.generate(
        pipeline,
        run,
        registry,
        seed=seed,
        folder=parsed.out,
        name=parsed.name,
        record=parsed.record,
    )
    return OK


def _evaluate(parsed: argparse.Namespace) -> int:
    run, registry = _run_folder(parsed), load_registry()
    pipeline = run.read_pipeline(registry, parsed.settings)
    from musengine.runs.folder import without_nan
    from musengine.runs.session import tell_figures
    from musengine.runs.trained import evaluate

    results = evaluate(pipeline, run, registry, parsed.split or ("valid", "test"))
    if not results:
        raise UserError(f"{run.path} has no pieces in {' or '.join(parsed.split or ['a test'])}")
    run.write_evaluation(results)
    if parsed.json:
        print(json.dumps(without_nan(results), indent=1))
    else:
        tell_figures(results)
    return OK
