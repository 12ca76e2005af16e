"""Encoding the pieces of a corpus, in worker processes, into shards."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from musengine.config.fields import to_table
from musengine.data.files.loader import PieceLoader
from musengine.data.manifest import Manifest, PieceInfo, SourceFile
from musengine.data.storage.cache import key_of
from musengine.data.storage.shards import KEY, ShardEntry, Shards, storable, write_shards
from musengine.encoding.left_out import LeftOut
from musengine.errors import (
    MachineError,
    UnreadableError,
    UserError,
    is_strict,
    machine_apart,
    machines_fault,
)
from musengine.interfaces.contracts.values import check_state, encoding_fault
from musengine.interfaces.encoder import DecodeSettings, Encoded, Encoder
from musengine.music.key_finding import tonic_shift
from musengine.music.piece import Piece, Text
from musengine.music.prevailing import Prevailing
from musengine.music.score import Score
from musengine.plugins.registry import Component
from musengine.plugins.sources import code_version
from musengine.utils.arrays import Array, Int32Array, IntArray, distinct
from musengine.utils.format import counted
from musengine.utils.parallel import Failure, process_map
from musengine.utils.progress import SILENT, ProgressReporter

FORMAT = 3
_CHUNK = 16 * 2**20
"""Estimated bytes of the arrays that one task of a worker makes."""

_STEP_BYTES = 88
"""Estimated size of a sixteenth or a character in an encoder's arrays: a byte for each key."""

_SECONDS_PER_PIECE = 5.0
"""Seconds more that a task may take for each of its pieces, before they are done one by one."""

_SERIAL_BELOW = 3
"""Fewer tasks than this are done in this process: starting workers takes longer."""


@dataclass(frozen=True, slots=True)
class EncodeJob:
    """A piece to encode, transposed by `shift` semitones."""

    piece: PieceInfo
    shift: int = 0

    @property
    def id(self) -> str:
        """The piece's id, that of a transposed copy with the semitones."""
        return f"{self.piece.id}{self.shift:+d}" if self.shift else self.piece.id

    @property
    def fingerprint(self) -> str:
        """A hash of the piece's content, that of a transposed copy with the semitones."""
        own = self.piece.fingerprint
        return f"{own}{self.shift:+d}" if self.shift else own

    def key(self, common: bool) -> str:
        """Return what its arrays are found by in an encoder's shards.

        Args:
            common: whether it is transposed to the common key first.
        """
        text = f"{self.piece.content_hash}:{common}:{self.shift}"
        # By content: a file that is moved or copied is not encoded again. 128 bits suffice against
        # chance.
        return hashlib.sha256(text.encode()).hexdigest()[: 2 * KEY.itemsize]

    def prevailing(self, common: bool) -> Prevailing:
        """Return what holds for most of the piece, its key once it is transposed."""
        own = self.piece.prevailing
        return replace(own, key=(0, own.key[1])) if common and own.key is not None else own

    def content(self, pieces: Sequence[Piece], common: bool) -> Score | Text:
        """Return the music to encode; texts cannot be transposed.

        Args:
            pieces: those of its file.
            common: whether it is transposed to the common key first.
        """
        content = pieces[self.piece.index].content
        if isinstance(content, Text):
            return content
        semitones = self.shift + (tonic_shift(content) if common else 0)
        return content.transpose(semitones) if semitones else content


class EncodeJobs(Sequence[EncodeJob]):
    """Jobs in a list that keeps two numbers of each.

    Args:
        pieces: those of the corpus.
        piece_J: (J,) for each job the index of its piece.
        shift_J: (J,) for each job the semitones.
    """

    def __init__(self, pieces: Sequence[PieceInfo], piece_J: Int32Array, shift_J: Array) -> None:
        self.pieces, self.piece_J, self.shift_J = pieces, piece_J, shift_J

    def __len__(self) -> int:
        return len(self.piece_J)

    @overload
    def __getitem__(self, index: int) -> EncodeJob: ...
    @overload
    def __getitem__(self, index: slice) -> EncodeJobs: ...
    def __getitem__(self, index: int | slice) -> EncodeJob | EncodeJobs:
        if isinstance(index, slice):
            return EncodeJobs(self.pieces, self.piece_J[index], self.shift_J[index])
        return EncodeJob(self.pieces[int(self.piece_J[index])], int(self.shift_J[index]))

    def by_piece(self) -> Iterator[tuple[PieceInfo, list[tuple[int, int]]]]:
        """Yield each piece, in the order of the corpus, with the index and shift of its jobs."""
        order = map(int, np.argsort(self.piece_J, kind="stable"))
        for piece, group in itertools.groupby(order, key=self.piece_J.__getitem__):
            yield self.pieces[int(piece)], [(job, int(self.shift_J[job])) for job in group]


