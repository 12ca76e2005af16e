from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import beats, piano_roll, pieces_or_refusal, seconds
from musengine.builtin.configs import RollsReaderConfig
from musengine.builtin.readers import pianoroll_sets
from musengine.builtin.readers.pianoroll_sets import RollsReader
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item
from musengine.music.piece import Piece
from musengine.testing import rows_of
from musengine.testing.strategies import few

# Two pieces to train on and one to test with; ten pitches from 60 on.
#   first   60 and 69 together for two steps, then 69 goes on alone
#   second  one step of silence, then 61
#   third   62 for one step
ROLLS = {
    "train": [[[0, 9], [0, 9], [9]], [[], [1]]],
    "test": [[[2]]],
}


def npz(path: Path, arrays: dict[str, object]) -> Path:
    np.savez(path, **arrays)
    return path


def packed(content=ROLLS, pitches: int = 10, lowest: int = 60) -> dict[str, object]:
    """The format as it is documented: rows packed 8 to a byte, first pitch in the highest bit."""
    arrays: dict[str, object] = {"pitch_of_column_0": lowest, "n_pitches": pitches}
    for part, sequences in content.items():
        steps = [step for sequence in sequences for step in sequence]
        dense = np.zeros((len(steps), pitches), dtype=np.uint8)
        for t, step in enumerate(steps):
            dense[t, step] = 1
        arrays[part] = np.packbits(dense, axis=1)
        arrays[f"{part}_offsets"] = np.cumsum([0, *map(len, sequences)])
    return arrays


def reader(**options) -> RollsReader:
    return RollsReader(RollsReaderConfig(**options))


def read(path: Path, **options) -> list[Piece]:
    return list(reader(**options).read(Item(path, path.name, "style")))


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableError) as caught:
        read(path)
    (line,) = caught.value.lines
    return line


def test_a_row_is_packed_as_documented():
    # Columns 0 and 9 of ten: the highest bit of the first byte, the second of the second.
    assert packed()["train"][0].tolist() == [0b10000000, 0b01000000]


def check_pieces(pieces: list[Piece], name: str) -> None:
    assert [(piece.id, piece.part) for piece in pieces] == [
        (f"{name}#train-0", "train"),
        (f"{name}#train-1", "train"),
        (f"{name}#test-0", "test"),
    ]
    # A step is a beat of one tick, unless the pipeline says otherwise.
    first, second, third = (piece.content for piece in pieces)
    assert first.ticks_per_beat == 1
    assert rows_of(first) == [(0, 2, 60, 80, 0), (0, 3, 69, 80, 0)]
    assert rows_of(second) == [(1, 1, 61, 80, 0)]
    assert rows_of(third) == [(0, 1, 62, 80, 0)]
    assert [score.length for score in (first, second, third)] == [3, 2, 1]
    assert {piece.style for piece in pieces} == {"style"}


def test_bit_packed_rolls_with_official_splits(tmp_path):
    check_pieces(read(npz(tmp_path / "rolls.npz", packed())), "rolls.npz")


def test_lists_of_pitches_with_official_splits(tmp_path):
    path = tmp_path / "rolls.json"
    raised = {
        part: [[[60 + row for row in step] for step in sequence] for sequence in sequences]
        for part, sequences in ROLLS.items()
    }
    path.write_text(json.dumps(raised), encoding="utf-8")
    check_pieces(read(path), "rolls.json")


def test_endings_are_known_in_capitals(tmp_path):
    np.savez(tmp_path / "x.npz", **packed())
    path = (tmp_path / "x.npz").rename(tmp_path / "ROLLS.NPZ")
    check_pieces(read(path), "ROLLS.NPZ")


@pytest.mark.parametrize(
    ("step", "ticks_per_beat", "ticks"),
    [
        (beats("1/4"), 4, 1),
        (beats("2/3"), 3, 2),
        # Seconds are laid out at 120 beats per minute: 0.3 s are 3/5 of a beat.
        (seconds("0.3"), 5, 3),
    ],
)
def test_a_row_lasts_as_long_as_the_pipeline_says(tmp_path, step, ticks_per_beat, ticks):
    first, *_ = read(npz(tmp_path / "rolls.npz", packed()), step=step)
    assert first.content.ticks_per_beat == ticks_per_beat
    assert rows_of(first.content) == [(0, 2 * ticks, 60, 80, 0), (0, 3 * ticks, 69, 80, 0)]
    assert first.content.length == 3 * ticks
    encoded = piano_roll(lowest=60, highest=69, step=step).encode(first.content)
    assert encoded.steps.sum(axis=(1, 2)).tolist() == [2, 2, 1]


