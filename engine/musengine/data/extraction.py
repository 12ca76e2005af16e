"""What an encoder takes of the pieces of a file, where that is not simply each as it is."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from musengine.config.fields import to_table
from musengine.data.cache import Arrays, pack_pieces
from musengine.errors import UnreadableError, is_strict
from musengine.interfaces.encoder import Encoder
from musengine.music.score import Piece
from musengine.plugins.registry import Component


def taking_of(component: Component) -> Extraction | None:
    """Return what an encoder takes of a piece; None for one that takes pieces as they are."""
    encoder: type[Encoder[Any]] = component.entry.load()
    as_it_is = encoder.pieces is Encoder.pieces and encoder.copy_key is Encoder.copy_key
    return None if as_it_is else Extraction(component)


class Extraction:
    """Takes pieces apart as an encoder wishes, in any process."""

    def __init__(self, component: Component) -> None:
        self.component = component

    def __reduce__(self) -> Any:
        return Extraction, (self.component,)

    @functools.cached_property
    def encoder(self) -> Encoder[Any]:
        """The encoder; it has learned nothing yet."""
        encoder: Encoder[Any] = self.component.create()
        return encoder

    @property
    def whose(self) -> str:
        """The encoder and where it comes from."""
        return f"encoder {self.component.name!r} of {self.component.entry.origin}"

    def key(self) -> list[Any]:
        """Return what the outcome depends on beside the pieces."""
        return [self.whose, to_table(self.component.config)]

    def pack(self, pieces: Sequence[Piece]) -> tuple[Arrays, Any]:
        """Return what is taken of a file's pieces as the cache keeps it.

        Each entry says of which piece it is, in `of`; at the end are those of which nothing is
        taken, each with its reason in `refused`.

        Raises:
            UnreadableError: nothing is taken of any of them; the message says why.
        """
        taken: list[Piece] = []
        whole: list[str] = []
        refused = []
        for piece in pieces:
            try:
                parts = self._parts(piece)
            except UnreadableError as error:
                refused.append({"id": piece.id, "refused": error.lines[0]})
                continue
            taken += parts
            whole += [piece.id] * len(parts)
        if not taken:
            raise UnreadableError(refused[0]["refused"])
        arrays, entries = pack_pieces(taken, self.encoder.copy_key)
        for entry, of in zip(entries, whole, strict=True):
            entry["of"] = of
        return arrays, [*entries, *refused]

    def _parts(self, piece: Piece) -> list[Piece]:
        try:
            parts = list(self.encoder.pieces(piece))
        except UnreadableError:
            raise
        # A plugin's fault with one piece must not lose the others.
        except Exception as error:
            if is_strict():
                raise
            raise UnreadableError(f"{self.whose} failed: {error}") from error
        if not parts:
            raise UnreadableError(f"{self.whose} takes nothing of it")
        return parts
