"""The biaxial LSTM: along time for every note, then from note to note at every step."""

from __future__ import annotations

__version__ = "0.1.0"
