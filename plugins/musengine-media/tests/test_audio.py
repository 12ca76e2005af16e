from __future__ import annotations

import wave
from pathlib import Path

import made_soundfonts
import numpy as np
import pytest
import soundfile
from made_soundfonts import RATE

from musengine.api import Score, Text, Track
from musengine.errors import UnwritableError
from musengine.testing import score_of
from musengine_media import soundfonts
from musengine_media.audio import Mp3Writer, WavWriter
from musengine_media.config import Mp3Config, WavConfig


@pytest.fixture(scope="module")
def soundfont(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SoundFont whose sound is known."""
    path = tmp_path_factory.mktemp("sounds") / "sine.sf2"
    path.write_bytes(made_soundfonts.soundfont())
    return path


def played(score: Score, soundfont: Path, folder: Path, **options) -> tuple[np.ndarray, int]:
    """The samples (T, 2) of a score's sound file, and their rate."""
    writer = WavWriter(WavConfig(soundfont=soundfont, **options))
    assert writer.suffix == ".wav"
    path = folder / "piece.wav"
    writer.write(score, path)
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        data = file.readframes(file.getnframes())
        return np.frombuffer(data, dtype="<i2").reshape(-1, 2), file.getframerate()


def strongest(sound_TC: np.ndarray, rate: int) -> float:
    """The frequency in Hz with the most power, between the bins of a Fourier transform."""
    mono = sound_TC.sum(axis=1) * np.hanning(len(sound_TC))
    power = np.abs(np.fft.rfft(mono, 8 * len(mono)))
    return float(np.argmax(power) * rate / (8 * len(mono)))


def loudness(sound_TC: np.ndarray, rate: int) -> list[float]:
    """The root mean square of every second."""
    seconds = [sound_TC[i : i + rate] for i in range(0, len(sound_TC) - rate + 1, rate)]
    return [float(np.sqrt((second.astype(float) ** 2).mean())) for second in seconds]


# 4 ticks to the beat at 120 a minute: 8 ticks a second. A4 in the second second, E5 in the fourth,
# and silence to the end of the sixth.
TUNE = score_of([(8, 8, 69), (24, 8, 76)], length=48)


def test_notes_sound_when_and_as_high_as_they_are_written(soundfont, tmp_path):
    sound_TC, rate = played(TUNE, soundfont, tmp_path)
    # Six seconds, and two for what dies away.
    assert (rate, len(sound_TC)) == (RATE, 8 * RATE)
    loud = loudness(sound_TC, rate)
    silent = [loud[second] for second in (0, 2, 4, 5, 6, 7)]
    assert min(loud[1], loud[3]) > 20 * max(silent)
    assert strongest(sound_TC[rate + 4000 : 2 * rate - 4000], rate) == pytest.approx(440, abs=0.5)
    # A fifth of equal temperament higher: 440 * 2 ** (7 / 12) = 659.26 Hz.
    fifth = sound_TC[3 * rate + 4000 : 4 * rate - 4000]
    assert strongest(fifth, rate) == pytest.approx(659.26, abs=0.7)


def test_sound_goes_through_the_tempo_map(soundfont, tmp_path):
    # From tick 8 on twice as slow: the notes are at 1 to 3 and 5 to 7 seconds, the end at 11.
    slow = score_of([(8, 8, 69), (24, 8, 76)], tempos=[(0, 120), (8, 60)], length=48)
    sound_TC, rate = played(slow, soundfont, tmp_path)
    assert len(sound_TC) == 13 * RATE
    loud = loudness(sound_TC, rate)
    assert [second for second, rms in enumerate(loud) if rms > max(loud) / 10] == [1, 2, 5, 6]


def test_it_is_as_loud_as_it_can_be_and_never_clipped(soundfont, tmp_path):
    chord = score_of([(0, 8, pitch, 127) for pitch in range(40, 100)], length=8)
    quiet = score_of([(0, 8, 69, 1)], length=8)
    for score in (chord, quiet):
        sound_TC, _ = played(score, soundfont, tmp_path)
        assert np.abs(sound_TC.astype(int)).max() == round(0.9 * 32767)


def test_the_rate_can_be_chosen(soundfont, tmp_path):
    sound_TC, rate = played(TUNE, soundfont, tmp_path, rate=8000)
    assert (rate, len(sound_TC)) == (8000, 64_000)
    assert strongest(sound_TC[9000:15_000], rate) == pytest.approx(440, abs=1)


def test_a_piece_without_notes_is_silence(soundfont, tmp_path):
    sound_TC, _ = played(score_of([], length=8), soundfont, tmp_path)
    assert sound_TC.shape == (3 * RATE, 2)
    assert not sound_TC.any()


def test_a_piece_of_many_tracks_and_drums_is_played(soundfont, tmp_path):
    tracks = [Track(str(n), n, n == 3) for n in range(20)]
    notes = [(n, 8, 50 + n, 80, n) for n in range(20)]
    sound_TC, _ = played(score_of(notes, tracks=tracks), soundfont, tmp_path)
    assert sound_TC.any()


def test_a_piece_that_is_too_long_is_refused_before_it_is_played(soundfont, tmp_path):
    endless = score_of([(2**40, 8, 60)])
    with pytest.raises(UnwritableError, match=r"a sound file of \d+ seconds is longer than"):
        played(endless, soundfont, tmp_path)
    with pytest.raises(UnwritableError, match="6 seconds is longer than longest = 5 allows"):
        played(TUNE, soundfont, tmp_path, longest=5.0)


@pytest.mark.parametrize("keep", [13, 100, 3000, 20_400])
def test_a_damaged_soundfont_is_said_in_a_line(soundfont, tmp_path, keep):
    damaged = tmp_path / "damaged.sf2"
    damaged.write_bytes(soundfont.read_bytes()[:keep])
    with pytest.raises(UnwritableError) as caught:
        played(TUNE, damaged, tmp_path)
    (line,) = caught.value.lines
    assert line.startswith(f"the SoundFont {damaged} cannot be used: ")


def test_an_mp3_file_holds_the_same_sound(soundfont, tmp_path):
    writer = Mp3Writer(Mp3Config(soundfont=soundfont))
    path = tmp_path / ("piece" + writer.suffix)
    writer.write(TUNE, path)
    again = tmp_path / "again.mp3"
    writer.write(TUNE, again)
    assert path.read_bytes() == again.read_bytes()
    # 8 seconds of 128 kbit.
    assert path.stat().st_size == pytest.approx(128_000, rel=0.02)
    sound_TC, rate = soundfile.read(path)
    assert (soundfile.info(path).format, rate) == ("MP3", RATE)
    plain_TC, _ = played(TUNE, soundfont, tmp_path)
    assert sound_TC.shape == plain_TC.shape
    assert np.abs(sound_TC - plain_TC / 32768).mean() < 0.01
    assert strongest(sound_TC[rate + 4000 : 2 * rate - 4000], rate) == pytest.approx(440, abs=0.5)


@pytest.mark.parametrize(("rate", "kbps", "heard"), [(44_100, 320, 320), (22_050, 64, 64)])
def test_bit_rates_are_those_that_are_asked_for(soundfont, tmp_path, rate, kbps, heard):
    path = tmp_path / "piece.mp3"
    Mp3Writer(Mp3Config(soundfont=soundfont, rate=rate, kbps=kbps)).write(TUNE, path)
    assert path.stat().st_size == pytest.approx(heard * 1000, rel=0.03)


def test_a_rate_that_mp3_does_not_have_is_a_mistake_in_the_pipeline():
    assert [key for key, _ in Mp3Config(rate=96_000).problems()] == ["rate"]
    assert list(Mp3Config(rate=48_000).problems()) == []


def test_texts_are_not_played(tmp_path):
    with pytest.raises(TypeError, match="sound is made of scores"):
        WavWriter(WavConfig()).write(Text("X:1"), tmp_path / "piece.wav")


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"MThd\0\0\0\6\0\1\0\1\1"])
def test_what_is_no_soundfont_is_a_mistake_in_the_pipeline(tmp_path, content):
    path = tmp_path / "odd.sf2"
    path.write_bytes(content)
    ((key, message),) = WavConfig(soundfont=path).problems()
    assert (key, message) == ("soundfont", f"{path} is no SoundFont (.sf2 or .sf3)")
    ((_, message),) = WavConfig(soundfont=tmp_path / "none.sf2").problems()
    assert message.startswith(f"the SoundFont {tmp_path / 'none.sf2'} cannot be read: ")
    ((_, message),) = WavConfig(soundfont=tmp_path).problems()
    assert message.startswith(f"the SoundFont {tmp_path} cannot be read: ")


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one place on this system where SoundFonts are."""
    folder = tmp_path / "soundfonts"
    monkeypatch.delenv(soundfonts.VARIABLE, raising=False)
    monkeypatch.setattr(soundfonts, "bundled", lambda: None)
    monkeypatch.setattr(soundfonts, "places", lambda: iter([tmp_path / "nowhere", folder]))
    return folder


def test_without_a_soundfont_a_line_says_which_package_has_one(usual, tmp_path):
    assert soundfonts.find() is None
    lack = WavConfig().lacks()
    assert "\n" not in lack
    assert "pip install pretty_midi" in lack
    # Named nowhere, it is no mistake of the pipeline's: the run goes on.
    assert list(WavConfig().problems()) == []


def test_a_soundfont_is_found_where_the_system_keeps_them(usual, tmp_path, monkeypatch):
    usual.mkdir()
    (usual / "a.sf2").write_bytes(b"no SoundFont at all")
    (usual / "default.sf2").symlink_to(tmp_path / "gone.sf2")
    assert soundfonts.find() is None
    for name in ("b.SF2", "TimGM6mb.sf2"):
        (usual / name).write_bytes(b"RIFF\0\0\0\0sfbk")
    # A complete set of instruments goes before the first in the alphabet.
    assert soundfonts.find() == usual / "TimGM6mb.sf2"
    assert WavConfig().lacks() == ""
    monkeypatch.setenv(soundfonts.VARIABLE, str(usual / "b.SF2"))
    assert soundfonts.find() == usual / "b.SF2"
    monkeypatch.setenv(soundfonts.VARIABLE, str(usual / "a.sf2"))
    assert WavConfig().lacks() == f"{usual / 'a.sf2'} is no SoundFont (.sf2 or .sf3)"


def test_the_font_of_a_library_is_there_when_the_system_has_none(monkeypatch):
    monkeypatch.delenv(soundfonts.VARIABLE, raising=False)
    monkeypatch.setattr(soundfonts, "places", lambda: iter(()))
    found = soundfonts.find()
    assert found is not None
    assert found.name == "TimGM6mb.sf2"
    assert WavConfig().lacks() == Mp3Config().lacks() == ""


def test_the_usual_places_are_folders():
    assert all(isinstance(place, Path) for place in soundfonts.places())
    assert list(soundfonts.places())
