"""Notated music in: ABC, MusicXML, Humdrum and the corpora of the music21 package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musengine_notation.abc.reader import abc_bars, abc_to_score

__version__ = "0.1.0"
__all__ = ["abc_bars", "abc_to_score"]


def __getattr__(name: str) -> Any:
    # The declarations of the plugin are read without NumPy.
    if name in __all__:
        from musengine_notation.abc import reader

        return getattr(reader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
