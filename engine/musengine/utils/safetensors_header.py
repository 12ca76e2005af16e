"""The header of a safetensors file, its metadata in order, so that equal files are equal bytes."""

from __future__ import annotations

import json

_ALIGNED = 8
"""Bytes of whose multiples the numbers begin."""


def ordered(data: bytes) -> bytes:
    """Return a file's bytes with the keys of its metadata sorted.

    The library keeps them in a table that it walks through in another order in every process.
    """
    size = int.from_bytes(data[:8], "little")
    # Offsets count from the end of the header, so that its length may change.
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__", None)
    if metadata is not None:
        header = {"__metadata__": dict(sorted(metadata.items())), **header}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    return b"".join((len(text).to_bytes(8, "little"), text, memoryview(data)[8 + size :]))
