"""One note of one region: how loud it is at each moment, and its sound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musengine.api import FloatArray
from musengine_media.synthesis.controls import Controls
from musengine_media.synthesis.regions import Region
from musengine_media.synthesis.samples import FINER, Prepared

Sound = npt.NDArray[np.float32]

SILENT = 90.0
"""Decibels below which nothing is heard."""
_FALL = math.log(10) / 20
"""What a decibel is to the natural logarithm of an amplitude."""
_SHORTEST = 0.001
_SHORTEST_RELEASE = 0.008
_CUT = 0.02
"""Seconds in which a note ends that another one silences."""


@dataclass(frozen=True)
class Shape:
    """The envelope of a voice, in frames after its start, until it is let go.

    Attributes:
        attack: when it begins to be heard.
        top: when it is at its loudest.
        fall: when it begins to fall.
        held: when it has come to the level at which it is held.
        decay: frames that a fall by 100 dB takes.
        sustain: decibels by which it is softer when it is held.
        release: frames that a fall by 100 dB takes when it is let go.
    """

    attack: float
    top: float
    fall: float
    held: float
    decay: float
    sustain: float
    release: float

    @classmethod
    def of(cls, region: Region, key: int, rate: int) -> Shape:
        """Return the shape of a region's envelope on a key."""
        envelope = region.envelope
        attack = envelope.delay * rate if envelope.delay > 0.002 else 0.0
        top = attack + max(envelope.attack, _SHORTEST) * rate
        fall = top + envelope.hold * 2 ** (region.hold_per_key * (60 - key)) * rate
        decay = envelope.decay * 2 ** (region.decay_per_key * (60 - key)) * rate
        return cls(
            attack,
            top,
            fall,
            fall + decay * envelope.sustain / 100,
            decay,
            envelope.sustain,
            max(envelope.release, _SHORTEST_RELEASE) * rate,
        )

    @property
    def silent(self) -> float:
        """When nothing is heard any more, if it is held for ever."""
        return math.inf if self.sustain < SILENT else self.fall + self.decay * SILENT / 100

    def level(self, frame: float) -> float:
        """Return the decibels by which it is softer at a frame."""
        if frame < self.top:
            rise = max((frame - self.attack) / (self.top - self.attack), 10 ** (-SILENT / 20))
            return -20 * math.log10(rise)
        if frame < self.fall:
            return 0.0
        return min((frame - self.fall) * 100 / max(self.decay, 1.0), self.sustain)


