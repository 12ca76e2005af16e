from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import few, rows_of, score_of
from musengine import plugins
from musengine.builtin.midi.writer import MidiWriter
from musengine.cache import Cache
from musengine.components.encoders import Encoded, EncodedPiece
from musengine.corpus import (
    Dataset,
    cache_of,
    divide,
    encode_cached,
    prepare,
    read_corpus,
    total_steps,
)
from musengine.declarations import NoSettings
from musengine.errors import UserError
from musengine.pipeline import Pipeline, load
from musengine.quantities import Source
from musengine.reading import Reading
from musengine.score import Part, Piece, Score, Text, Track
from musengine.tables import CorpusConfig

PARTS = get_args(Part)


def settings(**options) -> CorpusConfig:
    return CorpusConfig(path=(Source("music21:bach"),), **options)


def tune(number: int, name: str = "", **more) -> Piece:
    """A piece of one note, another for each number."""
    return Piece(name or f"tune {number}", score_of([(0, number + 1, 60)]), **more)


def ids(parts: dict[Part, list[Piece]]) -> dict[str, list[str]]:
    return {part: [piece.id for piece in parts[part]] for part in PARTS}


def part_of(parts: dict[Part, list[Piece]]) -> dict[str, str]:
    return {piece.id: part for part, pieces in parts.items() for piece in pieces}


class TestDividing:
    def test_official_parts_are_respected_and_shares_are_not_drawn(self):
        pieces = [tune(0, part="test"), tune(1), tune(2, part="valid"), tune(3, part="train")]
        # A piece without an official part, where others have one, is trained on.
        expected = {"train": ["tune 1", "tune 3"], "valid": ["tune 2"], "test": ["tune 0"]}
        assert ids(divide(pieces, settings(valid=0.5))) == expected

    @pytest.mark.parametrize(
        ("count", "valid", "test", "sizes"),
        [
            (20, 0.1, 0.0, (18, 2, 0)),
            (20, 0.1, 0.2, (14, 2, 4)),
            (20, 0.0, 0.0, (20, 0, 0)),
            # Three pieces are enough: a tenth of them is none, 0.4 of them one.
            (3, 0.1, 0.0, (3, 0, 0)),
            (3, 0.4, 0.4, (1, 1, 1)),
            # Something is always left to train on.
            (2, 0.9, 0.0, (1, 1, 0)),
            (2, 0.45, 0.5, (1, 1, 0)),
            (1, 0.9, 0.0, (1, 0, 0)),
            (0, 0.1, 0.1, (0, 0, 0)),
        ],
    )
    def test_shares_are_held_out(self, count, valid, test, sizes):
        parts = divide([tune(n) for n in range(count)], settings(valid=valid, test=test))
        assert tuple(len(parts[part]) for part in PARTS) == sizes
        assert sorted(part_of(parts)) == sorted(f"tune {n}" for n in range(count))

    @given(
        st.lists(st.integers(0, 12), max_size=30),
        st.floats(0, 0.49),
        st.floats(0, 0.49),
        st.integers(0, 5),
    )
    @few(80)
    def test_copies_of_a_piece_stay_together(self, numbers, valid, test, seed):
        pieces = [tune(number, f"{index}") for index, number in enumerate(numbers)]
        parts = divide(pieces, settings(valid=valid, test=test, split_seed=seed))
        assert sum(map(len, parts.values())) == len(pieces)
        where: dict[str, set[str]] = {}
        for part, members in parts.items():
            for piece in members:
                where.setdefault(piece.content.fingerprint(), set()).add(part)
        assert all(len(found) == 1 for found in where.values())
        # Shares are of different pieces, so that copies weigh as one.
        held_out = Counter(part for (part,) in where.values())
        different = len(set(numbers))
        assert held_out["valid"] == min(round(valid * different), max(different - 1, 0))
        assert (held_out["train"] > 0) == (different > 0)

    def test_the_order_in_which_pieces_are_read_does_not_matter(self):
        pieces = [tune(n) for n in range(30)]
        config = settings(valid=0.2, test=0.2)
        assert part_of(divide(pieces, config)) == part_of(divide(pieces[::-1], config))

    def test_another_seed_holds_out_others(self):
        pieces = [tune(n) for n in range(30)]
        drawn = {
            tuple(ids(divide(pieces, settings(valid=0.2, split_seed=seed)))["valid"])
            for seed in range(5)
        }
        assert len(drawn) == 5

    def test_a_piece_more_moves_few_others(self):
        config = settings(valid=0.2, test=0.2)
        for new in range(100, 140):
            before = part_of(divide([tune(n) for n in range(30)], config))
            after = part_of(divide([*(tune(n) for n in range(30)), tune(new)], config))
            # 31 pieces hold out as many as 30 do, 6 and 6. The newcomer pushes at most one piece
            # over each of the two borders between the parts.
            assert sum(after[name] != part for name, part in before.items()) <= 2

    def test_texts_are_divided_like_scores(self):
        pieces = [Piece(f"{n}", Text(f"text {n % 5}")) for n in range(10)]
        parts = divide(pieces, settings(valid=0.2))
        # One of five different texts is held out, with its copy.
        assert (len(parts["train"]), len(parts["valid"])) == (8, 2)
        one, other = parts["valid"]
        assert one.content == other.content


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
    return load(path, plugins.load_from([]).registry)


def made_of(pipeline: Pipeline, pieces: list[Piece]) -> Dataset:
    return prepare(pipeline, Reading(pieces), pipeline.encoder.create())


