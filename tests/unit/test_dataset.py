from __future__ import annotations

import tracemalloc
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from helpers import manifest_of, refused
from musengine.data import encode
from musengine.data.dataset import (
    Dataset,
    prepare,
    read_corpus,
    total_steps,
)
from musengine.data.discovery import check_choices
from musengine.data.storage import listing
from musengine.data.storage.cache import corpus_cache
from musengine.errors import UserError
from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.music.piece import Piece, SplitName, Text
from musengine.music.score import Track
from musengine.pipeline.resolve import Pipeline, load_pipeline
from musengine.pipeline.sections import CorpusConfig
from musengine.pipeline.values import Source
from musengine.plugins import manager
from musengine.plugins.declarations import ReaderDeclaration, Requirement
from musengine.plugins.registry import Distribution, RegistryEntry
from musengine.testing import rows_of, score_of, write_midi

PARTS = get_args(SplitName)


def settings(**options) -> CorpusConfig:
    return CorpusConfig(path=(Source("music21:bach"),), **options)


def tune(number: int, name: str = "", **more) -> Piece:
    """A piece of one note, another for each number."""
    return Piece(name or f"tune {number}", score_of([(0, number + 1, 60)]), **more)


def pipeline_of(folder: Path, corpus: str = "", encoder: str = "") -> Pipeline:
    """A pipeline on a folder's music with a cache beside it."""
    path = folder / "pipeline.toml"
    path.write_text(
        f"""
        [corpus]
        path = "music"
        jobs = 1
        cache = "cache"
        {corpus}
        [encoder]
        type = "piano-roll"
        lowest = 48
        highest = 84
        {encoder}
        [model]
        type = "frequencies"
        """,
        encoding="utf-8",
    )
    return load_pipeline(path, manager.load_from([]).registry)


def made_of(pipeline: Pipeline, pieces: list[Piece]) -> Dataset:
    manifest = manifest_of(pieces, corpus_cache(pipeline.corpus))
    return prepare(pipeline, manifest, pipeline.encoder.create())


def pitches(piece: EncodedPiece) -> set[int]:
    return set((48 + np.nonzero(piece.encoded.steps.any(axis=(0, 2)))[0]).tolist())


class TestPreparing:
    def test_transposed_copies_are_trained_on_and_nothing_else(self, tmp_path):
        pieces = [
            Piece("a", score_of([(0, 4, 60)]), part="train"),
            Piece("b", score_of([(0, 4, 62)]), part="valid"),
            Piece("c", score_of([(0, 4, 64)]), part="test"),
        ]
        dataset = made_of(pipeline_of(tmp_path, "transpose = [-2, 0, 3]"), pieces)
        found = {part: [(p.id, pitches(p)) for p in dataset.parts[part]] for part in PARTS}
        assert found == {
            "train": [("a", {60}), ("a-2", {58}), ("a+3", {63})],
            "valid": [("b", {62})],
            "test": [("c", {64})],
        }

    def test_every_part_is_moved_to_the_common_key(self, tmp_path):
        # D major, its triad louder in length; E minor; both end in the key without signs.
        d_major = [(0, 8, 62), (8, 8, 66), (16, 8, 69), (24, 2, 64), (26, 2, 67), (28, 2, 73)]
        e_minor = [(0, 8, 64), (8, 8, 67), (16, 8, 71), (24, 2, 66), (26, 2, 69), (28, 2, 75)]
        pieces = [
            Piece("major", score_of(d_major), part="train"),
            Piece("minor", score_of(e_minor), part="test"),
        ]
        dataset = made_of(pipeline_of(tmp_path, 'key = "common"'), pieces)
        # Two semitones down to C; five up to A is nearer than seven down.
        assert pitches(dataset.parts["train"][0]) == {60, 64, 67, 62, 65, 71}
        assert pitches(dataset.parts["test"][0]) == {69, 72, 76, 71, 74, 80}
        unmoved = made_of(pipeline_of(tmp_path), pieces)
        assert pitches(unmoved.parts["train"][0]) == {62, 66, 69, 64, 67, 73}

    def test_the_end_of_every_piece_is_held_out(self, tmp_path):
        # 20 steps of one pitch after the other, and 10; transposed copies are trained on alone.
        pieces = [
            Piece(name, score_of([(t, 1, 60 + t % 12) for t in range(steps)]))
            for name, steps in (("long", 20), ("short", 10))
        ]
        corpus = 'split = "within"\nvalid = 0.2\ntest = 0.1\ntranspose = [2]'
        dataset = made_of(pipeline_of(tmp_path, corpus), pieces)
        found = {part: [(p.id, len(p)) for p in dataset.parts[part]] for part in PARTS}
        assert found == {
            "train": [("long", 14), ("short", 7), ("long+2", 14), ("short+2", 7)],
            "valid": [("long@14", 4), ("short@7", 2)],
            "test": [("long@18", 2), ("short@9", 1)],
        }
        assert [pitches(piece) for piece in dataset.parts["test"]] == [{66, 67}, {69}]
        assert pitches(dataset.parts["train"][3]) == set(range(62, 69))
        names = [name for part in dataset.fingerprints().values() for name in part.values()]
        assert len(set(names)) == 8

    def test_what_is_lost_and_left_out_is_told(self, tmp_path):
        pieces = [
            Piece("good", score_of([(0, 4, 60), (0, 4, 20), (0, 4, 120)])),
            Piece("too low", score_of([(0, 4, 20)])),
            Piece("words", Text("la la")),
        ]
        dataset = made_of(pipeline_of(tmp_path, "valid = 0"), pieces)
        assert [piece.id for piece in dataset.parts["train"]] == ["good"]
        assert dataset.dropped == {"notes out of range": 2}
        assert {(entry.path, entry.reason) for entry in dataset.skipped} == {
            ("too low", "no notes in the encoder's pitch range"),
            ("words", "a piano-roll is made from notes, not from text"),
        }

    def test_fingerprints_name_every_piece_of_every_part(self, tmp_path):
        pieces = [tune(n, part=part) for n, part in enumerate(PARTS)]
        dataset = made_of(pipeline_of(tmp_path), pieces)
        assert dataset.fingerprints() == {
            part: {f"tune {n}": pieces[n].content.fingerprint()} for n, part in enumerate(PARTS)
        }

    def test_nothing_left_to_train_on_says_why(self, tmp_path):
        pieces = [Piece(f"low {n}", score_of([(0, n + 1, 20)])) for n in range(25)]
        with pytest.raises(UserError) as caught:
            made_of(pipeline_of(tmp_path), pieces)
        assert caught.value.code == "no-music"
        (line,) = caught.value.lines
        assert f" {tmp_path / 'music'}: low " in line
        # All have one reason, and are told together.
        assert line.count("low ") == 1
        assert "24 more" in line


