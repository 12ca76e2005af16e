"""The sounds of the instruments that a page's pieces need: a few notes of each, as MP3.

The page plays every note with the nearest of these, faster or slower, so that the parts can be
heard alone and at any tempo, and a page takes no more for long pieces than for short ones.
"""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musengine.api import IntArray, Score, Track
from musengine.errors import UnwritableError
from musengine_media import soundfonts
from musengine_media.page.roll import parts_of
from musengine_media.synthesis import blocks

Sound = npt.NDArray[np.float32]

MOST_BYTES = 5_500_000
"""What the sounds of one page take at most; instruments that are over are synthetic."""
RATE, KBPS = 32_000, 56
APART = 5
"""Semitones from one note to the next: none is moved by more than two or three."""
DRUMS = "drums"
"""What the drums are called among the instruments, beside the numbers of programs."""
_HELD, _DRUM_HELD, _REST = 2.4, 0.2, 0.8
"""Seconds that notes and drums are held, and what they get to die away."""
_LOOP_FROM, _CROSS = 1.1, 0.25
"""Seconds after which a note that does not die away is repeated, and how long both overlap."""
_QUIET = 0.003
"""What counts as silence, as a share of the loudest."""
_GAP = 0.1
"""Seconds of silence between two notes."""
_VELOCITY = 100


@dataclass(frozen=True)
class Sounds:
    """What a page plays with.

    Attributes:
        data: of each instrument the notes and where in its sound they are, by program or `drums`.
        remark: a line that says what the pieces are played with.
    """

    data: dict[str, dict[str, Any]]
    remark: str


NO_SOUNDS = Sounds({}, "Played with a synthetic voice.")


def sounds_for(scores: Sequence[Score]) -> Sounds:
    """Return the sounds of the instruments of some scores, as many as a page has room for."""
    soundfont = soundfonts.find()
    if soundfont is None:
        return Sounds({}, f"Played with a synthetic voice: {soundfonts.NONE_FOUND}.")
    data: dict[str, dict[str, Any]] = {}
    left_out, size = 0, 0
    try:
        for name, pitches in _used(scores).items():
            instrument = _instrument(name, pitches, soundfont)
            if size + len(instrument["mp3"]) > MOST_BYTES:
                left_out += 1
                continue
            size += len(instrument["mp3"])
            data[name] = instrument
    except (UnwritableError, OSError, ImportError) as error:
        return Sounds(data, f"Played with a synthetic voice: {error}.")
    remark = f"Played with sounds of {soundfont.name}"
    if left_out:
        remark += f"; {left_out} of the instruments are synthetic, to keep this page small"
    return Sounds(data, f"{remark}.")


def _used(scores: Sequence[Score]) -> dict[str, IntArray]:
    """Return the pitches that each instrument plays, those of the first score first."""
    found: dict[str, list[IntArray]] = {}
    for score in scores:
        for track in parts_of(score):
            drum, program = score.tracks[track].is_drum, score.tracks[track].program
            pitches = score.pitch[score.track == track]
            found.setdefault(DRUMS if drum else str(program), []).append(pitches)
    return {name: np.unique(np.concatenate(each)) for name, each in found.items()}


def _instrument(name: str, pitches: IntArray, soundfont: Path) -> dict[str, Any]:
    """Return an instrument's notes one after another, as MP3, and where each is."""
    drums = name == DRUMS
    keys = pitches if drums else _keys(pitches)
    # All notes in one go through the player, then cut apart: its sounds are loaded once.
    cut = [*_played(name, keys, soundfont)]
    loudest = max((float(np.abs(note_T).max(initial=0.0)) for note_T in cut), default=0.0)
    if not loudest:
        return {"mp3": "", "gain": 0.0, "first": 0.0, "notes": []}
    notes, kept, place = [], [], 0
    for key, note_T in zip(keys.tolist(), cut, strict=True):
        sound_T, loop = (note_T, None) if drums else _looped(note_T)
        sound_T = _trimmed(sound_T, loudest) if loop is None else sound_T
        note: dict[str, Any] = {"pitch": key, "at": place / RATE, "length": len(sound_T) / RATE}
        if loop is not None:
            note["loop"] = [(place + at) / RATE for at in loop]
        notes.append(note)
        kept += [sound_T / loudest * 0.9, np.zeros(round(_GAP * RATE), dtype=np.float32)]
        place += len(sound_T) + len(kept[-1])
    whole_T = np.concatenate(kept).astype(np.float32)
    mp3 = base64.b64encode(_mp3(whole_T)).decode()
    # Where the sound begins shows by how much a browser's decoder has moved it.
    first = int(np.argmax(np.abs(whole_T) > 0.1 * np.abs(whole_T).max()))
    return {"mp3": mp3, "gain": loudest / 0.9, "first": first / RATE, "notes": notes}


