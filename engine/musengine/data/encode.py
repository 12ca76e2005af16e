"""Encoding the pieces of a corpus, in worker processes, into shards."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from musengine.config.fields import to_table
from musengine.data.cache import key_of
from musengine.data.manifest import Manifest, PieceInfo
from musengine.data.reading import Access, File
from musengine.data.shards import Entry, Shards, storable, write_shards
from musengine.errors import UnreadableError, UserError, is_strict
from musengine.interfaces.encoder import Encoder
from musengine.music.key_finding import tonic_shift
from musengine.music.score import Piece, Score, Text
from musengine.plugins.registry import Component
from musengine.utils.format import counted
from musengine.utils.parallel import Failure, run_apart
from musengine.utils.progress import SILENT, ProgressReporter

FORMAT = 1
_CHUNK = 16 * 2**20
"""Bytes that one task of a worker comes to, as far as can be guessed."""

_STEP_BYTES = 88
"""Guessed size of a sixteenth or a character in an encoder's arrays."""

_PATIENCE = 5.0
"""Seconds that each piece of a task is given, before its pieces are done one by one."""

_FEW = 3
"""Tasks from which workers are worth their start."""


@dataclass(frozen=True)
class Wanted:
    """A piece as it is to be encoded: moved by so many semitones."""

    listed: PieceInfo
    shift: int = 0

    @property
    def id(self) -> str:
        """The piece's id, that of a moved copy with the semitones."""
        return f"{self.listed.id}{self.shift:+d}" if self.shift else self.listed.id

    @property
    def fingerprint(self) -> str:
        """A hash of the piece's content, that of a moved copy with the semitones."""
        known = self.listed.known.fingerprint
        return f"{known}{self.shift:+d}" if self.shift else known

    def key(self, common: bool) -> str:
        """Return what its arrays are found by in an encoder's shards."""
        text = f"{self.listed.known.content}:{common}:{self.shift}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def moved(content: Score | Text, shift: int, common: bool) -> Score | Text:
    """Return the music in the common key, if wished, and moved by semitones; texts stay."""
    if isinstance(content, Text):
        return content
    semitones = shift + (tonic_shift(content) if common else 0)
    return content.transpose(semitones) if semitones else content


@dataclass(frozen=True)
class Training:
    """The pieces an encoder learns from, read one file at a time as often as it asks for them."""

    catalogue: Manifest
    wanted: Sequence[Wanted]
    common: bool

    def __iter__(self) -> Iterator[Piece]:
        for file, group in _by_file(self.wanted):
            try:
                pieces = self.catalogue.access.pieces(self.catalogue.files[file])
            except UserError:
                continue  # encoding it tells the reason
            for one in group:
                piece = pieces[one.listed.place]
                content = moved(piece.content, one.shift, self.common)
                yield replace(piece, id=one.id, content=content)


def _by_file(wanted: Iterable[Wanted]) -> Iterator[tuple[int, list[Wanted]]]:
    ordered = sorted(wanted, key=lambda one: (one.listed.file, one.listed.place))
    for file, group in itertools.groupby(ordered, key=lambda one: one.listed.file):
        yield file, list(group)


@dataclass(frozen=True)
class _Job:
    """A piece for a worker: its key, where in its file it is, and how it is moved."""

    key: str
    place: int
    shift: int


_Chunk = list[tuple[File, list[_Job]]]


@dataclass(frozen=True)
class EncodeResult:
    """What came of encoding.

    Attributes:
        shards: where the arrays are.
        faults: for the keys of pieces that could not be encoded, the reason.
    """

    shards: Shards
    faults: dict[str, str]

    def reason(self, key: str) -> str | None:
        """Return why there are no arrays of a key; None where there are."""
        reason = self.faults.get(key) or self.shards.refused.get(key)
        return reason if reason is not None or key in self.shards else "it was not encoded"


def encode(
    wanted: Sequence[Wanted],
    catalogue: Manifest,
    component: Component,
    encoder: Encoder[Any],
    *,
    common: bool,
    jobs: int,
    timeout: float,
    reporter: ProgressReporter = SILENT,
) -> EncodeResult:
    """Encode pieces, those that were not encoded before.

    The shards follow from the order of the pieces' files and from what is there already. Where
    this is stopped half-way, whole shards stay, and the next time ends with the same ones.

    Args:
        wanted: the pieces.
        catalogue: where they are.
        component: the encoder's declaration and settings.
        encoder: the encoder, having learned.
        common: whether they are moved to the common key first.
        jobs: processes, 0 for one on each core.
        timeout: seconds that a piece may take.
        reporter: told how far it is.
    """
    cache = catalogue.access.cache
    assert cache.folder is not None
    origin, state = str(component.entry.origin), encoder.state()
    name = key_of("encoded", FORMAT, component.name, origin, to_table(component.config), state)
    shards = Shards(cache.folder / "encoded" / name[:32], catalogue.keeper)
    shards.find()
    chunks = _missing(_chunks(wanted, catalogue, common), shards)
    outcome = EncodeResult(shards, {})
    if chunks:
        work = _Encoding(component, state, catalogue.access, shards.folder, common)
        run = functools.partial(run_apart, work, workers=jobs)
        with reporter.bar("encoding") as bar:
            _run_all(chunks, run, timeout, outcome, bar.update)
    return outcome


