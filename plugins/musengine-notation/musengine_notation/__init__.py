"""Notated music in: MusicXML, Humdrum, ABC and the corpora of the music21 package."""

from __future__ import annotations

__version__ = "0.1.0"
