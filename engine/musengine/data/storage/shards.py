"""Shards: encoded pieces in memory-mapped files, so that memory does not grow with the corpus.

A shard is a safetensors file, but neither written nor mapped by that library. It would need a
shard's arrays in one piece each, which is as much memory again; and what it has mapped it holds,
so that every page ever touched counts as the process's memory: the corpus as a whole after one
epoch. Memory-mapped `.npy` files are one for each array, without checksums.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musengine.data.storage.cache import Scratch
from musengine.data.storage.tensor_file import (
    NAMES,
    DamagedError,
    Span,
    lost,
    read_tensors,
    write_tensors,
)
from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.music.prevailing import Prevailing
from musengine.utils.arrays import Array, Int32Array, IntArray
from musengine.utils.files import whole_file

FULL = 24 * 2**20
"""Bytes of arrays after which a shard is full; a longer piece has one to itself."""

_OPEN = 128
"""Shards that are mapped at once: each takes one of the process's open files."""

_VIEWED = 2**20
"""Bytes of the pieces whose arrays are kept after they were asked for: a thousand melodies, but few
piano-rolls, beside which making an array anew is no cost."""

_RESIDENT = 12 * 2**20
"""Bytes that may be touched before the pages in memory are released."""

ShardEntry = tuple[str, "Encoded | str"]
"""A piece's key with its arrays, or with the reason why the encoder refuses it."""


KEY = np.dtype("S16")
"""A piece's key, of 32 hexadecimal digits, in an array."""

_GROUP, _DROPPED = 0, 3
"""Columns of a piece's numbers: which group it is in, -1 where it was not found, and which of the
different counts of what was dropped is its."""


@dataclass(frozen=True, slots=True, eq=False)
class Location:
    """Where a piece is: its shard, the arrays that hold it, the first step and their number.

    Attributes:
        end: offset in the shard at which the last of these arrays ends.
        size: bytes of the piece.
    """

    shard: str
    spans: Mapping[str, Span]
    end: int
    size: int
    start: int
    steps: int
    dropped: Mapping[str, int]
    notes: int


@dataclass(frozen=True, slots=True)
class _Group:
    """The arrays in a shard that hold pieces of one kind, one after another."""

    shard: str
    spans: Mapping[str, Span]


def packed_keys(keys: Iterable[str]) -> Array:
    """Return (N,): pieces' keys as `KEY`."""
    return np.frombuffer(b"".join(map(bytes.fromhex, keys)), KEY)


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
    record = {"pieces": pieces, "refused": refused, "keep": keep}
    with whole_file(path, "corpus.cache") as temporary, temporary.open("wb") as file:
        write_tensors(file, parts, record)
    return path


def storable(encoded: Encoded) -> str:
    """Return why an encoder's arrays cannot be kept, or an empty string."""
    for name, array in _arrays(encoded).items():
        if array.dtype.str not in NAMES:
            return f"its array {name!r} is of type {array.dtype}, which cannot be kept"
        if array.ndim == 0 or len(array) != len(encoded.steps):
            return f"its array {name!r} does not have one entry for each step"
    return ""


