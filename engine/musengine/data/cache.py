"""A disk cache of what is slow to make: content-addressed, and safe to delete at any time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors import numpy as tensors

from musengine.errors import UserError
from musengine.music.score import Piece, Score, Text, Track
from musengine.utils.files import whole_file

FORMAT = 4
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by musengine; may be deleted.\n"
"""What backup programs know a cache by (https://bford.info/cachedir/)."""
_ENTRY = re.compile(r"[0-9a-f]{32,64}\.safetensors")
_ASIDE = re.compile(r"\.[0-9a-f]{32,64}-\w+\.safetensors")
_ABANDONED = 3600.0
"""Seconds after which a file still aside belongs to a process that is gone."""
_COLUMNS = ("onset", "duration", "pitch", "velocity", "track")
_MAPS = ("tempo_tick", "tempo_bpm", "meter_tick", "meter", "key_tick", "key")
Arrays = dict[str, "np.ndarray[Any, Any]"]


class Scratch:
    """A cache that is removed with the last object that holds this one, or at the end."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="musengine-")
        self.cache = Cache(Path(folder))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)


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
        return self._read(key, arrays_too=True)

    def get_json(self, key: str) -> Any:
        """Return the JSON value alone, without a look at the arrays; None where there is none."""
        stored = self._read(key, arrays_too=False)
        return None if stored is None else stored[1]

    def _read(self, key: str, *, arrays_too: bool) -> tuple[Arrays, Any] | None:
        if self.folder is None:
            return None
        path = self._path(key)
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                stored = file.metadata() or {}
                names = file.keys() if arrays_too else ()
                arrays = {name: file.get_tensor(name) for name in names}
            whole = stored["digest"] == _digest(stored["arrays"], stored["json"])
            if arrays_too:
                whole &= stored["arrays"] == _digest_arrays(arrays)
            if not whole:
                return None
            os.utime(path)  # for `trim`: used now
            return arrays, json.loads(stored["json"])
        except (OSError, KeyError, ValueError, safetensors.SafetensorError):
            return None

    def put(self, key: str, arrays: Mapping[str, np.ndarray[Any, Any]], meta: Any) -> None:
        """Store arrays and a JSON value under a key."""
        if self.folder is None:
            return
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        text, sums = json.dumps(meta), _digest_arrays(contiguous)
        metadata = {"json": text, "arrays": sums, "digest": _digest(sums, text)}
        data = tensors.save(contiguous, metadata=metadata)
        try:
            # The digests tell a damaged entry, so waiting for the disk thousands of times is vain.
            with whole_file(self._path(key), durable=False) as aside:
                aside.write_bytes(data)
        except UserError:
            return

    def writable(self) -> bool:
        """Return whether entries can be written."""
        if self.folder is None:
            return False
        try:
            with whole_file(self.folder / "CACHEDIR.TAG", durable=False) as aside:
                aside.write_text(_TAG, encoding="ascii")
        except UserError:
            return False
        return True

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}.safetensors"


def _digest(*texts: str) -> str:
    return hashlib.sha256(repr(texts).encode()).hexdigest()


def _digest_arrays(arrays: Arrays) -> str:
    """Return a hash of an entry's arrays, which tells a damaged one."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(repr((name, arrays[name].dtype.str, arrays[name].shape)).encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Known:
    """What is asked of a piece's music long after it was read, so that it need not be held.

    Attributes:
        fingerprint: a hash of what is heard.
        notes: a hash of the written notes alone, by which copies are recognised.
        content: a hash of everything, by which what was made of it is found again.
        kind: score or text.
        weight: roughly how many sixteenths or characters it has.
    """

    fingerprint: str
    notes: str
    content: str
    kind: str
    weight: int

    @classmethod
    def of(cls, content: Score | Text, notes: str | None = None) -> Known:
        """Return what is known of a piece's music; its notes' own hash, or another one for it."""
        fingerprint = content.fingerprint()
        notes = content.notes_fingerprint() if notes is None else notes
        if isinstance(content, Text):
            return cls(fingerprint, notes, fingerprint, "text", len(content.text))
        digest = hashlib.sha256(fingerprint.encode())
        for name in _MAPS:
            digest.update(repr(getattr(content, name).shape).encode())
            digest.update(getattr(content, name).tobytes())
        digest.update(repr(content.tracks).encode())
        weight = 4 * content.length // content.ticks_per_beat
        return cls(fingerprint, notes, digest.hexdigest(), "score", weight)


def pack_pieces(
    pieces: list[Piece], copy_key: Callable[[Score | Text], str] | None = None
) -> tuple[Arrays, Any]:
    """Return pieces as arrays and a JSON value; `copy_key` gives the hash of a piece's notes."""
    arrays: Arrays = {}
    meta = []
    for index, piece in enumerate(pieces):
        entry: dict[str, Any] = {
            "id": piece.id,
            "style": piece.style,
            "part": piece.part,
            "warnings": list(piece.warnings),
            "format": piece.format,
            "known": asdict(Known.of(piece.content, copy_key and copy_key(piece.content))),
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
        if "refused" in entry:
            continue
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


def size_limit() -> int:
    """Return how many bytes the cache may have: 5 GiB; `MUSENGINE_CACHE_SIZE` says how many GiB.

    Raises:
        UserError: it is not a number.
    """
    text = os.environ.get("MUSENGINE_CACHE_SIZE", "5")
    try:
        size = float(text)
        if not 0 <= size < float("inf"):
            raise ValueError
    except ValueError:
        raise UserError(
            f"MUSENGINE_CACHE_SIZE: expected a number of GiB such as 5 or 0.5, got {text!r}"
        ) from None
    return int(size * 2**30)


def trim(folder: Path, limit: int, since: float) -> None:
    """Delete the entries used longest ago until the rest has at most `limit` bytes.

    Args:
        folder: a cache's; other files than entries are left alone.
        limit: bytes.
        since: time in seconds; what was used after it stays in any case.
    """
    entries, total, now = [], 0, time.time()
    for path in folder.glob("**/*.safetensors"):
        try:
            status = path.stat()
            if _ENTRY.fullmatch(path.name):
                entries.append((status.st_mtime, status.st_size, path))
                total += status.st_size
            elif _ASIDE.fullmatch(path.name) and now - status.st_mtime > _ABANDONED:
                path.unlink()
        except OSError:  # another process was faster
            continue
    for used, size, path in sorted(entries):
        if total <= limit or used >= since:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
