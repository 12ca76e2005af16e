"""Files of arrays with a JSON value, in the safetensors format, whose damage is noticed."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from musengine.errors import UserError
from musengine.utils.arrays import Array

_HEADER_LIMIT = 64 * 2**20

NAMES = {
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
"""The kinds of numbers a file may hold, as NumPy and as safetensors calls them."""
_DTYPES = {name: np.dtype(kind) for kind, name in NAMES.items()}


class DamagedError(Exception):
    """A file is not whole."""


@dataclass(frozen=True)
class Span:
    """Where in a file an array is."""

    dtype: np.dtype[Any]
    inner: tuple[int, ...]
    offset: int
    steps: int

    # Kept: each row of each batch asks for them.
    @cached_property
    def step_bytes(self) -> int:
        """Bytes of one entry of its first axis."""
        return math.prod(self.inner) * self.dtype.itemsize

    @cached_property
    def end(self) -> int:
        """Offset in the file at which it ends."""
        return self.offset + self.steps * self.step_bytes


def write_tensors(file: BinaryIO, parts: Mapping[str, Sequence[Array]], record: Any) -> None:
    """Write arrays, each in parts along its first axis, and a JSON object."""
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
            "dtype": NAMES[first.dtype.str],
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
    file.write(len(head).to_bytes(8, "little") + head)
    for name in order:
        for array in parts[name]:
            file.write(np.ascontiguousarray(array).data)


def read_tensors(file: BinaryIO) -> tuple[dict[str, Span], dict[str, Any]]:
    """Return where the arrays of a file are, and its JSON object; all sums are checked.

    The file is read, not mapped, which leaves nothing of it in memory.

    Raises:
        DamagedError: it is not whole.
    """
    try:
        header, start = _header(file)
        digest, text = header.pop("__metadata__")["musengine"].split(" ", 1)
        # Header first: what it says is used to find the arrays.
        if digest != _digest(header, text):
            raise DamagedError
        record = dict(json.loads(text))
        spans = {name: _span(entry, start) for name, entry in header.items()}
        # In the order of the file, from its beginning to its end.
        for name, span in sorted(spans.items(), key=lambda item: item[1].offset):
            if _sum(file, span.offset, span.steps * span.step_bytes) != record["sums"][name]:
                raise DamagedError
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DamagedError from error
    return spans, record


def lost(path: Path | str, reason: str) -> UserError:
    """Return what is said where a file is not as it was when it was opened."""
    return UserError(
        f"cannot read {path}: {reason}; it was deleted or damaged in use: start again",
        code="shard-lost",
    )


def _digest(header: Mapping[str, Any], text: str) -> str:
    """Return a hash of what a file says of its arrays and pieces: damage changes it."""
    return hashlib.sha256(f"{json.dumps(header, sort_keys=True)}{text}".encode()).hexdigest()


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(file.read(8), "little")
    # Bounded before reading: eight damaged bytes may ask for any amount of memory.
    if not 0 < length <= _HEADER_LIMIT:
        raise DamagedError
    return dict(json.loads(file.read(length))), 8 + length


def _span(entry: Mapping[str, Any], start: int) -> Span:
    first, last = entry["data_offsets"]
    steps, *inner = entry["shape"]
    span = Span(_DTYPES[entry["dtype"]], tuple(inner), start + first, steps)
    if last - first != steps * span.step_bytes:
        raise DamagedError
    return span


def _sum(file: BinaryIO, offset: int, size: int) -> int:
    file.seek(offset)
    crc = 0
    while size > 0:
        data = file.read(min(2**16, size))
        if not data:
            raise DamagedError
        crc = zlib.crc32(data, crc)
        size -= len(data)
    return crc
