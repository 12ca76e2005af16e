"""The channels that tell a model what is asked of the notes that it draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from musengine.api import Array, DecodeSettings, Steering
from musengine_notes.layout import FIRST_PART, PEDAL, REST

if TYPE_CHECKING:
    from musengine_notes.encoder import Notes


def channels_asked(
    encoder: Notes, steering: Steering, count: int, settings: DecodeSettings
) -> Mapping[str, Array]:
    """Return which delays and parts are free, and how many notes are wanted in how long a bar.

    Raises:
        UserError: no such instrument was learned.
    """
    chosen = [encoder.called(name)[0] for name in steering.instruments]
    free = free_parts(encoder, chosen or range(len(encoder.instruments)))
    free[[REST, encoder.layout.end]] = True
    delays = np.ones((count, len(encoder.layout.delays), 1), dtype=bool)
    return {"free": delays & free, **density_channel(encoder, steering, count, settings)}


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
