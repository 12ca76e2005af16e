"""The command line: arguments in, one line for each error out. Imports torch only to do work."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musengine import __version__
from musengine.errors import UserError, is_strict

if TYPE_CHECKING:
    from musengine.registry import Registry
    from musengine.runfolder import RunFolder
    from musengine.workflow import Session

OK, FAULT, INTERRUPT = 0, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    from musengine.console import Console

    console = Console(quiet=getattr(parsed, "quiet", False))
    # PyTorch's threads wait for each other by spinning, unless told before it is imported: where
    # other programs run too, two threads were seen to train ten times slower than one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except UserError as error:
        for line in error.lines:
            console.fail(line)
        return FAULT
    except KeyboardInterrupt:
        console.fail("interrupted")
        return INTERRUPT
    except BrokenPipeError:
        # The reader of our output, such as `head`, has seen enough; nor shall the exit flush it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        if (blamed := _plugins_fault(error)) is None:
            raise
        console.fail(blamed)
        return FAULT
    finally:
        console.close()
    return status


def _plugins_fault(error: Exception) -> str | None:
    """Return a line that blames a plugin for an exception, None where it is a fault of ours."""
    from musengine.plugins import culprit

    plugin = culprit(error)
    if plugin is None or is_strict():
        return None
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return f"plugin {plugin} failed: {reason}; MUSENGINE_STRICT=1 shows where"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="musengine", description="From a folder of music to a trained model and new pieces."
    )
    parser.add_argument("--version", action="version", version=f"musengine {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (
        *(_add_run, _add_train, _add_generate, _add_evaluate),
        *(_add_init, _add_check, _add_schema, _add_plugins),
    ):
        add(commands)
    return parser


Commands = Any  # argparse keeps the type of its subparsers to itself


def _command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, allow_abbrev=False
    )
    parser.set_defaults(run=run)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key for this command, as in --set training.steps=200",
    )
    parser.add_argument("--quiet", action="store_true", help="say only warnings and errors")


def _add_pipeline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="PIPELINE.toml", help="the pipeline file")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run folder")
    parser.add_argument("--new", action="store_true", help="start a new run beside an earlier one")
    _add_settings(parser)


def _add_run(commands: Commands) -> None:
    parser = _command(commands, "run", _run, "train, generate and measure: everything")
    _add_pipeline(parser)


def _add_train(commands: Commands) -> None:
    parser = _command(commands, "train", _train, "train only; run again to go on")
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
    parser = _command(commands, "generate", _generate, "make more pieces from a trained run")
    _add_run_folder(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to, instead of RUN/samples")
    parser.add_argument("--name", default="piece", help="what the files are called (piece)")
    _add_settings(parser)


def _add_evaluate(commands: Commands) -> None:
    parser = _command(commands, "evaluate", _evaluate, "measure a trained run on held-out music")
    _add_run_folder(parser)
    parser.add_argument(
        "--split",
        action="append",
        choices=("train", "valid", "test"),
        help="which part; may be given again (valid and test)",
    )
    parser.add_argument("--json", action="store_true", help="figures as JSON on stdout")
    _add_settings(parser)


def _add_init(commands: Commands) -> None:
    parser = _command(commands, "init", _init, "write a commented pipeline file to start from")
    parser.add_argument(
        "template", nargs="?", metavar="TEMPLATE", help="what to start from (the first of --list)"
    )
    parser.add_argument("--corpus", metavar="DIR", help="your music: a folder, a file, a corpus")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file (TEMPLATE.toml)")
    parser.add_argument("--list", action="store_true", help="list the templates instead")


def _add_check(commands: Commands) -> None:
    parser = _command(commands, "check", _check, "find every mistake in a pipeline file")
    parser.add_argument("file", type=Path, metavar="PIPELINE.toml", help="the pipeline file")
    _add_settings(parser)


def _add_schema(commands: Commands) -> None:
    parser = _command(commands, "schema", _schema, "print a JSON Schema of pipelines, for editors")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it to a file instead")


def _add_plugins(commands: Commands) -> None:
    parser = _command(commands, "plugins", _plugins, "list plugins and what they offer")
    parser.add_argument("--json", action="store_true", help="the list as JSON on stdout")


def _registry(*, warn: bool = True) -> Registry:
    """Load the plugins; a broken one is a warning, and the rest goes on."""
    from musengine import plugins
    from musengine.console import Console

    loaded = plugins.load()
    if warn:
        for plugin in loaded.broken:
            Console.current().warn(f"plugin {plugin}")
    return loaded.registry


def _session(parsed: argparse.Namespace) -> Session:
    from musengine import pipeline, runfolder
    from musengine.sources import check_sources

    registry = _registry()
    loaded = pipeline.load(parsed.file, registry, parsed.settings, check_sources=check_sources)
    folder = runfolder.find_folder(loaded.name, parsed.run_dir, new=parsed.new)
    from musengine.workflow import Session

    return Session(loaded, folder, registry)


def _run(parsed: argparse.Namespace) -> int:
    return _work(parsed, everything=True)


def _train(parsed: argparse.Namespace) -> int:
    return _work(parsed, everything=False)


def _work(parsed: argparse.Namespace, *, everything: bool) -> int:
    session = _session(parsed)
    from musengine.console import Console
    from musengine.workflow import Interrupted

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
    from musengine.runfolder import RunFolder, newest_run

    return newest_run() if parsed.run_folder is None else RunFolder(parsed.run_folder)


def _generate(parsed: argparse.Namespace) -> int:
    run, registry = _run_folder(parsed), _registry()
    pipeline = run.read_pipeline(registry, parsed.settings)
    from musengine import making

    seed = making.fresh_seed(pipeline)
    making.generate(pipeline, run, registry, seed=seed, folder=parsed.out, name=parsed.name)
    return OK


def _evaluate(parsed: argparse.Namespace) -> int:
    run, registry = _run_folder(parsed), _registry()
    pipeline = run.read_pipeline(registry, parsed.settings)
    from musengine.trained import evaluate
    from musengine.workflow import tell_figures

    results = evaluate(pipeline, run, registry, parsed.split or ("valid", "test"))
    if not results:
        raise UserError(f"{run.path} has no pieces in {' or '.join(parsed.split or ['a test'])}")
    if parsed.json:
        print(json.dumps(results, indent=1))
    else:
        tell_figures(results)
    return OK


def _init(parsed: argparse.Namespace) -> int:
    from musengine import templates

    registry = _registry()
    if parsed.list:
        for line in templates.as_lines(registry):
            print(line)
    else:
        templates.start(registry, parsed.template, parsed.corpus, parsed.out)
    return OK


def _check(parsed: argparse.Namespace) -> int:
    from musengine import pipeline
    from musengine.console import Console
    from musengine.sources import check_sources

    registry = _registry()
    loaded = pipeline.load(parsed.file, registry, parsed.settings, check_sources=check_sources)
    chain = ", ".join(sampler.name for sampler in loaded.samplers) or "none"
    Console.current().say(
        f"{parsed.file}: fine: encoder {loaded.encoder.name}, model {loaded.model.name}, "
        f"samplers {chain}"
    )
    return OK


def _schema(parsed: argparse.Namespace) -> int:
    from musengine.console import Console
    from musengine.schema import pipeline_schema

    schema, problems = pipeline_schema(_registry())
    for problem in problems:
        Console.current().warn(problem)
    text = json.dumps(schema, indent=2)
    if parsed.out is None:
        print(text)
        return OK
    from musengine.files import write_text

    write_text(parsed.out, text + "\n", "--out")
    Console.current().say(f"wrote {parsed.out}")
    return OK


def _plugins(parsed: argparse.Namespace) -> int:
    from musengine import plugins
    from musengine.listing import as_json, as_lines

    loaded = plugins.load()
    if parsed.json:
        print(json.dumps(as_json(loaded), indent=1))
    else:
        print("\n".join(as_lines(loaded)))
    return OK
