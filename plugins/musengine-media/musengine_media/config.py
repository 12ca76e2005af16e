"""Settings of the writers; no torch, no numpy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from musengine.api import Config, WriterConfig, setting
from musengine_media import soundfonts

MP3_RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Samples per second that MP3 can have."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class PictureConfig(Config):
    """A piano-roll picture of each piece."""

    format: Literal["svg", "png"] = setting("svg", doc="`svg` or `png`.")
    width: int = setting(1200, doc="Width in pixels.", low=200, high=10000)
    height: int = setting(420, doc="Height in pixels.", low=120, high=10000)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class HeatmapConfig(Config):
    """A heat-map of the probabilities between the rolls of the prompt and of the result."""

    width: int = setting(1200, doc="Width in pixels.", low=200, high=10000)
    height: int = setting(900, doc="Height in pixels of all three together.", low=300, high=10000)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class SoundConfig(WriterConfig):
    """What all sound files share: they are played with a SoundFont."""

    soundfont: Path | None = setting(
        None,
        doc="The SoundFont (.sf2 or .sf3) with the instruments' sounds; by default the one that "
        "`MUSENGINE_SOUNDFONT` names, else one in the system's usual places, else the one that is "
        "installed with this plugin.",
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
        """Return what is wrong with the SoundFont, or that there is none."""
        path = self.soundfont or soundfonts.find()
        return soundfonts.NONE_FOUND if path is None else soundfonts.fault(path)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class WavConfig(SoundConfig):
    """A sound file of each piece, played with a SoundFont."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Mp3Config(SoundConfig):
    """A compressed sound file of each piece, played with a SoundFont."""

    kbps: int = setting(
        128,
        doc="Kilobits a second, of which the nearest that MP3 has is taken; 160 at most where "
        "`rate` is below 32,000, 64 at most where it is 12,000 or less.",
        low=32,
        high=320,
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield what is wrong with the SoundFont, and a rate that MP3 does not have."""
        yield from super().problems()
        if self.rate not in MP3_RATES:
            yield "rate", f"MP3 has the rates {', '.join(map(str, MP3_RATES))}, not {self.rate}"

    def compression(self) -> float:
        """Return `kbps` as libsndfile takes it: 0 is the highest bit rate, 1 the lowest."""
        low, high = (32, 320) if self.rate >= 32_000 else (8, 160 if self.rate > 12_000 else 64)
        return min(max((high - self.kbps) / (high - low), 0.0), 1.0)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class TensorBoardConfig(Config):
    """Curves of the training for TensorBoard, in the run's folder `tensorboard`."""

    every: int = setting(10, doc="Optimizer steps from one point of the loss to the next.", low=1)
