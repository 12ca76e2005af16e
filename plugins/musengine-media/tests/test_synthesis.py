from __future__ import annotations

import io
import struct
from pathlib import Path

import made_soundfonts
import numpy as np
import pytest
import soundfile
from made_soundfonts import LOOPED, RATE

from musengine.api import BEND, Score, Track
from musengine.errors import UnwritableError
from musengine.testing import score_of
from musengine_media import soundfonts
from musengine_media.synthesis import player, render, soundfont
from musengine_media.synthesis.soundfont import SoundFont

SECOND = 8
"""Ticks, of four to the beat and 120 beats a minute."""


def played(score: Score, folder: Path, *zones: made_soundfonts.Generators, **more) -> np.ndarray:
    """(T, 2) of a score on a font of a sine with some generators."""
    path = folder / "made.sf2"
    path.write_bytes(made_soundfonts.soundfont(*zones, **more))
    return render(score, path)


def rms(sound_TC: np.ndarray, begin: float, end: float) -> float:
    """The root mean square between two seconds, both sides together."""
    return float(np.sqrt((sound_TC[round(begin * RATE) : round(end * RATE)] ** 2).mean()))


def decibels(sound_TC: np.ndarray, one: float, other: float, long: float = 0.1) -> float:
    """How much louder it is from one second on than from another on."""
    return 20 * np.log10(rms(sound_TC, one, one + long) / rms(sound_TC, other, other + long))


def power(sound_TC: np.ndarray, begin: float, end: float, hertz: float) -> float:
    """The share of the power between two seconds that is within 3 % of a frequency."""
    mono = sound_TC[round(begin * RATE) : round(end * RATE)].sum(axis=1)
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono)))) ** 2
    frequency = np.fft.rfftfreq(len(mono), 1 / RATE)
    near = np.abs(frequency - hertz) < 0.03 * hertz
    return float(spectrum[near].sum() / spectrum.sum())


def hertz(key: float) -> float:
    return 440 * 2 ** ((key - 69) / 12)


def test_velocity_is_a_square_law(tmp_path):
    notes = [(0, SECOND, 69, 127), (2 * SECOND, SECOND, 69, 64)]
    sound = played(score_of(notes), tmp_path)
    assert decibels(sound, 0.5, 2.5) == pytest.approx(40 * np.log10(127 / 64), abs=0.05)


@pytest.mark.parametrize("number", [7, 11])
def test_volume_and_expression_are_a_square_law(tmp_path, number):
    score = score_of(
        [(0, 4 * SECOND, 69)], controls=[(0, 0, number, 127), (2 * SECOND, 0, number, 32)]
    )
    sound = played(score, tmp_path)
    assert decibels(sound, 1, 3) == pytest.approx(40 * np.log10(127 / 32), abs=0.05)
    # No step, which would be heard as a click: no frame is further from the next than in a sine.
    assert np.abs(np.diff(sound[:, 0])).max() < 1.02 * 0.9 * 2 * np.pi * 440 / RATE


def test_a_pedal_holds_notes_until_it_goes_up_or_they_are_struck_again(tmp_path):
    held = score_of(
        [(0, SECOND, 69), (3 * SECOND, 1, 76)],
        controls=[(4, 0, 64, 127), (5 * SECOND, 0, 64, 0)],
        length=7 * SECOND,
    )
    sound = played(held, tmp_path)
    assert power(sound, 1.5, 2.5, 440) > 0.99
    assert 0.1 < power(sound, 4, 4.9, 440) < 0.9
    assert rms(sound, 5.2, 7) < 1e-4
    # Without the pedal the first note is gone after its second.
    bare = played(score_of([(0, SECOND, 69), (3 * SECOND, 1, 76)]), tmp_path)
    assert rms(bare, 1.2, 2.9) < 1e-4
    # A reset of all controllers lifts it.
    reset = score_of([(0, SECOND, 69)], controls=[(4, 0, 64, 127), (2 * SECOND, 0, 121, 0)])
    sound = played(reset, tmp_path)
    assert rms(sound, 1.2, 1.9) > 0.1
    assert rms(sound, 2.2, 3) < 1e-4


