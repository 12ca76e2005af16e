"""Plugin-based music generation: from a folder of music to a model and new pieces."""

from __future__ import annotations

__version__ = "0.1.0"
