"""A disk cache of what is slow to make: content-addressed, and safe to delete at any time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import safetensors
from safetensors import numpy as tensors

from musengine.errors import MachineError, UserError
from musengine.pipeline.sections import CorpusConfig
from musengine.utils.arrays import Array
from musengine.utils.files import is_abandoned, remove_abandoned, whole_file

logger = logging.getLogger(__name__)

FORMAT = 7
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by musengine; may be deleted.\n"
"""What tells backup programs that a folder is a cache (https://bford.info/cachedir/)."""
_ENTRY = re.compile(r"[0-9a-f]{32,64}\.safetensors")
_TEMPORARY = re.compile(r"\.[0-9a-f]{32,64}-\w+\.safetensors")


class Scratch:
    """A cache that is removed with the last object that holds this one, or at the end."""

    def __init__(self) -> None:
        try:
            folder = tempfile.mkdtemp(prefix="musengine-")
        except OSError as error:
            raise MachineError(
                f"no folder for temporary files can be written ({error.strerror or error}); make "
                "room, or name one in the environment variable TMPDIR or in corpus.cache",
                code="no-temporary-folder",
            ) from error
        self.cache = Cache(Path(folder))
        # Not `__del__`, which is not called at the interpreter's end for everything.
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)


def default_folder() -> Path:
    """Return the folder where the system has a user's caches; `MUSENGINE_CACHE` names another."""
    if chosen := os.environ.get("MUSENGINE_CACHE"):
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("musengine", appauthor=False, opinion=False)


def key_of(*parts: object) -> str:
    """Return a hash of values that print the same when they are the same."""
    # FORMAT is raised when what is stored changes: entries of older versions are then never found.
    return hashlib.sha256(repr((FORMAT, *parts)).encode()).hexdigest()


@dataclass(frozen=True)
class Cache:
    """dict[str, Array] and JSON by key; without a folder it keeps nothing.

    A damaged or unreadable entry counts as absent, and failing to write one is no error: the
    cache only ever saves time.
    """

    folder: Path | None

    def get(self, key: str) -> tuple[dict[str, Array], Any] | None:
        """Return the arrays and the JSON value stored under a key."""
        return self._read(key, arrays_too=True)

    def get_json(self, key: str) -> Any:
        """Return the JSON value alone, without a look at the arrays; None where there is none."""
        stored = self._read(key, arrays_too=False)
        return None if stored is None else stored[1]

    def _read(self, key: str, *, arrays_too: bool) -> tuple[dict[str, Array], Any] | None:
        if self.folder is None:
            return None
        path = self._path(key)
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                stored = file.metadata() or {}
                names = file.keys() if arrays_too else ()
                arrays = {name: file.get_tensor(name) for name in names}
            # Two digests, so that the JSON alone can be checked without reading the arrays.
            intact = stored["digest"] == _digest(stored["arrays"], stored["json"])
            if arrays_too:
                intact &= stored["arrays"] == _digest_arrays(arrays)
            if not intact:
                return None
            os.utime(path)  # `trim` deletes the least recently used
            return arrays, json.loads(stored["json"])
        except (OSError, KeyError, ValueError, safetensors.SafetensorError):
            return None

    def put(self, key: str, arrays: Mapping[str, Array], meta: Any) -> None:
        """Store arrays and a JSON value under a key."""
        if self.folder is None:
            return
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        text, sums = json.dumps(meta), _digest_arrays(contiguous)
        metadata = {"json": text, "arrays": sums, "digest": _digest(sums, text)}
        data = tensors.save(contiguous, metadata=metadata)
        try:
            # Its digests reveal an entry damaged by a power failure: no fsync, which is slow.
            with whole_file(self._path(key), durable=False) as temporary:
                temporary.write_bytes(data)
        except UserError:
            return

    def writable(self) -> bool:
        """Return whether entries can be written."""
        if self.folder is None:
            return False
        try:
            remove_abandoned(self.folder)
            with whole_file(self.folder / "CACHEDIR.TAG", durable=False) as temporary:
                temporary.write_text(_TAG, encoding="ascii")
        except UserError:
            return False
        return True

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        # 256 folders: some file systems are slow with a hundred thousand files in one.
        return self.folder / key[:2] / f"{key}.safetensors"


def _digest(*texts: str) -> str:
    return hashlib.sha256(repr(texts).encode()).hexdigest()


def _digest_arrays(arrays: dict[str, Array]) -> str:
    """Return a hash of an entry's arrays, by which a damaged one is recognised."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(repr((name, arrays[name].dtype.str, arrays[name].shape)).encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def size_limit() -> int:
    """Return how many bytes the cache may have: 5 GiB; `MUSENGINE_CACHE_SIZE` says how many GiB.

    Raises:
        UserError: it is not a number.
    """
    text = os.environ.get("MUSENGINE_CACHE_SIZE", "5")
    try:
        size = float(text)
        if not 0 <= size < float("inf"):
            raise ValueError
    except ValueError:
        raise UserError(
            f"MUSENGINE_CACHE_SIZE: expected a number of GiB such as 5 or 0.5, got {text!r}",
            code="environment-value",
        ) from None
    return int(size * 2**30)


def corpus_cache(config: CorpusConfig) -> Cache:
    """Return the disk cache that a corpus's settings ask for."""
    if config.cache is False:
        return Cache(None)
    return Cache(config.cache if isinstance(config.cache, Path) else default_folder())


def working_cache(config: CorpusConfig) -> tuple[Cache, Scratch | None]:
    """Return a cache that can be written, and what keeps it alive where it is a temporary one."""
    cache = corpus_cache(config)
    if cache.writable():
        return cache, None
    if cache.folder is not None:
        logger.info(f"{cache.folder} cannot be written, so nothing is kept there")
    scratch = Scratch()
    return scratch.cache, scratch


def trim(folder: Path, limit: int, since: float) -> None:
    """Delete the least recently used entries until the rest has at most `limit` bytes.

    Args:
        folder: a cache's; other files than entries are left alone.
        limit: bytes.
        since: time in seconds; what was used after it stays in any case.
    """
    total = sum(size for _, size, _ in _entries(folder))
    if total <= limit:
        return  # most often: as a list the entries of a large corpus would take much memory
    for last_use, size, path in sorted(_entries(folder)):
        if total <= limit or last_use >= since:
            return
        with contextlib.suppress(OSError):
            Path(path).unlink()
            total -= size


def _entries(folder: str | Path) -> Iterator[tuple[float, int, str]]:
    """Yield the time, the size and the path of each entry; abandoned temporary files are removed.

    The user may have named any folder as cache: only files that look like entries are given.
    """
    try:
        with os.scandir(folder) as found:
            own = list(found)
    except OSError:
        return
    for entry in own:
        with contextlib.suppress(OSError):  # another process was faster
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)
            elif _ENTRY.fullmatch(entry.name):
                status = entry.stat()
                yield status.st_mtime, status.st_size, entry.path
            elif _TEMPORARY.fullmatch(entry.name) and is_abandoned(path := Path(entry.path)):
                path.unlink()