def pitches(piece: EncodedPiece) -> set[int]:
    return set((48 + np.nonzero(piece.encoded.steps.any(axis=(0, 2)))[0]).tolist())


def write(score: Score, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    MidiWriter(NoSettings()).write(score, path)


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

    def test_what_is_lost_and_left_out_is_told(self, tmp_path):
        pieces = [
            Piece("good", score_of([(0, 4, 60), (0, 4, 20), (0, 4, 120)])),
            Piece("too low", score_of([(0, 4, 20)])),
            Piece("words", Text("la la")),
        ]
        dataset = made_of(pipeline_of(tmp_path), pieces)
        assert [piece.id for piece in dataset.parts["train"]] == ["good"]
        assert dataset.lost == {"notes out of range": 2}
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
        (line,) = caught.value.lines
        assert line.startswith(f"no usable music in {tmp_path / 'music'}: low ")
        assert line.count("no notes in the encoder's pitch range") == 20
        assert line.endswith("; and 5 more")


class TestReading:
    def test_a_folder_with_good_bad_and_other_files(self, tmp_path):
        music = tmp_path / "music"
        write(score_of([(0, 4, 60)]), music / "a.mid")
        write(score_of([(0, 4, 62)]), music / "folk" / "b.MIDI")
        (music / "empty.mid").write_bytes(b"")
        (music / "text.mid").write_text("hello", encoding="utf-8")
        write(score_of([]), music / "silent.mid")
        (music / "notes.txt").write_text("not music", encoding="utf-8")
        (music / ".hidden.mid").write_bytes(b"")
        pipeline = pipeline_of(tmp_path)
        reading = read_corpus(pipeline, plugins.load_from([]).registry)
        assert [(piece.id, piece.style) for piece in reading.pieces] == [
            ("a.mid", "music"),
            ("folk/b.MIDI", "folk"),
        ]
        assert {(Path(entry.path).name, entry.reason) for entry in reading.skipped} == {
            ("empty.mid", "the file is empty"),
            ("text.mid", "not a MIDI file: it does not begin with MThd"),
            ("silent.mid", "no notes"),
        }
        assert reading.found.ignored == {".txt": 1}

    def test_no_music_at_all_says_what_there_is(self, tmp_path):
        (tmp_path / "music").mkdir()
        for name in ("a.txt", "b.txt", "c.pdf"):
            (tmp_path / "music" / name).write_text("", encoding="utf-8")
        with pytest.raises(UserError) as caught:
            read_corpus(pipeline_of(tmp_path), plugins.load_from([]).registry)
        assert caught.value.lines == [
            f"no usable music in {tmp_path / 'music'}: no music files found "
            "(there are 2 .txt, 1 .pdf)"
        ]


class TestEncoding:
    def cached(self, pipeline: Pipeline, piece: Piece) -> Encoded:
        encoder = pipeline.encoder.create()
        encoded, fingerprint = encode_cached(
            piece, pipeline.encoder, encoder, cache_of(pipeline.corpus)
        )
        assert fingerprint == piece.content.fingerprint()
        return encoded

    def entries(self, pipeline: Pipeline) -> int:
        folder = cache_of(pipeline.corpus).folder
        return sum(path.is_file() for path in folder.rglob("*"))

    def test_what_was_encoded_before_is_found_again(self, tmp_path):
        pipeline = pipeline_of(tmp_path)
        piece = Piece("a", score_of([(0, 4, 60), (2, 4, 99)]))
        first = self.cached(pipeline, piece)
        again = self.cached(pipeline, Piece("another name", piece.content))
        assert self.entries(pipeline) == 1
        assert np.array_equal(again.steps, first.steps)
        assert again.steps.dtype == first.steps.dtype == np.uint8
        assert again.lost == first.lost == {"notes out of range": 1}

    def test_other_settings_and_other_music_are_encoded_anew(self, tmp_path):
        piece = Piece("a", score_of([(0, 4, 60)]))
        self.cached(pipeline_of(tmp_path), piece)
        finer = pipeline_of(tmp_path, encoder='step = "1/8 beat"')
        assert len(self.cached(finer, piece).steps) == 8
        self.cached(finer, Piece("a", score_of([(0, 4, 61)])))
        assert self.entries(finer) == 3

    def test_pieces_that_sound_alike_in_other_meters_are_kept_apart(self, tmp_path):
        # Nothing of it is heard, but side channels such as the place in the bar depend on it.
        pipeline = pipeline_of(tmp_path)
        waltz = score_of([(0, 4, 60)], meters=[(0, 3, 4)])
        march = score_of([(0, 4, 60)], meters=[(0, 2, 4)])
        assert waltz.fingerprint() == march.fingerprint()
        self.cached(pipeline, Piece("waltz", waltz))
        self.cached(pipeline, Piece("march", march))
        assert self.entries(pipeline) == 2

    def test_without_a_cache_nothing_is_written(self, tmp_path):
        pipeline = pipeline_of(tmp_path)
        encoder = pipeline.encoder.create()
        piece = Piece("a", score_of([(0, 4, 60)]))
        encoded, _ = encode_cached(piece, pipeline.encoder, encoder, Cache(None))
        assert len(encoded.steps) == 4
        assert not (tmp_path / "cache").exists()

    def test_where_the_cache_is(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MUSENGINE_CACHE", str(tmp_path / "users"))
        assert cache_of(settings()).folder == tmp_path / "users"
        assert cache_of(settings(cache=tmp_path / "own")).folder == tmp_path / "own"
        assert cache_of(settings(cache=False)).folder is None


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