class Voice:
    """A sound that is heard.

    Attributes:
        start: the frame it begins at.
        off: the frame it is let go at.
        stop: the frame from which nothing of it is heard.
        controls: of its track.
        group: what silences it: a track's group of regions, None for nothing.
    """

    def __init__(
        self,
        region: Region,
        prepared: Prepared,
        controls: Controls,
        *,
        key: int,
        velocity: int,
        start: int,
        off: int,
        step: float,
        rate: int,
    ) -> None:
        self.start, self.controls, self.group = start, controls, region.group
        self._prepared, self._step, self._rate = prepared, step * FINER, rate
        self._shape = Shape.of(region, key, rate)
        gain = (velocity / 127) ** 2 * 10 ** (-region.decibels / 20)
        # Of equal power: cosine and sine keep it as loud wherever it is placed.
        angle = (min(max(controls.pan(start) + region.pan, -0.5), 0.5) + 0.5) * math.pi / 2
        self._left, self._right = gain * math.cos(angle), gain * math.sin(angle)
        self._let_go(off, self._shape.release)

    def _let_go(self, off: int, release: float) -> None:
        self.off, self._release = off, release
        self._off_level = self._shape.level(off - self.start)
        last = off - self.start + release * max(SILENT - self._off_level, 0) / 100
        last = min(last, self._shape.silent)
        if not self._prepared.loop and not self.controls.bends:
            last = min(last, self._prepared.after_loop / self._step)
        self.stop = self.start + math.ceil(last)

    def cut(self, frame: int) -> None:
        """Let it go at a frame, if it is heard then, and end soon."""
        if frame < self.stop:
            self._let_go(
                min(frame, self.off) if frame >= self.start else self.start, 5 * _CUT * self._rate
            )

    def add(self, mixed_CT: Sound, first: int, frames: FloatArray) -> None:
        """Add to a block what is heard of it there.

        Args:
            mixed_CT: (2, T) the block.
            first: the frame the block begins at.
            frames: at least T numbers from 0 on.
        """
        begin, end = max(self.start, first), min(self.stop, first + mixed_CT.shape[1])
        if begin >= end:
            return
        sound = self._sound(begin, end - begin, frames)
        sound *= self._envelope(begin - self.start, end - begin, frames)
        loudness = self.controls.loudness(begin, end - begin)
        left, right = self._left, self._right
        if isinstance(loudness, float):
            left, right = left * loudness, right * loudness
        else:
            sound *= loudness
        block_CT = mixed_CT[:, begin - first : end - first]
        block_CT[0] += sound * np.float32(left)
        block_CT[1] += sound * np.float32(right)

    def _sound(self, begin: int, count: int, frames: FloatArray) -> Sound:
        """Return (count,) the sound from a frame on, at its pitch."""
        prepared = self._prepared
        if self.controls.bends:
            gone = self.controls.bent(begin, count) - self.controls.bent(self.start, 1)
            place = gone * self._step
        else:
            place = frames[:count] * self._step
            place += (begin - self.start) * self._step
        last = place[-1]
        if last >= prepared.after_loop:
            if prepared.loop:
                beyond = np.searchsorted(place, prepared.after_loop)
                late = place[beyond:]
                base = prepared.after_loop - prepared.loop
                late -= np.floor((late - base) / prepared.loop) * prepared.loop
            else:
                np.minimum(place, prepared.after_loop, out=place)
        # Straight lines between the points, of which there are FINER to a frame.
        whole = place.astype(np.intp)
        part = (place - whole).astype(np.float32)
        sound: Sound = prepared.points.take(whole)
        whole += 1
        following = prepared.points.take(whole)
        following -= sound
        following *= part
        sound += following
        return sound

    def _envelope(self, begin: int, count: int, frames: FloatArray) -> Sound:
        """Return (count,) amplitudes from so many frames after the start on."""
        shape, off = self._shape, self.off - self.start
        result = np.empty(count, dtype=np.float32)
        softer = np.float32(-_FALL)
        pieces = [
            (shape.fall, shape.held, 0.0, 100 / max(shape.decay, 1.0)),
            (shape.held, math.inf, shape.sustain, 0.0),
        ]
        # What the envelope does ends where it is let go; from the level it has then it falls away.
        pieces = [(max(a, 0.0), min(b, off), level, slope) for a, b, level, slope in pieces]
        pieces.append((off, math.inf, self._off_level, 100 / self._release))
        result[: max(0, min(math.ceil(min(shape.fall, off)) - begin, count))] = 1
        for start, stop, level, slope in pieces:
            a = min(max(math.ceil(start) - begin, 0), count)
            b = count if stop == math.inf else min(max(math.ceil(stop) - begin, 0), count)
            if a >= b:
                continue
            if slope:
                # Decibels fall in a straight line, so that amplitudes are one exponential.
                fall = frames[a:b].astype(np.float32)
                fall *= np.float32(slope) * softer
                fall += (level + (begin - start) * slope) * softer
                np.exp(fall, out=result[a:b])
            else:
                result[a:b] = math.exp(-_FALL * level)
        if begin < shape.top:
            self._rise(result, begin, frames)
        return result

    def _rise(self, result: Sound, begin: int, frames: FloatArray) -> None:
        """Make the beginning of an envelope rise in a straight line."""
        shape = self._shape
        count = min(math.ceil(min(shape.top, self.off - self.start)) - begin, len(result))
        if count > 0:
            rise = (frames[:count] + (begin - shape.attack)) / (shape.top - shape.attack)
            result[:count] *= np.clip(rise, 0, 1)
