"""The batches of the core's strategies: which rows, what is masked, and the order of an epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers import encoded_piece
from musengine.builtin.batching import (
    SegmentBatching,
    StatefulBatching,
    WholePieceBatching,
    WindowBatching,
)
from musengine.data import batching as module
from musengine.data.batching import Batches, collate, windows
from musengine.interfaces.batching import IDLE_ROW, BatchingStrategy, Row
from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.interfaces.model import Batch
from musengine.interfaces.training import TrainingConfig
from musengine.plugins.configs import NoSettings, Window
from musengine.testing.strategies import few


def tokens(*lengths: int, conditioning: bool = False) -> list[EncodedPiece]:
    """Pieces of tokens that tell themselves: piece p's step t is 100 (p + 1) + t."""
    return [
        encoded_piece(100 * (p + 1) + np.arange(length), f"piece {p}", conditioning=conditioning)
        for p, length in enumerate(lengths)
    ]


STRATEGIES: dict[str, type[BatchingStrategy]] = {
    "segments": SegmentBatching,
    "pieces": WholePieceBatching,
    "stateful": StatefulBatching,
    "windows": WindowBatching,
}


def batches_of(
    pieces: Sequence[EncodedPiece],
    batching: str,
    *,
    seed: int = 0,
    updates_per_batch: int = 1,
    **options,
) -> Batches:
    lengths = [len(piece) for piece in pieces]
    strategy = STRATEGIES[batching](NoSettings(), TrainingConfig(**options), lengths)
    return Batches(pieces, strategy, seed=seed, updates_per_batch=updates_per_batch)


def rows(batches: Batches, epoch: int = 0) -> list[Row]:
    return [row for batch in batches.plan(epoch) for row in batch]


def chi_square(counts: Counter, places: Sequence[object]) -> float:
    """How far counts lie from being all alike; nothing may be counted elsewhere."""
    assert set(counts) <= set(places)
    mean = counts.total() / len(places)
    return sum((counts[place] - mean) ** 2 / mean for place in places)


lengths_of_pieces = st.lists(st.integers(0, 40), max_size=8)


class TestSegments:
    def test_a_piece_of_exactly_one_segment(self):
        batches = batches_of(tokens(4), "segments", sequence_length=4, batch_size=3)
        # One segment covers the piece, which is nearest to one batch of three.
        assert batches.plan(0) == [[Row(0, 0, 4)] * 3]
        (batch,) = batches.epoch(0)
        assert batch.targets.tolist() == [[100, 101, 102, 103]] * 3
        assert batch.inputs.tolist() == [[0, 100, 101, 102]] * 3
        assert batch.mask.all()
        assert batch.begins.all()
        assert batch.reset.all()

    def test_an_epoch_holds_as_many_segments_as_cover_the_music(self):
        # Segments of 4: the piece of 10 takes 3, that of 4 takes 1, that of 3 is too short.
        # Four segments in batches of 2 are 2 batches.
        batches = batches_of(tokens(10, 4, 3), "segments", sequence_length=4, batch_size=2)
        assert batches.count(0) == 2
        assert batches.too_short() == ["piece 2"]
        assert {row.piece for epoch in range(40) for row in rows(batches, epoch)} == {0, 1}

    @given(lengths_of_pieces, st.integers(1, 12), st.integers(1, 6), st.integers(1, 5))
    @few(60)
    def test_segments_are_aligned_and_inside_their_piece(self, lengths, length, align, size):
        batches = batches_of(
            tokens(*lengths), "segments", sequence_length=length, align=align, batch_size=size
        )
        usable = {p for p, steps in enumerate(lengths) if steps >= length}
        found = rows(batches)
        assert bool(found) == bool(usable)
        for row in found:
            assert row.piece in usable
            assert row.start % align == 0
            assert 0 <= row.start < row.stop == row.start + length <= lengths[row.piece]
            assert (row.reset, row.context, row.repeat) == (True, 0, False)
        assert {len(batch) for batch in batches.plan(0)} <= {size}
        short = {f"piece {p}" for p, steps in enumerate(lengths) if steps < length}
        assert set(batches.too_short()) == short

    @pytest.mark.parametrize(
        ("align", "places"),
        [
            # Segments of 4 in pieces of 8, 5 and 4 steps.
            (1, [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (2, 0)]),
            (2, [(0, 0), (0, 2), (0, 4), (1, 0), (2, 0)]),
            (3, [(0, 0), (0, 3), (1, 0), (2, 0)]),
        ],
    )
    def test_every_start_is_equally_likely(self, align, places):
        batches = batches_of(
            tokens(8, 5, 4, 3), "segments", sequence_length=4, align=align, batch_size=8000
        )
        counts = Counter((row.piece, row.start) for row in rows(batches))
        assert counts.total() == 8000
        # With seven degrees of freedom chi-square exceeds 30 once in ten thousand.
        assert chi_square(counts, places) < 30

    def test_a_segment_knows_the_step_before_it(self):
        pieces = tokens(6, conditioning=True)
        batch = collate([Row(0, 2, 5), Row(0, 0, 3)], pieces)
        assert batch.targets.tolist() == [[102, 103, 104], [100, 101, 102]]
        assert batch.inputs.tolist() == [[101, 102, 103], [0, 100, 101]]
        assert batch.position.tolist() == [2, 0]
        assert batch.begins.tolist() == [False, True]
        assert batch.pieces.tolist() == [0, 0]
        # Conditioning channels belong to the steps to predict.
        assert batch.conditioning["place"].tolist() == [[20, 30, 40], [0, 10, 20]]

    def test_nothing_usable_makes_no_batches(self):
        batches = batches_of(tokens(3, 2), "segments", sequence_length=4)
        assert (batches.plan(0), batches.count(0)) == ([], 0)
        assert list(batches.epoch(0)) == []


