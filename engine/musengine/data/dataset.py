"""The dataset of a pipeline: its corpus read, split by piece, transposed and encoded on disk."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from musengine.data.discovery import DiscoveryNotes, items_of, nothing_found
from musengine.data.encode import EncodeJob, EncodeJobs, EncodeResult, TrainingPieces, encode
from musengine.data.extraction import extraction_of
from musengine.data.filters import PARTS, rules_of
from musengine.data.manifest import Manifest, PieceInfo, Skipped
from musengine.data.reading import read_manifest
from musengine.data.spans import split_within
from musengine.data.splits import Split, split_pieces
from musengine.data.storage.cache import size_limit, trim, working_cache
from musengine.data.storage.shards import MappedPiece, Named, Shards
from musengine.encoding.left_out import LeftOut
from musengine.errors import UserError
from musengine.interfaces.encoder import EncodedPiece, Encoder
from musengine.interfaces.reader import Item
from musengine.music.piece import SplitName, Text
from musengine.music.prevailing import Prevailing, most_frequent
from musengine.music.score import Score
from musengine.pipeline.resolve import Pipeline
from musengine.pipeline.sections import CorpusConfig
from musengine.plugins.registry import Component, Registry
from musengine.utils.arrays import Int32Array
from musengine.utils.lazy import LazySequence
from musengine.utils.progress import SILENT, ProgressReporter

_KEPT = 4096
"""Pieces of a part that are kept after they were asked for; their arrays are not."""


@dataclass
class Dataset:
    """The encoded pieces of each part, and what was skipped or odd on the way.

    Attributes:
        parts: the pieces of each part.
        skipped: files and pieces left out, and why.
        notices: terms that come with the music.
        dropped: what did not fit into the arrays, counted by a word.
        keep: for what was dropped, the key that would keep it, where there is one.
        ignored: files of no reader's kind, counted by ending.
        warnings: for a piece's id what was odd about it.
        copies: for each piece that has the notes of another, the other's id.
        straddling: those of them that are in another part.
        libraries: for each reader that read, the library it read through.
        files: ids of the files that were read.
        later: ids of files that are no part of the run, and were not.
    """

    parts: Mapping[SplitName, Sequence[EncodedPiece]]
    skipped: list[Skipped] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    keep: dict[str, str] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    straddling: list[str] = field(default_factory=list)
    libraries: dict[str, str] = field(default_factory=dict)
    files: Sequence[str] = ()
    later: list[str] = field(default_factory=list)

    def most_frequent(self) -> Prevailing:
        """Return what most pieces of the training part have."""
        return most_frequent(piece.prevailing for piece in self.parts["train"])

    @property
    def left_out(self) -> dict[str, LeftOut]:
        """What did not fit into the arrays, the most of it first, and what would keep it."""
        return {
            what: LeftOut(count, self.keep.get(what, ""))
            for what, count in self.dropped.most_common()
        }

    def fingerprints(self) -> dict[str, dict[str, str]]:
        """Return, for each part, the ids of its pieces and hashes of their content."""
        return {
            part: {piece.id: piece.fingerprint for piece in pieces}
            for part, pieces in self.parts.items()
        }


def read_corpus(
    pipeline: Pipeline,
    registry: Registry,
    reporter: ProgressReporter = SILENT,
    known: Collection[str] | None = None,
) -> Manifest:
    """Read the pieces of a pipeline's corpus and list them; their music stays on disk.

    Args:
        pipeline: its settings of corpus and encoder.
        registry: where readers are found.
        reporter: receives the progress.
        known: ids of the files that a run is about; others are noted and left out.

    Raises:
        UserError: there is nothing usable; says what was found and why each file was skipped.
    """
    config, discovery = pipeline.corpus, DiscoveryNotes()
    # A mistake in a list or a limit is reported before an hour of reading, not after it.
    rules_of(config)
    size_limit()
    cache, scratch = working_cache(config)
    manifest = read_manifest(
        _of_the_run(items_of(pipeline, registry, discovery), discovery, known),
        discovery,
        jobs=config.jobs,
        cache=cache,
        timeout=config.read_timeout,
        scratch=scratch,
        extraction=extraction_of(pipeline.encoder),
        # A run that leaves files out has a listing of its own.
        listed_as=lambda: (
            *(source.text for source in config.path),
            *(config.styles, config.exclude),
            sorted(known or ()) if discovery.later else None,
        ),
        reporter=reporter,
    )
    if not manifest.pieces:
        raise UserError(nothing_found(config, manifest.skipped, discovery.ignored), code="no-music")
    return manifest


def _of_the_run(
    items: Iterable[tuple[Component, Item]],
    discovery: DiscoveryNotes,
    known: Collection[str] | None,
) -> Iterator[tuple[Component, Item]]:
    """Yield the files that a run is about; the others are noted."""
    for reader, item in items:
        # By id and not by content: a changed file is read, and `check_split` then says that it
        # changed.
        if known is None or item.id in known:
            yield reader, item
        else:
            discovery.later.append(item.id)


def prepare(
    pipeline: Pipeline,
    manifest: Manifest,
    encoder: Encoder[Any],
    *,
    learned: bool = False,
    reporter: ProgressReporter = SILENT,
) -> Dataset:
    """Split, transpose and encode the pieces; the encoder learns from the training part first.

    Args:
        pipeline: its settings of corpus and encoder.
        manifest: the pieces.
        encoder: what encodes them.
        learned: the encoder has learned already, and stays as it is.
        reporter: receives the progress.

    Raises:
        UserError: nothing is left to train on.
    """
    config, started = pipeline.corpus, time.time()
    # Split before anything is transposed or learned: copies in other keys belong to the training
    # part alone, and the encoder learns nothing from what is held out.
    split = split_pieces(manifest.pieces, manifest.files, config, rules_of(config))
    every, jobs = _jobs(split, manifest.pieces, config)
    common = config.key == "common"
    # Most encoders have nothing to learn; then the music is not read once more for it.
    if not learned and type(encoder).fit is not Encoder.fit:
        encoder.fit(TrainingPieces(manifest, jobs["train"], common))
    result = encode(
        every,
        manifest,
        pipeline.encoder,
        encoder,
        common=common,
        workers=config.jobs,
        timeout=config.read_timeout,
        reporter=reporter,
    )
    dataset = _dataset(manifest, split, jobs, result, common)
    if config.split == "within":
        dataset.parts = _divided_within(dataset.parts["train"], jobs["train"], manifest, config)
    folder = manifest.loader.cache.folder
    # Trimmed at the end, when all entries of this run are the most recently used ones; what was
    # used since its start stays whatever the limit is.
    if manifest.scratch is None and folder is not None:
        trim(folder, size_limit(), min(started, manifest.started))
    if not dataset.parts["train"]:
        raise UserError(
            nothing_found(config, dataset.skipped, manifest.discovery.ignored), code="no-music"
        )
    return dataset


def _jobs(
    split: Split, pieces: Sequence[PieceInfo], config: CorpusConfig
) -> tuple[EncodeJobs, dict[SplitName, EncodeJobs]]:
    """Return the pieces of all parts, and of each; transposed copies follow the training part's."""
    numbers, semitones, ends = [], [], []
    for part in PARTS:
        own = split.parts[part]
        shifts = [0, *config.shifts] if part == "train" else [0]
        moved = own
        if len(shifts) > 1:
            moved = own[[pieces[int(index)].kind == "score" for index in own]]
        numbers += [own, *([moved] * (len(shifts) - 1))]
        lengths = [len(own), *([len(moved)] * (len(shifts) - 1))]
        semitones.append(np.repeat(np.array(shifts, dtype=np.int8), lengths))
        ends.append(sum(map(len, numbers)))
    every = EncodeJobs(pieces, np.concatenate(numbers), np.concatenate(semitones))
    # Views: what is kept of each job is kept once.
    starts = [0, *ends]
    return every, {part: every[starts[n] : ends[n]] for n, part in enumerate(PARTS)}


