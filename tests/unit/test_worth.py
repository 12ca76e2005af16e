"""What makes a piece worth keeping: measured by hand, beside what a corpus is like."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from musengine.generation.attempts import ATTEMPTS, Kept, Verdict, kept_pieces
from musengine.generation.engine import GeneratedPiece, piece_seeds
from musengine.generation.worth import EMPTY, CorpusRange, measure
from musengine.music.score import Score
from musengine.testing import score_of


def scale(steps: int = 64, seed: int = 0) -> Score:
    """Eighths that go up and down at random: a melody of a note every half beat."""
    pitch = 60 + np.cumsum(np.random.default_rng(seed).choice([-2, -1, 1, 2], steps))
    return score_of([(2 * k, 2, int(p)) for k, p in enumerate(pitch)], ticks_per_beat=4)


CORPUS = CorpusRange.of(scale(seed=seed) for seed in range(10))


def test_measures_by_hand() -> None:
    # A chord of two at 0 and 1 beats, a note at 2 beats held to beat 10.
    rows = [(0, 4, 60), (0, 4, 64), (4, 4, 60), (4, 4, 64), (8, 32, 67)]
    measured = measure(score_of(rows, ticks_per_beat=4))
    assert measured == {
        "notes_per_beat": 0.5,
        "notes_at_once": pytest.approx(5 / 3),
        "longest_wait": 8.0,
        "same_chord": 2.0,
        "loop": 0.0,
    }
    # Three notes of a beat each, four times over: nine beats repeat what was three before.
    looped = score_of([(4 * k, 4, (60, 62, 64)[k % 3]) for k in range(12)], ticks_per_beat=4)
    assert measure(looped)["loop"] == 9.0
    # Once again is no loop yet, nor are the same pitches in another rhythm.
    twice = score_of([(4 * k, 4, (60, 62, 64)[k % 3]) for k in range(6)], ticks_per_beat=4)
    assert measure(twice)["loop"] == 0.0
    onsets = np.cumsum([0, *range(1, 12)])
    uneven = [(int(t), 1, (60, 62, 64)[k % 3]) for k, t in enumerate(onsets)]
    assert measure(score_of(uneven, ticks_per_beat=4))["loop"] == 0.0


@pytest.mark.parametrize(
    ("score", "fault"),
    [
        (score_of([], ticks_per_beat=4), EMPTY),
        (score_of([(0, 1, 60), (24, 1, 62), (48, 1, 64)], ticks_per_beat=4), "nearly empty"),
        (score_of([(0, 2, 60), (2, 256, 62)], ticks_per_beat=4), "nothing new for bars"),
        (
            score_of([(2 * k, 2, 60 + p) for k in range(64) for p in (0, 4)], ticks_per_beat=4),
            "one chord again and again",
        ),
        (
            score_of([(2 * k, 2, 60 + k % 7) for k in range(128)], ticks_per_beat=4),
            "an endless loop",
        ),
    ],
)
def test_faults_are_told_apart(score: Score, fault: str) -> None:
    assert fault in CORPUS.faults(measure(score))


def test_music_of_the_corpus_has_no_faults() -> None:
    assert [CORPUS.faults(measure(scale(seed=seed))) for seed in range(20, 40)] == [[]] * 20


def test_music_that_stands_still_by_nature_is_not_blamed() -> None:
    drone = score_of([(80 * k, 80, 60 + k) for k in range(8)], ticks_per_beat=4)
    assert "nothing new for bars" in CORPUS.faults(measure(drone))
    assert CorpusRange.of([drone]).faults(measure(drone)) == []
    assert CorpusRange({}).faults(measure(drone)) == []  # a run that has learned no range


def test_a_range_comes_back_from_json_and_measures_distance() -> None:
    again = CorpusRange.from_json(CORPUS.as_json())
    assert again == CORPUS
    far = score_of([(k, 1, 60) for k in range(64)], ticks_per_beat=4)
    assert CORPUS.distance(measure(scale(seed=50))) < CORPUS.distance(measure(far))


class TestAttempts:
    @staticmethod
    def kept(faulty: dict[int, int], *, redraw: bool = True, best_of: int = 1) -> list[Kept]:
        """Keep pieces whose only step tells the draw; piece K has faults in its first draws."""

        def make(numbers: list[int], attempt: int) -> list[GeneratedPiece]:
            asked.append((tuple(numbers), attempt))
            return [GeneratedPiece(np.array([attempt])) for _ in numbers]

        def judge(number: int, piece: GeneratedPiece) -> Verdict:
            attempt = int(piece.steps[0])
            faults = ("stuck",) if attempt < faulty.get(number, 0) else ()
            return Verdict(faults, distance=abs(attempt - 2) if best_of > 1 else 0.0)

        asked: list[tuple[tuple[int, ...], int]] = []
        found = kept_pieces(make, judge, 3, redraw=redraw, best_of=best_of)
        TestAttempts.asked = asked
        return found

    asked: list[tuple[tuple[int, ...], int]]

    def test_only_pieces_at_fault_are_drawn_again(self) -> None:
        found = self.kept({1: 2, 2: 9})
        assert self.asked == [((0, 1, 2), 0), ((1, 2), 1), ((1, 2), 2), ((2,), 3)]
        assert [(each.attempt, each.attempts) for each in found] == [(0, 1), (2, 3), (0, ATTEMPTS)]
        assert [each.verdict.faults for each in found] == [(), (), ("stuck",)]

    def test_nothing_is_drawn_again_where_that_is_not_wanted(self) -> None:
        assert [each.attempt for each in self.kept({1: 2}, redraw=False)] == [0, 0, 0]
        assert self.asked == [((0, 1, 2), 0)]

    def test_the_nearest_without_faults_is_kept(self) -> None:
        found = self.kept({1: 4}, best_of=3)
        # Piece 1 has faults in all four draws: of those the nearest.
        assert [(each.attempt, each.attempts) for each in found] == [(2, 3), (2, 4), (2, 3)]


def test_every_draw_of_a_piece_has_a_seed_of_its_own() -> None:
    draws = [piece_seeds(5, 40, attempt) for attempt in range(4)]
    assert len({seed for seeds in draws for seed in seeds}) == 160
    assert draws[0] == piece_seeds(5, 40)
    assert piece_seeds(5, 3, 2) == draws[2][:3]
