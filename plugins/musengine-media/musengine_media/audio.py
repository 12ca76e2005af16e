"""Sound files: a score played by symusic's synthesiser with a SoundFont."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musengine.api import Score, Writable, Writer, midi_bytes
from musengine.errors import UnwritableError
from musengine_media import soundfonts
from musengine_media.config import WavConfig

TAIL = 2.0
"""Seconds of sound after the end of the score, for the last notes to die away."""
PEAK = 0.9
"""The loudest sample, as a share of the loudest that the file can hold."""
_BLOCK = 2**18

Sound = npt.NDArray[np.float32]


class WavWriter(Writer[WavConfig]):
    """Plays a Score into a stereo file of 16-bit samples."""

    @property
    def suffix(self) -> str:
        """`.wav`."""
        return ".wav"

    def write(self, content: Writable, path: Path) -> None:
        """Write a WAV file, as long as the score and two seconds.

        Raises:
            UnwritableError: no SoundFont, a damaged one, or a score longer than `longest`.
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
        sound_CT = _play(content, soundfont, self.config.rate)
        _write(sound_CT, round((seconds + TAIL) * self.config.rate), self.config.rate, path)


def _play(score: Score, soundfont: Path, rate: int) -> Sound:
    """Return (2, samples) of sound, of any loudness."""
    import symusic

    if not len(score):
        return np.zeros((2, 0), dtype=np.float32)
    try:
        music: Any = symusic.Score.from_midi(midi_bytes(score))
        synthesizer: Any = symusic.Synthesizer(str(soundfont), rate)
        sound_CT: Sound = synthesizer.render(music, stereo=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnwritableError(
            f"the SoundFont {soundfont} cannot be used: {reason}", code="soundfont-unusable"
        ) from error
    return sound_CT


def _write(sound_CT: Sound, samples: int, rate: int, path: Path) -> None:
    """Write so many samples, silence where the sound is shorter, as loud as they can be."""
    loudest = float(np.abs(sound_CT[:, :samples]).max(initial=0.0))
    gain = PEAK * 32767 / loudest if loudest else 0.0
    with path.open("wb") as file, wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        for first in range(0, samples, _BLOCK):
            block_TC = np.zeros((min(_BLOCK, samples - first), 2), dtype="<i2")
            heard_CT = sound_CT[:, first : first + len(block_TC)]
            block_TC[: heard_CT.shape[1]] = np.rint(heard_CT.T * gain)
            writer.writeframes(block_TC.tobytes())
