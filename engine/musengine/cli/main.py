"""The command line: arguments in, one line for each error out. Imports torch only to do work."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from musengine import __version__
from musengine.cli.commands import check, compare, convert, inspect, plugins
from musengine.cli.commands import run as running
from musengine.cli.common import FAULT, INTERRUPT, OK
from musengine.errors import UserError, is_strict

GROUPS = (running, compare, inspect, convert, check, plugins)
"""The modules of commands, in the order `musengine --help` lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    from musengine.utils.console import Console

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
    from musengine.plugins.manager import culprit

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
    for group in GROUPS:
        group.add(commands)
    return parser