def _keys(pitches: IntArray) -> IntArray:
    """Return the notes that stand for a range of pitches."""
    low, high = int(pitches.min()), int(pitches.max())
    count = (high - low) // APART + 1
    first = low + (high - low - (count - 1) * APART) // 2
    return first + APART * np.arange(count)


def _played(name: str, keys: IntArray, soundfont: Path) -> Iterator[Sound]:
    """Yield (T,) of each note, in one channel."""
    drums = name == DRUMS
    held = _DRUM_HELD if drums else _HELD
    each = round((held + _REST) * 1000)
    track = Track(is_drum=True) if drums else Track(program=int(name))
    # A thousand ticks to the second.
    score = Score.from_notes(
        np.arange(len(keys)) * each,
        round(held * 1000),
        keys,
        _VELOCITY,
        ticks_per_beat=500,
        tracks=(track,),
        length=len(keys) * each,
    )
    sound_T = np.concatenate([block_TC.mean(axis=1) for block_TC in blocks(score, soundfont, RATE)])
    borders = np.rint(np.arange(len(keys) + 1) * each * RATE / 1000).astype(int).tolist()
    for first, after in itertools.pairwise(borders):
        yield sound_T[first:after].astype(np.float32)


def _looped(note_T: Sound) -> tuple[Sound, tuple[int, int] | None]:
    """Return a note that goes on for ever from one place to another; None where it dies away."""
    cross, until = round(_CROSS * RATE), round((_HELD - 0.05) * RATE)
    early = np.abs(note_T[round(0.3 * RATE) : round(0.6 * RATE)]).max(initial=0.0)
    late = np.abs(note_T[until - round(0.3 * RATE) : until]).max(initial=0.0)
    if late < 0.4 * early or not late:
        return note_T, None
    begin = _like(note_T, until, cross)
    # Cross-faded: the end of the loop becomes what precedes its beginning, so that it does not
    # click.
    rise = np.linspace(0, 1, cross, dtype=np.float32)
    held_T = note_T[:until].copy()
    held_T[until - cross :] *= 1 - rise
    held_T[until - cross :] += note_T[begin - cross : begin] * rise
    # What follows is as after the beginning of the loop, wherever a decoder puts it.
    return np.concatenate([held_T, note_T[begin : begin + cross]]), (begin, until)


def _like(note_T: Sound, until: int, cross: int) -> int:
    """Return the place near the loop's beginning at which the wave is most like that at its end."""
    near, first = round(0.06 * RATE), round(_LOOP_FROM * RATE)
    window = 1024
    wanted = note_T[until - window : until]
    among = note_T[first - window : first + near]
    return first + int(np.correlate(among, wanted, mode="valid").argmax())


def _trimmed(note_T: Sound, loudest: float) -> Sound:
    """Return a note without the silence at its end, which it fades to."""
    heard = np.nonzero(np.abs(note_T) > _QUIET * loudest)[0]
    kept_T = note_T[: int(heard[-1]) + 1 if len(heard) else 1].copy()
    fade = min(len(kept_T), round(0.05 * RATE))
    kept_T[len(kept_T) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return kept_T


def _mp3(sound_T: Sound) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(
        file,
        sound_T,
        RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT",
        # 0 stands for 320 and 1 for 32 kilobits per second.
        compression_level=(320 - KBPS) / (320 - 32),
    )
    return file.getvalue()
