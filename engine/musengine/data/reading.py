"""Reading: from files to pieces, in worker processes and by way of the cache."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from musengine.data.discovery import DiscoveryNotes, list_items
from musengine.data.extraction import Extraction
from musengine.data.loader import PieceLoader, read_item
from musengine.data.manifest import Manifest, PieceInfo, Skipped, SourceFile
from musengine.data.storage.cache import Cache, Scratch
from musengine.errors import (
    MachineError,
    UnreadableError,
    UserError,
    is_strict,
    machine_apart,
)
from musengine.interfaces.reader import Item
from musengine.music.piece import Piece
from musengine.pipeline.values import Source
from musengine.plugins.configs import Content
from musengine.plugins.registry import Component, Registry
from musengine.utils.format import counted
from musengine.utils.parallel import SERIAL_BELOW, Failure, process_map
from musengine.utils.progress import SILENT, ProgressReporter

TIMEOUT = 120.0
"""Seconds after which reading a file is given up, unless the pipeline says otherwise."""


@dataclass
class ReadResult:
    """The pieces of some sources, held in memory.

    Attributes:
        pieces: in the order of their files; ids are unique.
        skipped: the files that could not be read, and why.
        discovery: terms that come with the music, and files of no reader's kind.
    """

    pieces: list[Piece] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    discovery: DiscoveryNotes = field(default_factory=DiscoveryNotes)


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
) -> ReadResult:
    """Read every piece of some sources into memory.

    Files that cannot be read are skipped with the reason, also one whose reader crashes, hangs or
    runs out of memory.

    Args:
        sources: files, folders, or `SCHEME:NAME` corpora.
        registry: where readers are found.
        reader: the one to use for all files, else each file's suffix decides.
        accepts: the content that is asked for; readers of anything else are not used.
        jobs: processes, 0 for one on each core.
        cache: where files read before are found.
        timeout: seconds after which a file is given up.
        reporter: receives the progress.

    Raises:
        UserError: a path does not exist, a file has no reader, a corpus is unknown.
    """
    result = ReadResult()
    items = list_items(sources, registry, reader, accepts, result.discovery)
    readers, tasks = _index_readers(items)
    result.skipped.extend(_unlisted(result.discovery))
    files = _Files(PieceLoader(readers, cache or Cache(None)), tasks, result.skipped)
    seen: Counter[str] = Counter()
    for _, pieces in files.results(PieceLoader.pieces, jobs, timeout, reporter):
        result.pieces.extend(replace(piece, id=_unique(piece.id, seen)) for piece in pieces)
    return result


def read_manifest(
    items: Sequence[tuple[Component, Item]],
    discovery: DiscoveryNotes,
    *,
    jobs: int,
    cache: Cache,
    timeout: float = TIMEOUT,
    scratch: Scratch | None = None,
    extraction: Extraction | None = None,
    reporter: ProgressReporter = SILENT,
) -> Manifest:
    """Read files and list their pieces; the music itself goes into the cache.

    Args:
        items: readers and files.
        discovery: what was found beside them.
        jobs: processes, 0 for one on each core.
        cache: where what is read goes, and what was read before is found.
        timeout: seconds after which a file is given up.
        scratch: what keeps the cache's folder alive where it is a temporary one.
        extraction: what an encoder makes of each piece, where it is not used as it is.
        reporter: receives the progress.
    """
    readers, tasks = _index_readers(items)
    loader = PieceLoader(readers, cache, extraction)
    manifest = Manifest(loader, discovery=discovery, scratch=scratch)
    manifest.skipped.extend(_unlisted(discovery))
    files = _Files(loader, tasks, manifest.skipped)
    seen: Counter[str] = Counter()
    results = files.results(_list, jobs, timeout, reporter, cached=_list_cached)
    for (reader, item), (key, library, infos) in results:
        manifest.libraries[readers[reader].name] = library
        for info in infos:
            if isinstance(info, Skipped):
                manifest.skipped.append(info)
                continue
            # Numbered in the order of files, not in the order in which workers finish.
            unique = _unique(info.id, seen)
            manifest.pieces.append(replace(info, id=unique, file=len(manifest.files)))
        manifest.files.append(SourceFile(reader, item, key))
    return manifest


def _unlisted(discovery: DiscoveryNotes) -> list[Skipped]:
    """Return the folders whose files could not be listed."""
    return [Skipped(path, reason) for path, reason in discovery.unreadable.items()]


_Listing = tuple[str, str, "list[PieceInfo | Skipped]"]
"""A file's key, the library its reader reads through, and the infos of its pieces."""