class TestReading:
    def test_a_folder_with_good_bad_and_other_files(self, tmp_path):
        music = tmp_path / "music"
        write_midi(score_of([(0, 4, 60)]), music / "a.mid")
        write_midi(score_of([(0, 4, 62)]), music / "folk" / "b.MIDI")
        (music / "empty.mid").write_bytes(b"")
        (music / "text.mid").write_text("hello", encoding="utf-8")
        write_midi(score_of([]), music / "silent.mid")
        (music / "notes.txt").write_text("not music", encoding="utf-8")
        (music / ".hidden.mid").write_bytes(b"")
        pipeline = pipeline_of(tmp_path)
        reading = read_corpus(pipeline, manager.load_from([]).registry)
        assert [(piece.id, piece.style) for piece in reading.pieces] == [
            ("a.mid", "music"),
            ("folk/b.MIDI", "folk"),
        ]
        assert {(Path(entry.path).name, entry.reason) for entry in reading.skipped} == {
            ("empty.mid", "the file is empty"),
            ("text.mid", "not a MIDI file: it does not begin with MThd"),
            ("silent.mid", "no notes"),
        }
        assert reading.discovery.ignored == {".txt": 1}

    def test_no_music_at_all_says_what_there_is(self, tmp_path):
        (tmp_path / "music").mkdir()
        for name in ("a.txt", "b.txt", "c.pdf"):
            (tmp_path / "music" / name).write_text("", encoding="utf-8")
        with refused("no-music", tmp_path / "music", "2 .txt, 1 .pdf"):
            read_corpus(pipeline_of(tmp_path), manager.load_from([]).registry)


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSENGINE_CACHE", str(tmp_path / "users"))
    assert corpus_cache(settings()).folder == tmp_path / "users"
    assert corpus_cache(settings(cache=tmp_path / "own")).folder == tmp_path / "own"
    assert corpus_cache(settings(cache=False)).folder is None


def test_steps_are_counted():
    steps = [np.zeros((n, 2, 1), dtype=np.uint8) for n in (3, 0, 4)]
    assert total_steps(EncodedPiece("", Encoded(steps=s), "") for s in steps) == 7
    assert total_steps([]) == 0


