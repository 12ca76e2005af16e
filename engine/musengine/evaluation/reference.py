"""The music that pieces are compared with: a folder's, or what a run was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from musengine.errors import UnreadableError
from musengine.interfaces.encoder import DecodeSettings, EncodedPiece, Encoder
from musengine.interfaces.metric import Reference
from musengine.music.score import Score, Text

Named = tuple[str, Score]


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