class Shards:
    """The shards of one encoder, and where in them each piece of a corpus is.

    Of pieces of other corpora, which may be in the same shards, nothing is kept.

    Args:
        folder: where they are.
        key_K: (K,) the pieces' different keys, as `KEY`, sorted.
        scratch: what keeps the folder alive where it is a temporary one.
    """

    def __init__(self, folder: Path, key_K: Array, scratch: Scratch | None = None) -> None:
        self.folder, self.scratch = folder, scratch
        self.refused: dict[str, str] = {}
        self.keep: dict[str, str] = {}
        self._key_K, self._groups = key_K, list[_Group]()
        # The different counts of what was dropped, and the number of each.
        self._dropped: list[Mapping[str, int]] = []
        self._numbers: dict[tuple[tuple[str, int], ...], int] = {}
        # Of each piece its group, first step, steps, what was dropped of it and notes: an object
        # would take ten times that.
        self._numbers_K5 = np.full((len(key_K), 5), -1, dtype=np.int32)
        self._maps: OrderedDict[str, mmap.mmap] = OrderedDict()
        self._views: dict[Location, Encoded] = {}
        self._viewed = 0
        self._touched = 0

    def __contains__(self, key: str) -> bool:
        if key in self.refused:
            return True
        places, _ = self._places(packed_keys([key]))
        return bool(self.there(places).any())

    def find(self) -> None:
        """Add all shards in the folder; a damaged one is removed."""
        for path in sorted(self.folder.glob("*.safetensors")):
            if not path.name.startswith("."):
                self.add(path)

    def add(self, path: Path) -> None:
        """Add the pieces of a shard; one that is damaged is removed."""
        try:
            groups, record = _read(path)
            os.utime(path)  # `cache.trim` deletes the least recently used
        except (DamagedError, OSError):
            path.unlink(missing_ok=True)
            return
        self.refused.update(record["refused"])
        self.keep.update(record["keep"])
        places, rows = self._places(packed_keys(key for key, *_ in record["pieces"]))
        # A piece that is in several shards is taken from the first.
        new = ~self.there(places)
        for place, row in zip(places[new].tolist(), rows[new].tolist(), strict=True):
            _, group, first, steps, dropped, notes = record["pieces"][row]
            numbers = (len(self._groups) + group, first, steps, self._number_of(dropped), notes)
            self._numbers_K5[place] = numbers
        self._groups += groups

    def _number_of(self, dropped: Mapping[str, int]) -> int:
        """Return the number of counts of what was dropped."""
        number = self._numbers.setdefault(tuple(dropped.items()), len(self._dropped))
        if number == len(self._dropped):
            self._dropped.append(dropped)
        return number

    def _places(self, keys: Array) -> tuple[IntArray, IntArray]:
        """Return the places of those of some keys that are pieces', and which of them these are."""
        if not len(self._key_K):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._key_K, keys), len(self._key_K) - 1)
        known = np.flatnonzero(self._key_K[at] == keys)
        return at[known], known

    def there(self, places: IntArray | Int32Array) -> npt.NDArray[np.bool_]:
        """Return (N,): whether the piece of each place, its index in `key_K`, is in a shard."""
        there: npt.NDArray[np.bool_] = self._numbers_K5[places, _GROUP] >= 0
        return there

    def absent(self) -> npt.NDArray[np.bool_]:
        """Return (K,): whether each piece is in no shard, nor refused by the encoder."""
        absent_K = self._numbers_K5[:, _GROUP] < 0
        refused, _ = self._places(packed_keys(self.refused))
        absent_K[refused] = False
        return absent_K

    def at(self, place: int) -> Location:
        """Return where the piece of a place is."""
        number, start, steps, what, notes = self._numbers_K5[place].tolist()
        shard, spans = self._groups[number].shard, self._groups[number].spans
        end = max(span.end for span in spans.values())
        size = steps * sum(span.step_bytes for span in spans.values())
        return Location(shard, spans, end, size, start, steps, self._dropped[what], notes)

    def piece(self, name: str, fingerprint: str, key: str) -> EncodedPiece:
        """Return a piece whose arrays are looked up when they are asked for."""
        (place,), _ = self._places(packed_keys([key]))
        return MappedPiece(self, self.at(int(place)), lambda: Named(name, fingerprint))

    def dropped(self, places: Int32Array) -> Counter[str]:
        """Return what did not fit into the arrays of some pieces, counted by a word."""
        counts: Counter[str] = Counter()
        often = np.bincount(self._numbers_K5[places, _DROPPED], minlength=len(self._dropped))
        for each, times in zip(self._dropped, often.tolist(), strict=True):
            counts.update({what: count * times for what, count in each.items() if times})
        return counts

    def encoded(self, location: Location) -> Encoded:
        """Return a piece's arrays as views of the file; changes to them are not written."""
        mapped = self._map(location.shard)
        # Asked anew each time: reading pages that are not there any more ends the process.
        if min(mapped.size(), len(mapped)) < location.end:
            raise lost(location.shard, "it is shorter than it was")
        self._touched += location.size  # at most: often a part of it is read
        if self._touched > _RESIDENT:
            self._release_pages()
        # Each row of each batch asks for one, most often for those of the batch before.
        if (encoded := self._views.get(location)) is None:
            self._viewed += location.size
            if self._viewed > _VIEWED:
                self._views.clear()
                self._viewed = location.size
            encoded = self._views[location] = _viewed(mapped, location)
        return encoded

    def _release_pages(self) -> None:
        """Let go of the pages in memory; they are read from the file again when they are needed.

        The system would do so itself when memory runs short, but until then they count as this
        process's own.
        """
        self._touched = 0
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapped in self._maps.values():
                mapped.madvise(mmap.MADV_DONTNEED)

    def _map(self, path: str) -> mmap.mmap:
        if path in self._maps:
            self._maps.move_to_end(path)
            return self._maps[path]
        try:
            with Path(path).open("rb") as file:
                # Copy on write: PyTorch wants writable arrays, and what is written must not reach
                # the file.
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as error:
            raise lost(path, str(error)) from error
        self._maps[path] = mapped
        if len(self._maps) > _OPEN:
            # Views that are still held keep their map alive, and its pages are not released.
            self._maps.popitem(last=False)
            self._views.clear()
            self._viewed = 0
        return mapped


