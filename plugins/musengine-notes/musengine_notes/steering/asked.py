"""The channels that tell a model what is asked of the notes that it draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from musengine.api import Array, DecodeSettings, Steering
from musengine_notes.layout import FIRST_PART, PEDAL, PITCHES, REST

if TYPE_CHECKING:
    from musengine_notes.encoder import Notes

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 9, 10, 11)
"""Semitones above the tonic."""


def channels_asked(
    encoder: Notes, steering: Steering, count: int, settings: DecodeSettings
) -> Mapping[str, Array]:
    """Return what `steering` reads: free slots, notes of a bar, pitches of a scale.

    Raises:
        UserError: no such instrument was learned.
    """
    told = dict(scale_channel(steering, count))
    if steering.instruments or steering.density is not None:
        chosen = [encoder.called(name)[0] for name in steering.instruments]
        free = free_parts(encoder, chosen or range(len(encoder.instruments)))
        free[[REST, encoder.layout.end]] = True
        told["free"] = np.ones((count, len(encoder.layout.delays), 1), dtype=bool) & free
    return {**told, **density_channel(encoder, steering, count, settings)}


def free_parts(encoder: Notes, numbers: Iterable[int]) -> npt.NDArray[np.bool_]:
    """Return (parts,) True for some instruments, and for the pedal where it is of one."""
    free = np.zeros(encoder.layout.end + 1, dtype=bool)
    free[[number + FIRST_PART for number in numbers]] = True
    free[PEDAL] = encoder.pedal_part >= 0 and free[encoder.pedal_part + FIRST_PART]
    return free


def density_channel(
    encoder: Notes, steering: Steering, count: int, settings: DecodeSettings
) -> Mapping[str, Array]:
    """Return (count, 2) notes of a bar and its grid steps; nothing where no density is asked."""
    if steering.density is None:
        return {}
    bar = float(settings.meter.beats_per_bar) / float(encoder.config.step.size)
    if not encoder.layout.in_beats:
        bar *= 60.0 / settings.tempo
    return {"density": np.full((count, 2), [steering.density, bar], dtype=np.float32)}


def scale_channel(steering: Steering, count: int) -> Mapping[str, Array]:
    """Return (count, 256) which pitches are of the key's scale; nothing where none is asked.

    In minor the sixth and seventh degrees may be raised.
    """
    if steering.key is None:
        return {}
    tonic = 7 * steering.key.sharps - 3 * steering.key.minor
    degrees = MINOR if steering.key.minor else MAJOR
    scale = np.isin((np.arange(PITCHES) - tonic) % 12, degrees)
    return {"scale": np.tile(scale, (count, 1))}