class TestPieces:
    def test_pieces_of_like_length_share_a_batch_and_are_padded(self):
        batches = batches_of(tokens(3, 1, 2), "pieces", batch_size=2)
        plan = batches.plan(0)
        shapes = {tuple(sorted(row.piece for row in batch)): batch for batch in plan}
        assert set(shapes) == {(1, 2), (0,)}
        batch = collate(sorted(shapes[1, 2], key=lambda row: row.piece), batches.pieces)
        assert batch.targets.tolist() == [[200, 0], [300, 301]]
        assert batch.inputs.tolist() == [[0, 200], [0, 300]]
        assert batch.mask.tolist() == [[True, False], [True, True]]

    @given(lengths_of_pieces, st.integers(1, 5), st.integers(0, 3))
    @few(60)
    def test_every_piece_is_there_once_and_whole(self, lengths, size, epoch):
        batches = batches_of(tokens(*lengths), "pieces", batch_size=size)
        found = rows(batches, epoch)
        expected = [Row(p, 0, steps) for p, steps in enumerate(lengths) if steps]
        assert sorted(found, key=lambda row: row.piece) == expected
        assert all(len(batch) <= size for batch in batches.plan(epoch))
        assert batches.too_short() == [f"piece {p}" for p, n in enumerate(lengths) if not n]
        for batch in batches.epoch(epoch):
            assert batch.mask.sum(dim=1).tolist() == [lengths[p] for p in batch.pieces.tolist()]
            # Nothing is padded further than the longest piece of the batch.
            assert batch.mask.shape[1] == max(lengths[p] for p in batch.pieces.tolist())

    def test_batches_come_in_another_order_each_epoch(self):
        batches = batches_of(tokens(*range(1, 21)), "pieces", batch_size=2)
        orders = {tuple(row.piece for row in rows(batches, epoch)) for epoch in range(5)}
        assert len(orders) == 5

    def test_a_short_piece_is_padded_to_the_others_of_its_batch(self):
        batches = batches_of(tokens(2, 3), "pieces", batch_size=2, sequence_length=3)
        assert sorted(rows(batches), key=lambda row: row.piece) == [Row(0, 0, 2), Row(1, 0, 3)]

    def test_a_short_piece_is_filled_up_by_repeating_itself(self):
        batches = batches_of(
            tokens(3, 12, conditioning=True),
            "pieces",
            batch_size=2,
            sequence_length=8,
            fill="repeat",
        )
        (batch,) = batches.epoch(0)
        short, long = sorted(range(2), key=lambda b: batch.pieces[b])
        again = [100, 101, 102, 100, 101, 102, 100, 101]
        assert batch.targets[short].tolist() == again
        assert batch.inputs[short].tolist() == [0, *again[:-1]]
        assert batch.conditioning["place"][short].tolist() == [0, 10, 20, 0, 10, 20, 0, 10]
        assert batch.mask.all()
        start = int(batch.position[long])
        assert batch.targets[long].tolist() == list(range(200 + start, 208 + start))

    def test_a_long_piece_is_cut_at_steps_equally_likely(self):
        batches = batches_of(tokens(7), "pieces", sequence_length=4)
        counts = Counter(row.start for epoch in range(2000) for row in rows(batches, epoch))
        assert all(row.stop == row.start + 4 for epoch in range(20) for row in rows(batches, epoch))
        # With three degrees of freedom chi-square exceeds 21.1 once in ten thousand.
        assert chi_square(counts, [0, 1, 2, 3]) < 21.1


