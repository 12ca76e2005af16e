"""The command line: arguments in, one line for each error out. Imports torch only to do work."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO, cast

from musengine import __version__
from musengine.builtin.commands import COMMANDS
from musengine.cli.streams import plain_output
from musengine.errors import UserError, did_you_mean, is_strict
from musengine.interfaces.command import CommandContext, ExitStatus
from musengine.plugins.declarations import CommandDeclaration
from musengine.plugins.registry import Distribution, RegistryEntry
from musengine.utils.plain_text import PlainText
from musengine.utils.signals import ended_by_signals

logger = logging.getLogger(__name__)

_OBJECTS = 20_000
"""Made and kept, after which garbage is looked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with plain_output(), _fewer_collections():
            _require_working_folder()
            return _main(words)
    except UserError as error:  # standard output cannot be written
        return _told_plainly(error)


@contextlib.contextmanager
def _fewer_collections() -> Iterator[None]:
    """Look for garbage more seldom.

    What is imported stays. Looking through it after every 700 objects takes a twentieth of the time
    of a command that needs no torch; what a training step leaves is gone without being looked for.
    """
    usual = gc.get_threshold()
    gc.set_threshold(_OBJECTS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _require_working_folder() -> None:
    """Look whether the working folder is there: relative paths start from it.

    Raises:
        UserError: it was removed.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise UserError(
            f"the working folder is gone ({error.strerror or error}); change into another",
            code="path-missing",
        ) from error


def _main(words: Sequence[str]) -> int:
    try:
        # argparse prints usage and errors itself, with whatever stood on the command line.
        with contextlib.redirect_stderr(cast("TextIO", PlainText(sys.stderr))):
            # Who names no command wants to know which there are.
            parsed = _parsed(words or ["--help"])
    except UserError as error:
        return _told_plainly(error)
    # After parsing: `rich` takes longer to import than `--version` to answer.
    from musengine.cli.terminal import Terminal, shown_on

    terminal = Terminal(_level(parsed))
    try:
        with shown_on(terminal, parsed.log_file), ended_by_signals() as last_words:
            return _carried_out(parsed, CommandContext(terminal), last_words)
    except UserError as error:  # the log file cannot be written
        return _told_plainly(error)


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; a mistake in it shows the usage of the command it is about.

    Raises:
        UserError: the named command's plugin is broken.
    """
    # The known ones alone, so that a message can name the nearest option of the command itself.
    parsed, unknown = _parser(words).parse_known_args(words)
    if unknown:
        own: argparse.ArgumentParser = parsed.parser
        known = [option for action in own._actions for option in action.option_strings]
        wrong = unknown[0].partition("=")[0]
        near = did_you_mean(wrong, known) if wrong.startswith("-") else ""
        own.error(f"unrecognized arguments: {' '.join(unknown)}{near}")
    return parsed


def _level(parsed: argparse.Namespace) -> int:
    if parsed.quiet:
        return logging.WARNING
    return logging.DEBUG if parsed.verbose else logging.INFO


def _told_plainly(error: UserError) -> int:
    """Print an error where there is no terminal to show it on yet."""
    for line in error.lines:
        print(f"error: {line}", file=sys.stderr)
    return ExitStatus.FAULT


def _carried_out(
    parsed: argparse.Namespace, context: CommandContext, last_words: Callable[[], None]
) -> int:
    """Run a command; its errors become messages, before which `last_words` is called."""
    # PyTorch's threads wait for each other by spinning, unless told before it is imported: where
    # other programs run too, two threads were seen to train ten times slower than one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status = parsed.entry.load()(parsed, context)
        if not isinstance(status, int):
            raise UserError(
                f"command {parsed.entry.name!r} of {parsed.entry.origin} returned "
                f"{type(status).__name__}, expected an exit status",
                code="contract-broken",
            )
        # Here, where a full disk or a closed pipe still becomes a message and an exit status.
        sys.stdout.flush()
    except UserError as error:
        last_words()
        for line in error.lines:
            logger.error(line)
        if getattr(parsed, "json", False):
            print(json.dumps({"problems": [vars(problem) for problem in error.problems]}, indent=1))
        return ExitStatus.FAULT
    except KeyboardInterrupt:
        last_words()
        logger.error("interrupted")
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output, such as `head`, has seen enough; nor shall the exit flush it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.DONE
    except Exception as error:
        last_words()
        from musengine.plugins import blame, manager

        blamed = None
        if not is_strict():
            blamed = manager.damaged_metadata(error) or blame.explained(error)
        if blamed is None:
            raise
        logger.error(blamed)
        return ExitStatus.FAULT
    return status


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for a command line; only the command it names adds its arguments.

    Raises:
        UserError: the named command's plugin is broken.
    """
    parser = argparse.ArgumentParser(
        prog="musengine",
        description="From a folder of music to a trained model and new pieces.",
        epilog="To begin: musengine run FOLDER",
    )
    parser.add_argument("--version", action="version", version=f"musengine {__version__}")
    # Found without argparse, which would need all commands: adding the arguments of one imports its
    # module.
    named = next((word for word in words if not word.startswith("-")), None)
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for entry in _commands(named, parser, quick="--version" in words):
        summary = entry.declaration.summary
        own = subparsers.add_parser(
            entry.name, help=summary, description=summary, allow_abbrev=False
        )
        own.set_defaults(entry=entry, parser=own)
        if entry.name == named:
            _add_arguments(own, entry)
    return parser


def _commands(
    named: str | None, parser: argparse.ArgumentParser, *, quick: bool
) -> list[RegistryEntry]:
    """Return the commands to offer: the core's own by name looks for no others."""
    origin = Distribution("musengine", __version__)
    core = [RegistryEntry(declaration, origin) for declaration in COMMANDS]
    if quick or any(entry.name == named for entry in core):
        return [entry for entry in core if quick or entry.name == named]
    from musengine.plugins import manager

    registry = manager.load().registry
    if named is not None:
        try:
            return [registry.get("command", named)]
        except UserError as error:
            parser.error(str(error))
    own = {entry.name for entry in core}
    return core + [entry for entry in registry.of_kind("command") if entry.name not in own]


def _add_arguments(parser: argparse.ArgumentParser, entry: RegistryEntry) -> None:
    declaration = entry.declaration
    assert isinstance(declaration, CommandDeclaration)
    if declaration.arguments:
        entry.load_part(declaration.arguments)(parser)
    talk = parser.add_mutually_exclusive_group()
    talk.add_argument("-q", "--quiet", action="store_true", help="say only warnings and errors")
    talk.add_argument("-v", "--verbose", action="store_true", help="say more of what is done")
    parser.add_argument(
        "--log-file", type=Path, metavar="FILE", help="write all messages into a file, with times"
    )
