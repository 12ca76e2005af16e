"""A disk cache of what is slow to make: content-addressed, and safe to delete at any time."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors import numpy as tensors

from musengine.errors import UserError
from musengine.files import whole_file
from musengine.score import Piece, Score, Text, Track

FORMAT = 3
_COLUMNS = ("onset", "duration", "pitch", "velocity", "track")
_MAPS = ("tempo_tick", "tempo_bpm", "meter_tick", "meter", "key_tick", "key")
Arrays = dict[str, "np.ndarray[Any, Any]"]


def default_folder() -> Path:
    """Return the user's cache folder; `MUSENGINE_CACHE` names another."""
    if chosen := os.environ.get("MUSENGINE_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "musengine"


def key_of(*parts: object) -> str:
    """Return a hash of values that print the same when they are the same."""
    return hashlib.sha256(repr((FORMAT, *parts)).encode()).hexdigest()


@dataclass(frozen=True)
class Cache:
    """Arrays and JSON by key; without a folder it keeps nothing.

    A damaged or unreadable entry counts as absent, and failing to write one is no error: the
    cache only ever saves time.
    """

    folder: Path | None

    def get(self, key: str) -> tuple[Arrays, Any] | None:
        """Return the arrays and the JSON value stored under a key."""
        if self.folder is None:
            return None
        path = self._path(key)
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                stored = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            whole = stored["digest"] == _digest(arrays, stored["json"])
            return (arrays, json.loads(stored["json"])) if whole else None
        except (OSError, KeyError, ValueError, safetensors.SafetensorError):
            return None

    def put(self, key: str, arrays: Mapping[str, np.ndarray[Any, Any]], meta: Any) -> None:
        """Store arrays and a JSON value under a key."""
        if self.folder is None:
            return
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        text = json.dumps(meta)
        metadata = {"json": text, "digest": _digest(contiguous, text)}
        data = tensors.save(contiguous, metadata=metadata)
        try:
            with whole_file(self._path(key)) as aside:
                aside.write_bytes(data)
        except UserError:
            return

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}.safetensors"


def _digest(arrays: Arrays, text: str) -> str:
    """Return a hash of an entry, which tells a damaged one."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(repr((name, arrays[name].dtype.str, arrays[name].shape)).encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def pack_pieces(pieces: list[Piece]) -> tuple[Arrays, Any]:
    """Return pieces as arrays and a JSON value."""
    arrays: Arrays = {}
    meta = []
    for index, piece in enumerate(pieces):
        entry: dict[str, Any] = {
            "id": piece.id,
            "style": piece.style,
            "part": piece.part,
            "warnings": list(piece.warnings),
            "format": piece.format,
        }
        content = piece.content
        if isinstance(content, Text):
            entry["text"] = [content.text, content.notation]
        else:
            for name in (*_COLUMNS, *_MAPS):
                arrays[f"{index}.{name}"] = getattr(content, name)
            entry["score"] = [content.ticks_per_beat, content.length]
            entry["tracks"] = [asdict(track) for track in content.tracks]
        meta.append(entry)
    return arrays, meta


def unpack_pieces(arrays: Arrays, meta: Any) -> list[Piece]:
    """Return the pieces that `pack_pieces` packed."""
    pieces = []
    for index, entry in enumerate(meta):
        content: Score | Text
        if "text" in entry:
            content = Text(*entry["text"])
        else:
            ticks_per_beat, length = entry["score"]
            content = Score(
                **{name: arrays[f"{index}.{name}"] for name in (*_COLUMNS, *_MAPS)},
                ticks_per_beat=ticks_per_beat,
                length=length,
                tracks=tuple(Track(**track) for track in entry["tracks"]),
            )
        warnings = tuple(entry["warnings"])
        pieces.append(
            Piece(entry["id"], content, entry["style"], entry["part"], warnings, entry["format"])
        )
    return pieces
