"""Pictures and sound of pieces, and plots of what a model computes on its way to them."""

from __future__ import annotations

__version__ = "0.1.0"
