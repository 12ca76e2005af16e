"""Music as text, learned character by character."""

from __future__ import annotations

__version__ = "0.1.0"
