"""Errors a user can cause: one line saying what, where and what to do, never a traceback.

Each has a code, a readable slug that stays when the wording changes; `docs/reference/problems.md`
lists them with cause and remedy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class UserError(Exception):
    """Something outside musengine is at fault; `str()` is the whole message, one line.

    Args:
        message: what is wrong, where, and what to do.
        code: which problem it is; by default the kind of error alone.
    """

    code: str = "user-error"

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code or type(self).code

    @property
    def lines(self) -> list[str]:
        """The message, one line for each thing that is wrong."""
        return [on_one_line(str(self))]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, for programs; a file's name and place only where they are known apart."""
        return (Problem("", "", "", self.lines[0], self.code),)


class UnreadableError(UserError):
    """A source that holds no usable music; the rest of the corpus goes on without it."""

    code = "unreadable"


class UnwritableError(UserError):
    """A piece that one writer cannot write; the other writers and pieces go on without it."""

    code = "unwritable"


class MachineError(UserError):
    """What the machine lacks, whatever is worked on: room on a disk, open files, memory.

    It ends the work: no piece is to blame for it, and the next one would fare no better.
    """

    code = "machine"


_LACKS = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO", "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"),
        *("ESTALE", "ENOLCK"),
    )
    if hasattr(errno, name)
)
"""What the system says where the machine is at fault, and not one file."""


def machines_fault(error: BaseException) -> MachineError | None:
    """Return what the machine lacks, where an exception or one that it came from says so."""
    for each in _chain(error):
        if isinstance(each, MachineError):
            return each
        if isinstance(each, OSError) and (each.errno in _LACKS or _no_temporary_folder(each)):
            where = f"{os.fsdecode(each.filename)}: " if _is_path(each.filename) else ""
            reason = each.strerror or str(each)
            return MachineError(f"{where}{reason}; mend that and give the same command again")
    return None


@contextlib.contextmanager
def machine_apart() -> Iterator[None]:
    """Let what the machine lacks through as a MachineError, and every other exception as it is."""
    try:
        yield
    except Exception as error:
        fault = machines_fault(error)
        if fault is None or fault is error:
            raise
        raise fault from error


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        # As Python itself follows them where it prints a traceback.
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _is_path(name: object) -> bool:
    return isinstance(name, (str, bytes))


def _no_temporary_folder(error: OSError) -> bool:
    # What `tempfile` raises where no folder can be written has no number of its own.
    return error.errno == errno.ENOENT and "temporary directory" in str(error.strerror)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a configuration: where it stands and what was expected there."""

    file: str
    table: str
    key: str
    message: str
    code: str = "invalid-value"

    def __str__(self) -> str:
        place = f"[{self.table}]" if self.table else ""
        where = " ".join(part for part in (place, self.key) if part)
        head = f"{self.file}: {where}" if where else self.file
        return f"{head}: {self.message}"


class Finding(NamedTuple):
    """One thing wrong with a pipeline's tables, before it is known which file set the key."""

    table: str
    key: str
    message: str
    code: str


class ConfigError(UserError):
    """A configuration with one or more problems, all of them reported at once."""

    code = "configuration"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self._problems))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Each problem with its file, table and key."""
        return self._problems

    @property
    def lines(self) -> list[str]:
        """One line for each problem."""
        return [on_one_line(str(problem)) for problem in self.problems]


_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What acts on a terminal, changes the order of what stands there, or is no character at all.

Without the line break and the tab.
"""


def on_one_line(text: str) -> str:
    r"""Return a text with line breaks and other control characters written out, as `\n`.

    Names of files may have them.
    """
    return written_out(text.strip())


def written_out(text: str) -> str:
    r"""Return a text with line breaks and other control characters written out, as `\n`."""
    return plain_lines(text).replace("\n", r"\n").replace("\t", r"\t")


def plain_lines(text: str) -> str:
    """Return a text with control characters written out, but for its line breaks and tabs."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def is_strict() -> bool:
    """Return whether a plugin's own exception shall be raised on: `MUSENGINE_STRICT=1`."""
    return os.environ.get("MUSENGINE_STRICT") == "1"


MOST_SUGGESTIONS = 200
"""Of more unknown names than this none gets a suggestion: finding them takes time."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known name, or an empty string."""
    # Needed after a mistake only.
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.55)
    return f"; did you mean {near[0]!r}?" if near else ""
