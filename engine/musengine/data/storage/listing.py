"""The listing of a corpus: what was found in each of its files, in one file of the cache.

As objects the pieces of a hundred thousand files would take some hundred megabytes, and each of
their cache entries would be opened at every start. Here all are texts in a row, of which one is
read when it is asked for; in memory are three small numbers for each piece.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import io
import json
import os
import tempfile
import threading
from array import array
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from musengine.data.manifest import PieceInfo, Skipped
from musengine.data.storage.cache import Cache
from musengine.data.storage.tensor_file import (
    DamagedError,
    Span,
    lost,
    read_tensors,
    write_tensors,
)
from musengine.errors import UserError, machine_apart
from musengine.music.prevailing import Prevailing
from musengine.utils.arrays import Array, Int32Array, occurrences
from musengine.utils.files import whole_file
from musengine.utils.lazy import LazySequence

IDENTITY = 16
"""Bytes of what a file is recognised by."""

_KEY = 32
"""Bytes of the key of a file's pieces."""

UNKNOWN = bytes(IDENTITY)
"""The identity of a file that is to be looked at anew the next time."""

_BLOCK = 2**12
"""Files that are looked up at once: what this takes does not grow with the corpus."""

_TEXTS = 2**20
"""Bytes of texts that are kept in memory while a listing is made; more go to a temporary file."""
_TEXT_BLOCK = 2**16
"""Bytes of them that are copied at once."""
_NAME = 16
"""Bytes of a hash of an id: no two of different ids are equal."""

_SETTLED = 2 * 10**9
"""Nanoseconds after a file's last change during which it may change again unnoticed: file systems
count the time of a change in steps of up to two seconds."""


def identity_of(path: str, names: Sequence[str], now: int) -> bytes:
    """Return what a file is recognised by without being read.

    It follows from its size, its inode, the times of its last changes and its names. A file that
    changed a moment ago has none.

    Args:
        path: the file.
        names: whatever else makes it another file for the corpus.
        now: nanoseconds since 1970, from before it was read.
    """
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return UNKNOWN
    if not max(found.st_mtime_ns, found.st_ctime_ns) < now - _SETTLED:
        return UNKNOWN
    numbers = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)
    return hashlib.sha256(repr((numbers, *names)).encode("utf-8", "replace")).digest()[:IDENTITY]


