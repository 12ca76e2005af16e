"""From sources to pieces: find the files, read them side by side, say what was left out and why."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace

from musengine.cache import Cache, key_of, pack_pieces, unpack_pieces
from musengine.components.readers import Item
from musengine.console import Console
from musengine.declarations import Content
from musengine.errors import UnreadableError, is_strict
from musengine.quantities import Source
from musengine.registry import Component, Registry
from musengine.score import Piece
from musengine.sources import Found, find_items

_WORTH_A_POOL = 24
"""Fewer files than this are read in this process: starting workers takes longer."""


@dataclass(frozen=True)
class Skipped:
    """A file or piece that was left out, and why."""

    path: str
    reason: str


@dataclass
class Reading:
    """What came of reading a corpus."""

    pieces: list[Piece] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    found: Found = field(default_factory=Found)


@dataclass(frozen=True)
class _Job:
    """One file for a worker: picklable."""

    reader: Component
    item: Item
    cache: Cache


def read_sources(
    sources: Iterable[Source],
    registry: Registry,
    *,
    reader: Component | None = None,
    accepts: Sequence[Content] = ("score", "text"),
    jobs: int = 0,
    cache: Cache | None = None,
) -> Reading:
    """Read every piece of some sources.

    Args:
        sources: files, folders, or `SCHEME:NAME` corpora.
        registry: where readers are found.
        reader: the one to use for all files, else each file's suffix decides.
        accepts: what is wanted; readers of anything else are not asked.
        jobs: processes, 0 for one on each core.
        cache: where files read before are found.

    Raises:
        UserError: a path does not exist, a file has no reader, a corpus is unknown.
    """
    reading = Reading()
    work = [
        _Job(component, item, cache or Cache(None))
        for source in sources
        for component, item in find_items(source, registry, reader, reading.found, accepts)
    ]
    seen: Counter[str] = Counter()
    console = Console.current()
    with console.meter("reading") as meter:
        for count, (job, result) in enumerate(zip(work, _read_all(work, jobs), strict=True), 1):
            meter.show(count / len(work), f"{count} of {len(work)} files")
            if isinstance(result, str):
                reading.skipped.append(Skipped(str(job.item.path), result))
                continue
            for piece in result:
                reading.pieces.append(_unique(piece, seen))
    return reading


def _unique(piece: Piece, seen: Counter[str]) -> Piece:
    """Two sources may hold files of one name; the later piece's id gets a number."""
    seen[piece.id] += 1
    if seen[piece.id] == 1:
        return piece
    return replace(piece, id=f"{piece.id}~{seen[piece.id]}")


def _read_all(work: list[_Job], jobs: int) -> Iterator[list[Piece] | str]:
    """Yield each job's pieces, or why there are none, in order."""
    workers = min(jobs or os.cpu_count() or 1, len(work))
    if workers <= 1 or len(work) < _WORTH_A_POOL:
        yield from map(_read_one, work)
        return
    # Spawned on every system: forking a process that holds threads or CUDA is not safe.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_be_quiet) as pool:
        try:
            yield from pool.map(_read_one, work, chunksize=4)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _be_quiet() -> None:
    """Leave Ctrl-C to the process that started the worker."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read_one(job: _Job) -> list[Piece] | str:
    try:
        digest = hashlib.sha256(job.item.path.read_bytes()).hexdigest()
        origin = job.reader.entry.origin
        key = key_of("pieces", digest, job.item.id, job.item.style, job.reader.name, str(origin),
                     job.reader.config)  # fmt: skip
        if (stored := job.cache.get(key)) is not None:
            return unpack_pieces(*stored)
        pieces = list(job.reader.create().read(job.item))
        if not pieces:
            return "no pieces in it"
        job.cache.put(key, *pack_pieces(pieces))
        return pieces
    except UnreadableError as error:
        return error.lines[0]
    except OSError as error:
        return error.strerror or str(error)
    # A fault of one plugin's reader must not lose what the others read.
    except Exception as error:
        if is_strict():
            raise
        whose = f"reader {job.reader.name!r} of {job.reader.entry.origin}"
        return f"{whose} failed: {type(error).__name__}: {error}"
