"""The music that pieces are compared with: a folder's, or what a run was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from musengine.data.decoding import as_score
from musengine.interfaces.encoder import EncodedPiece, Encoder
from musengine.interfaces.metric import Reference
from musengine.music.score import Score

Named = tuple[str, Score]


def of_pieces(
    train: Sequence[EncodedPiece], held_out: Sequence[EncodedPiece], encoder: Encoder[Any]
) -> Reference:
    """Return encoded pieces as scores, decoded when they are asked for."""
    return Reference(lambda: _decoded(train, encoder), lambda: _decoded(held_out, encoder))


def _decoded(pieces: Iterable[EncodedPiece], encoder: Encoder[Any]) -> Iterator[Named]:
    for piece in pieces:
        # A text that stands for no score has no notes to compare.
        if (score := as_score(piece.encoded.steps, encoder)) is not None:
            yield piece.id, score
