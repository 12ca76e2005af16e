from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import listed, refused
from musengine.data.filters import check_folders, part_by_folder, rules_of
from musengine.data.manifest import PieceInfo, SourceFile
from musengine.data.splits import Split, split_pieces
from musengine.interfaces.reader import Item
from musengine.music.piece import Piece, SplitName, Text
from musengine.pipeline.sections import CorpusConfig
from musengine.pipeline.values import Source
from musengine.testing import score_of
from musengine.testing.strategies import few

PARTS = get_args(SplitName)


def settings(**options) -> CorpusConfig:
    return CorpusConfig(path=(Source("music21:bach"),), **options)


def tune(number: int, name: str = "", **more) -> Piece:
    """A piece of one note, another for each number."""
    return Piece(name or f"tune {number}", score_of([(0, number + 1, 60)]), **more)


def split_of(pieces: list[Piece], config: CorpusConfig) -> Split:
    files = [SourceFile(0, Item(Path("/music", piece.id), piece.id), "") for piece in pieces]
    return named(listed(pieces), files, config)


def named(pieces: list[PieceInfo], files: list[SourceFile], config: CorpusConfig) -> Split:
    """The split with the pieces themselves in its parts."""
    split = split_pieces(pieces, files, config, rules_of(config))
    return replace(split, parts={p: [pieces[i] for i in own] for p, own in split.parts.items()})


def ids(split: Split) -> dict[str, list[str]]:
    return {part: [piece.id for piece in split.parts[part]] for part in PARTS}


def part_of(split: Split) -> dict[str, str]:
    return {name: part for part, names in ids(split).items() for name in names}


class TestOfficialParts:
    def test_they_are_respected_and_shares_are_not_drawn(self):
        pieces = [tune(0, part="test"), tune(1), tune(2, part="valid"), tune(3, part="train")]
        # A piece without an official part, where others have one, is trained on.
        expected = {"train": ["tune 1", "tune 3"], "valid": ["tune 2"], "test": ["tune 0"]}
        assert ids(split_of(pieces, settings(valid=0.5))) == expected

    def test_copies_across_them_stay_and_are_told(self):
        pieces = [
            tune(0, "a", part="train"),
            tune(1, "b", part="train"),
            tune(0, "c", part="test"),
            tune(0, "d", part="valid"),
            tune(1, "e", part="train"),
        ]
        split = split_of(pieces, settings())
        assert ids(split) == {"train": ["a", "b", "e"], "valid": ["d"], "test": ["c"]}
        # Of a, c and d the one held out to the very end is no copy; e is one within its part.
        assert split.copies == {"a": "c", "d": "c", "e": "b"}
        assert split.straddling == ["d", "a"]

    def test_dropped_copies_leave_what_is_held_out(self):
        pieces = [
            tune(0, "a", part="train"),
            tune(0, "b", part="valid"),
            tune(1, "c", part="train"),
            tune(1, "d", part="train"),
        ]
        split = split_of(pieces, settings(duplicates="drop"))
        assert ids(split) == {"train": ["c"], "valid": ["b"], "test": []}
        assert split.copies == {"a": "b", "d": "c"}
        assert split.straddling == []

    def test_a_piece_without_one_goes_with_its_copy(self):
        pieces = [tune(0, "a"), tune(0, "b", part="test"), tune(1, "c", part="train")]
        split = split_of(pieces, settings())
        assert ids(split) == {"train": ["c"], "valid": [], "test": ["a", "b"]}
        assert split.straddling == []


