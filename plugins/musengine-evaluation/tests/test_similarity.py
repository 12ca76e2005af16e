"""Cosine similarity of windows against a literal triple loop, and what is defined at the edges."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.api import GridStep, Track
from musengine.testing import score_of
from musengine.testing.strategies import few
from musengine_evaluation import similarity

Floats = npt.NDArray[np.float32]


def loop(piece: Floats, corpus: list[Floats], window: int) -> list[float]:
    """The measure as its words say, a loop over all pairs of windows."""
    size = min(window, len(piece))
    found = []
    for i in range(len(piece) - size + 1):
        best = 0.0
        for other in corpus:
            for j in range(len(other) - size + 1):
                a, b = piece[i : i + size].ravel(), other[j : j + size].ravel()
                a_norm, b_norm = math.sqrt(float(a @ a)), math.sqrt(float(b @ b))
                if a_norm and b_norm:
                    best = max(best, float(a @ b) / (a_norm * b_norm))
                elif a_norm == b_norm:
                    best = 1.0
        found.append(best)
    return found


def states(rng: np.random.Generator, length: int, density: float) -> Floats:
    return (rng.random((length, 5)) < density).astype(np.float32)


@given(st.integers(0, 2**32), st.integers(1, 9), st.sampled_from([0.02, 0.1, 0.4]))
@few(60)
def test_the_matrix_products_equal_the_triple_loop(seed: int, window: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    piece = states(rng, int(rng.integers(1, 25)), density)
    corpus = [states(rng, int(rng.integers(0, 40)), density) for _ in range(4)]
    found = similarity.nearest(
        piece, corpus, similarity.windows_of(len(piece), window), window
    ).similarity
    np.testing.assert_allclose(found, loop(piece, corpus, window), atol=1e-9, rtol=0)


@pytest.mark.parametrize(("corpus_steps", "piece_steps"), [(7, 6), (11, 40), (40, 8)])
def test_blocks_make_no_difference(
    monkeypatch: pytest.MonkeyPatch, corpus_steps: int, piece_steps: int
) -> None:
    rng = np.random.default_rng(4)
    piece, corpus = states(rng, 30, 0.2), [states(rng, n, 0.2) for n in (3, 50, 9, 21)]
    first = similarity.windows_of(30, 5)
    whole = similarity.nearest(piece, corpus, first, 5)
    monkeypatch.setattr(similarity, "_CORPUS_STEPS", corpus_steps)
    monkeypatch.setattr(similarity, "_PIECE_STEPS", piece_steps)
    parts = similarity.nearest(piece, corpus, first, 5)
    np.testing.assert_array_equal(parts.similarity, whole.similarity)


def test_the_nearest_window_is_named() -> None:
    rng = np.random.default_rng(1)
    corpus = [states(rng, 40, 0.3) for _ in range(3)]
    found = similarity.nearest(corpus[2][7:19], corpus, similarity.windows_of(12, 8), 8)
    assert found.piece.tolist() == [2] * 5
    assert found.start.tolist() == [7, 8, 9, 10, 11]
    assert found.percent == pytest.approx(100.0)


def test_silence_and_short_pieces() -> None:
    one, none = np.ones((4, 5), np.float32), np.zeros((4, 5), np.float32)

    def percent(piece: Floats, corpus: list[Floats], window: int = 2) -> float:
        first = similarity.windows_of(len(piece), window)
        return similarity.nearest(piece, corpus, first, window).percent

    assert percent(none, [one]) == 0.0
    assert percent(one, [none]) == 0.0
    assert percent(none, [one, none]) == 100.0
    # A piece shorter than the window is one window against others as long.
    assert percent(one[:2], [one], window=64) == pytest.approx(100.0)
    assert len(similarity.windows_of(2, 64)) == 1
    # A corpus that has no window as long has nothing alike, and no notes are no windows.
    assert percent(one, [one[:1]]) == 0.0
    assert percent(one[:0], [one]) == 0.0


def test_windows_by_stride_and_by_sample() -> None:
    assert similarity.windows_of(10, 4).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert similarity.windows_of(10, 4, 3).tolist() == [0, 3, 6]
    drawn = similarity.windows_of(100, 4, 1, 5, np.random.default_rng(0))
    assert len(set(drawn.tolist())) == 5
    assert drawn.tolist() == sorted(drawn.tolist())
    assert drawn.max() <= 96


def test_states_by_hand() -> None:
    # Sixteenths at 4 ticks a beat: 60 for two steps, struck again for one; a drum does not count.
    score = score_of(
        [(0, 2, 60), (2, 1, 60), (0, 1, 36, 80, 1)],
        ticks_per_beat=4,
        tracks=[Track(), Track(is_drum=True)],
    )
    matrix = similarity.states(score, GridStep(Fraction(1, 4), "beat"))
    assert matrix.shape == (3, 256)
    # Element 2 p says that pitch p sounds, 2 p + 1 that it is struck.
    assert matrix[:, 120].tolist() == [1, 1, 1]
    assert matrix[:, 121].tolist() == [1, 0, 1]
    assert matrix.sum() == 5
    drums = score.take(score.is_drum)
    assert similarity.states(drums, GridStep(Fraction(1, 4), "beat")).sum() == 0
