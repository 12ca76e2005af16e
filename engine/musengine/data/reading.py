"""From files to pieces, in worker processes and by way of the cache."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from musengine.data.cache import Cache, Known, key_of, pack_pieces, unpack_pieces
from musengine.data.discovery import DiscoveryNotes, find_items
from musengine.data.extraction import Extraction
from musengine.data.opening import faults_told
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item
from musengine.music.score import Piece, SplitName
from musengine.pipeline.values import Source
from musengine.plugins.declarations import Content
from musengine.plugins.registry import Component, Registry
from musengine.utils.parallel import FEW, Failure, run_apart
from musengine.utils.progress import SILENT, ProgressReporter

if TYPE_CHECKING:
    from musengine.interfaces.reader import Reader

TIMEOUT = 120.0
"""Seconds after which reading a file is given up, unless the pipeline says otherwise."""


@dataclass(frozen=True)
class Skipped:
    """A file or piece that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that was read: which reader's it is, and the key it is cached under."""

    reader: int
    item: Item
    key: str


Entry = tuple[str, str, "SplitName | None", tuple[str, ...], Known, str]
"""Of a piece the id, style, official part, warnings, what stands for its music, and `of`."""


def _entries(stored: Iterable[dict[str, Any]]) -> list[Entry | Skipped]:
    """Return what the cache says of pieces, and of those that an encoder takes nothing of."""
    return [
        Skipped(entry["id"], entry["refused"])
        if "refused" in entry
        else (
            entry["id"],
            entry["style"],
            entry["part"],
            tuple(entry["warnings"]),
            Known(**entry["known"]),
            entry.get("of", entry["id"]),
        )
        for entry in stored
    ]


@dataclass
class Reading:
    """What came of reading a corpus, held in memory."""

    pieces: list[Piece] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    found: DiscoveryNotes = field(default_factory=DiscoveryNotes)


class Access:
    """Reads files with some readers in any process, each file once as long as the cache lasts."""

    def __init__(
        self, readers: Sequence[Component], cache: Cache, taking: Extraction | None = None
    ) -> None:
        self.readers, self.cache, self.taking = tuple(readers), cache, taking
        self._made: dict[int, tuple[Reader[Any], str]] = {}

    def __reduce__(self) -> Any:
        return Access, (self.readers, self.cache, self.taking)

    def library(self, reader: int) -> str:
        """Return what a reader reads through."""
        return self._reader(reader)[1]

    def key(self, reader: int, item: Item) -> str:
        """Return what a file's pieces are cached under; looks at all its bytes."""
        component = self.readers[reader]
        with item.path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(2**20):
                digest.update(block)
        return key_of(
            "pieces",
            digest.hexdigest(),
            item.id,
            item.style,
            component.name,
            str(component.entry.origin),
            self.library(reader),
            component.config,
            *([] if self.taking is None else self.taking.key()),
        )

    def pieces(self, file: File) -> list[Piece]:
        """Return the pieces of a file, from the cache if they are there.

        Raises:
            UnreadableError: it holds none; the message says why.
        """
        if self.cache.folder is None and self.taking is None:
            return self._fresh(file)  # nothing to keep, so nothing to pack
        if (stored := self.cache.get(file.key)) is not None:
            return unpack_pieces(*stored)
        if self.key(file.reader, file.item) != file.key:
            raise UnreadableError("it changed while the corpus was being read")
        return self._read(file)[0]

    def survey(self, file: File) -> list[Entry | Skipped]:
        """Return what there is to know of a file's pieces beside their music.

        Raises:
            UnreadableError: it holds none; the message says why.
        """
        known = self.survey_cached(file)
        return known if known is not None else _entries(self._read(file)[1])

    def survey_cached(self, file: File) -> list[Entry | Skipped] | None:
        """Return what the cache keeps of a file's pieces beside their music; None for nothing."""
        stored = self.cache.get_json(file.key)
        return None if stored is None else _entries(stored)

    def _read(self, file: File) -> tuple[list[Piece], Any]:
        pieces = self._fresh(file)
        pack = pack_pieces if self.taking is None else self.taking.pack
        arrays, entries = pack(pieces)
        self.cache.put(file.key, arrays, entries)
        return unpack_pieces(arrays, entries), entries

    def _fresh(self, file: File) -> list[Piece]:
        pieces = list(self._reader(file.reader)[0].read(file.item))
        if not pieces:
            raise UnreadableError("no pieces in it")
        return pieces

    def _reader(self, index: int) -> tuple[Reader[Any], str]:
        if index not in self._made:
            reader: Reader[Any] = self.readers[index].create()
            self._made[index] = reader, reader.library()
        return self._made[index]


