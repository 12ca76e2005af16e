"""Shards: encoded pieces in memory-mapped files, so that memory does not grow with the corpus.

A shard is a safetensors file, but neither written nor mapped by that library. It would need a
shard's arrays in one piece each, which is as much memory again; and what it has mapped it holds,
so that every page ever touched counts as the process's memory: the corpus as a whole after one
epoch. Memory-mapped `.npy` files are one for each array, without checksums.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from musengine.data.storage.cache import Scratch
from musengine.errors import UserError
from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.utils.arrays import Array
from musengine.utils.files import whole_file

FULL = 24 * 2**20
"""Bytes of arrays after which a shard is full; a longer piece has one to itself."""

_HEADER_LIMIT = 64 * 2**20
_OPEN = 128
"""Shards that are mapped at once: each takes one of the process's open files."""

_RESIDENT = 12 * 2**20
"""Bytes that may be touched before the pages in memory are released."""

ShardEntry = tuple[str, "Encoded | str"]
"""A piece's key with its arrays, or with the reason why the encoder refuses it."""


class DamagedError(Exception):
    """A file is no whole shard."""


@dataclass(frozen=True)
class _Span:
    """Where in a file the array is that holds many pieces, one after another along time."""

    dtype: np.dtype[Any]
    inner: tuple[int, ...]
    offset: int
    steps: int

    # Kept: each row of each batch asks for them.
    @cached_property
    def step_bytes(self) -> int:
        return math.prod(self.inner) * self.dtype.itemsize

    @cached_property
    def end(self) -> int:
        return self.offset + self.steps * self.step_bytes


@dataclass(frozen=True, slots=True)
class _Location:
    """Where a piece is: its shard, the arrays that hold it, the first step and their number."""

    shard: Path
    spans: Mapping[str, _Span]
    start: int
    steps: int
    dropped: Mapping[str, int]
    notes: int


def write_shards(folder: Path, entries: Iterable[ShardEntry]) -> list[Path]:
    """Write encoded pieces, in order, to as many shards as they fill.

    A shard is named by the keys in it and holds nothing but what follows from them, so writing it
    again, or by two processes at once, changes nothing.
    """
    written: list[Path] = []
    pending: list[ShardEntry] = []
    size = 0
    for entry in entries:
        added = (
            0 if isinstance(entry[1], str) else sum(a.nbytes for a in _arrays(entry[1]).values())
        )
        # Cut before the entry that would not fit: a shard is at most as large as FULL or one piece.
        if pending and size + added > FULL:
            written.append(_write_shard(folder, pending))
            pending, size = [], 0
        pending.append(entry)
        size += added
    if pending:
        written.append(_write_shard(folder, pending))
    return written


def _arrays(encoded: Encoded) -> dict[str, Array]:
    conditioning = {
        f"conditioning.{name}": channel for name, channel in sorted(encoded.conditioning.items())
    }
    return {"steps": encoded.steps, **conditioning}


def _write_shard(folder: Path, entries: Sequence[ShardEntry]) -> Path:
    name = hashlib.sha256("\n".join(key for key, _ in entries).encode()).hexdigest()[:32]
    path = folder / f"{name}.safetensors"
    groups: dict[Any, list[dict[str, Array]]] = {}
    pieces, refused = [], {}
    keep: dict[str, str] = {}
    for key, result in entries:
        if isinstance(result, str):
            refused[key] = result
            continue
        arrays = _arrays(result)
        # Arrays of one kind lie one after another; other encoders' pieces may differ in kind.
        kind = tuple((name, array.dtype.str, array.shape[1:]) for name, array in arrays.items())
        group = groups.setdefault(kind, [])
        start = sum(len(other["steps"]) for other in group)
        dropped = {str(what): int(count) for what, count in result.dropped.items()}
        place = list(groups).index(kind)
        pieces.append([key, place, start, len(result.steps), dropped, int(result.notes)])
        group.append(arrays)
        keep.update(result.keep)
    parts = {
        f"{number}.{name}": [arrays[name] for arrays in group]
        for number, group in enumerate(groups.values())
        for name in group[0]
    }
    with whole_file(path, "corpus.cache") as temporary:
        _write_tensors(temporary, parts, {"pieces": pieces, "refused": refused, "keep": keep})
    return path