class Listing:
    """The files of a corpus that hold music, and the infos of their pieces.

    Args:
        file: what `ListingBuilder` wrote; it is read for each piece that is asked for.

    Raises:
        DamagedError: it is not whole.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._lock = file, threading.Lock()
        self._spans, record = read_tensors(file)
        try:
            self.skipped = {
                int(row): [Skipped(*each) for each in those]
                for row, those in record["skipped"].items()
            }
            self.warned: list[int] = record["warned"]
            names = ("text_ends", "numbers", "piece_ends")
            self._text_ends, self._numbers, self._piece_ends = map(self._narrow, names)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedError from error

    @classmethod
    def in_cache(cls, cache: Cache, key: str) -> Listing | None:
        """Return the listing under a key; None where there is none, or none that is whole."""
        path = _path(cache, key)
        file = None
        try:
            file = path.open("rb", buffering=2**16)
            listing = cls(file)
            os.utime(path)  # `cache.trim` deletes the least recently used
        except (DamagedError, OSError):
            if file is not None:
                file.close()
            return None
        return listing

    @property
    def files(self) -> int:
        """How many files there are."""
        return len(self._piece_ends)

    @property
    def pieces(self) -> int:
        """How many pieces there are."""
        return len(self._text_ends)

    def rows(self, identities: bytes | bytearray) -> Int32Array:
        """Return (N,): the row of each file, -1 where it has none.

        Args:
            identities: N times `IDENTITY` bytes, what each file is recognised by.
        """
        own = self._column("identities").reshape(-1).view(f"S{IDENTITY}")
        wanted = np.frombuffer(identities, own.dtype)
        rows = np.full(len(wanted), -1, dtype=np.int32)
        order = np.argsort(own, kind="stable")
        for start in range(0, len(wanted) if len(own) else 0, _BLOCK):
            some = wanted[start : start + _BLOCK]
            at = order[np.minimum(np.searchsorted(own, some, sorter=order), len(own) - 1)]
            same = (own[at] == some) & (some != np.bytes_(UNKNOWN))
            rows[start : start + _BLOCK] = np.where(same, at, -1)
        return rows

    def key(self, row: int) -> str:
        """Return what a file's pieces are cached under."""
        return self._bytes(self._spans["keys"], row, row + 1).hex()

    def pieces_of(self, row: int) -> range:
        """Return which pieces are a file's."""
        start = int(self._piece_ends[row - 1]) if row else 0
        return range(start, int(self._piece_ends[row]))

    def text(self, piece: int) -> bytes:
        """Return what is known of a piece, as it is kept."""
        start = int(self._text_ends[piece - 1]) if piece else 0
        return self._bytes(self._spans["texts"], start, int(self._text_ends[piece]))

    def info(self, piece: int) -> PieceInfo:
        """Return the info of a piece; its id is unique, and `file` the row of its file."""
        info, number = unpacked(self.text(piece)), int(self._numbers[piece])
        # Pieces without a note of their own have a row, too: the first that ends behind this one.
        file = bisect.bisect_right(self._piece_ends, piece)
        return replace(info, id=info.id if number == 1 else f"{info.id}~{number}", file=file)

    def _narrow(self, name: str) -> Array:
        """Return a column of numbers, each in no more bytes than the largest needs."""
        column = self._column(name)
        return column.astype(np.min_scalar_type(int(column.max(initial=0))))

    def _column(self, name: str) -> Array:
        span = self._spans[name]
        data = self._bytes(span, 0, span.steps)
        return np.frombuffer(data, span.dtype).reshape(span.steps, *span.inner)

    def _bytes(self, span: Span, start: int, stop: int) -> bytes:
        # Read and not mapped: pages that were touched would count as this process's memory.
        with self._lock:
            self._file.seek(span.offset + start * span.step_bytes)
            data = self._file.read((stop - start) * span.step_bytes)
        if len(data) < (stop - start) * span.step_bytes:
            raise lost(self._file.name, "it is shorter than it was")
        return data


