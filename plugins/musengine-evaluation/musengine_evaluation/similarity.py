"""How like its training music a piece is: cosine similarity of windows, by matrix products.

The measure of the MusicGuru composer: for every window of a piece the most similar window of any
piece of a corpus, in the cosine of their state matrices; the mean over the windows, in percent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musengine.api import (
    MAX_GRID_STEPS,
    FloatArray,
    Grid,
    GridStep,
    IntArray,
    Score,
    encode_piano_roll,
)
from musengine.errors import UnreadableError
from musengine_evaluation.settings import LONGEST_WINDOW, SimilarityConfig

Floats = npt.NDArray[np.float32]

WINDOW = SimilarityConfig.window
STEP = SimilarityConfig.step
"""A thirty-second note, as in the original."""

_CORPUS_STEPS = 2**13
_PIECE_STEPS = 2 * LONGEST_WINDOW
"""Steps of the corpus and of the piece that are compared at once: their products take 64 MiB."""


def grid_of(step: GridStep = STEP) -> Grid:
    """Return the grid that is compared: all pitches, whether they sound and are struck."""
    return Grid(lowest=0, pitches=128, channels=("sound", "onset"), step=step)


def states(score: Score, step: GridStep = STEP) -> Floats:
    """Return a score's state matrix (T, 256): for each step and pitch (play, articulate).

    Drums are left out. A score without notes has silent steps only.
    """
    pitched = score.take(~score.is_drum)
    try:
        roll_TPC, _ = encode_piano_roll(pitched, grid_of(step))
    except UnreadableError:
        if len(pitched):
            raise
        _, _, total = pitched.quantise(step)
        roll_TPC = np.zeros((min(total, MAX_GRID_STEPS), 128, 2), dtype=np.uint8)
    return roll_TPC.reshape(len(roll_TPC), 256).astype(np.float32)


@dataclass(frozen=True)
class Nearest:
    """The most similar window of the corpus to each window of a piece.

    Attributes:
        first: (n,) the step at which each window of the piece begins.
        similarity: (n,) the cosine, 0 to 1.
        piece: (n,) index of the corpus's piece in which the nearest window lies, -1 for none.
        start: (n,) the step at which it begins there.
    """

    first: IntArray
    similarity: FloatArray
    piece: IntArray
    start: IntArray

    @property
    def percent(self) -> float:
        """The mean similarity in percent."""
        return 100.0 * float(self.similarity.mean()) if len(self.similarity) else 0.0


def windows_of(
    length: int,
    window: int = WINDOW,
    stride: int = 1,
    sample: int | None = None,
    random: np.random.Generator | None = None,
) -> IntArray:
    """Return the first steps of the windows of a piece that are compared.

    Args:
        length: the piece's steps; one shorter than a window is one window.
        window: steps of a window.
        stride: from one window to the next.
        sample: how many of them are drawn, without replacement; None for all.
        random: what draws them.
    """
    first = np.arange(0, max(length - window, 0) + 1, stride) if length else np.arange(0)
    if sample is not None and sample < len(first):
        assert random is not None
        first = np.sort(random.choice(first, sample, replace=False))
    return first


def nearest(
    piece_TD: Floats, corpus: Iterable[Floats], first: IntArray, window: int = WINDOW
) -> Nearest:
    """Find the most similar window of a corpus to each window of a piece.

    Two silent windows have the similarity 1, a silent one and another 0. A piece shorter than the
    window is compared with windows of its own length; a piece of the corpus shorter than that has
    no window, and where none has, the similarity is 0.

    Args:
        piece_TD: (T, D) states, whole numbers.
        corpus: (T', D) states of each of its pieces; taken one by one, never held together.
        first: (n,) the first steps of the piece's windows, as `windows_of` gives them.
        window: steps of a window, `LONGEST_WINDOW` at most.
    """
    size = min(window, len(piece_TD))
    best = np.full(len(piece_TD), -1.0)
    place = np.full((2, len(piece_TD)), -1, dtype=np.int64)
    wanted = np.zeros(len(piece_TD), dtype=bool)
    wanted[first] = True
    for block in _blocks(corpus, size) if len(first) else ():
        for begin in range(0, len(piece_TD) - size + 1, _PIECE_STEPS - size + 1):
            rows_TD = piece_TD[begin : begin + _PIECE_STEPS]
            chosen = wanted[begin : begin + len(rows_TD) - size + 1]
            for row, cosine in _cosines(rows_TD, block, chosen, size):
                at = int(cosine.argmax())
                if cosine[at] > best[begin + row]:
                    best[begin + row] = cosine[at]
                    place[:, begin + row] = block.piece[at], block.start[at]
    similarity = np.clip(best[first], 0.0, 1.0)
    return Nearest(first, similarity, place[0, first], place[1, first])


@dataclass(frozen=True)
class _Block:
    """A stretch of the corpus, several pieces one after another.

    Attributes:
        states: (T, D).
        piece: (T,) which piece each step belongs to.
        start: (T,) its number within that piece.
    """

    states: Floats
    piece: IntArray
    start: IntArray


def _blocks(corpus: Iterable[Floats], size: int) -> Iterator[_Block]:
    """Yield the corpus in blocks in which every window of every piece occurs once, whole."""
    held: list[tuple[Floats, int, int]] = []
    steps = 0
    for index, states_TD in enumerate(corpus):
        # A long piece goes over several blocks, which overlap by all but one step of a window.
        for begin in range(0, len(states_TD) - size + 1, _CORPUS_STEPS - size + 1):
            part = states_TD[begin : begin + _CORPUS_STEPS]
            if held and steps + len(part) > _CORPUS_STEPS:
                yield _joined(held)
                held, steps = [], 0
            held.append((part, index, begin))
            steps += len(part)
    if held:
        yield _joined(held)


def _joined(parts: list[tuple[Floats, int, int]]) -> _Block:
    lengths = [len(states_TD) for states_TD, _, _ in parts]
    return _Block(
        np.concatenate([states_TD for states_TD, _, _ in parts]),
        np.repeat([index for _, index, _ in parts], lengths),
        np.concatenate([begin + np.arange(len(states_TD)) for states_TD, _, begin in parts]),
    )


def _cosines(
    rows_TD: Floats, block: _Block, chosen: npt.NDArray[np.bool_], size: int
) -> Iterator[tuple[int, FloatArray]]:
    """Yield (window of the rows, its cosine with each window of a block), -1 where there is none.

    The product of two windows is the sum of `size` products of steps along a diagonal. From one
    window to the next down the diagonal, one product comes in and one goes out: whole numbers
    below 2**24, so that float32 holds them exactly.
    """
    windows = len(block.states) - size + 1
    squares = np.maximum(_energy(block.states, size), 0)
    scale = np.divide(1.0, np.sqrt(squares), out=np.zeros(windows), where=squares > 0)
    within = block.piece[:windows] == block.piece[size - 1 :]
    # Windows that reach into another piece: below any cosine.
    barred = np.where(within, 0.0, -2.0)
    silent = np.where(squares == 0, 1.0, 0.0) + barred
    own = np.sqrt(_energy(rows_TD, size))
    products = rows_TD @ block.states.T
    last = len(rows_TD) - size
    # The sum for window `j` lies at `last + j` for the first row and one further left with each
    # row, so that sums stay where they are as both windows move on by one.
    sums = np.zeros(last + windows, dtype=np.float32)
    first = np.zeros(last + 1, dtype=np.float32)
    for step in range(size):
        sums[last:] += products[step, step : step + windows]
        first += products[step : step + last + 1, step]
    for row in range(last + 1):
        at = last - row
        if row:
            came, went = products[row + size - 1], products[row - 1]
            # All windows but the block's first slide on by a step; that one is summed by itself.
            sums[at + 1 : at + windows] += came[size:] - went[: windows - 1]
            sums[at] = first[row]
        if chosen[row]:
            dots = sums[at : at + windows]
            yield row, dots * scale / own[row] + barred if own[row] else silent


def _energy(states_TD: Floats, size: int) -> FloatArray:
    """Return (T - size + 1,): the squares of each window's elements, summed."""
    squares = np.einsum("td,td->t", states_TD, states_TD, dtype=np.float64)
    total = np.concatenate([[0.0], np.cumsum(squares)])
    result: FloatArray = total[size:] - total[:-size]
    return result
