"""A subcommand of the command line: what it is given beside its arguments, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from musengine.plugins.registry import Registry
from musengine.utils.progress import ProgressReporter


class ExitStatus(IntEnum):
    """What a command returns; argparse itself ends with `USAGE`."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    INTERRUPTED = 130


@dataclass(frozen=True)
class CommandContext:
    """What a command may use.

    Attributes:
        reporter: receives the progress.
    """

    reporter: ProgressReporter

    @cached_property
    def registry(self) -> Registry:
        """All usable components; loaded when first asked for, with a warning of what is broken."""
        # Not every command needs the plugins, and finding them takes time.
        from musengine.plugins.manager import load_registry

        return load_registry()
