"""Loading of one file's pieces: from the cache, else through its reader."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from musengine.data.extraction import Extraction
from musengine.data.manifest import PieceInfo, Skipped, SourceFile
from musengine.data.storage.cache import Cache, key_of
from musengine.data.storage.serialization import (
    JSONObject,
    pack_pieces,
    unpack_infos,
    unpack_pieces,
)
from musengine.errors import UnreadableError
from musengine.interfaces.contracts.values import check_pieces
from musengine.interfaces.reader import Item, Reader
from musengine.music.piece import Piece
from musengine.plugins.registry import Component
from musengine.plugins.sources import code_version
from musengine.utils.files import what_instead


class PieceLoader:
    """Loads the pieces of files in any process, from the cache where they were read before.

    Args:
        readers: those that files name by index.
        cache: where pieces are kept.
        extraction: what an encoder makes of each piece, where it is not used as it is.
    """

    def __init__(
        self, readers: Sequence[Component], cache: Cache, extraction: Extraction | None = None
    ) -> None:
        self.readers, self.cache, self.extraction = tuple(readers), cache, extraction
        # Readers are made where they are used, in each worker: an instance need not survive
        # pickling.
        self._created: dict[int, tuple[Reader[Any], str]] = {}

    def __reduce__(self) -> Any:
        return PieceLoader, (self.readers, self.cache, self.extraction)

    def library(self, reader: int) -> str:
        """Return the library, with its version, that a reader reads through."""
        return self._reader(reader)[1]

    def key(self, reader: int, item: Item) -> str:
        """Return what a file's pieces are cached under; reads all its bytes."""
        _require_file(item)
        with item.path.open("rb") as file:
            # In blocks: a file may be larger than memory.
            digest = hashlib.sha256()
            while block := file.read(2**20):
                digest.update(block)
        return key_of(
            "pieces",
            digest.hexdigest(),
            # Id and style are part of the key since they are stored with the pieces.
            item.id,
            item.style,
            *self._read_by(reader),
            *([] if self.extraction is None else self.extraction.key()),
        )

    def listing_key(self, listed_as: Sequence[object]) -> str:
        """Return what the listing of a corpus is kept under: how it is read, and what it is."""
        extraction = None if self.extraction is None else self.extraction.key()
        readers = [self._read_by(reader) for reader in range(len(self.readers))]
        return key_of("listing", readers, extraction, *listed_as)

    def _read_by(self, reader: int) -> list[object]:
        """Return what the pieces of a file depend on beside its bytes and names."""
        component = self.readers[reader]
        version = code_version(component.entry)
        return [component.name, version, self.library(reader), component.config]

    def pieces(self, file: SourceFile) -> list[Piece]:
        """Return the pieces of a file.

        Raises:
            UnreadableError: it holds none, or has changed; the message says why.
        """
        if self.cache.folder is None and self.extraction is None:
            return read_item(self._reader(file.reader)[0], file.item)  # nothing is kept or packed
        if (stored := self.cache.get(file.key)) is not None:
            return unpack_pieces(*stored)
        # The key is of the bytes that were there when the corpus was listed. Splits are made by
        # then, so other music under the same name must not slip in.
        if self.key(file.reader, file.item) != file.key:
            raise UnreadableError("it changed while the corpus was being read", code="file-changed")
        return self._read_and_cache(file)[0]

    def infos(self, file: SourceFile) -> list[PieceInfo | Skipped]:
        """Return the infos of a file's pieces, and the pieces of which nothing was extracted.

        Raises:
            UnreadableError: it holds none; the message says why.
        """
        cached = self.cached_infos(file)
        return cached if cached is not None else unpack_infos(self._read_and_cache(file)[1])

    def cached_infos(self, file: SourceFile) -> list[PieceInfo | Skipped] | None:
        """Return the same from the cache, without its music; None where it is not there."""
        stored = self.cache.get_json(file.key)
        return None if stored is None else unpack_infos(stored)

    def _read_and_cache(self, file: SourceFile) -> tuple[list[Piece], list[JSONObject]]:
        pieces = read_item(self._reader(file.reader)[0], file.item)
        pack = pack_pieces if self.extraction is None else self.extraction.pack
        arrays, entries = pack(pieces)
        self.cache.put(file.key, arrays, entries)
        # Unpacked again even where it was just read: fresh and cached pieces are then the same to
        # the bit.
        return unpack_pieces(arrays, entries), entries

    def _reader(self, index: int) -> tuple[Reader[Any], str]:
        if index not in self._created:
            reader: Reader[Any] = self.readers[index].create()
            self._created[index] = reader, reader.library()
        return self._created[index]


def read_item(reader: Reader[Any], item: Item) -> list[Piece]:
    """Read the pieces of one file.

    Raises:
        UnreadableError: there is none; the message says why.
    """
    _require_file(item)
    pieces = list(check_pieces(reader, reader.read(item)))
    if not pieces:
        raise UnreadableError("no pieces in it", code="no-pieces")
    return pieces


def _require_file(item: Item) -> None:
    """Refuse what is no file, such as a pipe, from which reading may wait for ever."""
    if (kind := what_instead(item.path)) not in ("", "a folder"):
        raise UnreadableError(f"it is {kind}, not a file", code="not-a-file")
