"""The command `compare`."""

from __future__ import annotations

import argparse
import json

from musengine.api import CommandContext, ExitStatus


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine compare`."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run folder, or a trained model by its name"
    )
    parser.add_argument("--json", action="store_true", help="the table as JSON on stdout")


def compare(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine compare`."""
    from musengine_evaluation.compare_runs import compare_runs

    table = compare_runs(parsed.runs, context.registry)
    if parsed.json:
        print(json.dumps(table.as_json(), indent=1))
    else:
        for line in table.as_lines():
            print(line)
    return ExitStatus.DONE
