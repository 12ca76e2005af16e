"""The command about plugins: plugins."""

from __future__ import annotations

import argparse
import json

from musengine.cli.common import OK, Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = command(commands, "plugins", _plugins, "list plugins and what they offer")
    parser.add_argument("--json", action="store_true", help="the list as JSON on stdout")


def _plugins(parsed: argparse.Namespace) -> int:
    from musengine.cli.listing import as_json, as_lines
    from musengine.plugins import manager

    loaded = manager.load()
    if parsed.json:
        print(json.dumps(as_json(loaded), indent=1))
    else:
        print("\n".join(as_lines(loaded)))
    return OK
