"""The command about plugins: plugins."""

from __future__ import annotations

import argparse
import json

from musengine.interfaces.command import CommandContext, ExitStatus


def add_plugins_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine plugins`."""
    parser.add_argument("--json", action="store_true", help="the list as JSON on stdout")


def plugins(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine plugins`."""
    from musengine.cli.listing import as_json, as_lines
    from musengine.plugins import manager

    loaded = manager.load()
    if parsed.json:
        print(json.dumps(as_json(loaded), indent=1))
    else:
        print("\n".join(as_lines(loaded)))
    return ExitStatus.DONE