def test_a_silent_sequence_is_a_piece_without_notes(tmp_path):
    path = tmp_path / "rolls.json"
    path.write_text('{"valid": [[[], []], []]}', encoding="utf-8")
    silent, empty = read(path)
    assert (len(silent.content), silent.content.length, silent.part) == (0, 2, "valid")
    assert (len(empty.content), empty.content.length) == (0, 0)


def changed(**changes: object) -> dict[str, object]:
    return {key: value for key, value in (packed() | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (changed(n_pitches=None), "n_pitches"),
        (changed(train_offsets=None), "train_offsets"),
        (changed(n_pitches=69), "69 pitches from 60 leave the range 0 to 127"),
        (changed(n_pitches=0), "0 pitches from 60 leave the range"),
        (changed(pitch_of_column_0=-1), "10 pitches from -1 leave the range"),
        (changed(n_pitches=20), "train has 16 columns for 20 pitches"),
        (changed(train_offsets=[0, 3, 4]), "train_offsets do not divide the 5 steps"),
        (changed(train_offsets=[0, 4, 3, 5]), "train_offsets do not divide the 5 steps"),
        (changed(train_offsets=[2, 5]), "train_offsets do not divide the 5 steps"),
        (changed(train_offsets=[-3, 5]), "train_offsets do not divide the 5 steps"),
        (changed(train_offsets=[]), "train_offsets do not divide the 5 steps"),
        (changed(train=np.ones((5, 10))), "unsigned byte"),
        (changed(train=np.ones(5, dtype=np.uint8)), "axis"),
        (changed(train=np.array([{}, []], dtype=object)), "pickle"),
    ],
)
def test_a_wrong_array_is_named(tmp_path, arrays, reason):
    assert reason in refusal(npz(tmp_path / "rolls.npz", arrays))


@pytest.mark.parametrize(
    "text",
    [
        "[[[60]]]",
        '{"training": [[[60]]]}',
        '{"train": 5}',
        '{"train": null}',
        '{"train": [5]}',
        '{"train": [[60]]}',
        '{"train": [[[128]]]}',
        '{"train": [[[-1]]]}',
        '{"train": [[[60.5]]]}',
        '{"train": [[[null]]]}',
        '{"train": [[[NaN]]]}',
        '{"train": [[["C4"]]]}',
        '{"train": [[[[60], [61]]]]}',
        '{"train": [[[1' + 400 * "0" + "]]]}",
        '{"train": [[[60',
        200_000 * "[",
        "",
    ],
    ids=lambda text: text[:30] or "empty",
)
def test_other_json_is_refused(tmp_path, text):
    path = tmp_path / "rolls.json"
    path.write_text(text, encoding="utf-8")
    assert refusal(path).startswith("not a piano-roll collection: ")


def test_a_pickle_is_never_opened(tmp_path):
    # Unpickling would write this file.
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    array = np.empty(1, dtype=object)
    array[0] = Trap()
    path = npz(tmp_path / "rolls.npz", changed(n_pitches=array, train=array))
    assert "not a piano-roll collection" in refusal(path)
    assert not (tmp_path / "sprung").exists()


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    # Two arrays of 60 MB of zeros take 120 kB packed; 100 MB is as much as is allowed here.
    monkeypatch.setattr(pianoroll_sets, "MAX_BYTES", 100_000_000)
    zeros = np.zeros((60_000_000, 1), dtype=np.uint8)
    path = tmp_path / "rolls.npz"
    np.savez_compressed(path, train=zeros, test=zeros)
    assert path.stat().st_size < 2**18
    del zeros
    tracemalloc.start()
    try:
        assert refusal(path) == "unpacks to more than 100000000 bytes"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**20