def _write_tensors(path: Path, parts: Mapping[str, Sequence[Array]], record: Any) -> None:
    """Write arrays, each in parts along its first axis, as a safetensors file."""
    # Wider numbers first, so that each stands at a multiple of its width.
    order = sorted(parts, key=lambda name: -parts[name][0].dtype.itemsize)
    header: dict[str, Any] = {}
    sums: dict[str, int] = {}
    offset = 0
    for name in order:
        first = parts[name][0]
        size, crc = 0, 0
        for array in parts[name]:
            data = np.ascontiguousarray(array)
            size += data.nbytes
            # Against damage, not against malice, and much faster than a hash. `data.data` of an
            # empty array is no buffer that crc32 takes.
            crc = zlib.crc32(data.data, crc) if data.size else crc
        header[name] = {
            "dtype": _NAMES[first.dtype.str],
            "shape": [sum(len(array) for array in parts[name]), *first.shape[1:]],
            "data_offsets": [offset, offset + size],
        }
        sums[name] = crc
        offset += size
    text = json.dumps({**record, "sums": sums}, sort_keys=True)
    metadata = {"musengine": f"{_digest(header, text)} {text}"}
    head = json.dumps({"__metadata__": metadata, **header}).encode()
    # The arrays begin at a multiple of 8, so that float64 can be mapped as it lies.
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name in order:
            for array in parts[name]:
                file.write(np.ascontiguousarray(array).data)


_NAMES = {
    "|b1": "BOOL",
    "|u1": "U8",
    "|i1": "I8",
    "<u2": "U16",
    "<i2": "I16",
    "<u4": "U32",
    "<i4": "I32",
    "<u8": "U64",
    "<i8": "I64",
    "<f2": "F16",
    "<f4": "F32",
    "<f8": "F64",
}
"""The kinds of numbers a shard may hold, as NumPy and as safetensors calls them."""
_DTYPES = {name: np.dtype(kind) for kind, name in _NAMES.items()}


def storable(encoded: Encoded) -> str:
    """Return why an encoder's arrays cannot be kept, or an empty string."""
    for name, array in _arrays(encoded).items():
        if array.dtype.str not in _NAMES:
            return f"its array {name!r} is of type {array.dtype}, which cannot be kept"
        if array.ndim == 0 or len(array) != len(encoded.steps):
            return f"its array {name!r} does not have one entry for each step"
    return ""


class Shards:
    """The shards of one encoder, and where in them each piece is.

    Args:
        folder: where they are.
        scratch: what keeps the folder alive where it is a temporary one.
    """

    def __init__(self, folder: Path, scratch: Scratch | None = None) -> None:
        self.folder, self.scratch = folder, scratch
        self.refused: dict[str, str] = {}
        self.keep: dict[str, str] = {}
        self._locations: dict[str, _Location] = {}
        self._maps: OrderedDict[Path, mmap.mmap] = OrderedDict()
        self._touched = 0

    def __contains__(self, key: str) -> bool:
        return key in self._locations or key in self.refused

    def find(self) -> None:
        """Add all shards in the folder; a damaged one is removed."""
        for path in sorted(self.folder.glob("*.safetensors")):
            if not path.name.startswith("."):
                self.add(path)

    def add(self, path: Path) -> None:
        """Add the pieces of a shard; one that is damaged is removed."""
        try:
            pieces, refused, keep = _read(path)
            os.utime(path)  # `cache.trim` deletes the least recently used
        except (DamagedError, OSError):
            path.unlink(missing_ok=True)
            return
        self.refused.update(refused)
        self.keep.update(keep)
        for key, location in pieces.items():
            self._locations.setdefault(key, location)

    def piece(self, name: str, fingerprint: str, key: str) -> EncodedPiece:
        """Return a piece whose arrays are looked up when they are asked for."""
        return MappedPiece(name, fingerprint, self, self._locations[key])

    def dropped(self, key: str) -> Mapping[str, int]:
        """Return what did not fit into a piece's arrays, counted by a word."""
        return self._locations[key].dropped

    def encoded(self, location: _Location) -> Encoded:
        """Return a piece's arrays as views of the file; changes to them are not written."""
        mapped = self._map(location.shard)
        end = max(span.end for span in location.spans.values())
        # Asked anew each time: reading pages that are not there any more ends the process.
        if min(mapped.size(), len(mapped)) < end:
            raise _lost(location.shard, "it is shorter than it was")
        arrays = {}
        for name, span in location.spans.items():
            first, size = location.start * span.step_bytes, location.steps * span.step_bytes
            shape = (location.steps, *span.inner)
            self._touched += size  # at most: often a part of it is read
            if not size:
                # `frombuffer` refuses to give an empty array at the end of a file.
                arrays[name] = np.zeros(shape, dtype=span.dtype)
                continue
            count = size // span.dtype.itemsize
            flat = np.frombuffer(mapped, span.dtype, count, span.offset + first)
            arrays[name] = flat.reshape(shape)
        if self._touched > _RESIDENT:
            self._release_pages()
        steps = arrays.pop("steps")
        conditioning = {
            name.removeprefix("conditioning."): channel for name, channel in arrays.items()
        }
        return Encoded(steps, conditioning, location.dropped, notes=location.notes)

    def _release_pages(self) -> None:
        """Let go of the pages in memory; they are read from the file again when they are needed.

        The system would do so itself when memory runs short, but until then they count as this
        process's own.
        """
        self._touched = 0
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapped in self._maps.values():
                mapped.madvise(mmap.MADV_DONTNEED)

    def _map(self, path: Path) -> mmap.mmap:
        if path in self._maps:
            self._maps.move_to_end(path)
            return self._maps[path]
        try:
            with path.open("rb") as file:
                # Copy on write: PyTorch wants writable arrays, and what is written must not reach
                # the file.
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as error:
            raise _lost(path, str(error)) from error
        self._maps[path] = mapped
        if len(self._maps) > _OPEN:
            # Views that are still held keep their map alive.
            self._maps.popitem(last=False)
        return mapped


