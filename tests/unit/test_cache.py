from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.data.reading import read_sources
from musengine.data.storage.cache import Cache, default_folder, key_of
from musengine.data.storage.serialization import pack_pieces, unpack_pieces
from musengine.music.piece import Piece, Text
from musengine.music.score import Score, Track
from musengine.pipeline.values import Source
from musengine.plugins import manager
from musengine.plugins.registry import Distribution, Registry, RegistryEntry
from musengine.testing import rows_of, score_of, write_midi
from musengine.testing.strategies import few, scores

pieces = st.builds(
    Piece,
    id=st.text(max_size=6),
    content=scores() | st.builds(Text, st.text(max_size=40), st.sampled_from(["plain", "abc"])),
    style=st.text(max_size=6),
    part=st.sampled_from([None, "train", "valid", "test"]),
    warnings=st.lists(st.text(max_size=6), max_size=2).map(tuple),
)


def alike(one: Piece, other: Piece) -> bool:
    """Whether two pieces are the same in every field, arrays element by element."""
    same = (one.id, one.style, one.part, one.warnings) == (
        other.id,
        other.style,
        other.part,
        other.warnings,
    )
    if isinstance(one.content, Text):
        return same and one.content == other.content
    for field in fields(Score):
        left, right = getattr(one.content, field.name), getattr(other.content, field.name)
        if isinstance(left, np.ndarray):
            same &= left.dtype == right.dtype and np.array_equal(left, right)
        else:
            same &= left == right
    return same


@given(kept=st.lists(pieces, max_size=4))
@few(60)
def test_pieces_come_back_from_the_disk_as_they_were(kept, tmp_path):
    cache = Cache(tmp_path / "cache")
    cache.put("key", *pack_pieces(kept))
    stored = cache.get("key")
    assert stored is not None
    found = unpack_pieces(*stored)
    assert len(found) == len(kept)
    assert all(alike(one, other) for one, other in zip(kept, found, strict=True))


