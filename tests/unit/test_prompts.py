"""Which beginnings of pieces a run keeps, and which of them new pieces go on from."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from musengine.builtin.configs import PianoRollConfig
from musengine.builtin.encoders.piano_roll import PianoRoll
from musengine.config.quantities import GridStep, Length
from musengine.encoding.layouts import Grid, Tokens
from musengine.errors import UserError
from musengine.generation.prompts import (
    FEWEST,
    draw_prompts,
    read_prompts,
    steps_needed,
    store_prompts,
)
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece
from musengine.utils.arrays import Array

ROLL = Grid(
    lowest=21, pitches=88, channels=("sound", "onset"), step=GridStep(Fraction(1, 4), "beat")
)
WORDS = Tokens(size=300)


def pieces(lengths: list[int], layout: Grid | Tokens = WORDS) -> list[EncodedPiece]:
    random = np.random.default_rng(1)

    def steps(length: int) -> Array:
        if isinstance(layout, Tokens):
            return random.integers(0, layout.size, length).astype(np.int16)
        return random.integers(0, 2, (length, *layout.step_shape)).astype(np.uint8)

    return [EncodedPiece(f"p{k}", Encoded(steps(n)), "") for k, n in enumerate(lengths)]


def kept(tmp_path: Path, those: list[EncodedPiece], layout: Grid | Tokens) -> dict[str, int]:
    """Store pieces, compare what comes back with them, and return how many steps each has."""
    path = tmp_path / "prompts.safetensors"
    store_prompts(those, layout, path)
    assert path.stat().st_size < 2_100_000
    whole = {piece.id: piece.encoded for piece in those}
    found = read_prompts(path, layout)
    for piece in found:
        steps, channels = whole[piece.id].steps, whole[piece.id].conditioning
        np.testing.assert_array_equal(piece.encoded.steps, steps[: len(piece)])
        assert piece.encoded.conditioning.keys() == channels.keys()
        for name, channel in channels.items():
            np.testing.assert_array_equal(piece.encoded.conditioning[name], channel[: len(piece)])
    return {piece.id: len(piece) for piece in found}


def test_all_there_is_of_a_small_corpus(tmp_path: Path) -> None:
    for layout in (ROLL, WORDS):
        those = pieces([700, 1, 40, 2000], layout)
        assert kept(tmp_path, those, layout) == {"p0": 700, "p1": 1, "p2": 40, "p3": 2000}


def test_of_many_pieces_as_many_as_fit(tmp_path: Path) -> None:
    # 176 bits are 22 bytes a step: 90,909 steps, 177 pieces of 512.
    found = kept(tmp_path, pieces([600] * 300, ROLL), ROLL)
    assert len(found) == 177
    assert set(found.values()) == {513}


def test_of_wide_steps_shorter_beginnings_of_enough_pieces(tmp_path: Path) -> None:
    wide = Grid(lowest=0, pitches=1000, step=GridStep(Fraction(1), "beat"))
    found = kept(tmp_path, pieces([600] * 80, wide), wide)
    # 125 bytes a step: 16,000 steps among the fewest, 64.
    assert (len(found), set(found.values())) == (FEWEST, {250})


def test_room_is_for_the_longest_where_others_are_short(tmp_path: Path) -> None:
    wide = Grid(lowest=0, pitches=8000, step=GridStep(Fraction(1), "beat"))
    # 1,000 bytes a step: 2,000 steps, of which the short ones take 20.
    assert kept(tmp_path, pieces([10, 10, 3000], wide), wide) == {"p0": 10, "p1": 10, "p2": 1980}


def test_conditioning_is_kept_too(tmp_path: Path) -> None:
    beat = np.arange(18, dtype=np.float32).reshape(6, 3)
    those = [
        EncodedPiece("a", Encoded(np.arange(6), {"beat": beat}), ""),
        EncodedPiece("b", Encoded(np.arange(4), {"beat": beat[:4] + 1}), ""),
    ]
    assert kept(tmp_path, those, WORDS) == {"a": 6, "b": 4}


@pytest.mark.parametrize("damage", [b"", b"\xff" * 99, "lengths", "bits", "ids"])
def test_damaged_ones_are_one_line(tmp_path: Path, damage: bytes | str) -> None:
    path = tmp_path / "prompts.safetensors"
    arrays = {"steps": np.zeros((4, 22), np.uint8), "lengths": np.array([4])}
    if damage == "lengths":
        arrays["lengths"] = np.array([1, 3])
    if damage == "bits":
        arrays["steps"] = np.zeros((4, 3), np.int64)
    ids = "[" * 10**5 if damage == "ids" else '["a"]'
    data = safetensors.numpy.save(arrays, metadata={"ids": ids})
    path.write_bytes(damage if isinstance(damage, bytes) else data)
    with pytest.raises(UserError) as caught:
        read_prompts(path, ROLL)
    assert caught.value.code == "file-damaged"


def drawn(
    those: list[EncodedPiece], count: int, seed: int, offset: Length | None, length: int
) -> list[str]:
    encoder = PianoRoll(PianoRollConfig())
    wanted = Length(length, "steps")
    found = draw_prompts(those, count, seed, offset, wanted, encoder, DecodeSettings())
    return [piece.id for piece in found]


START = Length(0, "steps")


def test_another_seed_begins_elsewhere() -> None:
    those = pieces([20] * 50)
    assert drawn(those, 4, 1, START, 8) == drawn(those, 4, 1, START, 8)
    first = {drawn(those, 1, seed, START, 8)[0] for seed in range(40)}
    assert len(first) > 20


@given(st.integers(0, 2**53), st.integers(1, 60))
def test_each_comes_once_and_the_kth_is_always_the_same(seed: int, count: int) -> None:
    those = pieces([20] * 30)
    found = drawn(those, count, seed, START, 8)
    assert found == drawn(those, 60, seed, START, 8)[:count]
    assert len(set(found)) == min(count, 30)


def test_those_that_are_long_enough_are_taken() -> None:
    those = pieces([5, 30, 12, 30, 25])
    assert set(drawn(those, 9, 0, Length(10, "steps"), 16)) == {"p1", "p3"}
    assert set(drawn(those, 9, 0, None, 16)) == {"p1", "p3", "p4"}
    # None is so long: those that begin before the offset give what they have.
    assert set(drawn(those, 9, 0, Length(10, "steps"), 40)) == {"p1", "p2", "p3", "p4"}
    assert len(drawn(those, 5, 0, Length(99, "steps"), 8)) == 5


def test_as_much_is_kept_as_prompts_need(tmp_path: Path) -> None:
    those, encoder = pieces([3000] * 200, ROLL), PianoRoll(PianoRollConfig())
    settings = {piece.id: DecodeSettings() for piece in those}
    length = Length(40, "bars")  # 640 sixteenths
    needed = steps_needed(those, Length(2, "beats"), length, encoder, settings)
    assert needed == 648
    assert steps_needed(those, None, length, encoder, settings) == 1280
    path = tmp_path / "prompts.safetensors"
    store_prompts(those, ROLL, path, needed=needed)
    found = read_prompts(path, ROLL)
    # 22 bytes a step: 90,909 steps, 140 pieces of 648.
    assert (len(found), {len(piece) for piece in found}) == (140, {649})
    assert {piece.whole for piece in found} == {3000}


def test_a_piece_kept_whole_is_no_beginning(tmp_path: Path) -> None:
    path = tmp_path / "prompts.safetensors"
    store_prompts(pieces([70, 9000], WORDS), WORDS, path)
    assert {piece.id: piece.whole for piece in read_prompts(path, WORDS)} == {
        "p0": None,
        "p1": None,
    }


def test_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    path = tmp_path / "prompts.safetensors"
    store_prompts(pieces([70, 90]), WORDS, path)
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    # The library writes its metadata in an order that each process draws.
    assert next(iter(header)) == "__metadata__"
    assert list(header["__metadata__"]) == sorted(header["__metadata__"])
    assert (8 + size) % 8 == 0
