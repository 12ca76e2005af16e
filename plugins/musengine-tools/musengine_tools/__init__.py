"""Commands about files of music: `inspect` and `convert`."""

from __future__ import annotations

__version__ = "0.1.0"