class TestStateful:
    def test_pieces_run_through_streams_in_chunks(self):
        batches = batches_of(tokens(5), "stateful", sequence_length=2, batch_size=3)
        # One piece fills one stream only; the last chunk is what is left.
        assert batches.plan(0) == [
            [Row(0, 0, 2, reset=True)],
            [Row(0, 2, 4, reset=False)],
            [Row(0, 4, 5, reset=False)],
        ]
        first, second, third = batches.epoch(0)
        assert (first.targets.tolist(), first.inputs.tolist()) == ([[100, 101]], [[0, 100]])
        assert (second.targets.tolist(), second.inputs.tolist()) == ([[102, 103]], [[101, 102]])
        assert (third.targets.tolist(), third.inputs.tolist()) == ([[104]], [[103]])
        assert [bool(b.reset) for b in (first, second, third)] == [True, False, False]
        assert [bool(b.begins) for b in (first, second, third)] == [True, False, False]

    def test_a_stream_without_a_piece_is_masked(self):
        # Whichever piece comes first, the streams are one of 3 chunks and one of 1.
        batches = batches_of(tokens(6, 2), "stateful", sequence_length=2, batch_size=2)
        streams = list(zip(*batches.plan(0), strict=True))
        idle = min(range(2), key=lambda stream: sum(row != IDLE_ROW for row in streams[stream]))
        made = list(batches.epoch(0))
        assert [row == IDLE_ROW for row in streams[idle]] == [False, True, True]
        assert [batch.mask[idle].any().item() for batch in made] == [True, False, False]
        assert [int(batch.pieces[idle]) for batch in made] == [1, -1, -1]
        assert all(bool(batch.mask[1 - idle].all()) for batch in made)

    @given(lengths_of_pieces, st.integers(1, 7), st.integers(1, 4), st.integers(0, 3))
    @few(80)
    def test_a_stream_gives_back_windows_in_order(self, lengths, length, size, epoch):
        pieces = tokens(*lengths, conditioning=True)
        batches = batches_of(pieces, "stateful", sequence_length=length, batch_size=size)
        made: list[Batch] = list(batches.epoch(epoch))
        wide = min(size, sum(steps > 0 for steps in lengths))
        assert {len(batch.mask) for batch in made} <= {wide}
        seen = []
        for stream in range(wide if made else 0):
            heard: list[int] = []
            over = False
            for batch in made:
                mask = batch.mask[stream]
                if not mask.any():
                    assert int(batch.pieces[stream]) == -1
                    over = True
                    continue
                assert not over, "an idle stream stays idle"
                steps = batch.targets[stream][mask].tolist()
                if batch.reset[stream]:
                    # A fresh state exactly where a piece begins, and the one before is over.
                    check_whole(heard, lengths, seen)
                    assert bool(batch.begins[stream])
                    heard = []
                else:
                    assert int(batch.inputs[stream, 0]) == heard[-1]
                assert int(batch.position[stream]) == len(heard)
                assert batch.conditioning["place"][stream][mask].tolist() == [
                    10 * (len(heard) + n) for n in range(len(steps))
                ]
                heard += steps
            check_whole(heard, lengths, seen)
        assert sorted(seen) == [p for p, steps in enumerate(lengths) if steps]

    def test_streams_are_about_equally_long(self):
        batches = batches_of(tokens(*[8] * 12), "stateful", sequence_length=4, batch_size=4)
        # Twelve pieces of two chunks in four streams: six chunks each, none idle.
        assert batches.count(0) == 6
        assert IDLE_ROW not in rows(batches)

    def test_a_long_piece_leaves_no_stream_idle_while_others_can_fill_it(self):
        batches = batches_of(tokens(*[2] * 8, 16), "stateful", sequence_length=2, batch_size=2)
        for epoch in range(5):
            # One piece of eight chunks in one stream, eight of one in the other.
            assert batches.count(epoch) == 8
            assert IDLE_ROW not in rows_in(batches.plan(epoch))
        orders = {tuple(rows_in(batches.plan(epoch))) for epoch in range(5)}
        assert len(orders) == 5


def rows_in(plan: list[list[Row]]) -> list[Row]:
    return [row for batch in plan for row in batch]


def check_whole(heard: list[int], lengths: list[int], seen: list[int]) -> None:
    """What a stream has played since its last reset is one piece from first step to last."""
    if heard:
        piece = heard[0] // 100 - 1
        assert heard == [100 * (piece + 1) + t for t in range(lengths[piece])]
        seen.append(piece)


