from __future__ import annotations

import gc
import os
import sys
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import refused
from musengine.data.dataset import prepare, read_corpus
from musengine.data.discovery import DiscoveryNotes
from musengine.data.files.loader import PieceLoader
from musengine.data.manifest import Manifest, PieceInfo, Skipped
from musengine.data.reading import read_manifest
from musengine.data.storage import listing
from musengine.data.storage.cache import Cache, size_limit, trim
from musengine.data.storage.listing import Listing, ListingBuilder
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item, Reader
from musengine.music.piece import Piece
from musengine.pipeline.resolve import Pipeline, load_pipeline
from musengine.plugins import manager
from musengine.plugins.configs import NoSettings
from musengine.plugins.declarations import ReaderDeclaration
from musengine.plugins.registry import Component, Distribution, RegistryEntry
from musengine.testing import score_of, write_midi
from musengine.utils.files import whole_file


class Letters(Reader[NoSettings]):
    """A tune of one note for each letter of a file; notes beside the file how often it is read."""

    def read(self, item: Item) -> list[Piece]:
        with item.path.with_suffix(".log").open("a") as log:
            log.write(f"{os.getpid()}\n")
        text = item.path.read_text()
        if text == "exit":
            os._exit(3)
        if text == "bad":
            raise UnreadableError("not letters")
        if text == "fault":
            raise KeyError("oh")
        return [
            Piece(f"{item.id}#{n}", score_of([(0, 4, ord(letter) % 128)]), item.style)
            for n, letter in enumerate(text)
        ]


LETTERS = Component(
    RegistryEntry(
        ReaderDeclaration(name="letters", summary="", target="test_manifest:Letters"),
        Distribution("letters-dist", "1.0"),
    ),
    NoSettings(),
)


def files_of(folder: Path, texts: Sequence[str]) -> list[tuple[Component, Item]]:
    """Write a file for each text, and name its reader."""
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        (folder / f"{number:03}.txt").write_text(text)
    return [(LETTERS, Item(path, path.name)) for path in sorted(folder.glob("*.txt"))]


def listed(items: Sequence[tuple[Component, Item]], cache: Cache, **more) -> Manifest:
    return read_manifest(items, DiscoveryNotes(), jobs=2, cache=cache, **more)


def readings(folder: Path) -> dict[str, int]:
    """How often each file was read."""
    return {path.stem: len(path.read_text().split()) for path in sorted(folder.glob("*.log"))}


def test_pieces_are_listed_in_the_order_of_the_files_and_found_again(tmp_path):
    items = files_of(tmp_path / "music", ["ab", "c", "def"])
    manifest = listed(items, Cache(tmp_path / "cache"))
    assert [piece.id for piece in manifest.pieces] == [
        "000.txt#0", "000.txt#1", "001.txt#0", "002.txt#0", "002.txt#1", "002.txt#2",
    ]  # fmt: skip
    for piece, letter in zip(manifest.pieces, "abcdef", strict=True):
        found = manifest.loader.pieces(manifest.files[piece.file])[piece.index]
        assert found.content.pitch.tolist() == [ord(letter)]
        assert found.content.fingerprint() == piece.fingerprint
        assert found.content.notes_fingerprint() == piece.notes_hash
    assert readings(tmp_path / "music") == {"000": 1, "001": 1, "002": 1}


def test_files_of_one_name_get_different_ids(tmp_path):
    one, other = (files_of(tmp_path / name, [name]) for name in "ab")
    manifest = listed([*one, *other], Cache(tmp_path / "cache"))
    assert [piece.id for piece in manifest.pieces] == ["000.txt#0", "000.txt#0~2"]


