"""Extraction: the pieces that an encoder makes of one, such as its single melodies."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from musengine.config.fields import to_table
from musengine.data.manifest import PieceInfo, Skipped
from musengine.data.storage.serialization import JSONObject, pack_pieces, pack_skipped
from musengine.errors import MachineError, UnreadableError, is_strict, machine_apart
from musengine.interfaces.encoder import Encoder
from musengine.music.piece import Piece
from musengine.plugins.registry import Component
from musengine.plugins.sources import code_version
from musengine.utils.arrays import Array


def extraction_of(component: Component) -> Extraction | None:
    """Return the extraction of an encoder; None for one that uses every piece as it is."""
    encoder: type[Encoder[Any]] = component.entry.load()
    # Neither method is overridden: nothing to extract, and the cached pieces serve all such
    # encoders.
    as_it_is = encoder.pieces is Encoder.pieces and encoder.copy_key is Encoder.copy_key
    return None if as_it_is else Extraction(component)


class Extraction:
    """Extracts pieces by an encoder's `pieces`, in any process.

    Args:
        component: the encoder's declaration and settings.
    """

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
    def provider(self) -> str:
        """The encoder and the distribution it comes from, for messages."""
        return f"encoder {self.component.name!r} of {self.component.entry.origin}"

    def key(self) -> list[Any]:
        """Return what the result depends on beside the pieces."""
        code = code_version(self.component.entry)
        return [self.component.name, code, to_table(self.component.config)]

    def pack(self, pieces: Sequence[Piece]) -> tuple[dict[str, Array], list[JSONObject]]:
        """Return what is extracted of a file's pieces as the cache keeps it.

        At the end are the pieces of which nothing is extracted, each with the reason.

        Raises:
            UnreadableError: nothing is extracted of any of them; the message says why.
        """
        extracted: list[Piece] = []
        infos: list[PieceInfo] = []
        skipped: list[Skipped] = []
        codes: list[str] = []
        for piece in pieces:
            try:
                parts = self._extract(piece)
            except UnreadableError as error:
                skipped.append(Skipped(piece.id, error.lines[0]))
                codes.append(error.code)
                continue
            for part in parts:
                notes_hash = self.encoder.copy_key(part.content)
                infos.append(
                    PieceInfo.of(part, len(infos), notes_hash=notes_hash, source_id=piece.id)
                )
            extracted += parts
        if not extracted:
            raise UnreadableError(skipped[0].reason, code=codes[0])
        arrays, entries = pack_pieces(extracted, infos)
        return arrays, [*entries, *map(pack_skipped, skipped)]

    def _extract(self, piece: Piece) -> list[Piece]:
        try:
            with machine_apart():
                parts = list(self.encoder.pieces(piece))
        except (MachineError, UnreadableError):
            raise
        # A plugin's fault with one piece must not lose the others.
        except Exception as error:
            if is_strict():
                raise
            raise UnreadableError(
                f"{self.provider} failed: {error}", code="plugin-failed"
            ) from error
        if not parts:
            raise UnreadableError(f"{self.provider} takes nothing of it", code="nothing-extracted")
        return parts
