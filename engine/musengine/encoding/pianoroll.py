"""A Score to the arrays of a grid layout and back: what every encoder with a grid is made of."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from musengine.config.quantities import GridStep, Meter
from musengine.encoding.layouts import Grid
from musengine.errors import UnreadableError
from musengine.music.score import Score
from musengine.utils.arrays import FloatArray, IntArray

Roll = npt.NDArray[np.uint8]

MAX_GRID_STEPS = 2**20
"""Longer pieces are refused before anything is allocated: 18 hours of sixteenths at 120 BPM."""

TICKS_PER_BEAT = 480


def pitched_notes(score: Score, *, drums: bool) -> Score:
    """Return a score without its drums, or with them where an encoder reads them as notes.

    Raises:
        UnreadableError: it has nothing but drums.
    """
    if drums:
        return score
    pitched = score.take(~score.is_drum)
    if len(score) and not len(pitched):
        raise UnreadableError(
            "it has nothing but drums; encoder.drums = true reads them as notes", code="only-drums"
        )
    return pitched


def encode_piano_roll(score: Score, layout: Grid) -> tuple[Roll, dict[str, int]]:
    """Return a score's roll (T, pitches, channels) of 0 and 1, and what did not fit, counted.

    Times go to the nearest step, and every note is at least one step long. Notes of all tracks
    count; leave out drums first.

    Raises:
        UnreadableError: no note lies in the layout's range, or the piece is too long.
    """
    row = score.pitch - layout.lowest
    inside = (row >= 0) & (row < layout.pitches)
    dropped = {"notes out of range": int((~inside).sum())} if not inside.all() else {}
    score, row = score.take(inside), row[inside]
    if not len(score):
        raise UnreadableError("no notes in the encoder's pitch range", code="no-notes")
    first, after, total = score.quantise(layout.step)
    if total > MAX_GRID_STEPS:
        raise UnreadableError(
            f"{total} time steps are more than the {MAX_GRID_STEPS} a piece may have",
            code="piece-too-long",
        )
    roll_TPC = np.zeros((total, *layout.step_shape), dtype=np.uint8)
    roll_TPC[..., 0] = _filled(first, after, row, (total, layout.pitches))
    if "onset" in layout.channels:
        # After what sounds: a note that is struck within a longer one of its pitch still has its
        # onset.
        roll_TPC[first, row, layout.channels.index("onset")] = 1
    if layout.silence_marker:
        roll_TPC[~roll_TPC[..., 0].any(axis=1), 0, 0] = 1
    return roll_TPC, dropped


def decode_piano_roll(roll_TPC: Roll, layout: Grid, *, tempo: float, meter: Meter) -> Score:
    """Return a roll's notes on one track; a note still sounding at the end is ended there.

    Args:
        roll_TPC: (T, pitches, channels) of 0 and 1.
        layout: of the roll.
        tempo: quarter notes per minute, the same throughout.
        meter: the same throughout.
    """
    sound_TP = roll_TPC[..., 0].astype(bool)
    onset_TP = np.zeros_like(sound_TP)
    if "onset" in layout.channels:
        onset_TP = roll_TPC[..., layout.channels.index("onset")].astype(bool) & sound_TP
    if layout.silence_marker:
        # Beside other notes the lowest pitch is a note.
        only_marker = sound_TP[:, 0] & (sound_TP.sum(axis=1) == 1)
        sound_TP = sound_TP.copy()
        sound_TP[only_marker, 0] = False
    first, after, row = _runs(sound_TP, onset_TP)
    # (T + 1,) the tick of every border between steps.
    ticks = _ticks(np.arange(len(roll_TPC) + 1), layout.step, tempo)
    return Score.from_notes(
        onset=ticks[first],
        duration=ticks[after] - ticks[first],
        pitch=row + layout.lowest,
        ticks_per_beat=TICKS_PER_BEAT,
        tempos=[(0, tempo)],
        meters=[(0, meter.numerator, meter.denominator)],
        length=int(ticks[-1]),
    )


def grid_times(
    count: int, step: GridStep, unit: Literal["beats", "seconds"], tempo: float
) -> FloatArray:
    """Return (count,): the time that has passed at the end of each step, all equally long."""
    size = float(step.size)
    in_beats = step.unit == "beat"
    if in_beats and unit == "seconds":
        size *= 60.0 / tempo
    elif not in_beats and unit == "beats":
        size *= tempo / 60.0
    result: FloatArray = np.arange(1, count + 1, dtype=np.float64) * size
    return result


def _ticks(step_numbers: IntArray, step: GridStep, tempo: float) -> IntArray:
    """Each step's tick is rounded by itself, so that no remainder accumulates."""
    size = step.size
    if step.unit == "seconds":
        exact = step_numbers * float(size) * tempo / 60 * TICKS_PER_BEAT
        return np.rint(exact).astype(np.int64)
    scaled = 2 * step_numbers.astype(np.int64) * TICKS_PER_BEAT * size.numerator
    result: IntArray = (scaled + size.denominator) // (2 * size.denominator)
    return result


def _filled(
    first: IntArray, after: IntArray, row: IntArray, shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return (T, P), True from each note's first step to before its last."""
    length = after - first
    # One index for each sounding cell, notes one after the other: usually far fewer than T * P.
    cells = int(length.sum())
    if cells <= shape[0] * shape[1]:
        filled = np.zeros(shape, dtype=np.bool_)
        before = length.cumsum() - length
        step = np.arange(cells) + np.repeat(first - before, length)
        filled[step, np.repeat(row, length)] = True
        return filled
    # Notes that lie over each other many times: no more memory than the roll takes, either.
    change_TP = np.zeros((shape[0] + 1, shape[1]), dtype=np.int32)
    # Not `change_TP[first, row] += 1`, which counts several notes at one place once.
    np.add.at(change_TP, (first, row), 1)
    np.add.at(change_TP, (after, row), -1)
    covered: npt.NDArray[np.bool_] = np.cumsum(change_TP[:-1], axis=0) > 0
    return covered


def _runs(
    sound_TP: npt.NDArray[np.bool_], onset_TP: npt.NDArray[np.bool_]
) -> tuple[IntArray, IntArray, IntArray]:
    """Return first step, step after the last, and row of every run; an onset begins a new run."""
    before = np.zeros_like(sound_TP)
    before[1:] = sound_TP[:-1]
    starts_PT = (sound_TP & (~before | onset_TP)).T
    # A run ends where the next step is silent or a new run begins there.
    goes_on = np.zeros_like(sound_TP)
    goes_on[:-1] = sound_TP[1:] & ~starts_PT.T[1:]
    ends_PT = (sound_TP & ~goes_on).T
    # By pitch, then time: the k-th start and the k-th end belong together.
    # `nonzero` goes row by row, hence the transposed arrays.
    row, first = np.nonzero(starts_PT)
    _, last = np.nonzero(ends_PT)
    return first, last + 1, row
