"""Notes of pieces and of their ends, counted by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from musengine.data.note_counts import NoteCount, count_notes
from musengine.data.spans import PieceSpan
from musengine.interfaces.encoder import EncodedPiece, Encoder
from musengine.music.piece import Piece, Text
from musengine.music.score import Score
from musengine.testing import create, score_of


def roll(**settings: Any) -> Encoder[Any]:
    return create("encoder", "piano-roll", **{"step": "1/4 beat", "lowest": 48, **settings})


def counts(score: Score, encoder: Encoder[Any], *cuts: int, known: bool = True) -> list[Any]:
    """The counts of the stretches between cuts in a score's arrays."""
    encoded = replace(encoder.encode(score), notes=len(score))
    whole = EncodedPiece("a", encoded, "")
    edges = [0, *cuts, len(whole)]
    spans = [
        PieceSpan(whole, *pair, content=(lambda: score) if known else lambda: None)
        for pair in itertools.pairwise(edges)
    ]
    return [count_notes(span, encoder) for span in spans]


BASS = [(t, 1, 30) for t in (0, 1, 12, 13, 14)]
"""Five notes below the range."""


def test_those_that_begin_in_a_stretch_count_and_those_left_out_where_they_lie() -> None:
    # A note on each of 20 sixteenths; one more sounds across the first cut and began before it.
    tune = score_of([*((t, 1, 60 + t % 7) for t in range(20)), (9, 6, 80), *BASS])
    assert counts(tune, roll(), 10, 15) == [
        NoteCount(10 + 1 + 2, 11),
        NoteCount(5 + 3, 5),
        NoteCount(5, 5),
    ]
    assert count_notes(EncodedPiece("a", roll().encode(tune), ""), roll()) is None


def test_what_lies_between_steps_belongs_to_the_nearest() -> None:
    # Of four ticks a step: the low note at tick 39 is rounded to the step that tick 40 begins.
    tune = score_of(
        [*((4 * t, 4, 60 + t % 7) for t in range(20)), (37, 1, 30), (39, 1, 31), (41, 1, 32)],
        ticks_per_beat=16,
    )
    assert counts(tune, roll(), 10) == [NoteCount(11, 10), NoteCount(12, 10)]


def test_time_in_seconds_goes_through_the_tempos() -> None:
    # At 60 a sixteenth takes a quarter of a second, from the third beat on at 120 an eighth.
    tune = score_of(
        [*((t, 1, 60 + t % 7) for t in range(16)), (7, 1, 30), (9, 1, 30), (14, 1, 30)],
        tempos=[(0, 60.0), (8, 120.0)],
    )
    encoder = roll(step="0.125 seconds")
    assert len(encoder.encode(tune).steps) == 24
    # Two seconds are 16 steps and 8 sixteenths.
    assert counts(tune, encoder, 16) == [NoteCount(9, 8), NoteCount(10, 8)]
    # The note at tick 14 begins with step 22.
    assert counts(tune, encoder, 22) == [NoteCount(16, 14), NoteCount(3, 2)]


def test_arrays_may_skip_the_rest_at_the_start() -> None:
    pytest.importorskip("musengine_charrnn")
    # The text begins with the first note, a beat into the music; the drum of track 1 is left out.
    text_roll = create("encoder", "text-roll", step="1/4 beat")
    tune = score_of([*((4 + 2 * t, 2, 60 + t) for t in range(8)), (5, 1, 10), (15, 1, 10)])
    steps = text_roll.encode(tune).steps
    # 8 notes held for two steps each, and a separator before each step and at the end.
    assert len(steps) == 16 + 17
    # Five notes, ten steps, end with the separator that is token 21.
    assert counts(tune, text_roll, 21) == [NoteCount(6, 5), NoteCount(4, 3)]


def test_a_text_counts_by_the_score_it_stands_for() -> None:
    pytest.importorskip("musengine_charrnn")
    abc = create("encoder", "chars", texts="abc")
    text = Text("X:1\nT:a\nM:4/4\nL:1/4\nK:C\nCDEF|GABc|\n", "abc")

    abc.fit([Piece("a", text)])
    encoded = replace(abc.encode(text), notes=8)
    whole, cut = EncodedPiece("a", encoded, ""), text.text.index("GAB")
    spans = [PieceSpan(whole, 0, cut), PieceSpan(whole, cut, len(whole))]
    assert [count_notes(span, abc) for span in spans] == [NoteCount(4, 4), NoteCount(4, 4)]


@pytest.mark.parametrize("known", [True, False])
def test_stretches_together_have_all_notes(known: bool) -> None:
    random = np.random.default_rng(0)
    onsets, pitches = random.integers(0, 200, 300), random.integers(21, 109, 300)
    tune = score_of([(int(t), 3, int(p)) for t, p in zip(onsets, pitches, strict=True)])
    found = counts(tune, roll(highest=90), 40, 41, 150, known=known)
    assert sum(count.source for count in found) == 300
    assert all(count.source >= 0 for count in found)
    if known:
        starts = [0, 40, 41, 150, 1000]
        for count, first, after in zip(found, starts, starts[1:], strict=False):
            assert count.source == ((onsets >= first) & (onsets < after)).sum()
