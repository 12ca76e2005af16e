"""A score played with a SoundFont, block by block."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from musengine.api import IntArray, Score, one_note_per_key
from musengine.errors import UnwritableError
from musengine_media import soundfonts
from musengine_media.synthesis.controls import Controls
from musengine_media.synthesis.samples import PreparedSamples
from musengine_media.synthesis.soundfont import DRUM_BANK, SoundFont
from musengine_media.synthesis.voices import Sound, Voice

TAIL = 2.0
"""Seconds of sound after the end of the score, for the last notes to die away."""
PEAK = 0.9
"""The loudest sample, as a share of the loudest that a file can hold."""
LONGEST = 7200.0
"""Seconds of music that are played at most."""
MOST_VOICES = 256
"""Sounds that are heard at once; a further one silences the oldest."""
MOST_LAYERS = 32
"""Regions of which one note sounds."""
_BLOCK = 2**14
_SHORTEST = 0.01
"""Seconds that a note is held at least: drums are often written shorter than anything sounds."""
_FADE = 0.25
"""Seconds at the very end in which everything dies away."""


def render(
    score: Score, soundfont: Path | None = None, rate: int = 44_100
) -> npt.NDArray[np.float32]:
    """Return (T, 2) a score's sound, left and right, as loud as it can be: at most 0.9.

    It lasts two seconds longer than the score.

    Args:
        score: at most two hours of music.
        soundfont: the instruments' sounds; by default those that are found on this system.
        rate: T for each second.

    Raises:
        UnwritableError: there is no SoundFont, it is damaged, or the score is longer.
    """
    if soundfont is None and (soundfont := soundfonts.find()) is None:
        raise UnwritableError(soundfonts.NONE_FOUND, code="writer-lacks")
    sound_TC = np.concatenate(list(blocks(score, soundfont, rate)))
    loudest = max(float(sound_TC.max()), -float(sound_TC.min()))
    if loudest:
        sound_TC *= PEAK / loudest
    return sound_TC


def blocks(score: Score, soundfont: Path, rate: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield (T, 2) the sound of a score, of any loudness, part after part.

    Raises:
        UnwritableError: the SoundFont is damaged, or the score is longer than two hours.
    """
    seconds = float(score.seconds(score.length))
    if seconds > LONGEST:
        raise UnwritableError(
            f"{seconds:.0f} seconds of music are more than the {LONGEST:.0f} that are played",
            code="piece-too-long",
        )
    player = _Player(score, SoundFont(soundfont), rate)
    total = round((seconds + TAIL) * rate)
    fade = round(_FADE * rate)
    for first in range(0, total, _BLOCK):
        mixed_CT = player.block(first, min(_BLOCK, total - first))
        after = first + mixed_CT.shape[1]
        if after > total - fade:
            left = np.arange(total - first, total - after, -1) / fade
            mixed_CT *= np.minimum(left, 1).astype(np.float32)
        yield np.ascontiguousarray(mixed_CT.T)


class _Player:
    """The voices of a score, begun in order and ended when they are silent."""

    def __init__(self, score: Score, font: SoundFont, rate: int) -> None:
        # As keyboards have it, a key that is struck again ends what it sounded.
        self._score, self._font, self._rate = one_note_per_key(score), font, rate
        self._prepared = PreparedSamples(font, rate)
        self._controls = [Controls(score, index, rate) for index in range(len(score.tracks))]
        self._onset, self._off = self._times()
        self._next = 0
        self._in_block: list[Voice] = []
        self._sounding: deque[Voice] = deque()
        self._frames = np.arange(_BLOCK, dtype=np.float64)

    def block(self, first: int, count: int) -> Sound:
        """Return (2, count) what is heard from a frame on."""
        after = first + count
        self._in_block = [voice for voice in self._in_block if voice.stop > first]
        while self._next < len(self._onset) and self._onset[self._next] < after:
            self._begin(self._next)
            self._next += 1
        mixed_CT = np.zeros((2, count), dtype=np.float32)
        for voice in self._in_block:
            voice.add(mixed_CT, first, self._frames)
        return mixed_CT

    def _times(self) -> tuple[IntArray, IntArray]:
        """Return (N,) the frames at which notes begin and are let go.

        A pedal that is down holds them until it goes up or their key is struck again.
        """
        score = self._score
        onset = np.rint(score.seconds(score.onset) * self._rate).astype(np.int64)
        off = np.rint(score.seconds(score.end) * self._rate).astype(np.int64)
        off = np.maximum(off, onset + round(_SHORTEST * self._rate))
        for number, controls in enumerate(self._controls):
            mine = score.track == number
            off[mine] = controls.released(off[mine])
        order = np.lexsort((onset, score.pitch, score.track))
        again = (np.diff(score.pitch[order]) == 0) & (np.diff(score.track[order]) == 0)
        before, after = order[:-1][again], order[1:][again]
        off[before] = np.minimum(off[before], onset[after])
        return onset, off

    def _begin(self, index: int) -> None:
        """Begin the voices of a note."""
        score, start = self._score, int(self._onset[index])
        key, velocity = int(score.pitch[index]), int(score.velocity[index])
        number = int(score.track[index])
        track, controls = score.tracks[number], self._controls[number]
        bank = DRUM_BANK if track.is_drum else controls.bank
        regions = self._font.struck(bank, track.program, key, velocity)[:MOST_LAYERS]
        self._silence({region.group for region in regions} - {0}, controls, start)
        for region in regions:
            step = region.ratio(key) * region.sample.rate / self._rate
            voice = Voice(
                region,
                self._prepared.get(region, step),
                controls,
                key=key,
                velocity=region.fixed_velocity or velocity,
                start=start,
                off=int(self._off[index]),
                step=step,
                rate=self._rate,
            )
            self._make_room(start)
            self._sounding.append(voice)
            self._in_block.append(voice)

    def _silence(self, groups: set[int], controls: Controls, start: int) -> None:
        """End what a track sounds of some groups, as an open hi-hat ends when it is closed."""
        if groups:
            for voice in self._sounding:
                if voice.group in groups and voice.controls is controls and voice.start < start:
                    voice.cut(start)

    def _make_room(self, start: int) -> None:
        """End the oldest voice where too many are heard."""
        if len(self._sounding) >= MOST_VOICES:
            self._sounding = deque(voice for voice in self._sounding if voice.stop > start)
        if len(self._sounding) >= MOST_VOICES:
            self._sounding.popleft().cut(start)