class TestShares:
    def test_they_are_met_in_large_corpora(self):
        pieces = [tune(n) for n in range(1000)]
        parts = split_of(pieces, settings(valid=0.1, test=0.2)).parts
        # Three standard deviations of a binomial distribution: 28.5 and 37.9.
        assert abs(len(parts["valid"]) - 100) < 29
        assert abs(len(parts["test"]) - 200) < 38

    @given(st.sets(st.integers(0, 40), max_size=8), st.integers(0, 20), st.floats(0.01, 0.49))
    @few(150)
    def test_small_corpora_have_a_piece_for_training_then_validation_then_test(
        self, numbers, seed, share
    ):
        pieces = [tune(n) for n in sorted(numbers)]
        parts = split_of(pieces, settings(valid=share, test=share, split_seed=seed)).parts
        there = [bool(parts[part]) for part in PARTS]
        assert there == [n < len(pieces) for n in range(3)] or all(there)
        assert sum(map(len, parts.values())) == len(pieces)

    @given(st.sets(st.integers(0, 40), min_size=1, max_size=8), st.integers(0, 20))
    @few(60)
    def test_a_part_of_no_share_stays_empty(self, numbers, seed):
        pieces = [tune(n) for n in sorted(numbers)]
        parts = split_of(pieces, settings(valid=0.0, test=0.0, split_seed=seed)).parts
        assert (len(parts["valid"]), len(parts["test"])) == (0, 0)

    def test_no_pieces_at_all(self):
        assert ids(split_of([], settings())) == {part: [] for part in PARTS}

    @given(
        st.lists(st.integers(0, 12), max_size=30),
        st.floats(0, 0.49),
        st.floats(0, 0.49),
        st.integers(0, 5),
    )
    @few(80)
    def test_copies_of_a_piece_stay_together(self, numbers, valid, test, seed):
        pieces = [tune(number, f"{index}") for index, number in enumerate(numbers)]
        split = split_of(pieces, settings(valid=valid, test=test, split_seed=seed))
        where: dict[str, set[str]] = {}
        for part, members in split.parts.items():
            for piece in members:
                where.setdefault(piece.notes_hash, set()).add(part)
        assert all(len(found) == 1 for found in where.values())
        assert split.straddling == []
        assert len(split.copies) == len(numbers) - len(set(numbers))

    def test_what_is_not_written_in_the_notes_makes_no_other_piece(self):
        # Louder, at another tempo, on another track, in another resolution: the notes are equal.
        plain = Piece("plain", score_of([(0, 4, 60), (4, 2, 64)]))
        louder = Piece("louder", score_of([(0, 4, 60, 100), (4, 2, 64, 20)], tempos=[(0, 50)]))
        finer = Piece("finer", score_of([(0, 8, 60), (8, 4, 64)], ticks_per_beat=8))
        split = split_of([plain, louder, finer, tune(1)], settings(valid=0.5))
        assert split.copies == {"louder": "plain", "finer": "plain"}

    def test_the_order_in_which_pieces_are_read_does_not_matter(self):
        pieces = [tune(n) for n in range(30)]
        config = settings(valid=0.2, test=0.2)
        assert part_of(split_of(pieces, config)) == part_of(split_of(pieces[::-1], config))

    def test_another_seed_holds_out_others(self):
        pieces = [tune(n) for n in range(30)]
        drawn = {
            tuple(ids(split_of(pieces, settings(valid=0.2, split_seed=seed)))["valid"])
            for seed in range(5)
        }
        assert len(drawn) == 5

    def test_a_piece_more_moves_no_other(self):
        config = settings(valid=0.2, test=0.2)
        before = part_of(split_of([tune(n) for n in range(30)], config))
        assert set(before.values()) == set(PARTS)
        for new in range(100, 140):
            after = part_of(split_of([*(tune(n) for n in range(30)), tune(new)], config))
            assert {name: after[name] for name in before} == before

    def test_a_larger_validation_share_takes_from_training_alone(self):
        pieces = [tune(n) for n in range(60)]
        small = ids(split_of(pieces, settings(valid=0.1, test=0.2)))
        large = ids(split_of(pieces, settings(valid=0.4, test=0.2)))
        assert large["test"] == small["test"]
        assert set(small["valid"]) < set(large["valid"])

    def test_texts_are_divided_like_scores(self):
        pieces = [Piece(f"{n}", Text(f"text {n % 5}")) for n in range(10)]
        parts = ids(split_of(pieces, settings(valid=0.2)))
        # One piece of validation at least, each with its copy five places on.
        assert parts["valid"]
        assert {int(name) % 5 for name in parts["valid"]}.isdisjoint(
            int(name) % 5 for name in parts["train"]
        )

    def test_the_pieces_of_a_book_are_divided_and_the_voices_of_a_piece_are_not(self):
        book = [replace(one, file=0) for one in listed([tune(n) for n in range(60)])]
        config = settings(valid=0.3)
        files = [SourceFile(0, Item(Path("/music/book.abc"), "book.abc"), "")]
        parts = named(book, files, config).parts
        assert len(parts["train"]) > 20
        assert len(parts["valid"]) > 5
        # Three voices of each of twenty tunes.
        voices = [replace(one, source_id=f"tune {n // 3}") for n, one in enumerate(book)]
        parts = named(voices, files, config).parts
        tunes = {part: {one.source_id for one in members} for part, members in parts.items()}
        assert tunes["train"].isdisjoint(tunes["valid"])
        assert len(tunes["train"] | tunes["valid"]) == 20

    @pytest.mark.parametrize("mixed", [False, True])
    def test_of_the_parts_of_a_piece_the_smallest_hash_draws(self, mixed):
        def sha(text: str) -> str:
            return hashlib.sha256(text.encode()).hexdigest()

        def hashes(number: int) -> list[str]:
            own = [sha(f"{number}"), sha(f"{number} again")]
            # A plugin's own hash may be any text; one of more than 64 bytes is hashed first.
            return [*own, own[1][:9], f"ü{own[0]}"[:40], 2 * own[1]][number % 4 :] if mixed else own

        def sortable(text: str) -> bytes:
            return text.encode() if len(text.encode()) <= 64 else sha(text).encode()

        (plain,) = listed([tune(0)])
        pieces, held_out = [], set()
        for number in range(60):
            own = hashes(number)
            pieces += [
                replace(plain, id=f"{number} {n}", source_id=f"{number}", notes_hash=h, file=number)
                for n, h in enumerate(own)
            ]
            # Below a half of all numbers of 256 bits: the first digit is at most 7.
            if int(sha(f"0:{min(own, key=sortable)}")[0], 16) < 8:
                held_out.add(f"{number}")
        split = named(pieces, [], settings(valid=0.5, test=0.0, split_seed=0))
        assert {piece.source_id for piece in split.parts["valid"]} == held_out
        assert {piece.source_id for piece in split.parts["train"]}.isdisjoint(held_out)


