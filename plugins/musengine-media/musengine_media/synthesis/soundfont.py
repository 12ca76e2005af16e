"""SoundFonts 2.01 to 2.04: what they say of their instruments, every number of it checked.

A file from a stranger: nothing is taken from it that its own size does not bear out, and no more
memory is taken than a chunk of a valid file can fill.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from musengine.errors import UnwritableError
from musengine_media.synthesis.regions import Envelope, Region, Sample

MOST_CHUNK = 2**22
"""Bytes of a table: they are numbered in 16 bits, and the widest row takes 46 bytes."""
MOST_ZONES = 2**17
"""Zones that are looked at in a file; a piano of 16 velocities, in stereo, has 2,816."""
DRUM_BANK = 128

_TABLES = {
    b"phdr": np.dtype([("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"),
                       ("more", "<u4", 3)]),
    b"pbag": np.dtype([("generator", "<u2"), ("modulator", "<u2")]),
    b"pgen": np.dtype([("kind", "<u2"), ("amount", "<i2")]),
    b"inst": np.dtype([("name", "S20"), ("bag", "<u2")]),
    b"ibag": np.dtype([("generator", "<u2"), ("modulator", "<u2")]),
    b"igen": np.dtype([("kind", "<u2"), ("amount", "<i2")]),
    b"shdr": np.dtype([("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4"),
                       ("loop_end", "<u4"), ("rate", "<u4"), ("key", "u1"), ("cents", "i1"),
                       ("link", "<u2"), ("type", "<u2")]),
}  # fmt: skip

_KINDS = 61
"""Kinds of generators, of each of which a zone has one at the most."""
_INSTRUMENT, _KEYS, _VELOCITIES, _SAMPLE = 41, 43, 44, 53
_SHORTEST = -12_000
_DEFAULTS = {
    8: 13_500, 21: _SHORTEST, 23: _SHORTEST, 25: _SHORTEST, 26: _SHORTEST, 27: _SHORTEST,
    28: _SHORTEST, 30: _SHORTEST, 33: _SHORTEST, 34: _SHORTEST, 35: _SHORTEST, 36: _SHORTEST,
    38: _SHORTEST, 46: -1, 47: -1, 56: 100, 58: -1,
}  # fmt: skip
_ONLY_IN_INSTRUMENTS = (0, 1, 2, 3, 4, 12, 45, 46, 47, 50, 54, 57, 58)
_COMPRESSED = 0x10
"""The bit of a sample's type that says it is Ogg Vorbis, as SoundFonts 3 have it."""
_AT_FIRST = 0.25
"""Seconds after a note's start that are most of what is heard of it."""
_ATTENUATION = 0.04
"""Decibels of a centibel: fonts are made for a chip that takes 0.4 of what they say."""


