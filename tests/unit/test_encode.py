from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import manifest_of
from musengine.builtin.configs import PianoRollConfig
from musengine.config.fields import setting
from musengine.data import encode as encoding
from musengine.data.encode import EncodeJob, EncodeJobs, EncodeResult, TrainingPieces, encode
from musengine.data.manifest import Manifest
from musengine.data.storage.cache import Cache
from musengine.encoding.layouts import Tokens
from musengine.interfaces.encoder import Encoded, Encoder
from musengine.music.piece import Piece, Text
from musengine.music.score import Score
from musengine.plugins.configs import EncoderConfig
from musengine.plugins.declarations import EncoderDeclaration
from musengine.plugins.registry import Component, Distribution, RegistryEntry
from musengine.testing import score_of


@dataclass(frozen=True, kw_only=True)
class PitchesConfig(EncoderConfig):
    """Settings of the encoder below."""

    above: int = setting(0, doc="Lowest pitch.")
    crash: int = setting(-1, doc="A pitch that ends the process.")

    def layout(self) -> Tokens:
        return Tokens(size=128)


class Pitches(Encoder[PitchesConfig]):
    """The pitches of a score in turn, and the highest of the training part in front."""

    highest = 0

    def fit(self, pieces) -> None:
        # Twice, as an encoder may that counts first.
        assert [piece.id for piece in pieces] == [piece.id for piece in pieces]
        self.highest = max(int(piece.content.pitch.max()) for piece in pieces)

    def encode(self, content: Score | Text) -> Encoded:
        assert isinstance(content, Score)
        pitches = content.pitch.tolist()
        if self.config.crash in pitches:
            os._exit(9)
        if 99 in pitches:
            raise ZeroDivisionError("by nought")
        return Encoded(np.array([self.highest, *pitches]))

    def decode(self, steps, settings):
        raise NotImplementedError

    def elapsed(self, steps, unit, settings):
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        return {"highest": self.highest}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.highest = state["highest"]


def component(version: str = "1", **options) -> Component:
    declaration = EncoderDeclaration(
        name="pitches", summary="", target="test_encode:Pitches", config=PitchesConfig
    )
    return Component(
        RegistryEntry(declaration, Distribution("test", version)), PitchesConfig(**options)
    )


ROLL = Component(
    RegistryEntry(
        EncoderDeclaration(
            name="piano-roll",
            summary="",
            target="musengine.builtin.encoders.piano_roll:PianoRoll",
            config=PianoRollConfig,
        ),
        Distribution("musengine", "1"),
    ),
    PianoRollConfig(),
)


def tune(pitch: int, **more) -> Piece:
    return Piece(f"tune {pitch}", score_of([(0, 4, pitch)], **more))


def jobs_of(manifest: Manifest, numbers: Sequence[int], shifts: Sequence[int]) -> EncodeJobs:
    """Some pieces of a manifest, transposed by each of some shifts."""
    return EncodeJobs(
        manifest.pieces, np.tile(numbers, len(shifts)), np.repeat(shifts, len(numbers))
    )


def encoded(
    pieces: Sequence[Piece],
    folder: Path,
    by: Component | None = None,
    *,
    shifts: Sequence[int] = (0,),
    state: int = 0,
    workers: int = 1,
) -> tuple[EncodeJobs, EncodeResult]:
    """Pieces encoded by way of a cache."""
    by = by or component()
    manifest = manifest_of(pieces, Cache(folder))
    encoder = by.create()
    encoder.load_state({"highest": state})
    jobs = jobs_of(manifest, range(len(pieces)), shifts)
    return jobs, encode(jobs, manifest, by, encoder, common=False, workers=workers, timeout=20)


def steps(jobs: Sequence[EncodeJob], result: EncodeResult) -> dict[str, list[int]]:
    """The arrays of the pieces that could be encoded."""
    return {
        one.id: result.shards.piece(one.id, "", key).encoded.steps.tolist()
        for one in jobs
        if result.reason(key := one.key(False)) is None
    }


def shards_in(folder: Path) -> dict[str, int]:
    """How many pieces each shard of a cache holds."""
    found = {}
    for path in folder.glob("encoded/*/*.safetensors"):
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        record = json.loads(header["__metadata__"]["musengine"].split(" ", 1)[1])
        found[path.relative_to(folder).as_posix()] = len(record["pieces"])
    return found


def test_pieces_and_their_moved_copies_are_encoded(tmp_path):
    jobs, result = encoded([tune(60), tune(62)], tmp_path, shifts=(0, -2, 3))
    assert steps(jobs, result) == {
        "tune 60": [0, 60],
        "tune 60-2": [0, 58],
        "tune 60+3": [0, 63],
        "tune 62": [0, 62],
        "tune 62-2": [0, 60],
        "tune 62+3": [0, 65],
    }