class TestNames:
    def test_patterns_name_pieces_and_folders_and_the_rest_is_drawn(self):
        pieces = [tune(n, f"{'bach' if n % 2 else 'folk'}/{n}.mid") for n in range(40)]
        config = settings(valid=("bach",), test=0.2)
        parts = ids(split_of(pieces, config))
        assert parts["valid"] == [f"bach/{n}.mid" for n in range(1, 40, 2)]
        assert parts["test"]
        assert all(name.startswith("folk/") for name in (*parts["test"], *parts["train"]))

    def test_copies_go_with_what_is_named(self):
        pieces = [tune(0, "a.mid"), tune(0, "b.mid"), tune(1, "c.mid")]
        split = split_of(pieces, settings(valid=("b*",)))
        assert ids(split) == {"train": ["c.mid"], "valid": ["a.mid", "b.mid"], "test": []}

    def test_a_pattern_that_stands_for_nothing_is_an_error(self):
        with refused("pattern-unused", "corpus.valid", "'bahc/a.mid'", "'bach/a.mid'"):
            split_of([tune(0, "bach/a.mid")], settings(valid=("bahc/a.mid",)))

    @pytest.mark.parametrize("name", ["list.toml", "list.json"])
    def test_a_file_lists_them_and_the_rest_is_trained_on(self, name, tmp_path):
        path = tmp_path / name
        lists = {"valid": ["a.mid"], "test": ["b/*"]}
        path.write_text(
            'valid = ["a.mid"]\ntest = ["b/*"]' if name.endswith("toml") else json.dumps(lists)
        )
        pieces = [tune(n, name) for n, name in enumerate(("a.mid", "b/1.mid", "b/2.mid", "c.mid"))]
        expected = {"train": ["c.mid"], "valid": ["a.mid"], "test": ["b/1.mid", "b/2.mid"]}
        assert ids(split_of(pieces, settings(split=path))) == expected

    def test_the_record_of_a_run_gives_its_split_again(self, tmp_path):
        pieces = [tune(n, f"{n} [live].mid") for n in range(30)]
        first = split_of(pieces, settings(valid=0.2, test=0.2))
        parts = {part: dict.fromkeys(names, "hash") for part, names in ids(first).items()}
        # A piece that is not read this time does not matter.
        parts["valid"]["elsewhere.mid"] = "hash"
        path = tmp_path / "split.json"
        path.write_text(json.dumps({"parts": parts, "skipped": []}))
        assert ids(split_of(pieces, settings(split=path, split_seed=9))) == ids(first)
        others = [tune(n, f"other {n}.mid") for n in range(3)]
        with refused("split-part-empty", "test"):
            split_of(others, settings(split=path))

    @pytest.mark.parametrize(
        ("name", "text", "reason"),
        [
            ("absent.toml", None, "No such file"),
            ("bad.toml", "valid = [", "end of document"),
            ("bad.json", "{", "line 1"),
            ("other.json", "[1]", "`valid` and `test`"),
            ("other.toml", "vald = ['a']", "`valid` and `test`"),
            ("numbers.toml", "valid = [1]", "`valid` and `test`"),
            ("train.toml", "train = ['a']", "`valid` and `test`"),
        ],
    )
    def test_what_is_no_list_is_an_error(self, name, text, reason, tmp_path):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        with refused("split-unreadable", "corpus.split: ", path, reason):
            rules_of(settings(split=path))


class TestFolders:
    @pytest.mark.parametrize(
        ("path", "name", "part"),
        [
            ("/m/train/a.mid", "train/a.mid", "train"),
            ("/m/x/Validation/y/a.mid", "x/Validation/y/a.mid", "valid"),
            ("/m/test/a.mid", "a.mid", "test"),
            # The innermost folder decides, and what lies outside of the source does not count.
            ("/m/train/test/a.mid", "train/test/a.mid", "test"),
            ("/test/m/a.mid", "a.mid", None),
            ("/m/testing ground/a.mid", "testing ground/a.mid", None),
            ("/m/x/test.mid", "x/test.mid", None),
        ],
    )
    def test_a_folder_on_the_way_names_the_part(self, path, name, part):
        assert part_by_folder(Item(Path(path), name)) == part

    def test_pieces_go_where_their_folder_says(self):
        pieces = [tune(n, name) for n, name in enumerate(("train/a", "val/b", "c", "test/d"))]
        expected = {"train": ["train/a", "c"], "valid": ["val/b"], "test": ["test/d"]}
        assert ids(split_of(pieces, settings(split="folders"))) == expected

    def test_without_such_a_folder_there_is_nothing_to_go_by(self):
        check_folders([Item(Path("/m/a.mid"), "a.mid"), Item(Path("/m/val/a"), "val/a")])
        with refused("split-folders-missing"):
            check_folders([Item(Path("/m/a.mid"), "a.mid")])