class SoundFont:
    """A SoundFont: its tables in memory, its samples read when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Read the tables.

        Raises:
            UnwritableError: no SoundFont, or a damaged one.
        """
        self.path = path
        try:
            with path.open("rb") as file:
                tables, self._data_at, self._data_bytes = _read(file)
            self._tables = {
                name: np.frombuffer(
                    tables[name][: len(tables[name]) // kind.itemsize * kind.itemsize], kind
                )
                for name, kind in _TABLES.items()
            }
        except OSError as error:
            raise self.unusable(error.strerror or str(error)) from error
        except KeyError as error:
            raise self.unusable(f"it has no {error.args[0].decode()}") from error
        except (ValueError, struct.error) as error:
            raise self.unusable(str(error)) from error
        self._regions_of_preset: dict[tuple[int, int], tuple[Region, ...]] = {}
        self._looked_at = 0
        self._struck: dict[tuple[int, int, int, int], tuple[Region, ...]] = {}
        # The last row of a table is no entry: it only says where the one before it ends.
        headers = self._tables[b"phdr"][:-1]
        self._presets = {
            (int(bank), int(program)): index
            # Backwards, so that of two presets of one number the first stays.
            for index, (bank, program) in reversed(
                list(enumerate(zip(headers["bank"], headers["program"], strict=True)))
            )
        }
        if not self._presets:
            raise self.unusable("it has no presets")

    def unusable(self, reason: str) -> UnwritableError:
        """Return the error that says why the file cannot be played."""
        return UnwritableError(
            f"the SoundFont {self.path} cannot be used: {reason}", code="soundfont-unusable"
        )

    def struck(self, bank: int, program: int, key: int, velocity: int) -> tuple[Region, ...]:
        """Return the regions of a preset that a note sounds.

        Raises:
            UnwritableError: the font has more zones than any has.
        """
        note = (bank, program, key, velocity)
        # Kept: a piano's thousands of regions would be gone through at every note.
        if (found := self._struck.get(note)) is None:
            found = self._struck[note] = tuple(
                region
                for region in self._regions(bank, program)
                if region.keys[0] <= key <= region.keys[1]
                and region.velocities[0] <= velocity <= region.velocities[1]
            )
        return found

    def _regions(self, bank: int, program: int) -> tuple[Region, ...]:
        """Return a preset's regions; of a preset it lacks, those of the nearest it has.

        That is the same program of bank 0, or for drums the first kit; at last any preset.
        """
        if (bank, program) in self._regions_of_preset:
            return self._regions_of_preset[bank, program]
        wanted = [(bank, program), (DRUM_BANK if bank == DRUM_BANK else 0, program)]
        wanted += [(DRUM_BANK, 0)] if bank == DRUM_BANK else [(0, 0)]
        index = next((self._presets[each] for each in wanted if each in self._presets), None)
        if index is None:
            index = self._presets[min(self._presets)]
        found = self._regions_of_preset[bank, program] = tuple(self._regions_of(index))
        return found

    def samples(self, sample: Sample, most: int) -> npt.NDArray[np.float32]:
        """Return (T,) of a sound, -1 to 1, from its start, at most so many frames.

        Raises:
            UnwritableError: the file has become shorter, or what is compressed is damaged.
        """
        # Places of compressed sounds count bytes, of others frames of 16 bits.
        width = 1 if sample.compressed else 2
        count = (
            (sample.end - sample.start)
            if sample.compressed
            else min(sample.end - sample.start, most)
        )
        try:
            with self.path.open("rb") as file:
                file.seek(self._data_at + width * sample.start)
                data = file.read(width * count)
        except OSError as error:
            raise self.unusable(error.strerror or str(error)) from error
        if sample.compressed:
            return self._decoded(data, most)
        sound = np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32)
        sound /= 32768
        return sound

    def _decoded(self, data: bytes, most: int) -> npt.NDArray[np.float32]:
        import io

        import soundfile

        try:
            sound, _ = soundfile.read(
                io.BytesIO(data), frames=most, dtype="float32", always_2d=True
            )
        except RuntimeError as error:
            raise self.unusable(f"a compressed sound is damaged: {error}") from error
        mono: npt.NDArray[np.float32] = np.ascontiguousarray(sound[:, 0])
        return mono

    def _regions_of(self, index: int) -> Iterator[Region]:
        instruments = self._tables[b"inst"]
        for outer in self._zones(b"phdr", b"pbag", b"pgen", index, _INSTRUMENT):
            if not 0 <= outer[_INSTRUMENT] < len(instruments) - 1:
                continue
            for inner in self._zones(b"inst", b"ibag", b"igen", outer[_INSTRUMENT], _SAMPLE):
                if (region := self._region(outer, inner)) is not None:
                    yield region

    def _zones(
        self, heads: bytes, bags: bytes, gens: bytes, index: int, last: int
    ) -> Iterator[dict[int, int]]:
        """Yield the generators of each zone of a preset or instrument, with the global zone's."""
        head, bag, gen = self._tables[heads], self._tables[bags], self._tables[gens]
        shared: dict[int, int] = {}
        first, after = int(head["bag"][index]), int(head["bag"][index + 1])
        for number in range(first, min(after, len(bag) - 1)):
            self._looked_at += 1
            if self._looked_at > MOST_ZONES:
                raise self.unusable(f"it has more than {MOST_ZONES} zones")
            begin, end = int(bag["generator"][number]), int(bag["generator"][number + 1])
            # Bounded, since what a table says of the lengths in it may be anything.
            rows = gen[begin : min(end, begin + _KINDS)]
            zone = dict(zip(rows["kind"].tolist(), rows["amount"].tolist(), strict=True))
            if last in zone:
                # Read as signed, which most amounts are; an index is not.
                zone[last] &= 0xFFFF
                yield {**shared, **zone}
            # A first zone that names no instrument or sample is global: the others have its values
            # where they have none of their own.
            elif number == first:
                shared = zone

    def _region(self, outer: dict[int, int], inner: dict[int, int]) -> Region | None:
        """Return the region that a preset's and an instrument's zone give, if they give one."""
        keys = _both(outer, inner, _KEYS)
        velocities = _both(outer, inner, _VELOCITIES)
        headers = self._tables[b"shdr"]
        number = inner[_SAMPLE]
        if keys is None or velocities is None or number >= len(headers) - 1:
            return None

        def value(kind: int, low: float, high: float) -> int:
            amount = inner.get(kind, _DEFAULTS.get(kind, 0))
            if kind not in _ONLY_IN_INSTRUMENTS:
                # What a preset says is added to what its instrument says.
                amount += outer.get(kind, 0)
            return int(min(max(amount, low), high))

        def seconds(kind: int, longest: int = 8000) -> float:
            # Times are stored as logarithms, in twelve-hundredths of an octave of a second.
            return float(2 ** (value(kind, _SHORTEST, longest) / 1200))

        header = headers[number]
        sample = self._sample(header, inner)
        if sample is None:
            return None
        own = value(58, -1, 127)
        root = own if own >= 0 else int(header["key"]) if header["key"] <= 127 else 60
        cents = 100 * value(51, -120, 120) + value(52, -99, 99) + int(header["cents"])
        fixed_key, fixed_velocity = value(46, -1, 127), value(47, -1, 127)
        return Region(
            keys=keys,
            velocities=velocities,
            sample=sample,
            root=root,
            cents=cents,
            cents_per_key=value(56, 0, 1200),
            fixed_key=fixed_key if fixed_key >= 0 else None,
            fixed_velocity=fixed_velocity if fixed_velocity > 0 else None,
            decibels=_ATTENUATION * value(48, 0, 1440),
            pan=value(17, -500, 500) / 1000,
            group=value(57, 0, 127),
            cutoff=_cutoff(
                value(8, 1500, 13_500),
                value(11, -12_000, 12_000),
                [seconds(kind) for kind in (25, 26, 27, 28)],
                1 - value(29, 0, 1000) / 1000,
            ),
            resonance=value(9, 0, 960) / 10,
            envelope=Envelope(
                delay=seconds(33, 5000),
                attack=seconds(34),
                hold=seconds(35, 5000),
                decay=seconds(36),
                sustain=value(37, 0, 1000) / 10,
                release=seconds(38),
            ),
            hold_per_key=value(39, -1200, 1200) / 1200,
            decay_per_key=value(40, -1200, 1200) / 1200,
        )

    def _sample(self, header: np.void, inner: dict[int, int]) -> Sample | None:
        """Return what a region plays, None where it lies outside of the file's samples."""

        def moved(name: str, fine: int, coarse: int) -> int:
            return int(header[name]) + inner.get(fine, 0) + 32768 * inner.get(coarse, 0)

        compressed = bool(header["type"] & _COMPRESSED)
        most = self._data_bytes if compressed else self._data_bytes // 2
        rate = int(header["rate"])
        if compressed:
            start, end = int(header["start"]), min(int(header["end"]), most)
            begin, loop = int(header["loop_start"]), int(header["loop_end"])
        else:
            start, end = moved("start", 0, 4), min(moved("end", 1, 12), most)
            begin = moved("loop_start", 2, 45) - start
            loop = moved("loop_end", 3, 50) - start
        if not (0 <= start < end and 0 < rate <= 2**20):
            return None
        looped = inner.get(54, 0) & 1 and 0 <= begin < loop
        if not compressed:
            looped = looped and loop <= end - start
        return Sample(start, end, begin if looped else 0, loop if looped else 0, rate, compressed)


