"""Notated music: ABC, MusicXML, Humdrum and the corpora of music21 in, MusicXML out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musengine_notation.abc.reader import abc_bars, abc_to_score
    from musengine_notation.written.document import to_musicxml

__version__ = "0.1.0"
__all__ = ["abc_bars", "abc_to_score", "to_musicxml"]


def __getattr__(name: str) -> Any:
    # The declarations of the plugin are read without NumPy.
    if name == "to_musicxml":
        from musengine_notation.written.document import to_musicxml

        return to_musicxml
    if name in __all__:
        from musengine_notation.abc import reader

        return getattr(reader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
