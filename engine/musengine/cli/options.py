"""Arguments that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEFAULT_MINUTES = 10.0
"""That everything may take with a folder of music, where nothing is said."""


def add_settings(
    parser: argparse.ArgumentParser,
    words: str = "change a key for this command, as in --set training.steps=200",
) -> None:
    """Add the option --set, as every command has it that reads a pipeline.

    Args:
        parser: of the command.
        words: what its help says of the option.
    """
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=words,
    )


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that do files in worker processes: --jobs and --timeout."""
    parser.add_argument(
        "--jobs", type=_jobs, default=0, metavar="N", help="processes (one on each core)"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=300.0,
        metavar="SECONDS",
        help="give up a file that takes longer (300)",
    )


def _seconds(text: str) -> float:
    seconds = value_of(float, text)
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"expected seconds, less than a million, got {text!r}")
    return seconds


def minutes(text: str) -> float:
    """Parse a number of minutes, from one second to a year.

    Raises:
        argparse.ArgumentTypeError: the value is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 / 60 <= number <= 525_600:
        raise argparse.ArgumentTypeError(f"expected a number of minutes, got {text!r}")
    return number


def file_name(text: str) -> str:
    """Return the beginning of files' names, of at most 100 characters, without any folder.

    Raises:
        argparse.ArgumentTypeError: it is none, or leads into another folder.
    """
    if (
        not 0 < len(text) <= 100
        or text[0] == "."
        or not text.isprintable()
        or set(text) & set("/\\:")
    ):
        raise argparse.ArgumentTypeError(
            f"expected the beginning of a file's name without a folder, which --out names; got "
            f"{text!r}"
        )
    return text


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"expected a number of processes, 1 to 1024, got {text!r}")
    return int(text)


def value_of(parse: Callable[[str], T], text: str) -> T:
    """Parse an option's value; a ValueError's message becomes the usage error's.

    Raises:
        argparse.ArgumentTypeError: the value is none.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def tempo(text: str) -> float:
    """Parse a tempo in quarter notes per minute, one that MIDI can write: 4 to 1,000.

    Raises:
        argparse.ArgumentTypeError: the value is none.
    """
    try:
        bpm = float(text)
    except ValueError:
        bpm = 0.0
    if not 4 <= bpm <= 1000:
        raise argparse.ArgumentTypeError(
            f"expected quarter notes per minute, 4 to 1000, got {text!r}"
        )
    return bpm
