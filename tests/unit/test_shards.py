from __future__ import annotations

import mmap
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import load_file

from helpers import refused
from musengine.data.storage import shards as module
from musengine.data.storage.shards import Shards, packed_keys, storable, write_shards
from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.testing.strategies import few

KINDS = st.sampled_from(["u1", "i1", "u2", "i4", "i8", "f4", "f8", "?"]).map(np.dtype)


@st.composite
def encoded(draw: st.DrawFn) -> Encoded:
    """A few steps of any kind of number and shape, perhaps with conditioning channels."""
    steps = draw(st.integers(0, 5))

    def array(inner: tuple[int, ...]) -> np.ndarray:
        return draw(arrays_of.arrays(draw(KINDS), (steps, *inner)))

    inner = draw(st.sampled_from([(), (3,), (2, 2), (0,)]))
    names = draw(st.sets(st.sampled_from(["bar", "style"])))
    dropped = draw(st.sampled_from([{}, {"notes out of range": 3}]))
    return Encoded(
        steps=array(inner), conditioning={name: array(()) for name in names}, dropped=dropped
    )


def same(one: np.ndarray, other: np.ndarray) -> bool:
    equal = np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return equal and one.dtype == other.dtype and one.shape == other.shape


def alike(one: Encoded, other: Encoded) -> bool:
    return (
        same(one.steps, other.steps)
        and one.conditioning.keys() == other.conditioning.keys()
        and all(same(one.conditioning[name], other.conditioning[name]) for name in one.conditioning)
        and one.dropped == other.dropped
    )


def key(name: object) -> str:
    """A key of 32 hexadecimal digits."""
    return f"{name:0>32}"


def opened(folder: Path, names: Iterable[object]) -> Shards:
    """The shards in a folder, in which pieces of these names are looked for."""
    shards = Shards(folder, np.sort(packed_keys(map(key, names))))
    shards.find()
    return shards


@given(pieces=st.lists(encoded(), min_size=1, max_size=6), full=st.sampled_from([1, 60, 10**6]))
@few(80)
def test_pieces_come_back_as_they_were(pieces, full, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FULL", full)
        paths = write_shards(folder, [(key(n), piece) for n, piece in enumerate(pieces)])
    # No two pieces of more than a byte share a shard that one byte fills.
    sizes = [
        piece.steps.nbytes + sum(s.nbytes for s in piece.conditioning.values()) for piece in pieces
    ]
    if full == 1:
        assert len(paths) >= sum(size > 0 for size in sizes)
    elif full == 10**6:
        assert len(paths) == 1
    shards = opened(folder, range(len(pieces)))
    for number, piece in enumerate(pieces):
        found = shards.piece(f"piece {number}", "print", key(number))
        assert isinstance(found, EncodedPiece)
        assert (found.id, found.fingerprint) == (f"piece {number}", "print")
        assert len(found) == len(piece.steps)
        assert alike(found.encoded, piece)
        assert found.encoded.dropped == piece.dropped
    assert shards.dropped(np.arange(len(pieces), dtype=np.int32)) == sum(
        (Counter(piece.dropped) for piece in pieces), Counter()
    )


def tokens(*values: int) -> Encoded:
    return Encoded(steps=np.array(values))


def test_any_safetensors_library_opens_a_shard(tmp_path):
    conditioning = {"bar": np.array([7, 8], dtype=np.uint8)}
    (path,) = write_shards(
        tmp_path,
        [
            (
                key("a"),
                Encoded(steps=np.array([[1], [2]], dtype=np.float32), conditioning=conditioning),
            ),
            (key("b"), tokens(1, 2)),
            (key("c"), tokens(3)),
        ],
    )
    found = load_file(path)
    assert {name: array.tolist() for name, array in found.items()} == {
        "0.steps": [[1.0], [2.0]],
        "0.conditioning.bar": [7, 8],
        "1.steps": [1, 2, 3],
    }


def test_refusals_are_kept_with_their_reason(tmp_path):
    write_shards(tmp_path, [(key("a"), tokens(1)), (key("b"), "no notes")])
    shards = opened(tmp_path, "abc")
    assert shards.refused == {key("b"): "no notes"}
    assert key("a") in shards
    assert key("b") in shards
    assert key("c") not in shards


def test_the_same_pieces_make_the_same_bytes_under_the_same_name(tmp_path):
    entries = [(key(name), Encoded(np.arange(5), dropped={"x": 1})) for name in "abc"]
    (one,) = write_shards(tmp_path / "one", entries)
    (other,) = write_shards(tmp_path / "other", iter(entries))
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()
    (less,) = write_shards(tmp_path / "one", entries[:2])
    assert less.name != one.name


@given(place=st.floats(0, 0.9999), change=st.integers(1, 255))
@few(150)
def test_a_flipped_byte_is_noticed(place, change, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    (path,) = write_shards(folder, [(key("a"), tokens(*range(50)))])
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= change
    path.write_bytes(data)
    shards = opened(folder, "abc")
    # A blank or a letter of a field that is not looked at may change; what is found is right.
    if key("a") in shards:
        found = shards.piece("", "", key("a")).encoded.steps
        assert found.tolist() == list(range(50))
    else:
        assert not path.exists()


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.99])
def test_a_shard_cut_short_is_as_none(share, tmp_path):
    (path,) = write_shards(tmp_path, [(key("a"), tokens(*range(50)))])
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    shards = opened(tmp_path, "abc")
    assert key("a") not in shards
    assert not path.exists()


