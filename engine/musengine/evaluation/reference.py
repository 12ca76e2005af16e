"""The music that pieces are compared with: a folder's, or what a run was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from musengine.data.reading import ReadResult, read_sources
from musengine.errors import UnreadableError, UserError
from musengine.interfaces.encoder import DecodeSettings, EncodedPiece, Encoder
from musengine.interfaces.metric import Reference
from musengine.music.score import Score, Text
from musengine.pipeline.values import Source
from musengine.plugins.registry import Registry

Named = tuple[str, Score]


def read_scores(paths: Sequence[str], registry: Registry, jobs: int = 0) -> ReadResult:
    """Read files, folders or built-in corpora as scores.

    Raises:
        UserError: nothing of them can be read.
    """
    sources = [Source.from_toml(path, Path.cwd()) for path in paths]
    reading = read_sources(sources, registry, accepts=("score",), jobs=jobs)
    if not reading.pieces:
        reasons = [f"{entry.path}: {entry.reason}" for entry in reading.skipped[:10]]
        raise UserError(
            f"no music in {', '.join(paths)}: {'; '.join(reasons) or 'no music files'}",
            code="no-music",
        )
    return reading


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