def _dataset(
    manifest: Manifest,
    split: Split,
    jobs: Mapping[SplitName, EncodeJobs],
    result: EncodeResult,
    common: bool,
) -> Dataset:
    """Return what became of the pieces: encoded ones in their parts, the others with the reason."""
    parts: dict[SplitName, Sequence[EncodedPiece]] = {}
    dataset = Dataset(
        parts,
        list(manifest.skipped),
        manifest.discovery.notices,
        ignored=manifest.discovery.ignored,
        warnings=manifest.warnings,
        copies=split.copies,
        straddling=split.straddling,
        libraries=manifest.libraries,
        files=manifest.taken,
        later=manifest.discovery.later,
    )
    start = 0
    for part in PARTS:
        places = result.places[start : start + len(jobs[part])]
        start += len(places)
        there = result.shards.there(places)
        for lacking in np.flatnonzero(~there).tolist():
            job = jobs[part][lacking]
            dataset.skipped.append(Skipped(job.id, result.reason(job.key(common)) or ""))
        # Of a piece that is also learned in other keys everything would count many times.
        own = places[there & (jobs[part].shift_J == 0)]
        dataset.dropped.update(result.shards.dropped(own))
        piece = functools.partial(_piece, result.shards, places, jobs[part], common)
        # Each row of each batch asks for one, most often for those of the batch before.
        parts[part] = LazySequence(
            functools.lru_cache(maxsize=_KEPT)(piece), np.flatnonzero(there).astype(np.int32)
        )
    dataset.keep.update(result.shards.keep)
    return dataset


def _piece(
    shards: Shards, places: Int32Array, jobs: EncodeJobs, common: bool, index: int
) -> EncodedPiece:
    """Return the encoded piece of a job."""

    def named() -> Named:
        job = jobs[index]
        # What prevails is asked of the corpus, where a copy in another key would count again.
        prevailing = Prevailing() if job.shift else job.prevailing(common)
        return Named(job.id, job.fingerprint, prevailing)

    return MappedPiece(shards, shards.at(int(places[index])), named)


def _divided_within(
    pieces: Sequence[EncodedPiece],
    jobs: Iterable[EncodeJob],
    manifest: Manifest,
    config: CorpusConfig,
) -> dict[SplitName, list[EncodedPiece]]:
    """Return the parts where the end of each piece is held out, not whole pieces."""
    own = {
        job.id: functools.partial(_content, manifest, job, config.key == "common")
        for job in jobs
        # Transposed copies come after their originals and would be the same pieces again.
        if not job.shift
    }
    return split_within(
        [piece for piece in pieces if piece.id in own],
        [piece for piece in pieces if piece.id not in own],
        config,
        own,
    )


def _content(manifest: Manifest, job: EncodeJob, common: bool) -> Score | Text | None:
    """Return the music that a piece's arrays were made of; None where it cannot be read again."""
    try:
        return job.content(manifest.loader.pieces(manifest.files[job.piece.file]), common)
    except UserError:
        return None


def total_steps(pieces: Iterable[EncodedPiece]) -> int:
    """Return how many time steps some pieces have together."""
    # int64 also on Windows with NumPy 1, where a plain sum has 32 bits.
    return int(np.sum([len(piece) for piece in pieces], dtype=np.int64))
