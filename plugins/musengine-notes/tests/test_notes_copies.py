"""Runs copied from the training music: found, in any key, and no longer than they may be."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.api import GridStep, Score, midi_bytes
from musengine.testing import run_command
from musengine.testing.strategies import few
from musengine_notes.copies import GRAM, CopyIndex, CopyWatch, hashes_of
from musengine_notes.layout import PITCHES, NoteEvents, Part

DELAYS = tuple(range(17))
LAYOUT = NoteEvents(
    step=GridStep(Fraction(1, 4), "beat"),
    delays=DELAYS,
    durations=(1, 2, 4),
    velocities=4,
    parts=(Part(drums=False), Part(drums=True)),
)
KEYS, DRUMS, REST = 2, 3, 0


def events(pitches: list[int], delay: int = 2, part: int = KEYS) -> np.ndarray:
    """Notes of one part, one after another at equal distances, as rows of five fields."""
    added = 128 if part == DRUMS else 0
    rows = [[delay if k else 0, part, pitch + added, 1, 0] for k, pitch in enumerate(pitches)]
    return np.array(rows, dtype=np.int64)


def drawn(seed: int, count: int) -> list[int]:
    return np.random.default_rng(seed).integers(40, 80, count).tolist()


TUNE = drawn(0, 60)
INDEX = CopyIndex.of([events(TUNE)], [], LAYOUT)


def test_a_passage_is_known_again_in_another_key() -> None:
    # 20 notes of the tune a third higher among others. Of the first the way to it is another, so
    # that 19 are alike, each with the distance from the one before.
    piece = [*drawn(1, 10), *(pitch + 4 for pitch in TUNE[30:50]), *drawn(2, 10)]
    assert INDEX.longest(events(piece), LAYOUT) == 19
    assert INDEX.longest(events(drawn(3, 200)), LAYOUT) == 0


def test_only_what_comes_after_a_prompt_counts() -> None:
    piece = events([*TUNE[:20], *drawn(4, 30)])
    assert INDEX.longest(piece, LAYOUT) == 20
    assert INDEX.longest(piece, LAYOUT, first=20) == 0
    assert INDEX.longest(piece, LAYOUT, first=19) == 20


def test_another_rhythm_and_another_part_are_no_copy() -> None:
    assert INDEX.longest(events(TUNE, delay=3), LAYOUT) == 0
    assert INDEX.longest(events(TUNE, part=DRUMS), LAYOUT) == 0


def test_a_rest_is_part_of_the_rhythm() -> None:
    # Two grid steps between notes, or one of a rest and one of the note.
    rows = events(TUNE).tolist()
    rows[30][0] = 1
    rows.insert(30, [1, REST, 0, 0, 0])
    assert INDEX.longest(np.array(rows), LAYOUT) == len(TUNE)


def test_the_bound_is_what_pieces_held_out_have() -> None:
    # 20 pieces with 8, 9, ..., 27 notes of the tune, from its beginning on: no note of the first
    # is before, so that all are alike. The 95th percentile of 8 .. 27, the higher of its
    # neighbours, is that of rank ceil(0.95 * 19) = 19: 27.
    held_out = [events(TUNE[:count]) for count in range(8, 28)]
    index = CopyIndex.of([events(TUNE)], held_out, LAYOUT)
    assert index.held_out.tolist() == list(range(8, 28))
    assert index.bound() == 27
    assert index.begun.tolist() == [[count, count] for count in range(8, 28)]
    assert INDEX.bound() is None


def test_what_new_pieces_lack_is_told_of_as_many_notes() -> None:
    # Held out are pieces of 10 notes, of which 8 are a run, as the way to its first is another than
    # in the tune, and of 20 without any.
    held_out = [events([*drawn(5, 1), *TUNE[:9]]), events(drawn(6, 20))]
    index = CopyIndex.of([events(TUNE)], held_out, LAYOUT)
    assert index.begun.tolist() == [[10, 8], [20, 0]]
    # Of the first new piece 10 notes count, none of which is part of a run; of the second 20, which
    # are one: log((1 + 8 / 2) / (1 + 20 / 2)).
    new = np.stack([events([*drawn(7, 30), *TUNE[:30]]), events(TUNE)])
    assert index.lacking(new, LAYOUT) == pytest.approx(np.log(5 / 11))
    assert INDEX.lacking(new, LAYOUT) == 0


def test_an_index_of_an_earlier_version_has_nothing_to_aim_at() -> None:
    arrays = dict(INDEX.as_arrays())
    del arrays["begun"]
    assert CopyIndex.from_arrays(arrays).begun.shape == (0, 2)


def test_two_bytes_for_each_gram() -> None:
    pieces = [events(drawn(seed, 1007)) for seed in range(20)]
    index = CopyIndex.of(pieces, [], LAYOUT)
    assert index.bits.nbytes == 2 * 20 * 1000
    # 0.06 % of the grams of other pieces are taken for one of these: 12 of 20,000.
    others = [index.runs(events(drawn(seed, 1007)), LAYOUT)[0] for seed in range(100, 120)]
    assert 0 < sum(int((runs > 0).sum()) for runs in others) < 40


@few(60)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(DELAYS), st.sampled_from((REST, KEYS, DRUMS)), st.integers(40, 46)
        ),
        min_size=1,
        max_size=60,
    ),
    split=st.integers(0, 60),
)
def test_following_a_piece_says_what_looking_back_does(
    rows: list[tuple[int, int, int]], split: int
) -> None:
    piece = np.array(
        [
            [delay, part, 0 if part == REST else pitch + 128 * (part == DRUMS), 1, 0]
            for delay, part, pitch in rows
        ],
        dtype=np.int64,
    )
    index = CopyIndex.of([piece[::2], piece], [], LAYOUT)
    whole, place = index.runs(piece, LAYOUT)
    split = min(split, len(piece))
    watch = CopyWatch(index, LAYOUT, [piece[:split]])
    for step in range(split, len(piece)):
        event = piece[step]
        if event[1] != REST:
            copied = watch.going_on(np.array([0]), event[:1], event[1:2], PITCHES)
            long = int((place <= step).sum()) >= GRAM
            assert not long or bool(copied[0, event[2]])
        watch.observe(event[None])
        so_far = whole[place <= step]
        assert watch.run_N.tolist() == [so_far[-1] if len(so_far) else 0]


def test_hashes_are_the_same_everywhere() -> None:
    # Worked out in whole numbers: SplitMix64's mixer of (0 * 2^24 + 2 * 2^12 + 128) * g + g.
    golden, most = 0x9E3779B97F4A7C15, 2**64 - 1
    number = ((2 * 2**12 + 128) * golden + golden) & most
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & most
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & most
    hashes, _ = hashes_of(events([60]), LAYOUT)
    assert hashes.tolist() == [number ^ (number >> 31)]


PIPELINE = """
[corpus]
path = "music"
valid = 0.3
test = 0.2
jobs = 1