def test_steps_of_nothing_make_no_room_beyond_the_limit(tmp_path, monkeypatch):
    # Three bytes a step in the file are 128 in the roll.
    monkeypatch.setattr(pianoroll_sets, "MAX_BYTES", 64_000)
    path = tmp_path / "rolls.json"
    path.write_text(json.dumps({"train": [[[]] * 4_001]}, separators=(",", ":")))
    assert "4001 steps, more than 4000" in refusal(path)
    path.write_text(json.dumps({"train": [[[60]] * 4_000]}, separators=(",", ":")))
    (piece,) = read(path)
    assert len(piece.content) == 1


def test_an_array_that_claims_more_than_there_is(tmp_path):
    # A header that promises 400 GB in a file of a few hundred bytes.
    path = tmp_path / "rolls.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (400_000_000_000, 1)}
    )
    npz(path, packed({}))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train.npy", header.getvalue())
    assert refusal(path).startswith("not a piano-roll collection: ")


def is_read_or_refused(path: Path) -> None:
    for piece in pieces_or_refusal(reader(), path):
        assert piece.part in ("train", "valid", "test")
        assert piece.content.length >= 0


@given(noise=st.binary(max_size=120), ending=st.sampled_from([".npz", ".json"]))
@few(100)
def test_noise_is_refused(noise, ending, tmp_path):
    path = tmp_path / f"rolls{ending}"
    path.write_bytes(noise)
    is_read_or_refused(path)


@given(
    changes=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(0, 255)), min_size=1, max_size=5),
    kept=st.one_of(st.just(1.0), st.floats(0.1, 1.0)),
    compressed=st.booleans(),
)
@few(300)
def test_damaged_archives_are_read_or_refused(changes, kept, compressed, tmp_path):
    path = tmp_path / "rolls.npz"
    save = np.savez_compressed if compressed else np.savez
    save(path, **packed())
    data = bytearray(path.read_bytes())
    data = data[: int(kept * len(data))]
    for place, value in changes:
        data[int(place * len(data))] = value
    path.write_bytes(data)
    is_read_or_refused(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(st.sampled_from(["train", "valid", "test"]), json_values))
@few(150)
def test_any_json_is_read_or_refused(value, tmp_path):
    path = tmp_path / "rolls.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    is_read_or_refused(path)


# The table of verified counts that comes with the data: sequences, steps, shortest, longest,
# notes per step, most notes at once, lowest and highest pitch.
JSB = {
    "train": (229, 13_807, 25, 129, 3.898, 4, 43, 96),
    "valid": (76, 4_602, 32, 144, 3.870, 4, 48, 96),
    "test": (77, 4_725, 32, 160, 3.887, 4, 45, 96),
}


@pytest.fixture(scope="module")
def chorales_file(data_folder: Path) -> Path:
    path = data_folder / "poly-benchmarks" / "jsb_chorales.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path


@pytest.fixture(scope="module")
def chorales(chorales_file: Path) -> list[Piece]:
    return read(chorales_file)


@pytest.mark.parametrize("part", JSB)
def test_the_real_chorales_have_the_known_counts(chorales, part):
    encoder = piano_roll(step=beats("1"))
    encoded = [encoder.encode(p.content).steps for p in chorales if p.part == part]
    lengths = [len(roll) for roll in encoded]
    at_once = np.concatenate([roll.sum(axis=(1, 2)) for roll in encoded])
    pitches = 21 + np.nonzero(np.concatenate(encoded).any(axis=(0, 2)))[0]
    assert (
        len(encoded),
        sum(lengths),
        min(lengths),
        max(lengths),
        round(float(at_once.mean()), 3),
        at_once.max(),
        pitches.min(),
        pitches.max(),
    ) == JSB[part]


def test_the_real_rolls_come_back_bit_for_bit(chorales, chorales_file):
    encoder = piano_roll(lowest=21, highest=108, step=beats("1"))
    with np.load(chorales_file) as arrays:
        for part in JSB:
            encoded = [encoder.encode(p.content).steps for p in chorales if p.part == part]
            again = np.packbits(np.concatenate(encoded)[..., 0], axis=1)
            assert (again == arrays[part]).all()
            ends = np.cumsum([0, *map(len, encoded)])
            assert (ends == arrays[f"{part}_offsets"]).all()