def test_a_file_still_being_written_is_not_looked_at(tmp_path):
    (path,) = write_shards(tmp_path, [(key("a"), tokens(1))])
    aside = path.with_name(f".{path.stem}-abc.safetensors")
    path.rename(aside)
    shards = opened(tmp_path, "abc")
    assert key("a") not in shards
    assert aside.exists()


def test_many_shards_need_few_open_files_and_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FULL", 1)
    monkeypatch.setattr(module, "_OPEN", 3)
    monkeypatch.setattr(module, "_RESIDENT", 20)
    write_shards(tmp_path, [(key(n), tokens(n, n + 1)) for n in range(20)])
    assert len(list(tmp_path.iterdir())) == 20
    shards = opened(tmp_path, range(20))
    pieces = [shards.piece(str(n), "", key(n)) for n in range(20)]
    held = [piece.encoded.steps for piece in pieces]
    # Views outlive the map they were made of, and pages given back come again.
    assert [view.tolist() for view in held] == [[n, n + 1] for n in range(20)]
    assert [piece.encoded.steps.tolist() for piece in pieces[::-1]] == [
        [n, n + 1] for n in range(19, -1, -1)
    ]
    assert len(shards._maps) == 3
    # None of a map that is let go, whose pages nobody would release any more.
    assert len(shards._views) <= 3
    assert all(isinstance(whole, mmap.mmap) for whole in shards._maps.values())


def test_a_shard_that_vanishes_in_use_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FULL", 1)
    monkeypatch.setattr(module, "_OPEN", 1)
    paths = write_shards(tmp_path, [(key(n), tokens(n)) for n in range(2)])
    shards = opened(tmp_path, range(2))
    pieces = [shards.piece(str(n), "", key(n)) for n in range(2)]
    for path in paths:
        Path(path).unlink()
    with refused("shard-lost"):
        [piece.encoded for piece in pieces]


@pytest.mark.parametrize("mapped_before", [False, True])
@pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be cut there")
def test_a_shard_cut_short_in_use_is_told(tmp_path: Path, mapped_before: bool) -> None:
    (path,) = write_shards(tmp_path, [(key("a"), tokens(*range(5000)))])
    shards = opened(tmp_path, "abc")
    piece = shards.piece("", "", key("a"))
    if mapped_before:
        assert len(piece.encoded.steps) == 5000
    os.truncate(path, 4096)
    with refused("shard-lost", "shorter"):
        _ = piece.encoded


def test_arrays_are_made_once_for_a_piece_that_is_asked_for_again(tmp_path, monkeypatch):
    write_shards(tmp_path, [(key(name), tokens(*range(n))) for n, name in enumerate("abc")])
    shards = opened(tmp_path, "abc")
    # Pieces of no steps begin where the next one does.
    empty, one, two = (shards.piece(name, "", key(name)) for name in "abc")
    monkeypatch.setattr(module, "_VIEWED", two._location.size)
    assert [len(each.encoded.steps) for each in (empty, one)] == [0, 1]
    assert one.encoded is one.encoded
    assert two.encoded.steps.tolist() == [0, 1]
    assert list(shards._views) == [two._location]


def test_changes_to_an_array_are_not_written(tmp_path):
    (path,) = write_shards(tmp_path, [(key("a"), tokens(1, 2))])
    before = path.read_bytes()
    shards = opened(tmp_path, "abc")
    shards.piece("", "", key("a")).encoded.steps[:] = 9
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (tokens(1), ""),
        (Encoded(np.array(["a"])), "its array 'steps' is of type <U1, which cannot be kept"),
        (Encoded(np.array([1j])), "its array 'steps' is of type complex128"),
        (Encoded(np.array(1)), "its array 'steps' does not have one entry for each step"),
        (
            Encoded(np.array([1]), {"bar": np.array([1, 2])}),
            "its array 'conditioning.bar' does not have",
        ),
    ],
)
def test_what_cannot_be_kept_is_told(encoded, reason):
    assert storable(encoded).startswith(reason)
    assert bool(storable(encoded)) == bool(reason)