@dataclass(frozen=True)
class TrainingPieces:
    """The pieces an encoder learns from, loaded one file at a time, as often as it iterates.

    Attributes:
        manifest: where they are.
        jobs: which they are.
        common: whether they are transposed to the common key.
    """

    manifest: Manifest
    jobs: EncodeJobs
    common: bool

    def __iter__(self) -> Iterator[Piece]:
        # File by file: a file of many pieces is unpacked once.
        for file, group in itertools.groupby(self.jobs.by_piece(), key=lambda own: own[0].file):
            try:
                with machine_apart():
                    pieces = self.manifest.loader.pieces(self.manifest.files[file])
            except MachineError:
                raise
            except UserError:
                continue  # encoding it gives the reason
            for piece, jobs in group:
                for _, shift in jobs:
                    job = EncodeJob(piece, shift)
                    content = job.content(pieces, self.common)
                    yield replace(pieces[piece.index], id=job.id, content=content)


_Chunk = list[tuple[SourceFile, list[EncodeJob]]]
"""One task of a worker: files, and of each what is to be encoded."""


@dataclass(frozen=True)
class EncodeResult:
    """The result of encoding.

    Attributes:
        places: (J,) the place of each job in the shards.
        shards: where the arrays are.
        faults: for the keys of pieces that could not be encoded, the reason.
    """

    places: Int32Array
    shards: Shards
    faults: dict[str, str]

    def reason(self, key: str) -> str | None:
        """Return why there are no arrays of a key; None where there are."""
        reason = self.faults.get(key) or self.shards.refused.get(key)
        return reason if reason is not None or key in self.shards else "it was not encoded"

    def add(self, paths: Iterable[Path], faults: Mapping[str, str]) -> None:
        """Add the shards that a task wrote and its faults."""
        self.faults.update(faults)
        for path in paths:
            self.shards.add(path)


def encode(
    jobs: EncodeJobs,
    manifest: Manifest,
    component: Component,
    encoder: Encoder[Any],
    *,
    common: bool,
    workers: int,
    timeout: float,
    reporter: ProgressReporter = SILENT,
) -> EncodeResult:
    """Encode pieces, those that were not encoded before.

    The shards follow from the order of the pieces' files and from what is there already. Where
    this is stopped half-way, whole shards stay, and the next time ends with the same ones.

    Args:
        jobs: the pieces.
        manifest: where they are.
        component: the encoder's declaration and settings.
        encoder: the encoder, having learned.
        common: whether they are transposed to the common key first.
        workers: processes, 0 for one on each core.
        timeout: seconds that a piece may take.
        reporter: receives the progress.
    """
    cache = manifest.loader.cache
    assert cache.folder is not None
    code, state = code_version(component.entry), check_state(encoder, encoder.state())
    # All that the arrays depend on beside the music: another setting or version has its own folder.
    name = key_of("encoded", FORMAT, component.name, code, to_table(component.config), state)
    key_K, place_J, size_J = _keys_and_sizes(jobs, common)
    shards = Shards(cache.folder / "encoded" / name[:32], key_K, manifest.scratch)
    shards.find()
    result = EncodeResult(place_J, shards, {})
    if tasks := _missing(jobs, size_J, result):
        work = _EncodeChunk(component, state, manifest.loader, shards.folder, common)
        run = functools.partial(process_map, work, workers=workers)
        to_send = functools.partial(_chunk_of, jobs, manifest)
        with reporter.bar("encoding") as bar:
            _run_all(tasks, to_send, run, timeout, common, result, bar.update)
    return result


def _keys_and_sizes(jobs: EncodeJobs, common: bool) -> tuple[Array, Int32Array, Int32Array]:
    """Return (K,) the different keys, sorted; (J,) which is each job's; (J,) bytes, roughly."""
    key_J, size_J = np.zeros(len(jobs), KEY), np.zeros(len(jobs), np.int32)
    for piece, own in jobs.by_piece():
        for job, shift in own:
            key_J[job] = bytes.fromhex(EncodeJob(piece, shift).key(common))
            size_J[job] = min(piece.size * _STEP_BYTES, _CHUNK)
    first_K, place_J = distinct(key_J)
    return key_J[first_K], place_J, size_J


def _missing(jobs: EncodeJobs, size_J: Int32Array, result: EncodeResult) -> list[IntArray]:
    """Return the jobs of each task, those that are in no shard yet.

    Each content is in one task; they are of like size and follow from the pieces alone.
    """
    absent_K = result.shards.absent()
    if not absent_K.any():
        return []
    order = np.argsort(jobs.piece_J, kind="stable")
    first, _ = distinct(result.places[order])
    order = order[np.sort(first)]
    absent = absent_K[result.places[order]]
    cuts, size = [], 0
    # Tasks are cut by size, not by number: pieces differ a thousandfold in length.
    for index, own_size in enumerate(map(int, size_J[order])):
        if size and size + own_size > _CHUNK:
            cuts.append(index)
            size = 0
        size += own_size
    tasks = zip(np.split(order, cuts), np.split(absent, cuts), strict=True)
    return [task[absent] for task, absent in tasks if absent.any()]