def test_bends_go_two_semitones_or_as_far_as_a_file_says(tmp_path):
    up = [(2 * SECOND, 0, BEND, 8191)]
    sound = played(score_of([(0, 4 * SECOND, 60)], controls=up), tmp_path)
    assert power(sound, 0.5, 1.5, hertz(60)) > 0.99
    assert power(sound, 2.5, 3.5, hertz(62)) > 0.99
    octave = [(0, 0, 101, 0), (0, 0, 100, 0), (0, 0, 6, 12), *up]
    sound = played(score_of([(0, 4 * SECOND, 60)], controls=octave), tmp_path)
    assert power(sound, 2.5, 3.5, hertz(72)) > 0.99


def test_the_place_of_a_track_and_of_a_region_are_heard(tmp_path):
    tracks = [Track("left"), Track("right")]
    score = score_of(
        [(0, SECOND, 69, 80, 0), (SECOND, SECOND, 69, 80, 1)],
        tracks=tracks,
        controls=[(0, 0, 10, 0), (0, 1, 10, 127)],
    )
    sound = played(score, tmp_path)
    assert np.abs(sound[: RATE // 2, 1]).max() < 1e-6 < np.abs(sound[: RATE // 2, 0]).max()
    later = sound[RATE + RATE // 4 : 2 * RATE]
    assert np.abs(later[:, 0]).max() < 1e-6 < np.abs(later[:, 1]).max()
    sound = played(score_of([(0, SECOND, 69)]), tmp_path, [LOOPED, (17, -500)])
    assert np.abs(sound[:, 1]).max() < 1e-6 < np.abs(sound[:, 0]).max()


def test_layers_sound_for_their_keys_and_velocities(tmp_path):
    low_soft = [LOOPED, (43, 60 << 8), (44, 64 << 8)]
    fifth_up = [LOOPED, (43, 127 << 8 | 61), (51, 7)]
    notes = [(0, SECOND, 60, 60), (2 * SECOND, SECOND, 60, 65), (4 * SECOND, SECOND, 61, 65)]
    zones = [[(kind, amount - 65536 * (amount > 32767)) for kind, amount in zone]
             for zone in (low_soft, fifth_up)]  # fmt: skip
    sound = played(score_of(notes), tmp_path, *zones)
    assert power(sound, 0.1, 0.9, hertz(60)) > 0.99
    assert rms(sound, 2.1, 2.9) < 1e-4
    assert power(sound, 4.1, 4.9, hertz(68)) > 0.99


def test_generators_of_tuning_and_attenuation(tmp_path):
    half = [LOOPED, (56, 50), (58, 69), (52, 25)]
    sound = played(score_of([(0, SECOND, 81)]), tmp_path, half)
    # Twelve keys of 50 cents, and 25 cents.
    assert power(sound, 0.1, 0.9, hertz(75.25)) > 0.99
    # 25 dB, of which fonts mean 0.4, on keys from 70 on.
    loud, soft = [LOOPED, (43, 69 << 8)], [LOOPED, (43, (127 << 8 | 70) - 65536 * 0), (48, 250)]
    sound = played(score_of([(0, SECOND, 69), (SECOND * 2, SECOND, 70)]), tmp_path, loud, soft)
    assert decibels(sound, 0.5, 2.5) == pytest.approx(10, abs=0.05)


def test_a_sound_falls_and_stays_as_its_envelope_says(tmp_path):
    # Attack of half a second; then 100 dB would take 4 s, but it stays at 20 dB less; released,
    # 100 dB take 1 s. A time is 1200 times its logarithm to base 2.
    zone = [LOOPED, (34, -1200), (36, 2400), (37, 200), (38, 0)]
    sound = played(score_of([(0, 3 * SECOND, 69)]), tmp_path, zone)
    assert rms(sound, 0.24, 0.26) / rms(sound, 0.49, 0.51) == pytest.approx(0.5, abs=0.02)
    assert decibels(sound, 0.6, 0.8, 0.02) == pytest.approx(5, abs=0.2)
    assert decibels(sound, 1.0, 2.5, 0.02) == pytest.approx(20 - 12.75, abs=0.2)
    assert decibels(sound, 2.0, 2.8, 0.02) == pytest.approx(0, abs=0.1)
    assert decibels(sound, 3.1, 3.3, 0.02) == pytest.approx(20, abs=0.3)


def test_a_filter_takes_twelve_decibels_an_octave(tmp_path):
    # 8.176 Hz * 2 ** (7800 / 1200) is 740 Hz; the notes are 440 Hz and three octaves higher.
    dull = [LOOPED, (8, 7800)]
    notes = [(0, SECOND, 69), (2 * SECOND, SECOND, 105)]
    sound = played(score_of(notes), tmp_path, dull)
    # A fifth-octave step of cutoffs, and (3520 / 740) ** 2 against (440 / 740) ** 2.
    gain = [1 / np.hypot(1 - (f / 740) ** 2, f / 740 * 2**0.5) for f in (440, 3520)]
    assert decibels(sound, 0.5, 2.5) == pytest.approx(20 * np.log10(gain[0] / gain[1]), abs=3)


def test_regions_of_a_group_silence_each_other(tmp_path):
    notes = [(0, 4 * SECOND, 69), (2 * SECOND, 2 * SECOND, 76)]
    sound = played(score_of(notes), tmp_path, [LOOPED, (57, 1)])
    assert power(sound, 0.5, 1.5, 440) > 0.99
    assert power(sound, 2.5, 3.5, hertz(76)) > 0.99
    together = played(score_of(notes), tmp_path)
    assert 0.3 < power(together, 2.5, 3.5, 440) < 0.7


def test_a_compressed_sound_is_played(tmp_path):
    data = io.BytesIO()
    tone = np.frombuffer(made_soundfonts.sine(), "<i2")[:10_000] / 32768
    soundfile.write(data, tone, RATE, format="OGG", subtype="VORBIS")
    score = score_of([(0, 2 * SECOND, 69)])
    sound = played(score, tmp_path, samples=data.getvalue(), kind=17)
    assert power(sound, 0.5, 1.5, 440) > 0.99


def test_blocks_do_not_show(tmp_path, monkeypatch):
    score = score_of(
        [(0, 6, 69), (3, 9, 76), (5, 1, 50)],
        controls=[(2, 0, 7, 60), (4, 0, BEND, 4000), (6, 0, 64, 127)],
    )
    whole = played(score, tmp_path)
    monkeypatch.setattr(player, "_BLOCK", 997)
    assert np.abs(played(score, tmp_path) - whole).max() < 1e-4


def test_more_voices_than_are_heard_end_the_oldest(tmp_path, monkeypatch):
    monkeypatch.setattr(player, "MOST_VOICES", 2)
    notes = [(n * SECOND, (4 - n) * SECOND, 60 + 5 * n) for n in range(3)]
    sound = played(score_of(notes), tmp_path)
    shares = [power(sound, 2.5, 3.5, hertz(60 + 5 * n)) for n in range(3)]
    assert shares[0] < 1e-3 < 0.4 < min(shares[1:])


# What follows is played with the font that is installed with musengine-media.


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Path:
    path = soundfonts.bundled()
    assert path is not None
    return path


def test_a_chord_of_the_installed_piano_is_where_its_notes_are(installed):
    chord = [60, 64, 67]
    score = score_of([(SECOND, SECOND, key) for key in chord], length=5 * SECOND)
    sound = render(score, installed)
    assert sound.dtype == np.float32
    assert sound.shape == (7 * RATE, 2)
    assert np.abs(sound).max() == pytest.approx(0.9)
    assert rms(sound, 0, 0.99) < 1e-5
    assert rms(sound, 4, 7) < 1e-3
    assert min(power(sound, 1.05, 1.9, hertz(key)) for key in chord) > 0.03
    assert max(power(sound, 1.05, 1.9, hertz(key)) for key in (61, 63, 65, 66, 70)) < 0.002
    # As it was, to the byte.
    assert np.array_equal(render(score, installed), sound)


def test_programs_and_drums_sound_unlike_each_other(installed):
    def spectrum(track: Track, key: int) -> np.ndarray:
        sound = render(score_of([(0, SECOND, key)], tracks=[track]), installed)[: RATE // 2]
        bands = np.abs(np.fft.rfft(sound.sum(axis=1)))[:10_000].reshape(100, 100).mean(axis=1)
        return bands / np.linalg.norm(bands)

    sounds = [spectrum(Track("", program), 60) for program in (0, 19, 40, 56, 73)]
    sounds += [spectrum(Track("", 0, True), key) for key in (36, 38, 42, 49)]
    alike = np.array([[one @ other for other in sounds] for one in sounds]) - np.eye(len(sounds))
    assert alike.max() < 0.995
    # A drum is no note of a piano, and a cymbal is high.
    assert spectrum(Track("", 0, True), 42).argmax() > 30 > spectrum(Track("", 0), 42).argmax()


def test_a_bank_or_kit_that_a_font_lacks_is_the_nearest_it_has(installed):
    font = SoundFont(installed)
    assert font.struck(99, 40, 60, 80) == font.struck(0, 40, 60, 80)
    assert font.struck(128, 99, 38, 80) == font.struck(128, 0, 38, 80) != ()


# Files from strangers.


def test_a_font_of_endless_zones_is_refused(tmp_path, monkeypatch):
    font = bytearray(made_soundfonts.soundfont(*[[LOOPED]] * 600))
    # The preset's only zone becomes 600 of the instrument.
    at = font.index(b"pbag") + 4
    bags = struct.pack("<HHHH", 0, 0, 1, 0) * 300 + struct.pack("<HH", 0, 0)
    old = struct.unpack_from("<I", font, at)[0]
    font[at : at + 4 + old] = struct.pack("<I", len(bags)) + bags
    for size_at in (4, font.index(b"pdta") - 4):
        size = struct.unpack_from("<I", font, size_at)[0] + len(bags) - old
        struct.pack_into("<I", font, size_at, size)
    last = font.index(b"EOP") + 24
    struct.pack_into("<H", font, last, 600)
    path = tmp_path / "endless.sf2"
    path.write_bytes(font)
    monkeypatch.setattr(soundfont, "MOST_ZONES", 5000)
    with pytest.raises(UnwritableError, match="more than 5000 zones"):
        render(score_of([(0, 8, 69)]), path)


def test_no_bytes_of_a_font_do_harm(tmp_path):
    whole = made_soundfonts.soundfont([LOOPED, (8, 9000)], [(17, 100), (57, 3)])
    tables = whole.index(b"phdr")
    rng = np.random.default_rng(1)
    score = score_of([(0, 4, 69), (2, 6, 45), (4, 2, 127)], controls=[(0, 0, BEND, 100)])
    path, outcomes = tmp_path / "odd.sf2", {"played": 0, "refused": 0}
    for trial in range(100):
        font = bytearray(whole)
        for _ in range(int(rng.integers(1, 12))):
            place = int(rng.integers(tables if trial % 3 else 0, len(font)))
            font[place] = int(rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))]))
        path.write_bytes(font[: int(rng.integers(len(font)))] if trial % 10 == 0 else font)
        outcomes[outcome(score, path)] += 1
    assert min(outcomes.values()) > 10


def outcome(score: Score, path: Path) -> str:
    try:
        sound = render(score, path, rate=8000)
    except UnwritableError:
        return "refused"
    assert np.isfinite(sound).all()
    return "played"
