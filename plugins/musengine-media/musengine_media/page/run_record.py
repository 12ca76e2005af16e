"""What a run's folder tells of it, read without what the run needs to go on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musengine.api import (
    DiscoveryNotes,
    ReaderDeclaration,
    Registry,
    Score,
    Source,
    find_items,
    open_file,
    read_json,
    read_tables,
)
from musengine.errors import UserError

MOST_PIECES = 20
"""Of the newest pieces, and how many of those made on the way are shown, spread over the run."""
MOST_ON_THE_WAY = 6
MOST_LOG = 256 * 2**20
"""Bytes of a file of JSON lines that are read."""


@dataclass(frozen=True)
class Sample:
    """A generated piece in a run's folder.

    Attributes:
        name: of its files, without their endings.
        path: the file its music was read from.
        score: its music.
        origin: how it came to be, as `generated.jsonl` has it.
    """

    name: str
    path: Path
    score: Score
    origin: Mapping[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """A run as its folder shows it; what is not there is empty.

    Attributes:
        folder: the run's.
        pipeline: its tables.
        history: the lines of `metrics.jsonl`.
        state: how far it is.
        figures: what was measured, by part.
        split: which pieces are in which part, and what was left out.
        corpus: what the music it was trained on is like.
        versions: what it was begun with.
        samples: its newest pieces.
        earlier: how many pieces there are beside those.
        on_the_way: pieces made during the training.
        unreadable: a line for each piece that cannot be read.
    """

    folder: Path
    pipeline: Mapping[str, Any]
    history: list[Mapping[str, Any]]
    state: Mapping[str, Any]
    figures: Mapping[str, Any]
    split: Mapping[str, Any]
    corpus: Mapping[str, Any]
    versions: Mapping[str, Any]
    samples: list[Sample]
    earlier: int
    on_the_way: list[Sample]
    unreadable: list[str]

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.folder.resolve().name


def read_run(folder: Path, registry: Registry, pieces: Path | None = None) -> RunRecord:
    """Return what there is to know of a run.

    Args:
        folder: the run's.
        registry: what reads its pieces.
        pieces: the folder with them, `samples` without one.

    Raises:
        UserError: the folder holds none.
    """
    pipeline = folder / "pipeline.toml"
    if not pipeline.is_file():
        raise UserError(
            f"{folder} is not a run folder: it has no pipeline.toml", code="not-a-run-folder"
        )
    unreadable: list[str] = []
    found = _sample_files(pieces or folder / "samples", registry)
    newest = dict([*found.items()][-MOST_PIECES:])
    early = _sample_files(folder / "samples" / "training", registry)
    return RunRecord(
        folder=folder,
        pipeline=read_tables(pipeline),
        history=list(_lines(folder / "metrics.jsonl")),
        state=_object(folder / "state.json"),
        figures=_object(folder / "evaluation.json"),
        split=_object(folder / "split.json"),
        corpus=_object(folder / "corpus.json"),
        versions=_object(folder / "versions.json"),
        samples=list(_samples(newest, registry, unreadable)),
        earlier=len(found) - len(newest),
        on_the_way=list(_samples(_spread(early), registry, unreadable)),
        unreadable=unreadable,
    )


def _object(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    with contextlib.suppress(UserError):
        value = read_json(path)
        if isinstance(value, dict):
            return value
    return {}


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a file of JSON lines, of which the last may be half written."""
    if not path.is_file() or path.stat().st_size > MOST_LOG:
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


def _sample_files(folder: Path, registry: Registry) -> dict[str, Path]:
    """Return one file of music for each piece of a folder, a MIDI file where there is one."""
    suffixes = [
        suffix
        for entry in registry.of_kind("reader")
        if "score" in entry.declared(ReaderDeclaration).content
        for suffix in entry.declared(ReaderDeclaration).suffixes
    ]
    if not folder.is_dir():
        return {}
    files = [path for path in folder.iterdir() if path.suffix in suffixes and path.is_file()]
    # False sorts before True: of a piece's files the MIDI file comes first.
    files.sort(key=lambda path: (path.stem, path.suffix not in (".mid", ".midi")))
    found: dict[str, Path] = {}
    for path in files:
        found.setdefault(path.stem, path)
    return found


def _spread(files: Mapping[str, Path]) -> dict[str, Path]:
    """Return some of the files, the first and the last among them."""
    names = list(files)
    if len(names) <= MOST_ON_THE_WAY:
        return dict(files)
    places = (
        round(index * (len(names) - 1) / (MOST_ON_THE_WAY - 1)) for index in range(MOST_ON_THE_WAY)
    )
    return {names[place]: files[names[place]] for place in places}


def _samples(
    files: Mapping[str, Path], registry: Registry, unreadable: list[str]
) -> Iterator[Sample]:
    origins: dict[str, Mapping[str, Any]] = {}
    for folder in {path.parent for path in files.values()}:
        origins |= {str(line.get("piece")): line for line in _lines(folder / "generated.jsonl")}
    for name, path in files.items():
        try:
            score = _read(path, registry)
        except UserError as error:
            unreadable.append(f"{path.name}: {error.lines[0]}")
        else:
            yield Sample(name, path, score, origins.get(name, {}))


def _read(path: Path, registry: Registry) -> Score:
    """Return the first score of a file.

    Raises:
        UserError: there is none.
    """
    source = Source(str(path.resolve()))
    for reader, item in find_items(source, registry, None, DiscoveryNotes(), ("score",)):
        for piece in open_file(reader, item):
            if isinstance(piece.content, Score):
                return piece.content
    raise UserError("holds no music", code="no-music")
