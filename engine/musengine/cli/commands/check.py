"""The commands about pipeline files: init, check, schema."""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

from musengine.cli.options import DEFAULT_MINUTES, add_settings, minutes
from musengine.interfaces.command import CommandContext, ExitStatus

logger = logging.getLogger(__name__)


def add_init_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine init`."""
    parser.add_argument(
        "template",
        nargs="?",
        metavar="TEMPLATE",
        help="what to start from; without it, what suits the music best",
    )
    parser.add_argument("--corpus", metavar="DIR", help="your music: a folder, a file, a corpus")
    parser.add_argument(
        "--minutes",
        type=minutes,
        default=DEFAULT_MINUTES,
        metavar="N",
        help=f"without TEMPLATE: how long a run may take ({DEFAULT_MINUTES:g})",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the file (TEMPLATE.toml, or as the music)"
    )
    parser.add_argument("--list", action="store_true", help="list the templates instead")


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine check`."""
    parser.add_argument("file", type=Path, metavar="PIPELINE.toml", help="the pipeline file")
    add_settings(parser)
    parser.add_argument(
        "--resolved",
        action="store_true",
        help="print the pipeline as it will run, with where each value comes from",
    )
    parser.add_argument("--json", action="store_true", help="print the problems, with their codes")


def add_schema_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine schema`."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it to a file instead")


def init(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine init`."""
    from musengine.cli import templates

    registry = context.registry
    if parsed.list:
        for line in templates.as_lines(registry):
            print(line)
    elif parsed.template is None and parsed.corpus is not None:
        from musengine.cli import starter

        began, reporter = time.monotonic(), context.reporter
        starter.start(registry, parsed.corpus, parsed.out, parsed.minutes, began, reporter)
    else:
        templates.start(registry, parsed.template, parsed.corpus, parsed.out)
    return ExitStatus.DONE


def check(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine check`."""
    from musengine.data.discovery import check_choices, check_sources
    from musengine.pipeline.resolve import load_pipeline
    from musengine.pipeline.resolved import as_data, as_toml

    registry = context.registry
    loaded = load_pipeline(parsed.file, registry, parsed.settings, check_sources=check_sources)
    loaded.refuse_broken()
    check_choices(loaded, registry)
    if loaded.training.init_from is not None:
        from musengine.runs.named import checkpoint_of

        checkpoint_of(loaded.training.init_from, registry)
    chain = ", ".join(sampler.name for sampler in loaded.samplers) or "none"
    for line in loaded.left_out():
        logger.warning(line)
    logger.info(
        f"{parsed.file}: fine: encoder {loaded.encoder.name}, model {loaded.model.name}, "
        f"samplers {chain}"
    )
    if parsed.json:
        shown = as_data(loaded) if parsed.resolved else {}
        print(json.dumps({"problems": [], **shown}, indent=1 if shown else None))
    elif parsed.resolved:
        print(as_toml(loaded), end="")
    return ExitStatus.DONE


def schema(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine schema`."""
    from musengine.pipeline.json_schema import pipeline_schema

    schema, problems = pipeline_schema(context.registry)
    for problem in problems:
        logger.warning(problem)
    text = json.dumps(schema, indent=2)
    if parsed.out is None:
        print(text)
        return ExitStatus.DONE
    from musengine.utils.files import write_text

    write_text(parsed.out, text + "\n", "--out")
    logger.info(f"wrote {parsed.out}")
    return ExitStatus.DONE
