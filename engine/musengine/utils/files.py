"""Files that appear whole or not at all, and a lock that goes away with its process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from musengine.errors import MachineError, UserError

if sys.platform != "win32":
    import fcntl

_ASIDE = re.compile(r"\..+-[a-z0-9_]{8}(\.\w+)?")
"""What `whole_file` calls the files that it writes aside."""

_SURROGATES = re.compile("[\ud800-\udfff]")

_ABANDONED = 3600.0
"""Seconds after which a file aside is nobody's, where the system does not tell whose it is."""


@contextlib.contextmanager
def whole_file(path: Path, option: str = "--run-dir", *, durable: bool = True) -> Iterator[Path]:
    """Write a file atomically: give a temporary path beside it, which replaces it at the end.

    Where the block fails the old file stays and nothing else is left behind. Folders on the way
    are made.

    Args:
        path: the file to write.
        option: the option that chooses another folder, for the message.
        durable: fsync before renaming. Without it the file may be damaged after a power failure,
            which whoever reads it has to notice.

    Raises:
        MachineError: the folder cannot be written or the disk is full.
    """
    with explained(path, option):
        path.parent.mkdir(parents=True, exist_ok=True)
        import tempfile  # with what it imports, much of what a command that writes nothing takes

        # In the same folder: renaming is atomic within a file system only. The dot hides it from
        # `glob`.
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent
        )
        temporary = Path(name)
        with _marked_in_use(handle):
            try:
                yield temporary
                if durable:
                    # Synced before it is renamed: else, after a power failure, the new name may
                    # stand for a file whose bytes were never written. By a handle of its own, as
                    # the block may have replaced the file; "rb+", since Windows syncs only what may
                    # be written.
                    with temporary.open("rb+") as written:
                        os.fsync(written.fileno())
                _apply_umask(temporary)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _marked_in_use(handle: int) -> Iterator[None]:
    """Hold a lock on an open file, by which `remove_abandoned` knows that it is being written."""
    if sys.platform == "win32":
        os.close(handle)  # an open file cannot be renamed there
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def is_aside(name: str) -> bool:
    """Return whether a file's name is one of those that `whole_file` writes aside."""
    return _ASIDE.fullmatch(name) is not None


def remove_abandoned(folder: Path) -> None:
    """Delete what processes that were killed had begun to write aside in a folder."""
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            # No link is followed: somebody else may have put it there.
            if is_aside(path.name) and path.is_file() and not path.is_symlink():
                with contextlib.suppress(OSError):
                    if is_abandoned(path):
                        path.unlink()


def is_abandoned(path: Path) -> bool:
    """Return whether the process that writes a file aside is gone."""
    if sys.platform == "win32":
        return time.time() - path.stat().st_mtime > _ABANDONED
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def what_instead(path: Path) -> str:
    """Return what a path is that is neither a file nor absent: `a pipe`; empty where it is a file.

    Opening one may wait for ever.

    Raises:
        OSError: the system does not tell, as of a link to itself.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return ""
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((name for is_kind, name in kinds if is_kind(mode)), "a device")


@contextlib.contextmanager
def explained(path: Path, option: str = "--run-dir") -> Iterator[None]:
    """Turn the operating system's refusal to write into one line that names the path."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise MachineError(
            f"cannot write {path}: {reason}; make room or choose another folder with {option}",
            code="cannot-write",
        ) from error


def _apply_umask(path: Path) -> None:
    # mkstemp makes files for the owner alone; a result should have the usual permissions.
    if os.name == "posix":
        # The mask can only be read by setting it.
        mask = os.umask(0)
        os.umask(mask)
        path.chmod(0o666 & ~mask)


def write_text(path: Path, text: str, option: str = "--run-dir") -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path, option) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    # Sorted: the same values are the same bytes.
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
    # Bytes of a file's name that are no UTF-8 are lone surrogates, which JSON can only escape.
    text = _SURROGATES.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    write_text(path, f"{text}\n")


def append_text(path: Path, text: str, option: str = "--run-dir") -> None:
    """Write at the end of a text file, which may not be a link: it could lead anywhere.

    Raises:
        MachineError: the file cannot be written.
    """
    # O_APPEND: lines of two processes may follow each other, but do not overwrite each other.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with explained(path, option):
        handle = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "ab") as file:
            file.write(text.encode())


def read_json(path: Path, limit: int = 64 * 2**20) -> Any:
    """Read a JSON file of at most `limit` bytes.

    Raises:
        UserError: missing, too large or not JSON.
    """
    try:
        if kind := what_instead(path):
            raise UserError(f"{path} is {kind}, not a file", code="not-a-file")
        if path.stat().st_size > limit:
            raise UserError(f"{path} is too large to be one of musengine's files", code="too-large")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror or error}", code="cannot-read"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}", code="file-damaged") from error


def read_table(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds a table.

    Raises:
        UserError: missing, too large, or not that.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it holds no table", code="file-damaged")
    return value


@contextlib.contextmanager
def well_formed(path: Path) -> Iterator[None]:
    """Take apart what was read from one of our files; what has another form is one line.

    Raises:
        UserError: a value is missing, or of another kind.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is damaged: {reason}", code="file-damaged") from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the tables of a file with one in each line; lines that were cut short are left out.

    Raises:
        UserError: it cannot be read.
    """
    try:
        # A line that was cut amid a character is no reason to lose the others.
        with path.open(encoding="utf-8", errors="replace") as lines:
            return [table for line in lines if (table := _table(line)) is not None]
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror or error}", code="cannot-read"
        ) from error


def _table(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@contextlib.contextmanager
def locked(path: Path, message: str) -> Iterator[None]:
    """Hold an exclusive lock on a file; the system lets go of it when the process ends.

    Raises:
        UserError: another process holds it, said in the words of `message`.
    """
    # Needed by runs alone, and slower to import than all the rest of a command that only shows.
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(message, code="run-folder-in-use") from error
    try:
        yield
    finally:
        lock.release()