def _list(loader: PieceLoader, file: SourceFile) -> _Listing:
    return file.key, loader.library(file.reader), loader.infos(file)


def _list_cached(loader: PieceLoader, file: SourceFile) -> _Listing | None:
    infos = loader.cached_infos(file)
    return None if infos is None else (file.key, loader.library(file.reader), infos)


def open_file(reader: Component, item: Item) -> list[Piece]:
    """Read the pieces of one file in this process, without a cache.

    Args:
        reader: as `find_items` gives it with the file.
        item: the file.

    Raises:
        UnreadableError: there is none to read; one line says why, be it the file's fault, the
            reader's, the system's, or that of a library that is not installed. In strict mode
            (`MUSENGINE_STRICT=1`) a reader's own exception is raised as it is.
    """
    with _faults_explained(reader):
        return read_item(reader.create(), item)


def shown_name(source: Source, item: Item) -> str:
    """Return a file's name as the user would write it; in a built-in corpus, `SCHEME:NAME`."""
    if source.scheme is None:
        return str(item.path)
    return f"{source.scheme}:{item.id.removeprefix(f'{source.scheme}:')}"


@dataclass(frozen=True)
class MusicFile:
    """One file to work on.

    Attributes:
        reader: what reads it.
        item: the file.
        shown: its name as the user would write it.
    """

    reader: Component
    item: Item
    shown: str


F = TypeVar("F", bound=MusicFile)
R = TypeVar("R")


def process_files(
    function: Callable[[F], R],
    files: Sequence[F],
    *,
    title: str,
    jobs: int = 0,
    timeout: float = 300.0,
    reporter: ProgressReporter = SILENT,
) -> Iterator[tuple[F, R | Failure]]:
    """Yield each file with what a function returns for it, in order.

    A file at which the function raises, crashes its process or takes too long yields a Failure
    that says so, and the rest goes on.

    Args:
        function: importable by name, since it runs in worker processes.
        files: what is worked on.
        title: what is done, for the progress bar, as `converting`.
        jobs: processes, 0 for one on each core.
        timeout: seconds that one file may take.
        reporter: receives the progress.
    """
    results = process_map(function, files, workers=jobs, timeout=timeout, serial_below=0)
    with reporter.bar(title) as bar:
        for count, (file, result) in enumerate(zip(files, results, strict=True), 1):
            yield file, result
            bar.update(count / len(files), f"{count} of {counted(len(files), 'file')}")


@contextlib.contextmanager
def _faults_explained(reader: Component) -> Iterator[None]:
    """Turn whatever goes wrong while a reader reads a file into one line that says why.

    Raises:
        MachineError: the machine is at fault, and not the file.
        UnreadableError: in place of any other error; in strict mode a reader's own faults stay.
    """
    try:
        with machine_apart():
            yield
    except MachineError:
        raise
    except UserError as error:  # also a library that is not installed
        raise UnreadableError(error.lines[0], code=error.code) from error
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), code="cannot-read") from error
    # A fault of one plugin's reader must not lose what the others read.
    except Exception as error:
        if is_strict():
            raise
        provider = f"reader {reader.name!r} of {reader.entry.origin}"
        raise UnreadableError(
            f"{provider} failed: {type(error).__name__}: {error}", code="plugin-failed"
        ) from error


