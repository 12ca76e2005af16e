"""The music that pieces are compared with: a folder's, or what a run was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from musengine.components.encoders import DecodeSettings, EncodedPiece, Encoder
from musengine.components.metrics import Reference
from musengine.errors import UnreadableError, UserError
from musengine.quantities import Source
from musengine.reading import Reading, read_sources
from musengine.registry import Registry
from musengine.runfolder import RunFolder
from musengine.score import Score, Text

Named = tuple[str, Score]


def read_scores(paths: Sequence[str], registry: Registry, jobs: int = 0) -> Reading:
    """Read files, folders or built-in corpora as scores.

    Raises:
        UserError: nothing of them can be read.
    """
    sources = [Source.from_toml(path, Path.cwd()) for path in paths]
    reading = read_sources(sources, registry, accepts=("score",), jobs=jobs)
    if not reading.pieces:
        reasons = [f"{entry.path}: {entry.reason}" for entry in reading.skipped[:10]]
        raise UserError(f"no music in {', '.join(paths)}: {'; '.join(reasons) or 'no music files'}")
    return reading


def reference(against: str, registry: Registry, jobs: int = 0) -> Reference:
    """Return the music of a run folder, or of a file, a folder or a built-in corpus.

    Raises:
        UserError: there is none.
    """
    if RunFolder(Path(against)).exists:
        return of_run(RunFolder(Path(against)), registry)
    pieces = [
        (piece.id, piece.content)
        for piece in read_scores([against], registry, jobs).pieces
        if isinstance(piece.content, Score)
    ]
    return Reference(lambda: pieces, tuple)


def of_run(run: RunFolder, registry: Registry) -> Reference:
    """Return what a run was trained on and what it held out, as its encoder gives it back.

    Raises:
        UserError: the run is none, or its music is not there any more.
    """
    from musengine.corpus import prepare, read_corpus
    from musengine.trained import load_trained

    pipeline = run.read_pipeline(registry)
    encoder = load_trained(pipeline, run).encoder
    dataset = prepare(pipeline, read_corpus(pipeline, registry), encoder, learned=True)
    run.check_split(dataset)
    held_out = [*dataset.parts["valid"], *dataset.parts["test"]]
    return of_pieces(dataset.parts["train"], held_out, encoder)


def of_pieces(
    train: Sequence[EncodedPiece], held_out: Sequence[EncodedPiece], encoder: Encoder[Any]
) -> Reference:
    """Return encoded pieces as scores, decoded when they are asked for."""
    return Reference(lambda: _decoded(train, encoder), lambda: _decoded(held_out, encoder))


def _decoded(pieces: Iterable[EncodedPiece], encoder: Encoder[Any]) -> Iterator[Named]:
    settings = DecodeSettings()
    for piece in pieces:
        content = encoder.decode(piece.encoded.steps, settings)
        if isinstance(content, Text):
            # A text that stands for no score has no notes to compare.
            try:
                content = encoder.score_of(content, settings)
            except (UnreadableError, NotImplementedError):
                continue
        yield piece.id, content