def test_drums_keep_their_place_when_a_piece_changes_key(tmp_path):
    notes = [(0, 8, 62), (8, 8, 66), (16, 8, 69), (0, 1, 50, 80, 1)]
    tracks = [Track(), Track("kit", 0, True)]
    piece = Piece("a", score_of(notes, tracks=tracks))
    dataset = made_of(pipeline_of(tmp_path, 'key = "common"', "drums = true"), [piece])
    assert rows_of(piece.content)[0][:3] == (0, 1, 50)
    assert pitches(dataset.parts["train"][0]) == {50, 60, 64, 67}


def music_of(folder: Path, *names: str) -> Path:
    """A folder with a MIDI file of its own music for each name."""
    for number, name in enumerate(names):
        write_midi(score_of([(0, number + 1, 60), (8, 2, 64)]), folder / "music" / name)
    return folder / "music"


def names_in(pipeline: Pipeline) -> dict[str, list[str]]:
    """What a pipeline's corpus comes to: the ids of each part."""
    manifest = read_corpus(pipeline, manager.load_from([]).registry)
    dataset = prepare(pipeline, manifest, pipeline.encoder.create())
    return {part: [piece.id for piece in dataset.parts[part]] for part in PARTS}


class TestChoosing:
    def test_folders_are_styles_to_choose_from(self, tmp_path):
        music_of(tmp_path, "irish/reels/a.mid", "irish/jigs/b.mid", "bach/c.mid", "d.mid")

        def chosen(corpus: str) -> list[str]:
            return names_in(pipeline_of(tmp_path, f"valid = 0\n{corpus}"))["train"]

        assert chosen('styles = "irish"') == ["irish/jigs/b.mid", "irish/reels/a.mid"]
        assert chosen('styles = ["irish/r*", "bach"]') == ["bach/c.mid", "irish/reels/a.mid"]
        assert chosen('exclude = ["*/reels", "d.mid"]') == ["bach/c.mid", "irish/jigs/b.mid"]
        # Files beside the folders have the name of the whole.
        assert chosen('styles = "music"') == ["d.mid"]

    def test_a_style_that_is_not_there_is_told_before_reading(self, tmp_path):
        music = music_of(tmp_path, "irish/a.mid", "bach/b.mid")
        (music / "irish/a.mid").write_bytes(b"unreadable")
        pipeline = pipeline_of(tmp_path, 'styles = ["bach", "irsh/*"]')
        for look in (read_corpus, check_choices):
            with refused("pattern-unused", "corpus.styles", "'irsh/*'", "'irish'", "bach, irish"):
                look(pipeline, manager.load_from([]).registry)

    def test_folders_divide(self, tmp_path):
        music_of(tmp_path, "train/a.mid", "train/b.mid", "valid/c.mid")
        expected = {"train": ["train/a.mid", "train/b.mid"], "valid": ["valid/c.mid"], "test": []}
        assert names_in(pipeline_of(tmp_path, 'split = "folders"')) == expected

    def test_folders_that_are_not_there_cannot(self, tmp_path):
        music_of(tmp_path, "a.mid")
        pipeline = pipeline_of(tmp_path, 'split = "folders"')
        for look in (read_corpus, check_choices):
            with refused("split-folders-missing"):
                look(pipeline, manager.load_from([]).registry)

    def test_a_list_divides(self, tmp_path):
        music_of(tmp_path, "a.mid", "b.mid", "c.mid")
        (tmp_path / "list.toml").write_text('valid = ["b.mid"]')
        expected = {"train": ["a.mid", "c.mid"], "valid": ["b.mid"], "test": []}
        assert names_in(pipeline_of(tmp_path, 'split = "list.toml"')) == expected
        pipeline = pipeline_of(tmp_path, 'split = "folder"')
        with refused("split-unreadable", "corpus.split: ", "folder"):
            check_choices(pipeline, manager.load_from([]).registry)

    def test_names_and_another_split_contradict_each_other(self, tmp_path):
        with refused("settings-conflict", "[corpus] valid"):
            pipeline_of(tmp_path, 'split = "folders"\nvalid = ["a.mid"]')