[model]
type = "notes"
width = 64
hidden = 32
layers = 1
dropout = 0.0
transpose = 0
form = false

[training]
steps = 150
batch_size = 4
sequence_length = 64
learning_rate = 0.01
threads = 1

[[sampler]]
type = "notes"
copy = 0.0
quote = 0.0
top_p = 0.5
longest_copy = 10

[generate]
count = 4
length = "60 beats"
prompt = "none"
redraw = false
"""


def noted(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "generated.jsonl").read_text().splitlines()
    return [json.loads(line)["figures"] for line in lines]


@pytest.mark.slow
def test_a_net_that_knows_its_music_by_heart_copies_no_more_than_it_may(workplace: Path) -> None:
    (workplace / "music").mkdir()
    # One round of 24 pitches, each piece from another of them on.
    pitches = np.random.default_rng(0).permutation(24) + 50
    for number in range(8):
        notes = np.tile(np.roll(pitches, 3 * number), 4)
        score = Score.from_notes(np.arange(96) * 240, 200, notes, ticks_per_beat=480)
        (workplace / "music" / f"{number}.mid").write_bytes(midi_bytes(score))
    (workplace / "p.toml").write_text(PIPELINE)
    done = run_command("run", "p.toml", "--run-dir", "r")
    assert done.status == 0, done.err
    kept = noted(workplace / "r" / "samples")
    assert [each["longest_copy_allowed"] for each in kept] == [10] * 4
    # The note that would be the eleventh has another pitch.
    assert max(each["longest_copy"] for each in kept) == 10
    free = run_command(
        "generate", "r", "--out", "free", "--seed", "0", "--set", "sampler.0.longest_copy=0"
    )
    assert free.status == 0, free.err
    by_heart = noted(workplace / "free")
    assert all("longest_copy_allowed" not in each for each in by_heart)
    assert max(each["longest_copy"] for each in by_heart) > 20


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"x" * 100])
def test_a_damaged_file_is_one_line(workplace: Path, content: bytes) -> None:
    (workplace / "music").mkdir()
    for number in range(4):
        score = Score.from_notes(np.arange(40) * 240, 200, drawn(number, 40), ticks_per_beat=480)
        (workplace / "music" / f"{number}.mid").write_bytes(midi_bytes(score))
    small = PIPELINE.replace("steps = 150", "steps = 2").replace("valid = 0.3", "valid = 0.25")
    (workplace / "p.toml").write_text(small)
    assert run_command("train", "p.toml", "--run-dir", "r").status == 0
    (workplace / "r" / "samplers.safetensors").write_bytes(content)
    done = run_command("generate", "r")
    assert done.status == (0 if content.endswith(b"{}      ") else 1)
    assert "Traceback" not in done.err
