"""Music as notes: many instruments, touch and form, learned one note at a time."""

from __future__ import annotations

__version__ = "0.1.0"
