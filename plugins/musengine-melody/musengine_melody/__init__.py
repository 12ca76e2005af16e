"""Melodies from any folder of MIDI files, and an LSTM that learns them."""

from __future__ import annotations

__version__ = "0.1.0"