def _cutoff(cents: int, depth: int, times: list[float], sustain: float) -> float:
    """Return the Hz at which a filter stays that in truth an envelope moves: in the mean at first.

    Args:
        cents: where it is without the envelope, above 8.176 Hz.
        depth: cents by which the envelope moves it at its highest.
        times: seconds of delay, attack, hold, and of the decay from the highest to nothing.
        sustain: the share at which the envelope stays.
    """
    delay, attack, hold, decay = times
    corners = np.cumsum([0.0, delay, attack, hold, max(decay * (1 - sustain), 1e-3)])
    at_first = np.linspace(0, _AT_FIRST, 64)
    mean = float(np.interp(at_first, corners, [0, 0, 1, 1, sustain]).mean())
    return float(8.176 * 2 ** (min(max(cents + depth * mean, 1500), 13_500) / 1200))


def _both(outer: dict[int, int], inner: dict[int, int], kind: int) -> tuple[int, int] | None:
    """Return the range that is in both zones', None where there is none."""
    low, high = 0, 127
    for zone in (outer, inner):
        amount = zone.get(kind, 127 << 8) & 0xFFFF
        low, high = max(low, amount & 255), min(high, amount >> 8)
    return (low, high) if low <= high else None


def _read(file: BinaryIO) -> tuple[dict[bytes, bytes], int, int]:
    """Return the tables, and where the samples are: offset and bytes."""
    whole = os.fstat(file.fileno()).st_size
    start = file.read(12)
    if start[:4] != b"RIFF" or start[8:] != b"sfbk":
        raise ValueError("it is no SoundFont")
    tables: dict[bytes, bytes] = {}
    samples = (0, 0)
    for name, begin, size in _chunks(file, 12, whole):
        if name != b"LIST":
            continue
        for inner, at, length in _chunks(file, begin + 4, begin + size):
            if inner == b"smpl":
                samples = (at, length)
            elif inner in _TABLES:
                if length > MOST_CHUNK:
                    raise ValueError(f"{inner.decode()} is larger than any can be")
                file.seek(at)
                tables[inner] = file.read(length)
    if not samples[1]:
        raise KeyError(b"smpl")
    return tables, *samples


def _chunks(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, first byte and size of each chunk between two places of a file."""
    while at + 8 <= end:
        file.seek(at)
        name, size = struct.unpack("<4sI", file.read(8))
        if at + 8 + size > end:
            raise ValueError(f"it ends in the middle of {name.decode('latin-1')!r}")
        yield name, at + 8, size
        # Chunks begin at even bytes.
        at += 8 + size + size % 2
