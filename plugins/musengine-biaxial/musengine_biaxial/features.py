"""What each note reads before a step is predicted: its surroundings in the step before.

After Johnson (2015, "Composing music with recurrent neural networks"). For a grid with play and
articulate and the classic beat these are 80 numbers:

    0        the note's place
    1 - 12   its pitch class, one of twelve, C first
    13 - 62  play and articulate of the notes 12 below to 12 above it, 0 outside the range
    63 - 74  how many notes of each pitch class sounded, its own class first
    75 - 78  the step's number modulo 16 in binary, lowest bit first, each as -1 or 1
    79       always 0
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from musengine.api import Grid
from musengine_biaxial.config import BEAT_WIDTHS, BiaxialConfig

REACH = 12
"""How many semitones a note sees to either side."""


class Features(nn.Module):
    """Computes the features on the device; nothing of it is trained.

    Args:
        config: which numbers stand for the place and the beat.
        layout: the grid.
    """

    place: Tensor
    """(N, 1)"""
    classes: Tensor
    """(N, 12) one of twelve"""
    turned: Tensor
    """(N, 12) pitch classes, each note's own first"""

    def __init__(self, config: BiaxialConfig, layout: Grid) -> None:
        super().__init__()
        self.beat = config.beat
        channels = len(layout.channels)
        self.width = 1 + 12 + (2 * REACH + 1) * channels + 12 + BEAT_WIDTHS[config.beat]
        number_N = torch.arange(layout.pitches)
        class_N = (layout.lowest + number_N) % 12
        place_N = number_N.to(torch.get_default_dtype())
        if config.position == "share":
            place_N = place_N / max(layout.pitches - 1, 1)
        one_of = functional.one_hot(class_N, 12).to(place_N.dtype)
        turned = (class_N[:, None] + torch.arange(12)) % 12
        # Follow from the layout, so they are not saved.
        self.register_buffer("place", place_N[:, None], persistent=False)
        self.register_buffer("classes", one_of, persistent=False)
        self.register_buffer("turned", turned, persistent=False)

    def forward(self, before: Tensor, beat: Tensor | None) -> Tensor:
        """Return the features (..., N, width) of the notes of some steps.

        Args:
            before: (..., N, C) for each step the one before it.
            beat: (..., 3) where the steps to predict stand: number, share of bar, share of beat;
                None where the beat is left out.
        """
        around = before.to(self.place.dtype)
        parts = [
            self.place.expand(*around.shape[:-1], 1),
            self.classes.expand(*around.shape[:-1], 12),
            self._vicinity(around),
            self._context(around[..., 0]),
        ]
        if beat is not None and self.beat != "none":
            beat_features = self._beat(beat)[..., None, :].to(around.dtype)
            parts.append(beat_features.expand(*around.shape[:-1], beat_features.shape[-1]))
        return torch.cat(parts, dim=-1)

    def _vicinity(self, around: Tensor) -> Tensor:
        """Return (..., N, 25 * C): each note's window over the notes, a shifted view."""
        # Zeros on the axis of the notes (pairs count from the last axis): silence beyond the range.
        padded = functional.pad(around, (0, 0, REACH, REACH))
        windows = padded.unfold(-2, 2 * REACH + 1, 1)  # (..., N, C, 25)
        return windows.transpose(-1, -2).flatten(-2)

    def _context(self, sound: Tensor) -> Tensor:
        """Return (..., N, 12) from which notes (..., N) sounded."""
        # (..., 12) counts by class, then for each note the same counts turned so that its own comes
        # first.
        return (sound @ self.classes)[..., self.turned]

    def _beat(self, beat: Tensor) -> Tensor:
        """Return (..., 8) waves of bar and beat, or the classic (..., 5)."""
        if self.beat == "classic":
            number = beat[..., :1].long() % 16
            bits = (number >> torch.arange(4, device=beat.device)) & 1
            # The 80th number, always 0, is in the original and kept so that its sizes agree.
            return functional.pad(2.0 * bits - 1.0, (0, 1))
        angles = 2 * math.pi * torch.cat([beat[..., 1:], 2 * beat[..., 1:]], dim=-1)
        return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)