def _unique(name: str, seen: Counter[str]) -> str:
    """Return a piece's id with a number where two sources hold files of one name."""
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}~{seen[name]}"


_Task = tuple[int, Item]
"""A file with the index of its reader, which takes fewer bytes to send than the reader."""


def _index_readers(
    items: Iterable[tuple[Component, Item]],
) -> tuple[list[Component], list[_Task]]:
    """Return the different readers, and the files with the index of theirs."""
    readers: list[Component] = []
    tasks: list[_Task] = []
    for component, item in items:
        if component not in readers:
            readers.append(component)
        tasks.append((readers.index(component), item))
    return readers, tasks


@dataclass(frozen=True)
class _Files:
    """Files to read; those that cannot be are added to `skipped` with the reason."""

    loader: PieceLoader
    tasks: Sequence[_Task]
    skipped: list[Skipped]

    def results(
        self,
        function: Callable[[PieceLoader, SourceFile], Any],
        jobs: int,
        timeout: float,
        reporter: ProgressReporter,
        cached: Callable[[PieceLoader, SourceFile], Any] | None = None,
    ) -> Iterator[tuple[_Task, Any]]:
        """Yield what a function returns of each file that can be read.

        Args:
            function: called in a worker process.
            jobs: processes, 0 for one on each core.
            timeout: seconds that a file may take.
            reporter: receives the progress.
            cached: looks up in this process what the function would return; None where it cannot.
        """
        lacking = [component.entry.missing_requirements() for component in self.loader.readers]
        readable = [task for task in self.tasks if not lacking[task[0]]]
        self.skipped.extend(
            Skipped(str(item.path), lacking[reader][0])
            for reader, item in self.tasks
            if lacking[reader]
        )
        with reporter.bar("reading") as bar:
            outcomes = self._outcomes(readable, function, jobs, timeout, cached)
            for count, (task, outcome) in enumerate(zip(readable, outcomes, strict=True), 1):
                bar.update(count / len(readable), f"{count} of {len(readable)} files")
                reason = outcome.reason if isinstance(outcome, Failure) else outcome
                if isinstance(reason, str):
                    self.skipped.append(Skipped(str(task[1].path), reason))
                else:
                    yield task, outcome

    def _outcomes(
        self,
        tasks: Sequence[_Task],
        function: Callable[[PieceLoader, SourceFile], Any],
        jobs: int,
        timeout: float,
        cached: Callable[[PieceLoader, SourceFile], Any] | None,
    ) -> Iterator[Any]:
        """Yield what came of each file; those that the cache has are looked up in this process.

        That takes less time than starting workers, as long as only a few have to be read.
        """
        known: list[Any] = []
        absent: list[_Task] = []
        if cached is not None:
            look_up = _Guarded(cached, self.loader)
            for task in tasks:
                known.append(look_up(task))
                if known[-1] is None:
                    absent.append(task)
                # So many are worth the workers: the rest is not looked up here but by them.
                if len(absent) == SERIAL_BELOW:
                    break
        read = process_map(
            _Guarded(function, self.loader),
            [*absent, *tasks[len(known) :]],
            workers=jobs,
            timeout=timeout,
        )
        # In the order of the files: what the cache lacked comes first from the workers, then the
        # rest.
        for outcome in known:
            yield next(read) if outcome is None else outcome
        yield from read


@dataclass(frozen=True)
class _Guarded:
    """A function of a file that returns in words what is wrong with the file."""

    function: Callable[[PieceLoader, SourceFile], Any]
    loader: PieceLoader

    def __call__(self, task: _Task) -> Any:
        reader, item = task
        try:
            with _faults_explained(self.loader.readers[reader]):
                file = SourceFile(reader, item, self.loader.key(reader, item))
                return self.function(self.loader, file)
        except UnreadableError as error:
            # Returned, not raised: an exception would have to be pickled, and a plugin's own class
            # may not be.
            return error.lines[0]
