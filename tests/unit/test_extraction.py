"""Encoders that take pieces apart: what is kept, what is told, and what stays together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import refused
from musengine.builtin.configs import PianoRollConfig
from musengine.builtin.encoders.piano_roll import PianoRoll
from musengine.data.dataset import Dataset, prepare, read_corpus
from musengine.data.extraction import Extraction, extraction_of
from musengine.data.manifest import Skipped
from musengine.data.storage.serialization import unpack_infos, unpack_pieces
from musengine.errors import UnreadableError
from musengine.music.piece import Piece, Text
from musengine.music.score import Score, Track
from musengine.music.transforms import keep_tracks
from musengine.pipeline.resolve import load_pipeline
from musengine.plugins.declarations import EncoderDeclaration
from musengine.plugins.manager import load_from
from musengine.plugins.registry import Component, Distribution, RegistryEntry
from musengine.testing import score_of, write_midi


class Voices(PianoRoll):
    """Takes every track by itself; copies are those with the same number of notes."""

    def pieces(self, piece: Piece) -> Iterable[Piece]:
        assert isinstance(piece.content, Score)
        if "no music" in piece.id:
            raise UnreadableError("not for me")
        return [
            replace(piece, id=f"{piece.id}#{k + 1}", content=keep_tracks(piece.content, [k]))
            for k in range(len(piece.content.tracks))
            if (piece.content.track == k).any()
        ]

    def copy_key(self, content: Score | Text) -> str:
        assert isinstance(content, Score)
        return hashlib.sha256(str(len(content)).encode()).hexdigest()


class Broken(PianoRoll):
    """Has a fault."""

    def pieces(self, piece: Piece) -> Iterable[Piece]:
        return [piece][5]  # type: ignore[return-value]


def component(target: str) -> Component:
    declaration = EncoderDeclaration(
        name="voices", summary="", target=target, config=PianoRollConfig
    )
    return Component(
        RegistryEntry(declaration, Distribution("voices-dist", "1.0")), PianoRollConfig()
    )


VOICES = component("test_extraction:Voices")


def duet(first: int, second: int, pitch: int = 60) -> Score:
    """Two tracks of so many notes each."""
    notes = [(4 * k, 4, pitch + 7 * track + k % 5, 80, track)
             for track, count in enumerate((first, second)) for k in range(count)]  # fmt: skip
    return score_of(notes, tracks=(Track("a"), Track("b")))


def test_an_encoder_that_takes_pieces_as_they_are_costs_nothing() -> None:
    assert extraction_of(component("musengine.builtin.encoders.piano_roll:PianoRoll")) is None
    assert isinstance(extraction_of(VOICES), Extraction)


def test_each_part_is_kept_with_where_it_comes_from_and_its_copies_hash() -> None:
    pieces = [Piece("book#1", duet(3, 2), "waltz"), Piece("book#2", duet(2, 0))]
    arrays, entries = Extraction(VOICES).pack(pieces)
    kept = unpack_pieces(arrays, entries)
    assert [piece.id for piece in kept] == ["book#1#1", "book#1#2", "book#2#1"]
    infos = unpack_infos(entries)
    assert [info.source_id for info in infos] == ["book#1", "book#1", "book#2"]
    assert [info.index for info in infos] == [0, 1, 2]
    assert [len(piece.content) for piece in kept] == [3, 2, 2]
    notes = [info.notes_hash for info in infos]
    assert notes[1] == notes[2] != notes[0]


def test_what_is_refused_is_told_and_the_rest_is_kept() -> None:
    pieces = [Piece("no music", duet(3, 2)), Piece("song", duet(2, 0))]
    arrays, entries = Extraction(VOICES).pack(pieces)
    assert unpack_infos(entries)[1] == Skipped("no music", "not for me")
    assert [piece.id for piece in unpack_pieces(arrays, entries)] == ["song#1"]
    with refused("unreadable", "not for me"):
        Extraction(VOICES).pack(pieces[:1])
    silent = Piece("silent", score_of([], tracks=(Track(),)))
    with refused("nothing-extracted", "'voices' of voices-dist 1.0"):
        Extraction(VOICES).pack([silent])


def test_a_fault_of_the_encoder_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Extraction(component("test_extraction:Broken"))
    with refused("plugin-failed", "encoder 'voices' of voices-dist 1.0"):
        broken.pack([Piece("a", duet(1, 1))])
    monkeypatch.setenv("MUSENGINE_STRICT", "1")
    with pytest.raises(IndexError):
        broken.pack([Piece("a", duet(1, 1))])


def dataset_of(folder: Path, corpus: str) -> Dataset:
    """What is prepared of the MIDI files in a folder by the encoder above."""
    text = f'[corpus]\npath = "music"\njobs = 1\n{corpus}\n[model]\ntype = "frequencies"\n'
    (folder / "pipe.toml").write_text(text, encoding="utf-8")
    registry = load_from([]).registry
    pipeline = replace(load_pipeline(folder / "pipe.toml", registry, {}), encoder=VOICES)
    return prepare(pipeline, read_corpus(pipeline, registry), VOICES.create())


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Twelve duets; the second voice of one has as many notes as the first of the next."""
    (tmp_path / "music").mkdir()
    for number in range(12):
        # Pairs of files share a number of notes: 0 with 1, 2 with 3 and so on.
        own = 10 + 2 * number
        path = tmp_path / "music" / f"{number:02}.mid"
        write_midi(duet(own, 50 + number // 2), path)
    return tmp_path


def test_parts_of_a_file_and_copies_of_them_stay_together(music: Path) -> None:
    dataset = dataset_of(music, "valid = 0.5")
    where = {piece.id: part for part, pieces in dataset.parts.items() for piece in pieces}
    assert len(where) == 24
    assert set(where.values()) == {"train", "valid"}
    for number in range(12):
        # Both voices, and those of the file with which a voice is shared.
        family = {where[f"{n:02}.mid#{k}"] for n in (number, number ^ 1) for k in (1, 2)}
        assert len(family) == 1


def test_copies_among_the_parts_can_be_dropped(music: Path) -> None:
    dataset = dataset_of(music, 'valid = 0.5\nduplicates = "drop"')
    assert sum(map(len, dataset.parts.values())) == 18


def test_a_file_named_for_a_part_stands_for_all_that_is_taken_of_it(music: Path) -> None:
    dataset = dataset_of(music, 'valid = ["04.mid"]')
    held_out = {piece.id for piece in dataset.parts["valid"]}
    # Its companion shares a voice with it.
    assert held_out == {f"{n}.mid#{k}" for n in ("04", "05") for k in (1, 2)}
