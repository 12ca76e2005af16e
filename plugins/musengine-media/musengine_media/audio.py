"""Sound files: a score played with a SoundFont, as WAV and as MP3."""

from __future__ import annotations

import tempfile
import wave
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
import numpy.typing as npt

from musengine.api import Score, Writable, Writer
from musengine.errors import UnwritableError
from musengine_media import soundfonts
from musengine_media.config import Mp3Config, SoundConfig, WavConfig
from musengine_media.synthesis import PEAK, blocks

C = TypeVar("C", bound=SoundConfig)
Sound = npt.NDArray[np.float32]

_READ = 2**18
"""Frames that are read again at once."""


class SoundWriter(Writer[C]):
    """Plays a Score into a stereo file, as loud as it can be."""

    def write(self, content: Writable, path: Path) -> None:
        """Write a sound file, as long as the score and two seconds.

        What is played waits in a file until its loudest moment is known: a long piece takes no
        more memory than a short one.

        Raises:
            UnwritableError: no SoundFont, a damaged one, a score longer than `longest`, or no
                encoder on this system.
        """
        if not isinstance(content, Score):
            raise TypeError("sound is made of scores")
        soundfont = self.config.soundfont or soundfonts.find()
        if soundfont is None or self.config.lacks():
            raise UnwritableError(self.config.lacks(), code="writer-lacks")
        seconds = float(content.seconds(content.length))
        if seconds > self.config.longest:
            raise UnwritableError(
                f"a sound file of {seconds:.0f} seconds is longer than "
                f"longest = {self.config.longest:.0f} allows",
                code="piece-too-long",
            )
        # Beside the target, where there is room for it; the system's own folder may lie in memory.
        with tempfile.TemporaryFile(dir=path.parent) as spool:
            loudest = 0.0
            for block_TC in blocks(content, soundfont, self.config.rate):
                loudest = max(loudest, float(block_TC.max()), -float(block_TC.min()))
                spool.write(block_TC.tobytes())
            gain = np.float32(PEAK / loudest if loudest else 1.0)
            self.encode((block_TC * gain for block_TC in _again(spool)), path)

    @abstractmethod
    def encode(self, sound: Iterable[Sound], path: Path) -> None:
        """Write (T, 2) blocks of samples from -1 to 1."""


class WavWriter(SoundWriter[WavConfig]):
    """Plays a Score into a WAV file of 16-bit samples."""

    @property
    def suffix(self) -> str:
        """`.wav`."""
        return ".wav"

    def encode(self, sound: Iterable[Sound], path: Path) -> None:
        """Write (T, 2) blocks of samples from -1 to 1."""
        with path.open("wb") as file, wave.open(file, "wb") as writer:
            writer.setnchannels(2)
            writer.setsampwidth(2)
            writer.setframerate(self.config.rate)
            for block_TC in sound:
                writer.writeframes(np.rint(block_TC * 32767).astype("<i2").tobytes())


class Mp3Writer(SoundWriter[Mp3Config]):
    """Plays a Score into an MP3 file of constant bit rate."""

    @property
    def suffix(self) -> str:
        """`.mp3`."""
        return ".mp3"

    def encode(self, sound: Iterable[Sound], path: Path) -> None:
        """Write (T, 2) blocks of samples from -1 to 1.

        Raises:
            UnwritableError: the library that encodes is not on this system.
        """
        try:
            import soundfile
        except OSError as error:  # its wheel for other systems has no library inside
            raise UnwritableError(
                f"MP3 needs libsndfile, which soundfile does not find: {error}", code="writer-lacks"
            ) from error
        with (
            path.open("wb") as file,
            soundfile.SoundFile(
                file,
                "w",
                self.config.rate,
                channels=2,
                format="MP3",
                subtype="MPEG_LAYER_III",
                bitrate_mode="CONSTANT",
                compression_level=self.config.compression(),
            ) as writer,
        ):
            for block_TC in sound:
                writer.write(block_TC)


def _again(spool: IO[bytes]) -> Iterator[Sound]:
    """Yield (T, 2) blocks of what a file holds, from its start."""
    spool.seek(0)
    while data := spool.read(8 * _READ):
        yield np.frombuffer(data, dtype=np.float32).reshape(-1, 2)
