"""Samplers that shape the draw, and guards that keep pieces from going astray."""

from __future__ import annotations

__version__ = "0.1.0"
