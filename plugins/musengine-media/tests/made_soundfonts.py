"""SoundFonts made byte by byte, for tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

RATE = 44_100
Generators = Sequence[tuple[int, int]]
"""Kinds and amounts, as the standard numbers them."""
LOOPED = (54, 1)


def chunk(name: bytes, data: bytes) -> bytes:
    """A RIFF chunk, padded to an even length."""
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def listed(kind: bytes, *chunks: bytes) -> bytes:
    return chunk(b"LIST", kind + b"".join(chunks))


def named(name: str) -> bytes:
    return name.encode().ljust(20, b"\0")


def sine() -> bytes:
    """A hundred periods of 441 Hz, and 46 frames of silence as the standard has them."""
    periods = np.sin(2 * np.pi * np.arange(10_000) / 100)
    return np.concatenate([np.rint(periods * 20_000), np.zeros(46)]).astype("<i2").tobytes()


def soundfont(
    *zones: Generators,
    samples: bytes | None = None,
    frames: int = 10_000,
    bank: int = 0,
    rate: int = RATE,
    kind: int = 1,
) -> bytes:
    """A SoundFont 2.01 of one preset (program 0), one instrument, and one sample in all its zones.

    By default a sine, which is key 69 tuned 3.93 cents up (1200 log2(441 / 440)), looped from end
    to end, so that it sounds as long as its key is held.

    Args:
        zones: the generators of each zone but for the sample.
        samples: the data of the sample.
        frames: of it that are played.
        bank: of the preset.
        rate: of the sample.
        kind: of the sample: 1 for mono, 17 for mono and compressed.
    """
    zones = zones or ([LOOPED],)
    samples = sine() if samples is None else samples
    generators, bags = [], []
    for zone in zones:
        bags.append(len(generators))
        # The sample comes last.
        generators += [*zone, (53, 0)]
    bags.append(len(generators))
    info = listed(
        b"INFO",
        chunk(b"ifil", struct.pack("<HH", 2, 1)),
        chunk(b"isng", b"EMU8000\0"),
        chunk(b"INAM", b"sine\0\0"),
    )
    preset = struct.pack("<HHHIII", 0, bank, 0, 0, 0, 0)
    last_preset = struct.pack("<HHHIII", 0, 0, 1, 0, 0, 0)
    end = len(samples) if kind & 16 else frames
    sample = struct.pack("<IIIIIBbHH", 0, end, 0, frames, rate, 69, -4, 0, kind)
    ends = struct.pack("<H", 0), struct.pack("<H", len(zones))
    hydra = listed(
        b"pdta",
        chunk(b"phdr", named("sine") + preset + named("EOP") + last_preset),
        chunk(b"pbag", struct.pack("<HHHH", 0, 0, 1, 0)),
        chunk(b"pmod", bytes(10)),
        chunk(b"pgen", struct.pack("<HHHH", 41, 0, 0, 0)),
        chunk(b"inst", named("sine") + ends[0] + named("EOI") + ends[1]),
        chunk(b"ibag", b"".join(struct.pack("<HH", bag, 0) for bag in bags)),
        chunk(b"imod", bytes(10)),
        chunk(b"igen", b"".join(struct.pack("<Hh", *each) for each in (*generators, (0, 0)))),
        chunk(b"shdr", named("sine") + sample + named("EOS") + bytes(26)),
    )
    return chunk(b"RIFF", b"sfbk" + info + listed(b"sdta", chunk(b"smpl", samples)) + hydra)
