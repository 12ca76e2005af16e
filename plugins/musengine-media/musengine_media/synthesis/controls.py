"""What controllers do to a track's notes: bends, loudness, place, the sustain pedal."""

from __future__ import annotations

import math

import numpy as np

from musengine.api import BEND, FloatArray, IntArray, Score

_BANK, _DATA, _VOLUME, _PAN, _EXPRESSION, _PEDAL = 0, 6, 7, 10, 11, 64
_PARAMETER = (100, 101)
_RESET = 121
_VOLUME_AT_FIRST, _EXPRESSION_AT_FIRST, _PAN_AT_FIRST = 100, 127, 64
_SEMITONES = 2.0
"""How far a bend goes at its most, until a file says otherwise."""
_SMOOTH = 0.005
"""Seconds in which the loudness goes from one value to the next, so that no step is heard."""
_FOREVER = 1e15


class Controls:
    """The controllers of one track, by the frames of what is heard.

    Attributes:
        bank: the bank its program is of.
        bends: whether any of its notes are bent.
    """

    def __init__(self, score: Score, track: int, rate: int) -> None:
        mine = score.control[:, 0] == track
        self._frame: FloatArray = score.seconds(score.control_tick[mine]) * rate
        number, value = score.control[mine, 1:].T
        self._pan = self._steps(number, value, _PAN)
        self._pedal = self._steps(number, value, _PEDAL, after_reset=0)
        banks = value[number == _BANK]
        self.bank = int(banks[0]) if len(banks) else 0
        self._bend_frame, self._bend_sum = self._bending(number, value)
        self.bends = len(self._bend_frame) > 2
        self._loud_frame, self._loud = self._loudness(number, value, _SMOOTH * rate)

    def pan(self, frame: int) -> float:
        """Return the place at a frame: -0.5 is left, 0.5 right."""
        frames, values = self._pan
        index = int(np.searchsorted(frames, frame, side="right"))
        value = int(values[index - 1]) if index else _PAN_AT_FIRST
        return min(max((value - 64) / 126, -0.5), 0.5)

    def released(self, frames: IntArray) -> IntArray:
        """Return the frames at which notes that end at these are let go: when the pedal is up."""
        changes, values = self._pedal
        if not len(changes):
            return frames
        down = values >= 64
        up = np.append(changes[~down], _FOREVER)
        index = np.searchsorted(changes, frames, side="right") - 1
        held = (index >= 0) & down[index]
        later = up[np.searchsorted(up[:-1], frames, side="right")]
        result: IntArray = np.where(held, later, frames).astype(np.int64)
        return result

    def loudness(self, first: int, count: int) -> FloatArray | float:
        """Return (count,) factors from a frame on, or one where it does not change."""
        if len(self._loud) == 1:
            return float(self._loud[0])
        begin, end = np.searchsorted(self._loud_frame, [first, first + count])
        near = self._loud[max(begin - 1, 0) : end + 1]
        if (near == near[0]).all():
            return float(near[0])
        frames = np.arange(first, first + count)
        return np.interp(frames, self._loud_frame, self._loud)

    def bent(self, first: int, count: int) -> FloatArray:
        """Return (count,) how many frames of an unbent sound go by from the start to each frame."""
        frames = np.arange(first, first + count)
        return np.interp(frames, self._bend_frame, self._bend_sum)

    def _steps(
        self, number: IntArray, value: IntArray, wanted: int, after_reset: int | None = None
    ) -> tuple[FloatArray, IntArray]:
        """Return the frames and values of one controller; a reset gives it a value where it may."""
        taken = number == wanted
        if after_reset is not None:
            taken |= number == _RESET
        return self._frame[taken], np.where(number == wanted, value, after_reset or 0)[taken]

    def _loudness(
        self, number: IntArray, value: IntArray, smooth: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return frames and factors, between which it goes in straight lines."""
        frames, factors = [0.0], [_loud(_VOLUME_AT_FIRST) * _loud(_EXPRESSION_AT_FIRST)]
        volume, expression = _VOLUME_AT_FIRST, _EXPRESSION_AT_FIRST
        taken = np.isin(number, (_VOLUME, _EXPRESSION, _RESET))
        rows = zip(self._frame[taken], number[taken].tolist(), value[taken].tolist(), strict=True)
        for frame, which, how in rows:
            if which == _VOLUME:
                volume = how
            else:
                expression = _EXPRESSION_AT_FIRST if which == _RESET else how
            before = factors[-1]
            # The old value until shortly before, then a straight line to the new one.
            frames += [max(frame - smooth, frames[-1]), frame]
            factors += [before, _loud(volume) * _loud(expression)]
        return np.array(frames), np.array(factors)

    def _bending(self, number: IntArray, value: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return frames at which the bend changes, and how much of an unbent sound has gone by."""
        parameter, semitones, bend = {100: 127, 101: 127}, _SEMITONES, 0
        frames, ratios = [0.0], [1.0]
        taken = np.isin(number, (BEND, _DATA, _RESET, *_PARAMETER))
        rows = zip(self._frame[taken], number[taken].tolist(), value[taken].tolist(), strict=True)
        for frame, which, how in rows:
            if which in _PARAMETER:
                parameter[which] = how
                continue
            # Registered parameter 0, 0 is the range of bends.
            if which == _DATA and not any(parameter.values()):
                semitones = min(float(how), 24.0)
            elif which == BEND:
                bend = how
            elif which == _RESET:
                bend = 0
            ratio = 2 ** (semitones * bend / 8192 / 12)
            if not math.isclose(ratio, ratios[-1]):
                frames.append(float(frame))
                ratios.append(ratio)
        frame_K = np.array([*frames, _FOREVER])
        # The integral of the ratios: the place in the sound at any frame is then one look-up.
        gone_K = np.concatenate([[0.0], np.cumsum(np.diff(frame_K) * ratios)])
        return frame_K, gone_K


def _loud(value: int) -> float:
    """Return the factor of a volume or expression: 40 dB for a tenth, as General MIDI has it."""
    return (value / 127) ** 2