class TestWindows:
    def test_windows_are_followed_by_the_step_to_predict(self):
        melody = [60, 62, 64, 65, 67, 69]
        batches = batches_of([encoded_piece(melody)], "windows", sequence_length=3, batch_size=10)
        (batch,) = batches.epoch(0)
        learnt = {
            tuple(window): answers[-1]
            for window, answers in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)
        }
        assert learnt == {(60, 62, 64): 65, (62, 64, 65): 67, (64, 65, 67): 69}
        # Only the step after the window counts.
        assert batch.mask.tolist() == [[False, False, True]] * 3
        assert batch.reset.all()
        assert not batch.begins.any()

    @given(lengths_of_pieces, st.integers(1, 6), st.integers(1, 4), st.integers(1, 5))
    @few(60)
    def test_all_windows_of_all_pieces_are_there_once(self, lengths, length, stride, size):
        batches = batches_of(
            tokens(*lengths), "windows", sequence_length=length, stride=stride, batch_size=size
        )
        found = Counter(
            (tuple(window), int(answer))
            for batch in batches.epoch(0)
            for window, answer in zip(
                batch.inputs.tolist(), batch.targets[:, -1].tolist(), strict=True
            )
        )
        melodies = [piece.encoded.steps.tolist() for piece in batches.pieces]
        expected = Counter(
            (tuple(melody[at : at + length]), melody[at + length])
            for melody in melodies
            for at in range(0, len(melody), stride)
            if at + length < len(melody)
        )
        assert found == expected
        assert batches.too_short() == [f"piece {p}" for p, n in enumerate(lengths) if n <= length]

    def test_windows_of_all_pieces_are_mixed(self):
        batches = batches_of(tokens(50, 50), "windows", sequence_length=4, batch_size=16)
        first, *_ = batches.epoch(0)
        assert set(first.pieces.tolist()) == {0, 1}


@pytest.mark.parametrize("batching", STRATEGIES)
def test_a_plan_depends_on_seed_and_epoch_alone(batching):
    def made(seed: int) -> Batches:
        return batches_of(
            tokens(*range(10, 30)), batching, sequence_length=5, batch_size=4, seed=seed
        )

    one, other = made(3), made(3)
    backwards = {epoch: other.plan(epoch) for epoch in (2, 1, 0)}
    plans = [one.plan(epoch) for epoch in range(3)]
    assert [backwards[epoch] for epoch in range(3)] == plans
    assert plans[0] != plans[1] != plans[2] != plans[0]
    assert made(4).plan(0) != plans[0]
    assert one.count(1) == len(plans[1])


@pytest.mark.parametrize("batching", STRATEGIES)
def test_an_epoch_can_be_taken_up_at_any_batch(batching):
    batches = batches_of(tokens(*range(10, 30)), batching, sequence_length=5, batch_size=4)
    whole = list(batches.epoch(1))
    assert len(whole) > 3
    for first in (0, 2, len(whole) - 1, len(whole)):
        rest = list(batches.epoch(1, first=first))
        assert len(rest) == len(whole) - first
        for again, batch in zip(rest, whole[first:], strict=True):
            assert torch.equal(again.steps, batch.steps)
            assert torch.equal(again.mask, batch.mask)
            assert torch.equal(again.reset, batch.reset)


@pytest.mark.parametrize(("bytes_ahead", "taken"), [(2**19, 16), (3 * 192, 3), (1, 1)])
def test_small_batches_are_put_together_several_at_once(monkeypatch, bytes_ahead, taken):
    batches = batches_of(tokens(200), "segments", sequence_length=5, batch_size=4)
    plain, made = [collate(rows, batches.pieces) for rows in batches.plan(0)], []
    monkeypatch.setattr(module, "_AHEAD_BYTES", bytes_ahead)
    monkeypatch.setattr(module, "collate", lambda *given: made.append(given) or collate(*given))
    found = batches.epoch(0)
    # Four rows of six whole numbers of eight bytes.
    assert next(found).steps.nbytes == 192 == plain[0].steps.nbytes
    assert len(made) == min(taken, len(plain))
    rest = list(found)
    assert len(rest) + 1 == len(made) == len(plain) == 10
    assert all(torch.equal(a.steps, b.steps) for a, b in zip(rest, plain[1:], strict=True))


def test_what_is_not_to_be_learned_from_is_masked():
    rows = [Row(0, 0, 4), Row(0, 2, 5, context=2), Row(-1, 0, 4), IDLE_ROW]
    batch = collate(rows, tokens(6))
    assert batch.mask.int().tolist() == [[1, 1, 1, 1], [0, 0, 1, 0], [0] * 4, [0] * 4]
    assert batch.pieces.tolist() == [0, 0, -1, -1]


