"""A corpus made ready for a model: read, divided by piece, moved to a key, encoded, on disk."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from musengine.data.cache import Cache, Scratch, default_folder, size_limit, trim
from musengine.data.discovery import DiscoveryNotes
from musengine.data.encode import EncodeResult, Training, Wanted, encode
from musengine.data.extraction import taking_of
from musengine.data.filters import choose
from musengine.data.manifest import Manifest, survey
from musengine.data.reading import Skipped, list_items
from musengine.data.splits import PARTS, Split, check_folders, divide, rules_of
from musengine.errors import UserError
from musengine.interfaces.encoder import EncodedPiece, Encoder
from musengine.interfaces.reader import Item
from musengine.music.score import SplitName
from musengine.pipeline.resolve import Pipeline
from musengine.pipeline.sections import CorpusConfig
from musengine.plugins.registry import Component, Registry
from musengine.utils.progress import SILENT, ProgressReporter

logger = logging.getLogger(__name__)


@dataclass
class Dataset:
    """The encoded pieces of each part, and what was left out or odd on the way.

    Attributes:
        parts: the pieces of each part.
        skipped: files and pieces left out, and why.
        notices: terms that come with the music.
        lost: what did not fit into the arrays, counted.
        ignored: files of no reader's kind, counted by ending.
        warnings: for a piece's id what was odd about it.
        copies: for each piece that has the notes of another, the other's id.
        straddling: those of them that are in another part.
        libraries: for each reader that read, the library it read through.
    """

    parts: dict[SplitName, list[EncodedPiece]]
    skipped: list[Skipped] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    straddling: list[str] = field(default_factory=list)
    libraries: dict[str, str] = field(default_factory=dict)

    def fingerprints(self) -> dict[str, dict[str, str]]:
        """Return, for each part, the ids of its pieces and hashes of their content."""
        return {
            part: {piece.id: piece.fingerprint for piece in pieces}
            for part, pieces in self.parts.items()
        }


def cache_of(config: CorpusConfig) -> Cache:
    """Return the disk cache a corpus's settings ask for."""
    if config.cache is False:
        return Cache(None)
    return Cache(config.cache if isinstance(config.cache, Path) else default_folder())


def read_corpus(
    pipeline: Pipeline, registry: Registry, reporter: ProgressReporter = SILENT
) -> Manifest:
    """Read the pieces of a pipeline's corpus and list them; their music stays on disk.

    Raises:
        UserError: there is nothing usable; says what was found and why each was dropped.
    """
    config, found = pipeline.corpus, DiscoveryNotes()
    rules_of(config)  # a list that is no list is told before an hour of reading
    size_limit()
    items = _chosen(pipeline, registry, found)
    cache, keeper = _place_for(config)
    catalogue = survey(
        items,
        found,
        jobs=config.jobs,
        cache=cache,
        timeout=config.read_timeout,
        keeper=keeper,
        taking=taking_of(pipeline.encoder),
        reporter=reporter,
    )
    if not catalogue.pieces:
        raise UserError(_nothing(config, catalogue.skipped, found.ignored))
    return catalogue


def _chosen(
    pipeline: Pipeline, registry: Registry, found: DiscoveryNotes
) -> list[tuple[Component, Item]]:
    config = pipeline.corpus
    items = list_items(config.path, registry, pipeline.reader, pipeline.accepts(), found)
    names = [(item.style, item.id) for _, item in items]
    items = choose(items, names, config.styles, config.exclude)
    if config.split == "folders":
        check_folders(item for _, item in items)
    return items


def check_choices(pipeline: Pipeline, registry: Registry) -> None:
    """Look, without reading music, whether what the corpus's settings name is there.

    Raises:
        UserError: a style or a folder of a part that no file is in, a list that is none.
    """
    config = pipeline.corpus
    rules_of(config)
    if config.styles or config.exclude or config.split == "folders":
        _chosen(pipeline, registry, DiscoveryNotes())