def test_another_piece_is_encoded_and_nothing_else(tmp_path):
    encoded([tune(60), tune(61)], tmp_path)
    before = shards_in(tmp_path)
    assert list(before.values()) == [2]
    encoded([tune(60), tune(61)], tmp_path)
    assert shards_in(tmp_path) == before
    # The same music under other names, one of the pieces changed, another in between.
    pieces = [replace(tune(60), id="new"), tune(70), tune(71), tune(61)]
    jobs, result = encoded(pieces, tmp_path)
    assert steps(jobs, result) == {
        "new": [0, 60],
        "tune 70": [0, 70],
        "tune 71": [0, 71],
        "tune 61": [0, 61],
    }
    after = shards_in(tmp_path)
    assert sorted(after.values()) == [2, 2]
    assert before.items() <= after.items()


def test_copies_are_encoded_once(tmp_path):
    jobs, result = encoded([tune(60), replace(tune(60), id="copy"), tune(61)], tmp_path)
    assert list(shards_in(tmp_path).values()) == [2]
    assert set(steps(jobs, result)) == {"tune 60", "copy", "tune 61"}


def test_what_an_encoder_is_decides_where_its_arrays_are(tmp_path):
    places = []
    for by, state in (
        (component(), 0),
        (component("2"), 0),
        (component(above=1), 0),
        (component(), 64),
        (component(), 0),
    ):
        jobs, result = encoded([tune(60)], tmp_path, by, state=state)
        assert steps(jobs, result) == {"tune 60": [state, 60]}
        places.append(result.shards.folder)
    assert len(set(places)) == 4
    assert places[0] == places[-1]


def test_pieces_that_sound_alike_in_other_meters_are_kept_apart(tmp_path):
    # Nothing of it is heard, but conditioning channels such as the place in the bar depend on it.
    waltz, march = (tune(60, meters=[(0, beats, 4)]) for beats in (3, 2))
    assert waltz.content.fingerprint() == march.content.fingerprint()
    encoded([replace(waltz, id="waltz"), march], tmp_path)
    assert list(shards_in(tmp_path).values()) == [2]


def test_a_piece_the_encoder_refuses_is_remembered(tmp_path):
    low = tune(5)
    for _ in range(2):
        jobs, result = encoded([low, tune(60)], tmp_path, ROLL)
        reasons = [result.reason(one.key(False)) for one in jobs]
        assert reasons == ["no notes in the encoder's pitch range", None]
    assert list(shards_in(tmp_path).values()) == [1]


def test_a_fault_of_the_encoder_costs_one_piece(tmp_path, monkeypatch):
    jobs, result = encoded([tune(60), tune(99), tune(61)], tmp_path)
    assert set(steps(jobs, result)) == {"tune 60", "tune 61"}
    assert result.reason(jobs[1].key(False)) == (
        "encoder 'pitches' of test 1 failed: ZeroDivisionError: by nought"
    )
    monkeypatch.setenv("MUSENGINE_STRICT", "1")
    with pytest.raises(ZeroDivisionError):
        encoded([tune(99)], tmp_path)


@pytest.mark.slow
def test_an_encoder_that_ends_its_process_costs_one_piece(tmp_path, monkeypatch):
    # A sixteenth is guessed to take 88 bytes, so that a task is two tunes of a beat.
    monkeypatch.setattr(encoding, "_CHUNK", 2 * 4 * 88)
    pieces = [tune(pitch) for pitch in range(60, 68)]
    jobs, result = encoded(pieces, tmp_path, component(crash=63), workers=2)
    assert set(steps(jobs, result)) == {piece.id for piece in pieces} - {"tune 63"}
    assert result.reason(jobs[3].key(False)) == "its process crashed (exit status 9)"


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "_CHUNK", 3 * 4 * 88)
    pieces = [tune(pitch) for pitch in range(50, 70)]
    folders = [tmp_path / "one", tmp_path / "two"]
    results = [
        steps(*encoded(pieces, folder, shifts=(0, 1), workers=workers))
        for workers, folder in enumerate(folders, 1)
    ]
    assert results[0] == results[1]
    assert len(results[0]) == 40
    # Three pieces to a task, and each task makes a shard: 40 = 13 * 3 + 1.
    assert sorted(shards_in(folders[0]).values()) == [1] + [3] * 13
    for name in shards_in(folders[0]):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_an_encoder_learns_from_pieces_that_stay_on_disk(tmp_path):
    manifest = manifest_of([tune(60), tune(62), tune(61)], Cache(tmp_path))
    jobs = jobs_of(manifest, (0, 2), (0, 5))
    encoder = component().create()
    encoder.fit(TrainingPieces(manifest, jobs, common=False))
    assert encoder.state() == {"highest": 66}
    told = [
        (piece.id, piece.content.pitch.tolist()) for piece in TrainingPieces(manifest, jobs, False)
    ]
    assert told == [("tune 60", [60]), ("tune 60+5", [65]), ("tune 61", [61]), ("tune 61+5", [66])]
