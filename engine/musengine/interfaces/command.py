"""A subcommand of the command line: what it is given beside its arguments, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
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
        reporter: told how far the work is.
        load_registry: loads the plugins, and warns of those that are broken.
    """

    reporter: ProgressReporter
    load_registry: Callable[[], Registry]

    @cached_property
    def registry(self) -> Registry:
        """All usable components; loaded when first asked for."""
        return self.load_registry()
