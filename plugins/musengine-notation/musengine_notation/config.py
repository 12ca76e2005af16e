"""Settings of the readers; free of NumPy and music21."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from musengine.api import Config, setting


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class AbcConfig(Config):
    """Settings of the reader of ABC tunes."""

    repeats: Literal["written", "played"] = setting(
        "written", doc="each note once, or repeats, endings and the order of parts played"
    )
    strict: bool = setting(
        False,
        doc="leave out a tune with a bar that is not full, or with anything not understood",
    )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class NotationConfig(Config):
    """Settings of the readers of MusicXML, Humdrum and music21's corpora."""

    strict: bool = setting(
        False,
        doc="leave out a piece with a bar that is not full, or with anything not understood",
    )