def test_a_batch_may_be_used_several_times_in_a_row():
    once = batches_of(tokens(20, 30), "segments", sequence_length=5, batch_size=2)
    thrice = batches_of(
        tokens(20, 30), "segments", sequence_length=5, batch_size=2, updates_per_batch=3
    )
    assert thrice.plan(1) == [batch for batch in once.plan(1) for _ in range(3)]
    assert [thrice.is_last_update(n) for n in range(6)] == [False, False, True] * 2


def test_grids_stay_bytes_and_tokens_become_whole_numbers():
    roll = np.zeros((4, 3, 2), dtype=np.uint8)
    roll[2, 1] = 1
    batch = collate([Row(0, 1, 4), Row(0, 0, 2)], [encoded_piece(roll)])
    assert batch.steps.dtype == torch.uint8
    assert batch.targets.shape == (2, 3, 3, 2)
    assert (batch.targets[0].numpy() == roll[1:4]).all()
    assert (batch.inputs[0].numpy() == roll[0:3]).all()
    assert (batch.targets[1].numpy() == np.concatenate([roll[:2], np.zeros((1, 3, 2))])).all()
    small = encoded_piece(np.array([1, 2], dtype=np.int16))
    assert collate([Row(0, 0, 2)], [small]).steps.dtype == torch.int64


def test_conditioning_channels_of_several_dimensions_are_padded_with_zeros():
    bars = np.arange(6, dtype=np.float32).reshape(3, 2)
    piece = EncodedPiece("a", Encoded(steps=np.array([1, 2, 3]), conditioning={"bar": bars}), "")
    nines = np.full((1, 2), 9, dtype=np.float32)
    short = EncodedPiece("b", Encoded(steps=np.array([4]), conditioning={"bar": nines}), "")
    batch = collate([Row(0, 1, 3), Row(1, 0, 1), IDLE_ROW], [piece, short])
    assert batch.conditioning["bar"].tolist() == [
        [[2.0, 3.0], [4.0, 5.0]],
        [[9.0, 9.0], [0.0, 0.0]],
        [[0.0, 0.0], [0.0, 0.0]],
    ]
    assert batch.conditioning["bar"].dtype == torch.float32


def test_a_batch_moves_whole():
    batch = collate([Row(0, 0, 3)], tokens(3, conditioning=True)).to(torch.device("meta"))
    tensors = (batch.steps, batch.mask, batch.reset, batch.begins, batch.position, batch.pieces)
    assert {tensor.device.type for tensor in (*tensors, batch.conditioning["place"])} == {"meta"}


@given(lengths_of_pieces, st.integers(1, 90))
@few(80)
def test_scoring_meets_every_piece_once_and_whole(lengths, most):
    pieces = tokens(*lengths, conditioning=True)
    seen = []
    for batch in windows(pieces, most_steps=most):
        assert batch.mask.numel() <= most or len(batch.pieces) == 1
        assert batch.begins.all()
        for b, index in enumerate(batch.pieces.tolist()):
            mask = batch.mask[b]
            assert batch.targets[b][mask].tolist() == pieces[index].encoded.steps.tolist()
            assert batch.targets[b][~mask].eq(0).all()
        seen += batch.pieces.tolist()
    assert sorted(seen) == list(range(len(lengths)))


@given(lengths_of_pieces, st.integers(1, 40), st.data())
@few(80)
def test_windows_score_every_step_once_with_its_context(lengths, size, data):
    context = data.draw(st.integers(0, size - 1))
    pieces = tokens(*lengths)
    found = {index: np.full(len(piece), -1) for index, piece in enumerate(pieces)}
    live: dict[int, int] = {}
    for batch in windows(pieces, None, Window(size, context), most_steps=90):
        assert batch.mask.shape[1] <= size
        for b, (index, first) in enumerate(
            zip(batch.pieces.tolist(), batch.position.tolist(), strict=True)
        ):
            if index < 0:
                assert not batch.mask[b].any()
                continue
            counted = np.flatnonzero(batch.mask[b].numpy())
            places = first + counted
            assert (found[index][places] == -1).all()
            found[index][places] = batch.targets[b].numpy()[counted]
            # Every step but those of the first window has the context before it.
            assert first == 0 or counted.min(initial=size) == context
            if context == 0:
                # A state is carried on from row to row; a fresh one is asked for at the start.
                assert bool(batch.reset[b]) == (first == 0)
                assert live.get(b, index) == index or first == 0
                live[b] = index
            else:
                assert bool(batch.reset[b])
    for index, piece in enumerate(pieces):
        assert found[index].tolist() == piece.encoded.steps.tolist()