@pytest.mark.slow
def test_a_changed_file_is_read_again_and_no_other(tmp_path):
    music, cache = tmp_path / "music", Cache(tmp_path / "cache")
    texts = [chr(ord("a") + n % 26) * (1 + n // 26) for n in range(60)]
    listed(files_of(music, texts), cache)
    texts[7] = "other"
    changed = listed(files_of(music, texts), cache)
    assert readings(music) == {f"{n:03}": 2 if n == 7 else 1 for n in range(60)}
    # Touched, but not changed: nothing is read.
    os.utime(music / "010.txt", (1, 1))
    assert [*listed(files_of(music, texts), cache).pieces] == [*changed.pieces]
    assert sum(readings(music).values()) == 61


@pytest.mark.slow
def test_many_files_are_read_elsewhere_and_known_ones_looked_up_here(tmp_path):
    music, cache = tmp_path / "music", Cache(tmp_path / "cache")
    texts = [f"{n:03}" for n in range(80)]
    # The first, the last and some in between are known already.
    items = files_of(music, texts)
    listed([items[0], *items[30:40], items[-1]], cache)
    manifest = listed(items, cache)
    assert [piece.id[:3] for piece in manifest.pieces[::3]] == texts
    assert set(readings(music).values()) == {1}
    processes = {path.read_text().split()[0] for path in music.glob("*.log")}
    assert str(os.getpid()) in processes  # those of the first few that were read here
    assert len(processes) > 1
    again = listed(items, cache)
    assert [*again.pieces] == [*manifest.pieces]
    assert set(readings(music).values()) == {1}


@pytest.mark.slow
def test_each_bad_file_is_skipped_with_its_own_reason(tmp_path):
    texts = ["good"] * 30
    texts[3:7] = ["bad", "exit", "fault", ""]
    items = files_of(tmp_path / "music", texts)
    manifest = listed(items, Cache(tmp_path / "cache"))
    paths = [str(item.path) for _, item in items]
    assert manifest.skipped == [
        Skipped(paths[3], "not letters"),
        Skipped(paths[4], "its process crashed (exit status 3)"),
        Skipped(paths[5], "reader 'letters' of letters-dist 1.0 failed: KeyError: 'oh'"),
        Skipped(paths[6], "no pieces in it"),
    ]
    assert len(manifest.pieces) == 4 * 26


def test_what_vanished_from_the_cache_is_read_again_unless_it_changed(tmp_path):
    music, cache = tmp_path / "music", Cache(tmp_path / "cache")
    manifest = listed(files_of(music, ["ab", "cd"]), cache)
    for path in (tmp_path / "cache").rglob("*.safetensors"):
        path.unlink()
    assert len(manifest.loader.pieces(manifest.files[0])) == 2
    (music / "001.txt").write_text("xyz")
    with refused("file-changed"):
        manifest.loader.pieces(manifest.files[1])


def pipeline_of(folder: Path, cache: str) -> Pipeline:
    """A pipeline on three MIDI files."""
    (folder / "music").mkdir()
    for pitch in (60, 62, 64):
        path = folder / "music" / f"{pitch}.mid"
        write_midi(score_of([(0, 4, pitch)]), path)
    path = folder / "pipeline.toml"
    path.write_text(f'[corpus]\npath = "music"\ncache = {cache}\n[model]\ntype = "frequencies"\n')
    return load_pipeline(path, manager.load_from([]).registry)


def test_without_a_cache_all_is_removed_with_the_pieces(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    pipeline = pipeline_of(tmp_path, "false")
    manifest = read_corpus(pipeline, manager.load_from([]).registry)
    dataset = prepare(pipeline, manifest, pipeline.encoder.create())
    (scratch,) = (tmp_path / "temporary").iterdir()
    pieces = dataset.parts["train"]
    del manifest, dataset
    gc.collect()
    # The pieces alone keep it.
    assert pieces[0].encoded.steps.any()
    assert scratch.is_dir()
    del pieces
    gc.collect()
    assert not scratch.exists()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, caplog):
    caplog.set_level("INFO")
    # A file stands where the folder should be, which stops even a superuser.
    (tmp_path / "cache").write_text("")
    pipeline = pipeline_of(tmp_path, '"cache"')
    manifest = read_corpus(pipeline, manager.load_from([]).registry)
    assert len(prepare(pipeline, manifest, pipeline.encoder.create()).parts["train"]) == 2
    assert str(tmp_path / "cache") in caplog.text


class TestTrimming:
    def entries(self, folder: Path, count: int) -> list[Path]:
        """Entries of 1,000 bytes, used one second after another, a day ago."""
        paths = []
        for number in range(count):
            path = folder / f"{number:02x}" / f"{number:064x}.safetensors"
            path.parent.mkdir(parents=True)
            path.write_bytes(bytes(1000))
            os.utime(path, (time.time(), time.time() - 86400 + number))
            paths.append(path)
        return paths

    def test_what_was_used_longest_ago_goes_first(self, tmp_path):
        paths = self.entries(tmp_path, 6)
        trim(tmp_path, 6000, time.time())
        assert all(path.exists() for path in paths)
        trim(tmp_path, 3500, time.time())
        assert [path.exists() for path in paths] == [False] * 3 + [True] * 3

    def test_what_is_in_use_stays(self, tmp_path):
        paths = self.entries(tmp_path, 3)
        trim(tmp_path, 0, paths[1].stat().st_mtime)
        assert [path.exists() for path in paths] == [False, True, True]

    def test_other_files_are_left_alone(self, tmp_path):
        mine = tmp_path / "00" / "mine.safetensors"
        mine.parent.mkdir()
        mine.write_bytes(bytes(1000))
        old = tmp_path / f".{'b' * 64}-x1y2z3w4.safetensors"
        old.write_bytes(b"")
        os.utime(old, (1, 1))
        with whole_file(tmp_path / f"{'a' * 64}.safetensors") as fresh:
            trim(tmp_path, 0, time.time())
            # A file that is being written is no entry yet; one whose process was killed goes.
            assert (mine.exists(), fresh.exists(), old.exists()) == (True, True, False)

    def test_a_preparation_trims_all_but_its_own(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MUSENGINE_CACHE_SIZE", "0")
        old = self.entries(tmp_path / "cache", 2)
        pipeline = pipeline_of(tmp_path, '"cache"')
        manifest = read_corpus(pipeline, manager.load_from([]).registry)
        dataset = prepare(pipeline, manifest, pipeline.encoder.create())
        assert not any(path.exists() for path in old)
        assert dataset.parts["train"][0].encoded.steps.any()
        kept = [path.parent.name for path in (tmp_path / "cache").rglob("*.safetensors")]
        # 3 files and a shard; folders are named by two digits of a hash, which may be the same.
        assert len([name for name in kept if name != "listings"]) == 4

    @pytest.mark.parametrize(("text", "size"), [("0.5", 2**29), ("2", 2**31), ("0", 0)])
    def test_its_size_is_the_users_choice(self, text, size, monkeypatch):
        monkeypatch.setenv("MUSENGINE_CACHE_SIZE", text)
        assert size_limit() == size

    @pytest.mark.parametrize("text", ["", "5 GB", "-1", "inf", "nan"])
    def test_a_size_that_is_none_is_told(self, text, monkeypatch):
        monkeypatch.setenv("MUSENGINE_CACHE_SIZE", text)
        with refused("environment-value", "MUSENGINE_CACHE_SIZE"):
            size_limit()

    def test_by_default_it_is_five_gibibytes(self, monkeypatch):
        monkeypatch.delenv("MUSENGINE_CACHE_SIZE", raising=False)
        assert size_limit() == 5 * 2**30


def test_reading_again_after_another_version_of_the_reader(tmp_path):
    music, cache = tmp_path / "music", Cache(tmp_path / "cache")
    (_, item), *_ = files_of(music, ["ab"])
    newer = replace(
        LETTERS, entry=replace(LETTERS.entry, origin=Distribution("letters-dist", "2.0"))
    )
    for component in (LETTERS, newer, newer, LETTERS):
        listed([(component, item)], cache)
    assert readings(music) == {"000": 2}


class TestListing:
    """What was found in each file, kept so that no file is opened at the next start."""

    @pytest.fixture(autouse=True)
    def settled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A second before its change, so that a file that was just made counts as settled.
        monkeypatch.setattr(listing, "_SETTLED", -(10**9))

    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The names of the files whose bytes were asked for."""
        names: list[str] = []
        key = PieceLoader.key

        def noted(loader: PieceLoader, reader: int, item: Item) -> str:
            names.append(item.path.name)
            return key(loader, reader, item)

        monkeypatch.setattr(PieceLoader, "key", noted)
        return names

    def found(self, items: Sequence[tuple[Component, Item]], cache: Cache) -> Manifest:
        return listed(items, cache, listed_as=lambda: ["music"])

    def test_files_that_are_as_they_were_are_not_opened(self, tmp_path, opened):
        cache, items = Cache(tmp_path / "cache"), files_of(tmp_path / "music", ["ab", "bad", "c"])
        first = self.found(items, cache)
        opened.clear()
        again = self.found(items, cache)
        # What could not be read may be readable now.
        assert set(opened) == {"001.txt"}
        assert [*again.pieces] == [*first.pieces]
        assert [*again.files] == [*first.files]
        assert [file.item.id for file in again.files] == ["000.txt", "002.txt"]
        assert [piece.file for piece in again.pieces] == [0, 0, 1]
        assert again.skipped == first.skipped
        assert again.libraries == first.libraries == {"letters": ""}
        (piece,) = again.loader.pieces(again.files[1])
        assert piece.content.pitch.tolist() == [ord("c")]

    def test_a_change_shows_even_with_the_size_and_the_time_of_before(self, tmp_path, opened):
        cache, items = Cache(tmp_path / "cache"), files_of(tmp_path / "music", ["ab", "cd"])
        self.found(items, cache)
        path = tmp_path / "music" / "001.txt"
        before = path.stat()
        time.sleep(0.02)  # the system's clock of files goes in steps of up to a hundredth
        path.write_text("xy")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        opened.clear()
        again = self.found(items, cache)
        assert set(opened) == {"001.txt"}
        assert readings(tmp_path / "music") == {"000": 1, "001": 2}
        pitches = [again.loader.pieces(again.files[1])[n].content.pitch[0] for n in range(2)]
        assert bytes(pitches) == b"xy"

    def test_files_that_came_and_went(self, tmp_path, opened):
        cache, music = Cache(tmp_path / "cache"), tmp_path / "music"
        items = files_of(music, ["a", "b", "c", "d"])
        whole = [*self.found(items, cache).pieces]
        opened.clear()
        fewer = self.found([items[0], items[3]], cache)
        assert [piece.id for piece in fewer.pieces] == ["000.txt#0", "003.txt#0"]
        assert [fewer.files[piece.file].item.id for piece in fewer.pieces] == ["000.txt", "003.txt"]
        assert opened == []
        again = self.found(items, cache)
        assert [*again.pieces] == whole
        assert opened == ["001.txt", "002.txt"]

    def test_ids_are_told_apart_in_the_order_of_now(self, tmp_path):
        cache = Cache(tmp_path / "cache")
        one, other = (files_of(tmp_path / name, [name]) for name in "ab")
        self.found([*one, *other], cache)
        again = self.found([*one, *other], cache)
        assert [piece.id for piece in again.pieces] == ["000.txt#0", "000.txt#0~2"]
        assert [piece.id for piece in self.found(other, cache).pieces] == ["000.txt#0"]

    def test_a_file_that_changed_a_moment_ago_is_looked_at_again(
        self, tmp_path, opened, monkeypatch
    ):
        monkeypatch.setattr(listing, "_SETTLED", 3600 * 10**9)
        cache, items = Cache(tmp_path / "cache"), files_of(tmp_path / "music", ["ab", "cd"])
        self.found(items, cache)
        assert not (tmp_path / "cache" / "listings").exists()
        opened.clear()
        self.found(items, cache)
        assert opened == ["000.txt", "001.txt"]

    def test_another_reader_and_another_corpus_have_a_listing_of_their_own(self, tmp_path, opened):
        cache, items = Cache(tmp_path / "cache"), files_of(tmp_path / "music", ["ab"])
        newer = replace(
            LETTERS, entry=replace(LETTERS.entry, origin=Distribution("letters-dist", "2.0"))
        )
        self.found(items, cache)
        self.found([(newer, item) for _, item in items], cache)
        assert readings(tmp_path / "music") == {"000": 2}
        opened.clear()
        listed(items, cache, listed_as=lambda: ["other"])
        assert opened == ["000.txt"]
        assert len(list((tmp_path / "cache" / "listings").iterdir())) == 3

    @pytest.mark.parametrize("place", [0, 5, 40, -300, -1])
    def test_a_damaged_one_is_as_none(self, tmp_path, opened, place):
        cache, items = Cache(tmp_path / "cache"), files_of(tmp_path / "music", ["ab", "cd"])
        whole = [*self.found(items, cache).pieces]
        (path,) = (tmp_path / "cache" / "listings").iterdir()
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(data)
        opened.clear()
        assert [*self.found(items, cache).pieces] == whole
        assert opened == ["000.txt", "001.txt"]

    @pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be cut there")
    def test_one_cut_short_in_use_is_told(self, tmp_path):
        cache, items = Cache(tmp_path / "cache"), files_of(tmp_path / "music", ["abcdef" * 10] * 5)
        manifest = self.found(items, cache)
        (path,) = (tmp_path / "cache" / "listings").iterdir()
        os.truncate(path, 1000)
        with refused("shard-lost", path):
            list(manifest.pieces)

    def test_an_info_comes_back_as_it_was(self, tmp_path):
        score = score_of([(0, 4, 60)], tempos=[(0, 90)], meters=[(0, 3, 4)], keys=[(0, -2, 1)])
        info = PieceInfo.of(
            Piece("ä", score, "jigs", "valid", ("odd",)), 0, notes_hash="n", source_id="s"
        )
        assert (info.prevailing.meter, info.prevailing.key) == ((3, 4), (-2, 1))
        builder = ListingBuilder()
        builder.add(bytes(range(16)), "ab" * 32, [info, Skipped("b", "no notes")])
        found = builder.finish(Cache(tmp_path), "c" * 64)
        assert found.info(0) == replace(info, file=0)
        assert (found.key(0), found.warned) == ("ab" * 32, [0])
        assert found.skipped == {0: [Skipped("b", "no notes")]}

    def test_a_piece_takes_little_memory(self, tmp_path):
        info = PieceInfo.of(Piece("a", score_of([(0, 4, 60)])), 0)
        cache, key = Cache(tmp_path), "c" * 64
        tracemalloc.start()
        builder = ListingBuilder()
        for number in range(9000):
            identity = number.to_bytes(16, "big")
            builder.add(identity, f"{number:064x}", [replace(info, id=f"folder/{number}.mid")])
        made, _ = tracemalloc.get_traced_memory()
        builder.finish(cache, key)
        tracemalloc.stop()
        # 16 bytes of the file, 32 of its key, 16 of its id, and two numbers of eight; rows grow by
        # an eighth at a time. Texts of some 400 bytes are not among it, but for a megabyte.
        assert made < 9000 * 100 + 2**20
        tracemalloc.start()
        found = Listing.in_cache(cache, key)
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found is not None
        assert found.info(8999).id == "folder/8999.mid"
        # Three numbers of four bytes or fewer, and the buffer of the open file.
        assert after < 9000 * 12 + 2**17
        assert peak < 9000 * 100 + 2**20
