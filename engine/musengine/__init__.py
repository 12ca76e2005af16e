"""Plugin-based music generation: from a folder of music to a model and new pieces."""

from __future__ import annotations

import logging

__version__ = "0.1.0"

# A program that embeds the engine hears nothing of it unless it asks for its log records.
logging.getLogger(__name__).addHandler(logging.NullHandler())