class ListingBuilder:
    """Makes a listing, file by file."""

    def __init__(self) -> None:
        self._identities, self._keys, self._names = bytearray(), bytearray(), bytearray()
        self._texts = tempfile.SpooledTemporaryFile(_TEXTS)  # noqa: SIM115 - `finish` closes it
        self._piece_ends, self._text_ends, self._warned = array("q"), array("q"), array("q")
        self._skipped: dict[int, list[Skipped]] = {}

    def add(self, identity: bytes, key: str, infos: Sequence[PieceInfo | Skipped]) -> None:
        """Add a file with what was found in it."""
        kept = [info for info in infos if isinstance(info, PieceInfo)]
        left = [info for info in infos if isinstance(info, Skipped)]
        self._add(identity, key, [(info.id, packed(info), bool(info.warnings)) for info in kept])
        if left:
            self._skipped[len(self._piece_ends) - 1] = left

    def copy(self, listing: Listing, row: int, identity: bytes) -> None:
        """Add a file with what another listing says of it."""
        texts = [listing.text(piece) for piece in listing.pieces_of(row)]
        infos = map(unpacked, texts)
        pieces = [(i.id, text, bool(i.warnings)) for i, text in zip(infos, texts, strict=True)]
        self._add(identity, listing.key(row), pieces)
        if row in listing.skipped:
            self._skipped[len(self._piece_ends) - 1] = listing.skipped[row]

    def _add(self, identity: bytes, key: str, pieces: Sequence[tuple[str, bytes, bool]]) -> None:
        self._identities += identity
        self._keys += bytes.fromhex(key)
        for name, text, warned in pieces:
            encoded = name.encode("utf-8", "surrogateescape")
            self._names += hashlib.blake2b(encoded, digest_size=_NAME).digest()
            if warned:
                self._warned.append(len(self._text_ends))
            with machine_apart():
                self._texts.write(text)
            self._text_ends.append(self._size + len(text))
        self._piece_ends.append(len(self._text_ends))

    def finish(self, cache: Cache, key: str | None) -> Listing:
        """Return the listing, kept in the cache if it is to have a key and can be written.

        No file can be added after that.
        """
        with self._texts:
            return self._finished(cache, key)

    def _finished(self, cache: Cache, key: str | None) -> Listing:
        # Where every file changed a moment ago there is nothing to recognise one by.
        if key is not None and self._identities.strip(b"\0"):
            path = _path(cache, key)
            with contextlib.suppress(UserError):
                # Its sums reveal damage by a power failure: no fsync, which is slow.
                with whole_file(path, durable=False) as aside, aside.open("wb") as file:
                    self._write(file)
                if (kept := Listing.in_cache(cache, key)) is not None:
                    return kept
        memory = io.BytesIO()
        self._write(memory)
        memory.seek(0)
        return Listing(memory)

    @property
    def _size(self) -> int:
        """Bytes of all texts."""
        return self._text_ends[-1] if self._text_ends else 0

    def _text_block(self, start: int) -> Array:
        with machine_apart():
            self._texts.seek(start)
            return np.frombuffer(self._texts.read(_TEXT_BLOCK), np.uint8)

    def _write(self, file: BinaryIO) -> None:
        columns: dict[str, Array] = {
            "identities": np.frombuffer(self._identities, np.uint8).reshape(-1, IDENTITY),
            "keys": np.frombuffer(self._keys, np.uint8).reshape(-1, _KEY),
            "text_ends": np.array(self._text_ends, dtype=np.int64),
            "piece_ends": np.array(self._piece_ends, dtype=np.int64),
            # In the order of files, not in the order in which workers finish.
            "numbers": occurrences(np.frombuffer(self._names, f"S{_NAME}")),
        }
        # One at least, as an array of no parts has no kind.
        starts = range(0, max(self._size, 1), _TEXT_BLOCK)
        texts = LazySequence(self._text_block, starts)
        skipped = {
            row: [[each.path, each.reason] for each in those]
            for row, those in self._skipped.items()
        }
        record = {"skipped": skipped, "warned": self._warned.tolist()}
        parts = {name: [column] for name, column in columns.items()}
        write_tensors(file, {**parts, "texts": texts}, record)


def _path(cache: Cache, key: str) -> Path:
    assert cache.folder is not None
    return cache.folder / "listings" / f"{key}.safetensors"


_FIELDS = (
    "id",
    "index",
    "style",
    "part",
    "warnings",
    "kind",
    "size",
    "fingerprint",
    "notes_hash",
    "content_hash",
    "source_id",
)


def packed(info: PieceInfo) -> bytes:
    """Return an info as a text; without its file."""
    values = [getattr(info, name) for name in _FIELDS]
    return json.dumps([*values, astuple(info.prevailing)]).encode()


def unpacked(text: bytes) -> PieceInfo:
    """Return the info that a text stands for."""
    *values, prevailing = json.loads(text)
    tempo, meter, key, program, velocity = prevailing
    own = dict(zip(_FIELDS, values, strict=True))
    own["warnings"] = tuple(own["warnings"])
    return PieceInfo(
        **own,
        prevailing=Prevailing(
            tempo=tempo,
            meter=None if meter is None else tuple(meter),
            key=None if key is None else tuple(key),
            program=program,
            velocity=velocity,
        ),
    )
