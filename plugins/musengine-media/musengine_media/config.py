"""Settings of the writers; no torch, no numpy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from musengine.api import Config, WriterConfig, setting
from musengine_media import soundfonts


@dataclass(frozen=True, kw_only=True)
class PictureConfig(Config):
    """A piano-roll picture of each piece."""

    format: Literal["svg", "png"] = setting("svg", doc="`svg` or `png`.")
    width: int = setting(1200, doc="Width in pixels.", low=200, high=10000)
    height: int = setting(420, doc="Height in pixels.", low=120, high=10000)


@dataclass(frozen=True, kw_only=True)
class HeatmapConfig(Config):
    """A heat-map of the probabilities between the rolls of the prompt and of the result."""

    width: int = setting(1200, doc="Width in pixels.", low=200, high=10000)
    height: int = setting(900, doc="Height in pixels of all three together.", low=300, high=10000)


@dataclass(frozen=True, kw_only=True)
class WavConfig(WriterConfig):
    """A sound file of each piece, played with a SoundFont."""

    soundfont: Path | None = setting(
        None,
        doc="The SoundFont (.sf2 or .sf3) with the instruments' sounds; by default the one that "
        "`MUSENGINE_SOUNDFONT` names, else one in the system's usual places.",
    )
    rate: int = setting(44_100, doc="Samples per second.", low=8000, high=96_000)
    longest: float = setting(
        900.0,
        doc="Seconds of music that a file may hold at most; longer pieces get none.",
        above=0.0,
        high=7200.0,
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield a SoundFont that is named but is none."""
        if self.soundfont is not None and (fault := soundfonts.fault(self.soundfont)):
            yield "soundfont", fault

    def lacks(self) -> str:
        """Return what is wrong with the SoundFont or the synthesiser, or that there is none."""
        if silent := soundfonts.mute_synthesiser():
            return silent
        path = self.soundfont or soundfonts.find()
        return soundfonts.NONE_FOUND if path is None else soundfonts.fault(path)


@dataclass(frozen=True, kw_only=True)
class TensorBoardConfig(Config):
    """Curves of the training for TensorBoard, in the run's folder `tensorboard`."""

    every: int = setting(10, doc="Optimizer steps from one point of the loss to the next.", low=1)