def _chunk_of(jobs: EncodeJobs, manifest: Manifest, task: IntArray) -> _Chunk:
    """Return the files and jobs of a task."""
    own = [jobs[job] for job in task.tolist()]
    by_file = itertools.groupby(own, key=lambda job: job.piece.file)
    return [(manifest.files[file], list(group)) for file, group in by_file]


def _run_all(
    tasks: Sequence[IntArray],
    to_send: Callable[[IntArray], _Chunk],
    run: Callable[..., Iterator[Any]],
    timeout: float,
    common: bool,
    result: EncodeResult,
    show: Callable[[float, str], None],
) -> None:
    """Do all tasks; where a worker fails at one, its pieces are done again one by one."""
    total, done = sum(map(len, tasks)), 0
    # The time limit is meant for one piece; a task may have thousands.
    longest = timeout + _SECONDS_PER_PIECE * max(map(len, tasks))
    again: list[IntArray] = []
    sent = map(to_send, tasks)
    for task, made in zip(
        tasks, run(tasks=sent, timeout=longest, serial_below=_SERIAL_BELOW), strict=True
    ):
        if isinstance(made, Failure):
            # One piece may have hung or crashed its worker: alone it cannot take the others with
            # it.
            again.extend(task.reshape(-1, 1))
        else:
            result.add(*made)
            done += len(task)
            show(done / total, f"{done} of {counted(total, 'piece')}")
    sent = map(to_send, again)
    for task, made in zip(again, run(tasks=sent, timeout=timeout, serial_below=0), strict=True):
        if isinstance(made, Failure):
            ((_, (job,)),) = to_send(task)
            result.faults[job.key(common)] = made.reason
        else:
            result.add(*made)


def _notes_of(content: Score | Text, encoder: Encoder[Any]) -> int:
    """Return how many notes a piece has; 0 for a text that stands for no score."""
    if isinstance(content, Score):
        return len(content)
    try:
        known = "score" in encoder.config.produces()
        return len(encoder.score_of(content, DecodeSettings())) if known else 0
    except (UnreadableError, NotImplementedError):
        return 0


def _with_left_out(encoded: Encoded, left_out: Mapping[str, LeftOut]) -> Encoded:
    counts = {what: each.count for what, each in left_out.items()}
    keep = {what: each.keep for what, each in left_out.items() if each.keep}
    return replace(encoded, dropped={**encoded.dropped, **counts}, keep={**encoded.keep, **keep})


class _EncodeChunk:
    """Encodes tasks in a worker, which makes one encoder for all of them."""

    def __init__(
        self, component: Component, state: Any, loader: PieceLoader, folder: Path, common: bool
    ) -> None:
        self.arguments = (component, state, loader, folder, common)
        self.component, self.loader, self.folder = component, loader, folder
        self.state, self.common = state, common

    # Sent without the encoder, which every worker makes once for itself.
    def __reduce__(self) -> Any:
        return _EncodeChunk, self.arguments

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

    def _entries(self, chunk: _Chunk, faults: dict[str, str]) -> Iterator[ShardEntry]:
        for file, jobs in chunk:
            try:
                # A full disk or missing memory is not this file's fault and must end the command,
                # not skip the file.
                with machine_apart():
                    pieces = self.loader.pieces(file)
            except MachineError:
                raise
            except (UserError, OSError) as error:
                faults.update((job.key(self.common), str(error)) for job in jobs)
                continue
            for job in jobs:
                encoded = self._encode(job, pieces, faults)
                if encoded is not None:
                    yield job.key(self.common), encoded

    def _encode(
        self, job: EncodeJob, pieces: Sequence[Piece], faults: dict[str, str]
    ) -> Encoded | str | None:
        """Return a piece's arrays, or why the encoder refuses it; None where it has a fault."""
        try:
            content = job.content(pieces, self.common)
            encoded = _with_left_out(self.encoder.encode(content), self.encoder.left_out(content))
            encoded = replace(encoded, notes=_notes_of(content, self.encoder))
            # Checked here, where the piece and its plugin can still be named.
            fault = encoding_fault(encoded.steps, self.encoder.layout) or storable(encoded)
        # A plugin's fault with one piece must not lose the others.
        except Exception as error:
            if (lacking := machines_fault(error)) is not None:
                raise lacking from error
            if isinstance(error, UnreadableError):
                return error.lines[0]
            if is_strict():
                raise
            fault = f"{type(error).__name__}: {error}"
        if not fault:
            return encoded
        provider = f"encoder {self.component.name!r} of {self.component.entry.origin}"
        faults[job.key(self.common)] = f"{provider} failed: {fault}"
        return None
