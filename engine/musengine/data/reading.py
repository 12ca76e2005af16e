"""Reading: from files to pieces, in worker processes and by way of the cache."""

from __future__ import annotations

import functools
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from musengine.data.discovery import DiscoveryNotes, list_items
from musengine.data.extraction import Extraction
from musengine.data.files.found import FoundFiles
from musengine.data.files.loader import PieceLoader, read_item
from musengine.data.files.reading import Files, faults_explained
from musengine.data.manifest import Manifest, PieceInfo, Skipped, SourceFile
from musengine.data.storage.cache import Cache, Scratch
from musengine.data.storage.listing import IDENTITY, Listing, ListingBuilder
from musengine.interfaces.reader import Item
from musengine.music.piece import Piece
from musengine.pipeline.values import Source
from musengine.plugins.configs import Content
from musengine.plugins.registry import Component, Registry
from musengine.utils.arrays import Int32Array
from musengine.utils.format import counted
from musengine.utils.lazy import LazySequence
from musengine.utils.parallel import Failure, process_map
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
    found = FoundFiles.of(list_items(sources, registry, reader, accepts, result.discovery))
    result.skipped.extend(_unlisted(result.discovery))
    loader = PieceLoader(found.readers, cache or Cache(None))
    files = Files(loader, found, found.readable(result.skipped), result.skipped)
    seen: Counter[str] = Counter()
    for pieces in files.results(PieceLoader.pieces, jobs, timeout, reporter):
        result.pieces.extend(replace(piece, id=_unique(piece.id, seen)) for piece in pieces or ())
    return result


def read_manifest(
    items: Iterable[tuple[Component, Item]],
    discovery: DiscoveryNotes,
    *,
    jobs: int,
    cache: Cache,
    timeout: float = TIMEOUT,
    scratch: Scratch | None = None,
    extraction: Extraction | None = None,
    listed_as: Callable[[], Sequence[object]] | None = None,
    reporter: ProgressReporter = SILENT,
) -> Manifest:
    """Read files and list their pieces; the music itself goes into the cache.

    A file that is in the listing of the last time, and whose size, inode and times are as they
    were, is not even opened.

    Args:
        items: readers and files.
        discovery: what was found beside them.
        jobs: processes, 0 for one on each core.
        cache: where what is read goes, and what was read before is found.
        timeout: seconds after which a file is given up.
        scratch: what keeps the cache's folder alive where it is a temporary one.
        extraction: what an encoder makes of each piece, where it is not used as it is.
        listed_as: says, once all files are found, what tells their listing from those of others;
            without it none is kept.
        reporter: receives the progress.
    """
    found = FoundFiles.of(items)
    loader = PieceLoader(found.readers, cache, extraction)
    manifest = Manifest(loader, taken=found.ids, discovery=discovery, scratch=scratch)
    manifest.skipped.extend(_unlisted(discovery))
    files = Files(loader, found, found.readable(manifest.skipped), manifest.skipped)
    key = None if listed_as is None else _listing_key(loader, listed_as())
    outcomes = functools.partial(
        Files.results,
        function=_list,
        jobs=jobs,
        timeout=timeout,
        reporter=reporter,
        cached=_list_cached,
    )
    listing, numbers = _listing(files, key, outcomes)
    manifest.skipped.extend(itertools.chain.from_iterable(listing.skipped.values()))
    manifest.warnings = {info.id: info.warnings for info in map(listing.info, listing.warned)}
    manifest.pieces = LazySequence(listing.info, range(listing.pieces))
    manifest.files = LazySequence(
        lambda row: SourceFile(*found.task(int(numbers[row])), listing.key(row)),
        range(listing.files),
    )
    manifest.libraries = {
        loader.readers[reader].name: loader.library(reader)
        for reader in dict.fromkeys(found.reader_of(int(number)) for number in numbers)
    }
    return manifest


def _unlisted(discovery: DiscoveryNotes) -> list[Skipped]:
    """Return the folders whose files could not be listed."""
    return [Skipped(path, reason) for path, reason in discovery.unreadable.items()]


def _listing_key(loader: PieceLoader, listed_as: Sequence[object]) -> str | None:
    """Return what a corpus's listing is kept under; None where a reader cannot be made."""
    try:
        return loader.listing_key(listed_as)
    # Whatever is wrong with a plugin is said for each of its files.
    except Exception:
        return None


_Outcome = tuple[str, "list[PieceInfo | Skipped]"]
"""A file's key and the infos of its pieces."""


def _list(loader: PieceLoader, file: SourceFile) -> _Outcome:
    return file.key, loader.infos(file)


def _list_cached(loader: PieceLoader, file: SourceFile) -> _Outcome | None:
    infos = loader.cached_infos(file)
    return None if infos is None else (file.key, infos)


def _listing(
    files: Files, key: str | None, outcomes: Callable[[Files], Iterator[_Outcome | None]]
) -> tuple[Listing, Int32Array]:
    """Return the listing of some files, and for each of its rows which of the files it is.

    Args:
        files: all of them.
        key: what the listing is kept under, if it is.
        outcomes: reads those that the listing of the last time does not know as they are now.
    """
    found, cache, now = files.found, files.loader.cache, time.time_ns()
    previous = None if key is None else Listing.in_cache(cache, key)
    # From before anything is read: what changes while it is read is another file the next time.
    identities = bytearray()
    for number in files.numbers:
        identities += found.identity(number, now)
    numbers = np.fromiter(files.numbers, np.int32, len(files.numbers))
    rows = np.full(len(numbers), -1) if previous is None else previous.rows(identities)
    known = rows >= 0
    read = outcomes(replace(files, numbers=LazySequence(int, numbers[~known])))
    if previous is not None and np.array_equal(rows[known], np.arange(previous.files)):
        read, ahead = itertools.tee(read)
        if all(outcome is None for outcome in ahead):
            return previous, numbers[known]  # nothing came, went or changed
        del ahead
    listing = ListingBuilder()
    listed = np.ones(len(numbers), dtype=bool)
    for index, row in enumerate(rows):
        identity = bytes(identities[index * IDENTITY : (index + 1) * IDENTITY])
        if previous is not None and row >= 0:
            listing.copy(previous, int(row), identity)
        elif (outcome := next(read)) is not None:
            listing.add(identity, *outcome)
        else:
            listed[index] = False
    return listing.finish(cache, key), numbers[listed]


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
    with faults_explained(reader):
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


def _unique(name: str, seen: Counter[str]) -> str:
    """Return a piece's id with a number where two sources hold files of one name."""
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}~{seen[name]}"
