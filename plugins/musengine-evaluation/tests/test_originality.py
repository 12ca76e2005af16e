"""Copies, transposed copies, near copies and other music are told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.api import Array, Score, Track
from musengine.testing import score_of
from musengine.testing.strategies import few
from musengine_evaluation import corpus_index, interval_lines, note_sets
from musengine_evaluation.interval_lines import LineIndex, line_of
from musengine_evaluation.note_sets import notes_of, overlap
from musengine_evaluation.settings import OriginalityConfig


def tune(seed: int, notes: int = 120) -> Score:
    """Random steps and lengths in a major scale over a bass: music enough to have no twin."""
    rng = np.random.default_rng(seed)
    scale = np.array([0, 2, 4, 5, 7, 9, 11])
    degree = np.clip(np.cumsum(rng.integers(-2, 3, notes)) + 14, 0, 27)
    pitch = 48 + 12 * (degree // 7) + scale[degree % 7]
    gap = rng.choice([1, 1, 2, 2, 3, 4], notes)
    onset = np.concatenate([[0], np.cumsum(gap)[:-1]])
    bass = [
        (int(at), 4, 36 + int(p) % 12) for at, p in zip(onset, pitch, strict=True) if not at % 4
    ]
    rows = [(int(o), int(d), int(p)) for o, d, p in zip(onset, gap, pitch, strict=True)]
    return score_of(rows + bass, ticks_per_beat=4)


PIECES = [tune(seed) for seed in range(30)]
LABELS = [piece.notes_fingerprint() for piece in PIECES]
LINES = [line_of(piece) for piece in PIECES]
NOTES = [notes_of(piece) for piece in PIECES]
CORPUS = LineIndex(LINES, LABELS)


def changed(score: Score, share: float) -> Score:
    """Every so many-th note of the line moved by a semitone or two."""
    rng = np.random.default_rng(9)
    moved = rng.random(len(score)) < share
    pitch = score.pitch + np.where(moved, rng.choice([-2, -1, 1, 2], len(score)), 0)
    return replace(score, pitch=pitch).in_order()


def share(score: Score, without: str | None = None) -> float:
    return float(CORPUS.found(line_of(score), interval_lines.NGRAM, without).mean())


def test_the_line_by_hand() -> None:
    # Steps of a sixteenth: 60 under 67 at 0, 65 at 2, 65 at 3, 60 at 7; a drum is not heard.
    score = score_of(
        [(0, 2, 60), (0, 2, 67), (2, 1, 65), (3, 4, 65), (7, 1, 60), (5, 1, 99, 80, 1)],
        ticks_per_beat=4,
        tracks=[Track(), Track(is_drum=True)],
    )
    line = line_of(score)
    assert (line.step.tolist(), line.pitch.tolist()) == ([0, 2, 3, 7], [67, 65, 65, 60])
    # Elements: (-2, 1/2) and (0, 4/1). The same in another key and at half the speed.
    other = score_of([(8, 4, 72), (12, 2, 70), (14, 8, 70), (22, 2, 55)], ticks_per_beat=4)
    assert len(line.element) == 2
    assert line_of(other).element.tolist() == line.element.tolist()
    # Another interval, another rhythm: other elements.
    again = score_of([(0, 2, 67), (2, 1, 64), (3, 4, 65), (8, 1, 60)], ticks_per_beat=4)
    assert not set(line_of(again).element.tolist()) & set(line.element.tolist())


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 12))
@few(80)
def test_ngrams_are_told_apart_exactly(values: list[int], n: int) -> None:
    element = interval_lines._mixed(np.array(values))
    grams = interval_lines._grams(element, n).tolist()
    plain = [tuple(values[k : k + n]) for k in range(len(values) - n + 1)]
    assert len(grams) == len(plain)
    same = [[a == b for b in grams] for a in grams]
    assert same == [[a == b for b in plain] for a in plain]


@given(st.integers(0, 29), st.integers(0, 60), st.integers(20, 50), st.integers(-5, 5))
@few(25)
def test_an_excerpt_is_found_where_it_is(piece: int, start: int, notes: int, shift: int) -> None:
    line = LINES[piece]
    rows = zip(line.step[start : start + notes], line.pitch[start : start + notes], strict=True)
    score = score_of([(int(at), 1, int(p) + shift) for at, p in rows], ticks_per_beat=4)
    run = CORPUS.longest_run(line_of(score))
    assert (run.notes, run.piece, run.shift) == (notes, piece, -shift)
    assert run.there == int(line.step[start])
    assert run.start == int(score.onset[0])


def test_copies_and_others_are_told_apart() -> None:
    piece = PIECES[4]
    strangers = tune(1000)
    figures = {
        name: (
            share(score),
            CORPUS.longest_run(line_of(score)).notes / len(line_of(score).pitch),
            overlap(notes_of(score), NOTES).mean,
        )
        for name, score in {
            "copy": piece,
            "transposed": piece.transpose(5),
            "changed": changed(piece, 0.1),
            "stranger": strangers,
        }.items()
    }
    assert figures["copy"] == pytest.approx((1.0, 1.0, 1.0))
    assert figures["transposed"] == pytest.approx((1.0, 1.0, 1.0))
    assert 0.1 < figures["changed"][0] < 0.7
    assert 0.1 < figures["changed"][1] < 0.7
    assert 0.8 < figures["changed"][2] < 0.97
    assert figures["stranger"][0] < 0.02
    assert figures["stranger"][1] < 0.1
    assert figures["stranger"][2] < 0.7


def test_a_piece_can_be_left_out_of_its_own_corpus() -> None:
    assert share(PIECES[4]) == 1.0
    assert share(PIECES[4], LABELS[4]) < 0.02
    run = CORPUS.longest_run(LINES[4], LABELS[4])
    assert run.piece != 4
    assert run.notes < 15
    skip = [label == LABELS[4] for label in LABELS]
    found = overlap(NOTES[4], NOTES, skip)
    assert found.piece != 4
    assert found.mean < 0.7
    # A second copy under the same label is left out with it; one under another is not.
    twice = LineIndex([*LINES, LINES[4]], [*LABELS, LABELS[4]])
    assert twice.found(LINES[4], 8, LABELS[4]).mean() < 0.02
    elsewhere = LineIndex([*LINES, LINES[4]], [*LABELS, "another"])
    assert elsewhere.found(LINES[4], 8, LABELS[4]).all()
    assert elsewhere.longest_run(LINES[4], LABELS[4]).piece == 30


def test_the_overlap_names_place_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    part = PIECES[7].take((PIECES[7].onset >= 64) & (PIECES[7].onset < 160)).transpose(-3)
    for steps in (note_sets._GROUND_STEPS, 100):
        monkeypatch.setattr(note_sets, "_GROUND_STEPS", steps)
        found = overlap(notes_of(part), NOTES)
        assert found.best == pytest.approx(1.0)
        assert (found.piece, found.shift) == (7, 3)
        assert found.there == found.start


def test_the_overlap_by_hand() -> None:
    # Eight notes of a scale against the same with two of them changed: 6 in common of 8 and 8.
    scale = [(k, 1, p) for k, p in enumerate((60, 62, 64, 65, 67, 69, 71, 72))]
    other = [(k + 3, 1, p) for k, p in enumerate((60, 62, 63, 65, 67, 70, 71, 72))]
    first, second = (notes_of(score_of(rows, ticks_per_beat=4)) for rows in (scale, other))
    found = overlap(first, [second], window=8)
    assert found.mean == found.best == pytest.approx(6 / 8)
    assert (found.there, found.shift) == (3, 0)
    # With a ninth and a tenth note at once the corpus's window has ten: 6 of the root of 8 and 10.
    more = [*other, (3, 1, 90), (4, 1, 91)]
    third = notes_of(score_of(more, ticks_per_beat=4))
    assert overlap(first, [third], window=8).best == pytest.approx(6 / np.sqrt(80))


def test_hardly_any_notes_are_like_nothing() -> None:
    few_notes = score_of([(0, 1, 60), (1, 1, 62)], ticks_per_beat=4)
    assert CORPUS.longest_run(line_of(few_notes)).notes == 0
    assert np.isnan(overlap(notes_of(few_notes), NOTES).mean)
    silent = score_of([], ticks_per_beat=4)
    assert len(line_of(silent).element) == 0
    assert notes_of(silent).steps == 0
    assert np.isnan(overlap(notes_of(silent), NOTES).mean)
    nothing = LineIndex([], [])
    assert nothing.longest_run(LINES[0]).notes == 0
    assert not nothing.found(LINES[0], 8).any()
    assert overlap(NOTES[0], []).mean == 0.0


def test_a_passage_begins_where_both_have_music() -> None:
    # The corpus's piece begins with what the piece has from step 40 on: laid over it, a window of
    # the piece begins before the other does.
    part = PIECES[7].take(PIECES[7].onset >= 40)
    other = replace(part, onset=part.onset - int(part.onset[0]))
    found = overlap(note_sets.Notes(*_first(NOTES[7], 64)), [notes_of(other)])
    assert found.there < 0
    assert found.both_from == (found.start - found.there, 0)
    window, there = corpus_index.passages(PIECES[7], other, found)
    assert window.notes_fingerprint() == there.notes_fingerprint()


def _first(notes: note_sets.Notes, steps: int) -> tuple[Array, Array]:
    kept = notes.step < steps
    return notes.step[kept], notes.pitch[kept]


def test_as_many_humans_are_looked_for_as_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_index, "HUMAN", 3)
    index = corpus_index.Index(enumerated(PIECES[:4]), OriginalityConfig())
    asked = []
    find = corpus_index.Index.find

    def counting(index: corpus_index.Index, score: Score) -> corpus_index.PieceOriginality:
        asked.append(score)
        return find(index, score)

    monkeypatch.setattr(corpus_index.Index, "find", counting)
    assert len(index.of_humans(enumerated(PIECES[4:12]))) == 3
    assert len(asked) == 3
    assert len(index.of_humans([])) == 3  # its own pieces, each held against the others


def enumerated(pieces: list[Score]) -> list[tuple[str, Score]]:
    return [(str(number), piece) for number, piece in enumerate(pieces)]


def test_a_tune_that_repeats_itself_overlaps_as_its_windows_do_one_by_one() -> None:
    part = PIECES[3].take(PIECES[3].onset < 64)
    again = replace(part, onset=part.onset + 64)
    twice = score_of(
        [
            (int(o), int(d), int(p))
            for piece in (part, again)
            for o, d, p in zip(piece.onset, piece.duration, piece.pitch, strict=True)
        ],
        ticks_per_beat=4,
    )
    corpus = [notes for index, notes in enumerate(NOTES) if index != 3]
    found = overlap(notes_of(twice), corpus)
    begins = (0, 32, 64)
    one_by_one = []
    for begin in begins:
        notes = notes_of(twice)
        inside = (notes.step >= begin) & (notes.step < begin + 64)
        window = note_sets.Notes(notes.step[inside] - begin, notes.pitch[inside])
        one_by_one.append(overlap(window, corpus).best)
    assert found.mean == pytest.approx(np.mean(one_by_one))
    assert found.best == pytest.approx(max(one_by_one))