def _place_for(config: CorpusConfig) -> tuple[Cache, object]:
    """Return where music and arrays go: the cache, or a folder that goes with its keeper."""
    cache = cache_of(config)
    if cache.writable():
        return cache, None
    scratch = Scratch()
    if cache.folder is not None:
        logger.info(f"{cache.folder} cannot be written, so nothing is kept there")
    return scratch.cache, scratch


def prepare(
    pipeline: Pipeline,
    catalogue: Manifest,
    encoder: Encoder[Any],
    *,
    learned: bool = False,
    reporter: ProgressReporter = SILENT,
) -> Dataset:
    """Divide, transpose and encode the pieces; the encoder learns from the training part first.

    Args:
        pipeline: what is wanted.
        catalogue: the pieces.
        encoder: what encodes them.
        learned: the encoder has learned already, and stays as it is.
        reporter: told how far it is.

    Raises:
        UserError: nothing is left to train on.
    """
    config, began = pipeline.corpus, time.time()
    division = divide(catalogue.pieces, catalogue.files, config, rules_of(config))
    wanted = _wanted(division, config)
    common = config.key == "common"
    if not learned and type(encoder).fit is not Encoder.fit:
        encoder.fit(Training(catalogue, wanted["train"], common))
    outcome = encode(
        [one for part in PARTS for one in wanted[part]],
        catalogue,
        pipeline.encoder,
        encoder,
        common=common,
        jobs=config.jobs,
        timeout=config.read_timeout,
        reporter=reporter,
    )
    dataset = _dataset(catalogue, division)
    for part in PARTS:
        for one in wanted[part]:
            _add(dataset, part, one, one.key(common), outcome)
    _trim(catalogue, began)
    if not dataset.parts["train"]:
        raise UserError(_nothing(config, dataset.skipped, catalogue.found.ignored))
    return dataset


def _wanted(division: Split, config: CorpusConfig) -> dict[SplitName, list[Wanted]]:
    """Return the pieces of each part, and after those of the training part their moved copies."""
    wanted = {part: [Wanted(piece) for piece in division.parts[part]] for part in PARTS}
    wanted["train"] += [
        Wanted(piece, shift)
        for shift in config.shifts
        for piece in division.parts["train"]
        if piece.known.kind == "score"
    ]
    return wanted


def _dataset(catalogue: Manifest, division: Split) -> Dataset:
    return Dataset(
        {part: [] for part in PARTS},
        list(catalogue.skipped),
        catalogue.found.notices,
        ignored=catalogue.found.ignored,
        warnings={piece.id: piece.warnings for piece in catalogue.pieces if piece.warnings},
        copies=division.copies,
        straddling=division.straddling,
        libraries=catalogue.libraries,
    )


def _add(dataset: Dataset, part: SplitName, one: Wanted, key: str, outcome: EncodeResult) -> None:
    if (reason := outcome.reason(key)) is not None:
        dataset.skipped.append(Skipped(one.id, reason))
        return
    dataset.lost.update(outcome.shards.lost(key))
    dataset.parts[part].append(outcome.shards.piece(one.id, one.fingerprint, key))


def _trim(catalogue: Manifest, since: float) -> None:
    """Bound the cache's size; what this preparation has used stays."""
    folder = catalogue.access.cache.folder
    if catalogue.keeper is None and folder is not None:
        trim(folder, size_limit(), min(since, catalogue.began))


def _nothing(config: CorpusConfig, skipped: Sequence[Skipped], ignored: Counter[str]) -> str:
    where = ", ".join(source.text for source in config.path)
    reasons = [f"{entry.path}: {entry.reason}" for entry in skipped]
    if len(reasons) > 20:
        reasons = [*reasons[:20], f"and {len(reasons) - 20} more"]
    if not skipped:
        others = ", ".join(f"{count} {suffix}" for suffix, count in ignored.most_common(5))
        reasons = [f"no music files found{f' (there are {others})' if others else ''}"]
    return f"no usable music in {where}: {'; '.join(reasons)}"


def total_steps(pieces: Iterable[EncodedPiece]) -> int:
    """Return how many time steps some pieces have together."""
    return int(np.sum([len(piece) for piece in pieces], dtype=np.int64))