def _chunks(wanted: Sequence[Wanted], catalogue: Manifest, common: bool) -> Iterator[_Chunk]:
    """Yield the pieces, each content once, in tasks of like size that follow from them alone."""
    chunk: _Chunk = []
    size = 0
    seen: set[str] = set()
    for file, group in _by_file(wanted):
        jobs: list[_Job] = []
        for one in group:
            key = one.key(common)
            if key in seen:
                continue
            seen.add(key)
            weight = min(one.listed.known.weight * _STEP_BYTES, _CHUNK)
            if size and size + weight > _CHUNK:
                yield [*chunk, (catalogue.files[file], jobs)] if jobs else chunk
                chunk, jobs, size = [], [], 0
            jobs.append(_Job(key, one.listed.place, one.shift))
            size += weight
        if jobs:
            chunk.append((catalogue.files[file], jobs))
    if chunk:
        yield chunk


def _missing(chunks: Iterable[_Chunk], shards: Shards) -> list[_Chunk]:
    """Return of each task what is not there yet."""
    left = (
        [
            (file, absent)
            for file, jobs in chunk
            if (absent := [job for job in jobs if job.key not in shards])
        ]
        for chunk in chunks
    )
    return [chunk for chunk in left if chunk]


def _count(chunk: _Chunk) -> int:
    return sum(len(jobs) for _, jobs in chunk)


def _run_all(
    chunks: Sequence[_Chunk],
    run: Callable[..., Iterator[Any]],
    timeout: float,
    outcome: EncodeResult,
    show: Callable[[float, str], None],
) -> None:
    """Do all tasks; where a worker fails at one, its pieces are done again one by one."""
    total, done = sum(map(_count, chunks)), 0
    longest = timeout + _PATIENCE * max(map(_count, chunks))
    again: list[_Chunk] = []
    for chunk, result in zip(chunks, run(tasks=chunks, timeout=longest, few=_FEW), strict=True):
        if isinstance(result, Failure):
            again.extend([(file, [job])] for file, jobs in chunk for job in jobs)
        else:
            _take(result, outcome)
            done += _count(chunk)
            show(done / total, f"{done} of {counted(total, 'piece')}")
    for chunk, result in zip(again, run(tasks=again, timeout=timeout, few=0), strict=True):
        if isinstance(result, Failure):
            ((_, (job,)),) = chunk
            outcome.faults[job.key] = result.reason
        else:
            _take(result, outcome)


def _take(result: tuple[list[Path], dict[str, str]], outcome: EncodeResult) -> None:
    paths, faults = result
    outcome.faults.update(faults)
    for path in paths:
        outcome.shards.add(path)


class _Encoding:
    """Encodes tasks in a worker, which makes one encoder for all of them."""

    def __init__(
        self, component: Component, state: Any, access: Access, folder: Path, common: bool
    ) -> None:
        self.arguments = (component, state, access, folder, common)
        self.component, self.access, self.folder = component, access, folder
        self.state, self.common = state, common

    def __reduce__(self) -> Any:
        return _Encoding, self.arguments

    @functools.cached_property
    def encoder(self) -> Encoder[Any]:
        """The encoder, knowing what it learned."""
        encoder: Encoder[Any] = self.component.create()
        encoder.load_state(self.state)
        return encoder

    def __call__(self, chunk: _Chunk) -> tuple[list[Path], dict[str, str]]:
        """Encode and write a task's pieces; returns the shards, and faults by key."""
        faults: dict[str, str] = {}
        return write_shards(self.folder, self._entries(chunk, faults)), faults

    def _entries(self, chunk: _Chunk, faults: dict[str, str]) -> Iterator[Entry]:
        for file, jobs in chunk:
            try:
                pieces = self.access.pieces(file)
            except (UserError, OSError) as error:
                faults.update((job.key, str(error)) for job in jobs)
                continue
            for job in jobs:
                entry = self._entry(job, pieces, faults)
                if entry is not None:
                    yield entry

    def _entry(self, job: _Job, pieces: Sequence[Piece], faults: dict[str, str]) -> Entry | None:
        try:
            encoded = self.encoder.encode(moved(pieces[job.place].content, job.shift, self.common))
            fault = storable(encoded)
        except UnreadableError as error:
            return job.key, error.lines[0]
        # A plugin's fault with one piece must not lose the others.
        except Exception as error:
            if is_strict():
                raise
            fault = f"{type(error).__name__}: {error}"
        if not fault:
            return job.key, encoded
        whose = f"encoder {self.component.name!r} of {self.component.entry.origin}"
        faults[job.key] = f"{whose} failed: {fault}"
        return None