def _viewed(mapped: mmap.mmap, location: Location) -> Encoded:
    """Return a piece's arrays as views of its file."""
    arrays = {}
    for name, span in location.spans.items():
        first, size = location.start * span.step_bytes, location.steps * span.step_bytes
        shape = (location.steps, *span.inner)
        if not size:
            # `frombuffer` refuses to give an empty array at the end of a file.
            arrays[name] = np.zeros(shape, dtype=span.dtype)
            continue
        count = size // span.dtype.itemsize
        flat = np.frombuffer(mapped, span.dtype, count, span.offset + first)
        arrays[name] = flat.reshape(shape)
    steps = arrays.pop("steps")
    conditioning = {name.removeprefix("conditioning."): channel for name, channel in arrays.items()}
    return Encoded(steps, conditioning, location.dropped, notes=location.notes)


def _read(path: Path) -> tuple[list[_Group], dict[str, Any]]:
    """Return the groups of pieces in a shard, and its record.

    Raises:
        DamagedError: it is no whole shard.
    """
    with path.open("rb") as file:
        spans, record = read_tensors(file)
    groups: dict[int, dict[str, Span]] = {}
    for name, span in spans.items():
        number, _, own = name.partition(".")
        groups.setdefault(int(number), {})[own] = span
    return [_Group(str(path), groups[number]) for number in sorted(groups)], record


@dataclass(frozen=True)
class Named:
    """What is known of a piece beside its arrays: its id, a hash of it, and what prevails in it."""

    id: str
    fingerprint: str
    prevailing: Prevailing = field(default_factory=Prevailing)


class MappedPiece(EncodedPiece):
    """A piece whose arrays stay in their file; what it is called is looked up when asked for."""

    _shards: Shards
    _location: Location
    _named: Callable[[], Named]

    def __init__(self, shards: Shards, location: Location, named: Callable[[], Named]) -> None:
        # The base class is a frozen dataclass, whose fields are properties here.
        object.__setattr__(self, "_shards", shards)
        object.__setattr__(self, "_location", location)
        object.__setattr__(self, "_named", named)

    @property
    def id(self) -> str:
        """The piece's id."""
        return self._named().id

    @property
    def fingerprint(self) -> str:
        """Hash of what sounds."""
        return self._named().fingerprint

    @property
    def prevailing(self) -> Prevailing:
        """What holds for most of it."""
        return self._named().prevailing

    @property
    def encoded(self) -> Encoded:
        """The arrays, views of the file; ask for them each time and do not hold them."""
        return self._shards.encoded(self._location)

    def __len__(self) -> int:
        return self._location.steps
