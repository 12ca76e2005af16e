"""Music of many instruments as MidiTok's tokens, and a transformer that learns them."""

from __future__ import annotations

__version__ = "0.1.0"
