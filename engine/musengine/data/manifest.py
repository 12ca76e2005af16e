"""What a corpus holds, listed without its music, which stays on disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from musengine.data.cache import Cache, Known
from musengine.data.discovery import DiscoveryNotes
from musengine.data.extraction import Extraction
from musengine.data.reading import TIMEOUT, Access, Entry, File, Skipped, Work, unique
from musengine.interfaces.reader import Item
from musengine.music.score import SplitName
from musengine.plugins.registry import Component
from musengine.utils.progress import SILENT, ProgressReporter


@dataclass(frozen=True, slots=True)
class PieceInfo:
    """A piece without its music: what it is called, what is known of it and where it is.

    Attributes:
        file: index of its file.
        place: index in its file.
        id: unique in the corpus.
        style: a word for the kind of music.
        part: the official part, if its source has one.
        warnings: what was odd about it.
        known: what stands for its music.
        of: id of the piece an encoder took it from; else its own.
    """

    file: int
    place: int
    id: str
    style: str
    part: SplitName | None
    warnings: tuple[str, ...]
    known: Known
    of: str = ""


@dataclass
class Manifest:
    """What came of reading a corpus whose music stays on disk.

    Attributes:
        access: gives the pieces of the files.
        files: those that were read.
        pieces: theirs, in order.
        skipped: what was left out, and why.
        found: what was come upon beside the files.
        libraries: for each reader that read, the library it read through.
        began: time in seconds at which reading began.
        keeper: what the folder of the music lives as long as, where it is not kept.
    """

    access: Access
    files: list[File] = field(default_factory=list)
    pieces: list[PieceInfo] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    found: DiscoveryNotes = field(default_factory=DiscoveryNotes)
    libraries: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.time)
    keeper: object = None


def survey(
    items: Sequence[tuple[Component, Item]],
    found: DiscoveryNotes,
    *,
    jobs: int,
    cache: Cache,
    timeout: float = TIMEOUT,
    keeper: object = None,
    taking: Extraction | None = None,
    reporter: ProgressReporter = SILENT,
) -> Manifest:
    """Read files and list their pieces; the music itself goes into the cache.

    Args:
        items: readers and files.
        found: what was come upon with them.
        jobs: processes, 0 for one on each core.
        cache: where what is read goes, and what was read before is found.
        timeout: seconds after which a file is given up.
        keeper: what the cache's folder lives as long as.
        taking: what an encoder takes of the pieces, if not each as it is.
        reporter: told how far it is.
    """
    skipped: list[Skipped] = []
    work = Work(_survey, items, cache, skipped, _survey_cached, taking)
    catalogue = Manifest(work.access, skipped=skipped, found=found, keeper=keeper)
    seen: Counter[str] = Counter()
    for (reader, item), (key, library, entries) in work.results(jobs, timeout, reporter):
        catalogue.libraries[work.access.readers[reader].name] = library
        for place, entry in enumerate(entries):
            if isinstance(entry, Skipped):
                skipped.append(entry)
                continue
            name, *rest = entry
            listed = PieceInfo(len(catalogue.files), place, unique(name, seen), *rest)
            catalogue.pieces.append(listed)
        catalogue.files.append(File(reader, item, key))
    return catalogue


def _survey_cached(access: Access, file: File) -> tuple[str, str, list[Entry | Skipped]] | None:
    entries = access.survey_cached(file)
    return None if entries is None else (file.key, access.library(file.reader), entries)


def _survey(access: Access, file: File) -> tuple[str, str, list[Entry | Skipped]]:
    return file.key, access.library(file.reader), access.survey(file)
