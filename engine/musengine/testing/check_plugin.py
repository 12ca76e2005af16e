"""The command `musengine check-plugin`."""

from __future__ import annotations

import argparse
import json
import logging

from musengine.interfaces.command import CommandContext, ExitStatus

logger = logging.getLogger(__name__)


def add_check_plugin_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine check-plugin`."""
    parser.add_argument("name", metavar="NAME", help="of the entry point, or of the distribution")
    parser.add_argument("--deep", action="store_true", help="train models on a batch, too")
    parser.add_argument("--json", action="store_true", help="print what is wrong as JSON")


def check_plugin(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine check-plugin`."""
    from musengine.testing.conformance import plugin

    found = plugin.check_plugin(parsed.name, deep=parsed.deep)
    if parsed.json:
        print(json.dumps({what: [vars(each) for each in wrong] for what, wrong in found.items()}))
    for what, wrong in found.items():
        for finding in wrong:
            logger.error(f"{what}: {finding}")
        if not wrong:
            logger.info(f"{what}: fine")
    return ExitStatus.FAULT if any(found.values()) else ExitStatus.DONE