def _lost(path: Path, reason: str) -> UserError:
    return UserError(
        f"cannot read {path}: {reason}; it was deleted or damaged in use: start again",
        code="shard-lost",
    )


def _read(path: Path) -> tuple[dict[str, _Location], dict[str, str], dict[str, str]]:
    """Return where in a shard each piece is, the refused ones, and what would keep what is dropped.

    All its sums are checked.

    The file is read, not mapped, which leaves nothing of it in memory.

    Raises:
        DamagedError: it is no whole shard.
    """
    try:
        with path.open("rb") as file:
            header, start = _header(file)
            digest, text = header.pop("__metadata__")["musengine"].split(" ", 1)
            # Header first: what it says is used to find the arrays.
            if digest != _digest(header, text):
                raise DamagedError
            record = json.loads(text)
            spans = {name: _span(entry, start) for name, entry in header.items()}
            # In the order of the file, from its beginning to its end.
            for name, span in sorted(spans.items(), key=lambda item: item[1].offset):
                if _sum(file, span.offset, span.steps * span.step_bytes) != record["sums"][name]:
                    raise DamagedError
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DamagedError from error
    groups: dict[int, dict[str, _Span]] = {}
    for name, span in spans.items():
        number, _, own = name.partition(".")
        groups.setdefault(int(number), {})[own] = span
    locations = {
        key: _Location(path, groups[group], first, steps, dropped, notes)
        for key, group, first, steps, dropped, notes in record["pieces"]
    }
    return locations, record["refused"], record["keep"]


class MappedPiece(EncodedPiece):
    """A piece whose arrays stay in their file."""

    _shards: Shards
    _location: _Location

    def __init__(self, name: str, fingerprint: str, shards: Shards, location: _Location) -> None:
        attributes = {
            "id": name, "fingerprint": fingerprint, "_shards": shards, "_location": location
        }  # fmt: skip
        for attribute, value in attributes.items():
            object.__setattr__(self, attribute, value)

    @property
    def encoded(self) -> Encoded:
        """The arrays, views of the file; ask for them each time and do not hold them."""
        return self._shards.encoded(self._location)

    def __len__(self) -> int:
        return self._location.steps


def _digest(header: Mapping[str, Any], text: str) -> str:
    """Return a hash of what a shard says of its arrays and pieces: damage changes it."""
    return hashlib.sha256(f"{json.dumps(header, sort_keys=True)}{text}".encode()).hexdigest()


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(file.read(8), "little")
    # Bounded before reading: eight damaged bytes may ask for any amount of memory.
    if not 0 < length <= _HEADER_LIMIT:
        raise DamagedError
    return dict(json.loads(file.read(length))), 8 + length


def _span(entry: Mapping[str, Any], start: int) -> _Span:
    first, last = entry["data_offsets"]
    steps, *inner = entry["shape"]
    span = _Span(_DTYPES[entry["dtype"]], tuple(inner), start + first, steps)
    if last - first != steps * span.step_bytes:
        raise DamagedError
    return span


def _sum(file: BinaryIO, offset: int, size: int) -> int:
    file.seek(offset)
    crc = 0
    while size > 0:
        data = file.read(min(2**20, size))
        if not data:
            raise DamagedError
        crc = zlib.crc32(data, crc)
        size -= len(data)
    return crc