def test_what_is_stored_under_one_key_is_not_found_under_another(tmp_path):
    cache = Cache(tmp_path)
    assert cache.get(key_of("a")) is None
    cache.put(key_of("a"), {"x": np.arange(3)}, [1, "two", None])
    cache.put(key_of("b"), {"x": np.arange(6).reshape(2, 3).T}, {})
    arrays, meta = cache.get(key_of("a"))
    assert (arrays["x"].tolist(), meta) == ([0, 1, 2], [1, "two", None])
    # An array whose rows do not lie one after another comes back in its own shape.
    assert cache.get(key_of("b"))[0]["x"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert cache.get(key_of("c")) is None


def test_keys_tell_values_and_their_grouping_apart():
    keys = [
        key_of("ab"),
        key_of("a", "b"),
        key_of(("a", "b")),
        key_of("a", "b", None),
        key_of(1),
        key_of("1"),
        key_of(1.0),
        key_of({"a": 1}),
        key_of(),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of("a", {"b": (1, 2)}) == key_of("a", {"b": (1, 2)})


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = Cache(None)
    cache.put("key", {"x": np.arange(3)}, {})
    assert cache.get("key") is None
    assert list(tmp_path.iterdir()) == []


def entry(folder: Path) -> tuple[Cache, Path]:
    """A cache with one entry under `key`, and the entry's file."""
    cache = Cache(folder)
    cache.put("key", *pack_pieces([Piece("a", score_of([(0, 4, 60), (4, 4, 62)]))]))
    (path,) = (path for path in folder.rglob("*") if path.is_file())
    return cache, path


@given(place=st.floats(0, 0.9999), change=st.integers(1, 255))
@few(150)
def test_a_flipped_byte_makes_an_entry_absent(place, change, tmp_path):
    cache, path = entry(tmp_path / "cache")
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= change
    path.write_bytes(data)
    stored = cache.get("key")
    # Blanks between the parts of the file may change without a difference to what it holds.
    if stored is not None:
        assert rows_of(unpack_pieces(*stored)[0].content) == [
            (0, 4, 60, 80, 0),
            (4, 4, 62, 80, 0),
        ]


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_an_entry_cut_short_is_absent(tmp_path, share):
    cache, path = entry(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert cache.get("key") is None
    # It is replaced like any other.
    cache.put("key", {}, "new")
    assert cache.get("key") == ({}, "new")


def test_an_entry_that_is_something_else_is_absent(tmp_path):
    cache, path = entry(tmp_path)
    path.write_text("not a cache entry at all", encoding="utf-8")
    assert cache.get("key") is None
    path.unlink()
    path.mkdir()
    assert cache.get("key") is None
    cache.put("key", {}, "new")  # cannot be, and is no error


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    # A file stands where the folder should be, which stops even a superuser.
    (tmp_path / "cache").write_text("", encoding="utf-8")
    cache = Cache(tmp_path / "cache")
    cache.put("key", {"x": np.arange(3)}, {})
    assert cache.get("key") is None
    assert (tmp_path / "cache").read_text(encoding="utf-8") == ""


def test_the_folder_is_the_users_choice(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSENGINE_CACHE", str(tmp_path / "mine"))
    assert default_folder() == tmp_path / "mine"
    monkeypatch.setenv("MUSENGINE_CACHE", "~/mine")
    assert default_folder() == Path.home() / "mine"
    monkeypatch.delenv("MUSENGINE_CACHE")
    assert default_folder().name == "musengine"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="each system has its own place")
def test_the_default_folder_is_where_the_system_has_its_caches(tmp_path, monkeypatch):
    monkeypatch.delenv("MUSENGINE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_folder() == Path.home() / ".cache" / "musengine"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "musengine"


def registry_of(version: str) -> Registry:
    """The core's registry as if its readers came with another version."""
    registry = manager.load_from([]).registry
    key = ("reader", "midi")
    registry.entries[key] = RegistryEntry(
        registry.entries[key].declaration, Distribution("musengine", version)
    )
    return registry


def test_what_another_version_of_a_reader_read_is_read_again(tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    score = score_of([(0, 4, 60)], tracks=[Track("flute", 73, channel=0)])
    write_midi(score, music / "tune.mid")
    cache = Cache(tmp_path / "cache")

    def entries_after(version: str, source: Path = music) -> int:
        reading = read_sources([Source(str(source))], registry_of(version), jobs=1, cache=cache)
        (piece,) = reading.pieces
        assert rows_of(piece.content) == rows_of(score)
        assert piece.content.tracks == score.tracks
        return sum(path.is_file() for path in cache.folder.rglob("*"))

    assert entries_after("1.0") == 1
    assert entries_after("1.0") == 1
    assert entries_after("1.1") == 2
    assert entries_after("1.0") == 2
    # The same bytes under another name are a piece of another name.
    (music / "tune.mid").rename(music / "other.mid")
    assert entries_after("1.0") == 3
    # Another tune under the same name is another tune.
    score = score_of([(0, 4, 61)], tracks=[Track("flute", 73, channel=0)])
    write_midi(score, music / "other.mid")
    assert entries_after("1.0") == 4


def test_what_was_stored_is_used_and_what_is_damaged_is_read_again(tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    write_midi(score_of([(0, 4, 60)]), music / "tune.mid")
    cache = Cache(tmp_path / "cache")

    def read() -> Piece:
        (piece,) = read_sources([Source(str(music))], registry_of("1"), jobs=1, cache=cache).pieces
        return piece

    read()
    (path,) = (path for path in cache.folder.rglob("*") if path.is_file())
    # A forged entry is what a second reading gives, so it does not look at the music again.
    cache.put(path.stem, *pack_pieces([Piece("forged", Text("x"))]))
    assert read() == Piece("forged", Text("x"))
    path.write_bytes(path.read_bytes()[:-1])
    assert rows_of(read().content) == [(0, 4, 60, 80, 0)]
