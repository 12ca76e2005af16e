"""Whether this process is one of several that `torchrun`, or something like it, has started."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import NoReturn

from musengine.errors import UserError


@dataclass(frozen=True)
class Place:
    """Where a process stands among those of its job.

    Attributes:
        rank: its number among all of them, from 0.
        size: how many there are.
        local_rank: its number among those on its machine.
        local_size: how many there are on its machine; 0 where nothing says so.
    """

    rank: int
    size: int
    local_rank: int = 0
    local_size: int = 0


def place() -> Place | None:
    """Return this process's place in its job; None where nothing has started it as one of several.

    What `torchrun` has started has one also where it is the only one that is left.

    Raises:
        UserError: the environment variables that say so are no numbers that go together.
    """
    size = _number("WORLD_SIZE", 1)
    # Other programs set WORLD_SIZE too; only with an address there is somebody to meet.
    if "MASTER_ADDR" not in os.environ or (size < 2 and not started_by_torchrun()):
        return None
    rank = _number("RANK", size)
    if rank >= size:
        raise UserError(
            f"the environment variable RANK is {os.environ.get('RANK', 'missing')} and WORLD_SIZE "
            f"{size}: start all processes with torchrun",
            code="environment-value",
        )
    return Place(
        rank,
        size,
        local_rank=_number("LOCAL_RANK", rank),
        local_size=_number("LOCAL_WORLD_SIZE", 0),
    )


def started_by_torchrun() -> bool:
    """Return whether PyTorch's launcher has started this process, and starts it again."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def leave(status: int) -> NoReturn:
    """End this process, one of several, where all is done.

    PyTorch's engine leaves threads behind. Where the interpreter takes itself apart while one of
    them runs, C++ aborts the process, and a job that is done counts as failed.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # Streams are flushed by hand above, since this skips all that an ordinary exit does.
    os._exit(status)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise UserError(
            f"the environment variable {name} is {text!r}, expected a number: start all processes "
            "with torchrun",
            code="environment-value",
        )
    return int(text)
