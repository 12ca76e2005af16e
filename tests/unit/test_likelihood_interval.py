"""Intervals of pooled likelihoods."""

from __future__ import annotations

import numpy as np
import pytest

from musengine.evaluation.likelihood import LikelihoodResult


def test_the_interval_is_that_of_pieces_not_of_steps() -> None:
    # Two kinds of pieces, 4 steps of 0 and 4 of 1, fifty each: the mean of a piece has a standard
    # deviation of 0.5, that of a hundred pieces 0.05; 95 % of a normal lies within 1.96 of these.
    pieces = [np.full(4, float(k % 2)) for k in range(100)]
    low, high = LikelihoodResult(pieces).interval()
    assert (low, high) == pytest.approx((0.5 - 0.098, 0.5 + 0.098), abs=0.012)
    # Equal pieces leave no doubt, however their steps differ.
    same = [np.array([0.0, 1.0, 2.0])] * 5
    assert LikelihoodResult(same).interval() == (1.0, 1.0)
    # Steps count equally: a long piece weighs more.
    mixed = [np.full(30, 1.0), np.full(10, 3.0)]
    assert LikelihoodResult(mixed).mean == 1.5
    assert LikelihoodResult(mixed).interval() == pytest.approx((1.0, 3.0))


def test_one_piece_has_no_interval() -> None:
    assert all(np.isnan(end) for end in LikelihoodResult([np.ones(3)]).interval())
    assert all(np.isnan(end) for end in LikelihoodResult([]).interval())
