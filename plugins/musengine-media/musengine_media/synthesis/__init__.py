"""Scores as sound: a player of SoundFonts in NumPy."""

from __future__ import annotations

from musengine_media.synthesis.player import PEAK, TAIL, blocks, render

__all__ = ["PEAK", "TAIL", "blocks", "render"]
