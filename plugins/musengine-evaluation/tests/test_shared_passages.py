"""The longest shared passage as notes, against passages planted by hand."""

from __future__ import annotations

import pytest

from musengine.api import Score
from musengine.testing import create
from musengine_evaluation.corpus_index import Index
from musengine_evaluation.shared_passages import shared_passages, sources

MELODY = [60, 64, 62, 67, 65, 60, 69, 62]


def line(pitches: list[int], at: int = 0, tempo: float = 60.0, low: int = 0) -> Score:
    """Return quarter notes from a beat on, with a longer note beneath each where `low` is given."""
    onset = [at + beat for beat in range(len(pitches))]
    below = [low] * len(onset) if low else []
    return Score.from_notes(
        onset + onset[: len(below)],
        1,
        pitches + below,
        ticks_per_beat=1,
        tempos=[(0, tempo)],
    )


@pytest.fixture
def index() -> Index:
    """Two pieces, of which one has the melody, a third higher, from the fourth beat on."""
    other = [48, 49, 51, 54, 58, 63, 69, 76]
    planted = line([40, 47, 41, 49, *(pitch + 3 for pitch in MELODY), 30])
    settings = create("metric", "originality").config
    return Index([("other", line(other)), ("planted", planted)], settings)


def test_both_passages_begin_with_the_first_note_that_is_shared(index: Index) -> None:
    piece = line([90, 70, *MELODY, 77], tempo=120.0, low=36)
    found = [index.find(piece)]
    assert sources(found, index) == {"planted"}
    corpus = {"planted": line([40, 47, 41, 49, *(pitch + 3 for pitch in MELODY), 30])}
    (shared,) = shared_passages([("new", piece)], found, index, corpus).values()
    assert (shared["source"], shared["shift"], shared["notes"]) == ("planted", 3, len(MELODY) + 1)
    # Half a second for a quarter at 120, a second at 60; the accompaniment comes along.
    assert shared["passage"][:3] == [[0.0, 0.5, 36], [0.0, 0.5, 60], [0.5, 0.5, 36]]
    pitches = [pitch + 3 for pitch in MELODY]
    assert shared["source_passage"] == [[float(n), 1.0, each] for n, each in enumerate(pitches)]


def test_a_piece_that_shares_nothing_has_no_passage(index: Index) -> None:
    piece = line([60, 60])
    assert shared_passages([("short", piece)], [index.find(piece)], index, {}) == {}