def read_sources(
    sources: Iterable[Source],
    registry: Registry,
    *,
    reader: Component | None = None,
    accepts: Sequence[Content] = ("score", "text"),
    jobs: int = 0,
    cache: Cache | None = None,
    timeout: float = TIMEOUT,
    reporter: ProgressReporter = SILENT,
) -> Reading:
    """Read every piece of some sources into memory.

    Args:
        sources: files, folders, or `SCHEME:NAME` corpora.
        registry: where readers are found.
        reader: the one to use for all files, else each file's suffix decides.
        accepts: what is wanted; readers of anything else are not asked.
        jobs: processes, 0 for one on each core.
        cache: where files read before are found.
        timeout: seconds after which a file is given up.
        reporter: told how far it is.

    Raises:
        UserError: a path does not exist, a file has no reader, a corpus is unknown.
    """
    reading = Reading()
    items = list_items(sources, registry, reader, accepts, reading.found)
    work = Work(_read_pieces, items, cache or Cache(None), reading.skipped)
    seen: Counter[str] = Counter()
    for _, pieces in work.results(jobs, timeout, reporter):
        reading.pieces.extend(replace(piece, id=unique(piece.id, seen)) for piece in pieces)
    return reading


def list_items(
    sources: Iterable[Source],
    registry: Registry,
    reader: Component | None,
    accepts: Sequence[Content],
    found: DiscoveryNotes,
) -> list[tuple[Component, Item]]:
    """Return the files of some sources with their readers; `found` is told of the rest."""
    return [
        pair for source in sources for pair in find_items(source, registry, reader, found, accepts)
    ]


def unique(name: str, seen: Counter[str]) -> str:
    """Two sources may hold files of one name; the later piece's id gets a number."""
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}~{seen[name]}"


class Work:
    """Files to read by one of the functions below, and what came of each."""

    def __init__(
        self,
        function: Any,
        items: Sequence[tuple[Component, Item]],
        cache: Cache,
        skipped: list[Skipped],
        cached: Any = None,
        taking: Extraction | None = None,
    ) -> None:
        self.function, self.skipped, self.cached = function, skipped, cached
        readers: list[Component] = []
        self.tasks: list[tuple[int, Item]] = []
        for component, item in items:
            # A few readers at most; a task that only counts them travels light.
            if component not in readers:
                readers.append(component)
            self.tasks.append((readers.index(component), item))
        self.access = Access(readers, cache, taking)

    def results(
        self, jobs: int, timeout: float, reporter: ProgressReporter
    ) -> Iterator[tuple[tuple[int, Item], Any]]:
        """Yield what the function says of each file that can be read."""
        lacking = [component.entry.missing_requirements() for component in self.access.readers]
        readable = [task for task in self.tasks if not lacking[task[0]]]
        self.skipped.extend(
            Skipped(str(item.path), lacking[reader][0])
            for reader, item in self.tasks
            if lacking[reader]
        )
        with reporter.bar("reading") as bar:
            outcomes = self._outcomes(readable, jobs, timeout)
            for count, (task, outcome) in enumerate(zip(readable, outcomes, strict=True), 1):
                bar.update(count / len(readable), f"{count} of {len(readable)} files")
                reason = outcome.reason if isinstance(outcome, Failure) else outcome
                if isinstance(reason, str):
                    self.skipped.append(Skipped(str(task[1].path), reason))
                else:
                    yield task, outcome

    def _outcomes(
        self, tasks: Sequence[tuple[int, Item]], jobs: int, timeout: float
    ) -> Iterator[Any]:
        """Yield what came of each file; those that the cache has are looked up in this process.

        That takes less time than starting workers, as long as only a few have to be read.
        """
        known: list[Any] = []
        absent: list[tuple[int, Item]] = []
        if self.cached is not None:
            look_up = _Guarded(self.cached, self.access)
            for task in tasks:
                known.append(look_up(task))
                if known[-1] is None:
                    absent.append(task)
                if len(absent) == FEW:
                    break
        read = run_apart(
            _Guarded(self.function, self.access),
            [*absent, *tasks[len(known) :]],
            workers=jobs,
            timeout=timeout,
        )
        for outcome in known:
            yield next(read) if outcome is None else outcome
        yield from read


@dataclass(frozen=True)
class _Guarded:
    """A function of a file that returns in words what is wrong with the file."""

    function: Any
    access: Access

    def __call__(self, task: tuple[int, Item]) -> Any:
        reader, item = task
        try:
            with faults_told(self.access.readers[reader]):
                file = File(reader, item, self.access.key(reader, item))
                return self.function(self.access, file)
        except UnreadableError as error:
            return error.lines[0]


def _read_pieces(access: Access, file: File) -> list[Piece]:
    return access.pieces(file)