class TestTransposing:
    @pytest.mark.parametrize(
        ("notation", "shifts"),
        [
            ("[-2, 0, 2, 2]", (-2, 2)),
            ('"-1..2"', (-1, 1, 2)),
            # Eleven other keys, each by the shorter way, a tritone upwards.
            ('"all keys"', (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6)),
            ("[]", ()),
        ],
    )
    def test_the_notations(self, notation, shifts, tmp_path):
        assert pipeline_of(tmp_path, f"transpose = {notation}").corpus.shifts == shifts

    @pytest.mark.parametrize("notation", ['"3..-3"', '"-30..2"', '"some"', '"1"', '"..3"'])
    def test_what_is_none_is_an_error(self, notation, tmp_path):
        with refused("invalid-value", "[corpus] transpose"):
            pipeline_of(tmp_path, f"transpose = {notation}")

    def test_shifts_come_on_top_of_the_common_key(self, tmp_path):
        # The triad and scale of D major, as above: two semitones down to C, then one up.
        notes = [(0, 8, 62), (8, 8, 66), (16, 8, 69), (24, 2, 64), (26, 2, 67), (28, 2, 73)]
        pipeline = pipeline_of(tmp_path, 'key = "common"\ntranspose = [1]\nvalid = 0')
        dataset = made_of(pipeline, [Piece("a", score_of(notes))])
        assert [(piece.id, pitches(piece)) for piece in dataset.parts["train"]] == [
            ("a", {60, 64, 67, 62, 65, 71}),
            ("a+1", {61, 65, 68, 63, 66, 72}),
        ]


def test_a_file_more_takes_little_memory_when_a_corpus_is_started_again(tmp_path, monkeypatch):
    # Files that were just made are known, and a shard holds the pieces of a small task.
    monkeypatch.setattr(listing, "_SETTLED", -(10**9))
    monkeypatch.setattr(encode, "_CHUNK", 2**14)
    registry = manager.load_from([]).registry

    def prepared(pipeline: Pipeline) -> int:
        dataset = prepare(pipeline, read_corpus(pipeline, registry), pipeline.encoder.create())
        return sum(map(len, dataset.parts.values()))

    def most_memory(pipeline: Pipeline) -> int:
        tracemalloc.start()
        try:
            prepared(pipeline)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # Some hundred bytes, and those of what small shards and tasks have in common.
    peaks = []
    for count in (100, 700):
        folder = tmp_path / str(count)
        for number in range(count):
            score = score_of([(0, 1, 48 + number % 36), (1, 1, 48 + number // 36)])
            write_midi(score, folder / "music" / str(number // 100) / f"{number:05}.mid")
        pipeline = pipeline_of(folder)
        assert prepared(pipeline) == count
        # Now and then a table of the interpreter grows, and not with the corpus.
        peaks.append(min(most_memory(pipeline) for _ in range(3)))
    assert (peaks[1] - peaks[0]) / 600 < 250


class TestTelling:
    def test_what_was_odd_and_what_is_there_twice(self, tmp_path):
        pieces = [
            Piece("a", score_of([(0, 4, 60)]), part="train", warnings=("a note never ends",)),
            Piece("b", score_of([(0, 4, 60)]), part="valid"),
            Piece("c", score_of([(0, 4, 64)]), part="train"),
        ]
        dataset = made_of(pipeline_of(tmp_path), pieces)
        assert dataset.warnings == {"a": ("a note never ends",)}
        assert (dataset.copies, dataset.straddling) == ({"a": "b"}, ["a"])
        dropped = made_of(pipeline_of(tmp_path, 'duplicates = "drop"'), pieces)
        assert [piece.id for piece in dropped.parts["train"]] == ["c"]

    def test_the_library_that_read_is_known(self, tmp_path):
        music_of(tmp_path, "a.mid")
        manifest = read_corpus(pipeline_of(tmp_path), manager.load_from([]).registry)
        library, *_ = manifest.libraries["midi"].split(", ")
        name, number = library.split()
        assert version(name) == number

    def test_files_whose_reader_lacks_a_library_are_skipped_with_the_way_to_it(self, tmp_path):
        music_of(tmp_path, "a.mid")
        (tmp_path / "music" / "b.odd").write_bytes(b"")
        registry = manager.load_from([]).registry
        lacking = Requirement(module="not_there_at_all", install="pip install not-there")
        for name, priority in (("odd", 0), ("midi-too", 9)):
            declaration = ReaderDeclaration(
                name=name,
                summary="",
                target="nowhere:Reader",
                suffixes=(".odd",) if name == "odd" else (".mid",),
                priority=priority,
                requires=(lacking,),
            )
            registry.add(RegistryEntry(declaration, Distribution("odd", "1")))
        manifest = read_corpus(pipeline_of(tmp_path), registry)
        # Of two readers of one kind of file the one that can read does, whatever its priority.
        assert [piece.id for piece in manifest.pieces] == ["a.mid"]
        (skipped,) = manifest.skipped
        assert skipped.path == str(tmp_path / "music" / "b.odd")
        assert skipped.reason == (
            "reader 'odd' needs a library that is not installed: pip install not-there"
        )
