"""The commands about pipeline files: init, check, schema."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from musengine.cli.common import OK, Commands, add_settings, command, load_registry


def add(commands: Commands) -> None:
    """Add the commands to the parser."""
    _add_init(commands)
    _add_check(commands)
    _add_schema(commands)


def _add_init(commands: Commands) -> None:
    parser = command(commands, "init", _init, "write a commented pipeline file to start from")
    parser.add_argument(
        "template", nargs="?", metavar="TEMPLATE", help="what to start from (the first of --list)"
    )
    parser.add_argument("--corpus", metavar="DIR", help="your music: a folder, a file, a corpus")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file (TEMPLATE.toml)")
    parser.add_argument("--list", action="store_true", help="list the templates instead")


def _add_check(commands: Commands) -> None:
    parser = command(commands, "check", _check, "find every mistake in a pipeline file")
    parser.add_argument("file", type=Path, metavar="PIPELINE.toml", help="the pipeline file")
    add_settings(parser)


def _add_schema(commands: Commands) -> None:
    parser = command(commands, "schema", _schema, "print a JSON Schema of pipelines, for editors")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it to a file instead")


def _init(parsed: argparse.Namespace) -> int:
    from musengine.cli import templates

    registry = load_registry()
    if parsed.list:
        for line in templates.as_lines(registry):
            print(line)
    else:
        templates.start(registry, parsed.template, parsed.corpus, parsed.out)
    return OK


def _check(parsed: argparse.Namespace) -> int:
    from musengine.data.dataset import check_choices
    from musengine.data.discovery import check_sources
    from musengine.pipeline import compatibility, resolve
    from musengine.utils.console import Console

    registry = load_registry()
    loaded = resolve.load(parsed.file, registry, parsed.settings, check_sources=check_sources)
    check_choices(loaded, registry)
    chain = ", ".join(sampler.name for sampler in loaded.samplers) or "none"
    for message in compatibility.lacking(loaded.outputs).values():
        Console.current().warn(message)
    Console.current().say(
        f"{parsed.file}: fine: encoder {loaded.encoder.name}, model {loaded.model.name}, "
        f"samplers {chain}"
    )
    return OK


def _schema(parsed: argparse.Namespace) -> int:
    from musengine.pipeline.json_schema import pipeline_schema
    from musengine.utils.console import Console

    schema, problems = pipeline_schema(load_registry())
    for problem in problems:
        Console.current().warn(problem)
    text = json.dumps(schema, indent=2)
    if parsed.out is None:
        print(text)
        return OK
    from musengine.utils.files import write_text

    write_text(parsed.out, text + "\n", "--out")
    Console.current().say(f"wrote {parsed.out}")
    return OK
