"""Sounds of a SoundFont made ready to be played at any pitch: filtered, finer, loops drawn out."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musengine_media.synthesis.regions import Region, Sample
from musengine_media.synthesis.soundfont import SoundFont

FINER = 2
"""Points that are kept for each frame, so that straight lines between them come near the curve."""
LONGEST = 2**21
"""Frames that are played of a sound: 47 seconds of 44,100."""
CACHED = 2**27
"""Bytes of prepared sounds that are kept."""
_SETTLING = 4096
"""Frames of a loop in which a filter comes to rest."""
_GUARD = 512
"""Frames of a loop after its end, so that the end of what is filtered is not heard."""
_OPEN = 19_000.0
"""Hz; a filter that is open further takes nothing away that is heard."""
_COARSE = 4
"""Pitches and cutoffs for which a sound is filtered anew, to an octave."""


@dataclass(frozen=True)
class Prepared:
    """A sound as it is played.

    Attributes:
        points: (P,) its curve, of which straight lines are drawn.
        after_loop: the point at which its loop goes back; the last where it has none.
        loop: points to go back, 0 for no loop.
    """

    points: npt.NDArray[np.float32]
    after_loop: int
    loop: int


class PreparedSamples:
    """The prepared sounds of a font, the latest of which are kept."""

    def __init__(self, font: SoundFont, rate: int) -> None:
        self._font, self._rate = font, rate
        self._kept: OrderedDict[tuple[Sample, int, int, int], Prepared] = OrderedDict()
        self._bytes = 0

    def get(self, region: Region, step: float) -> Prepared:
        """Return a region's sound.

        Args:
            region: whose filter it goes through.
            step: frames of the sound to a frame of what is heard.
        """
        # What the filter lets through is counted where the sound is: it is played higher by `step`.
        cutoff = region.cutoff / self._rate / step
        pitch = math.ceil(_COARSE * math.log2(max(step, 1.0)))
        tone = round(_COARSE * math.log2(cutoff)) if region.cutoff < _OPEN else 0
        resonance = round(region.resonance) if tone else 0
        key = (region.sample, pitch, tone, resonance)
        if (found := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return found
        # Rounded to a quarter of an octave, so that neighbouring keys share a prepared sound.
        highest = 0.5 * 2.0 ** (-pitch / _COARSE)
        prepared = self._prepared(
            region.sample, highest, 2.0 ** (tone / _COARSE) if tone else None, resonance
        )
        self._kept[key] = prepared
        self._bytes += prepared.points.nbytes
        while self._bytes > CACHED and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].points.nbytes
        return prepared

    def _prepared(
        self, sample: Sample, highest: float, cutoff: float | None, resonance: float
    ) -> Prepared:
        sound = self._font.samples(sample, LONGEST)
        begin, end = sample.loop_start, sample.loop_end
        loop = end - begin
        if loop <= 0 or end > len(sound):
            points = _filtered(sound, highest, cutoff, resonance)
            return Prepared(points, len(points) - 2, 0)
        turns = math.ceil(_SETTLING / loop)
        # The loop is drawn out until the filter has come to rest: only then does it repeat without
        # a click.
        more = np.resize(sound[begin:end], turns * loop + _GUARD)
        points = _filtered(np.concatenate([sound[:end], more]), highest, cutoff, resonance)
        after = FINER * (end + turns * loop)
        return Prepared(points[: after + 2].copy(), after, FINER * loop)


def _filtered(
    sound: npt.NDArray[np.float32], highest: float, cutoff: float | None, resonance: float
) -> npt.NDArray[np.float32]:
    """Return (FINER * T + 2,) a sound's curve, and silence at its end.

    Args:
        sound: (T,).
        highest: cycles a frame that are kept, others would be heard as what they are not.
        cutoff: cycles a frame of a low-pass of two poles; None for none.
        resonance: decibels at the cutoff.
    """
    size = _fast(len(sound) + _GUARD)
    spectrum = np.fft.rfft(sound, size)
    frequency = np.arange(len(spectrum)) / size
    if cutoff is not None:
        ratio = frequency / cutoff
        quality = 10 ** ((resonance - 3.01) / 20)
        # As loud as without resonance in the middle, as the standard has it.
        gain = 10 ** (-resonance / 40)
        spectrum *= gain / (1 - ratio**2 + 1j * ratio / quality)
    if highest < 0.5:
        # It ends over a tenth of the range, since a sharp edge would ring.
        spectrum *= np.clip((highest - frequency) / (0.1 * highest) + 1, 0, 1)
    curve = np.fft.irfft(spectrum, FINER * size)[: FINER * len(sound) + 2] * FINER
    points: npt.NDArray[np.float32] = curve.astype(np.float32)
    points[-2:] = 0
    return points


def _fast(least: int) -> int:
    """Return the next number, no less, whose Fourier transform is fast."""
    sizes = (factor << max(0, math.ceil(math.log2(least / factor))) for factor in (1, 3, 5, 9, 15))
    return min(size for size in sizes if size >= least)
