"""The sounds that a page plays with: which notes it has, how they go on, how much they take."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from musengine.api import Score, Track
from musengine_media.page import instruments
from musengine_media.page.instruments import sounds_for


@pytest.fixture(autouse=True)
def installed_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SoundFont be found that is installed: other tests are without one."""
    monkeypatch.delenv("MUSENGINE_SOUNDFONT", raising=False)


def played(*parts: tuple[int, list[int]], drums: tuple[int, ...] = ()) -> Score:
    """Return a score of a part for each program and its pitches, and of drums."""
    tracks = [Track(program=program) for program, _ in parts] + [Track(is_drum=True)]
    notes = [(index, pitch) for index, (_, pitches) in enumerate(parts) for pitch in pitches]
    notes += [(len(parts), pitch) for pitch in drums]
    onset = np.arange(len(notes))
    track, pitch = zip(*notes, strict=True)
    return Score.from_notes(onset, 1, pitch, track=track, ticks_per_beat=1, tracks=tracks)


def sound(instrument: dict[str, Any]) -> tuple[npt.NDArray[np.float64], int]:
    return soundfile.read(io.BytesIO(base64.b64decode(instrument["mp3"])))


def test_no_note_is_moved_by_more_than_three_semitones() -> None:
    pitches = list(range(30, 91))
    data = sounds_for([played((0, pitches))]).data
    kept = np.array([note["pitch"] for note in data["0"]["notes"]])
    assert np.abs(np.subtract.outer(pitches, kept)).min(axis=1).max() <= 3
    assert len(kept) < len(pitches) / 4


def test_drums_have_a_sound_for_each_that_is_struck() -> None:
    data = sounds_for([played((0, [60]), drums=(36, 42)), played((5, [60]), drums=(38,))]).data
    assert list(data) == ["0", "drums", "5"]
    assert [note["pitch"] for note in data["drums"]["notes"]] == [36, 38, 42]


@pytest.mark.parametrize(("program", "goes_on"), [(0, False), (19, True), (24, False)])
def test_what_is_held_goes_on_and_what_is_struck_dies_away(program: int, goes_on: bool) -> None:
    (note,) = sounds_for([played((program, [60]))]).data[str(program)]["notes"]
    assert ("loop" in note) is goes_on


def test_notes_are_where_they_are_said_to_be_and_at_their_pitch() -> None:
    organ = sounds_for([played((19, [48, 69]))]).data["19"]
    sound_T, rate = sound(organ)
    begins = np.argmax(np.abs(sound_T) > 0.1 * np.abs(sound_T).max()) / rate
    for note in organ["notes"]:
        first, after = (
            round((note[key] if key == "at" else note["at"] + 2.0) * rate)
            + round((begins - organ["first"]) * rate)
            for key in ("at", "end")
        )
        heard_T = sound_T[first + rate // 2 : after]
        power = np.abs(np.fft.rfft(heard_T * np.hanning(len(heard_T))))
        loudest = power.argmax() * rate / len(heard_T)
        octaves = np.log2(loudest / (440 * 2 ** ((note["pitch"] - 69) / 12)))
        # A church organ has stops that sound octaves higher.
        assert octaves == pytest.approx(round(octaves), abs=0.02)


def test_a_loop_goes_on_without_a_jump() -> None:
    organ = sounds_for([played((19, [60]))]).data["19"]
    sound_T, rate = sound(organ)
    begin, end = (round(at * rate) for at in organ["notes"][0]["loop"])
    steps = np.abs(np.diff(sound_T[begin:end])).max()
    assert abs(sound_T[end] - sound_T[begin]) < 2 * steps


def test_instruments_that_are_too_much_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "MOST_BYTES", 60_000)
    sounds = sounds_for([played((19, [60, 61]), (0, list(range(30, 90))))])
    assert list(sounds.data) == ["19"]
    assert "1 of the instruments" in sounds.remark


def test_without_a_soundfont_the_voice_is_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musengine_media.soundfonts.find", lambda: None)
    sounds = sounds_for([played((0, [60]))])
    assert sounds.data == {}
    assert "synthetic" in sounds.remark


def test_a_damaged_soundfont_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "bad.sf2").write_bytes(b"RIFF\0\0\0\0sfbk")
    monkeypatch.setenv("MUSENGINE_SOUNDFONT", str(tmp_path / "bad.sf2"))
    sounds = sounds_for([played((0, [60]))])
    assert sounds.data == {}
    assert "bad.sf2" in sounds.remark
