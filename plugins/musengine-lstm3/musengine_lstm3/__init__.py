"""Three stacked LSTM layers on a piano-roll."""

from __future__ import annotations

__version__ = "0.1.0"
