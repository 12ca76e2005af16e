"""The biaxial encoder: play and articulate, the beat, and what becomes of other meters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musengine.api import DecodeSettings, GridStep, Meter, Score, Text, Track
from musengine.testing import problem, read_midi, unpack
from musengine_biaxial.config import BiaxialEncoderConfig
from musengine_biaxial.encoder import BiaxialEncoder

TICKS = 4  # to a beat: a tick is a sixteenth, a step


def encoder(**settings: Any) -> BiaxialEncoder:
    return BiaxialEncoder(BiaxialEncoderConfig(**{"lowest": 60, "highest": 64, **settings}))


def score(notes: list[tuple[int, int, int]], **more: Any) -> Score:
    onset, duration, pitch = zip(*notes, strict=True)
    return Score.from_notes(onset, duration, pitch, ticks_per_beat=TICKS, **more)


def test_held_and_restruck_notes() -> None:
    # 60 is struck at 0 and again at 2 while it sounds; 64 is held from 1 to 4.
    encoded = encoder().encode(score([(0, 2, 60), (2, 1, 60), (1, 3, 64)]))
    play, articulate = encoded.steps[..., 0], encoded.steps[..., 1]
    assert play[:, 0].tolist() == [1, 1, 1, 0]
    assert articulate[:, 0].tolist() == [1, 0, 1, 0]
    assert play[:, 4].tolist() == [0, 1, 1, 1]
    assert articulate[:, 4].tolist() == [0, 1, 0, 0]


def test_events_go_to_the_nearest_sixteenth() -> None:
    # 24 ticks to a beat, 6 to a step: 2 ticks late is step 0, 3 and 4 late are step 1.
    late = Score.from_notes([2, 3, 4], [6, 6, 6], [60, 62, 64], ticks_per_beat=24)
    steps = encoder().encode(late).steps[..., 1]
    assert [int(np.flatnonzero(steps[:, row])[0]) for row in (0, 2, 4)] == [0, 1, 1]


def test_what_is_out_of_range_is_counted_and_drums_are_left_out() -> None:
    tracks = (Track(), Track(is_drum=True))
    mixed = Score.from_notes(
        [0, 0, 0, 0],
        4,
        [59, 65, 62, 63],
        track=[0, 0, 0, 1],
        ticks_per_beat=TICKS,
        tracks=tracks,
    )
    encoded = encoder().encode(mixed)
    assert encoded.dropped == {"notes out of range": 2}
    assert encoded.steps[..., 0].sum(axis=0).tolist() == [0, 0, 4, 0, 0]
    assert encoder(drums=True).encode(mixed).steps[..., 0].sum() == 8
    with problem("no-notes"):
        encoder(lowest=70, highest=80).encode(mixed)
    with problem("text-not-score"):
        encoder().encode(Text("abc"))


def test_the_beat_in_common_and_other_time() -> None:
    # One bar of 4/4 (16 steps), then 6/8: bars of 12 steps, a beat is an eighth, 2 steps.
    piece = score([(0, 16, 60), (16, 24, 62)], meters=[(0, 4, 4), (16, 6, 8)])
    beat = encoder().encode(piece).conditioning["beat"]
    assert beat.dtype == np.float32
    assert beat[:, 0].tolist() == list(range(40))
    np.testing.assert_allclose(beat[:16, 1], np.arange(16) / 16)
    np.testing.assert_allclose(beat[:16, 2], np.arange(16) % 4 / 4)
    np.testing.assert_allclose(beat[16:, 1], np.arange(24) % 12 / 12, atol=1e-7)
    np.testing.assert_allclose(beat[16:, 2], np.arange(24) % 2 / 2, atol=1e-6)


@pytest.mark.parametrize(("meter", "step"), [("4/4", "1/4"), ("3/4", "1/3"), ("7/8", "1/8")])
def test_generated_steps_are_told_what_encoded_ones_are(meter: str, step: str) -> None:
    parsed, size = Meter.from_toml(meter, Path()), GridStep.from_toml(f"{step} beat", Path())
    made = encoder(step=size)
    signature = (0, parsed.numerator, parsed.denominator)
    piece = Score.from_notes([0], [2400], [60], ticks_per_beat=24, meters=[signature])
    encoded = made.encode(piece).conditioning["beat"]
    settings = DecodeSettings(meter=parsed)
    np.testing.assert_allclose(
        made.conditioning(0, len(encoded), settings)["beat"], encoded, atol=1e-6
    )
    np.testing.assert_allclose(
        made.conditioning(31, 20, settings)["beat"], encoded[31:51], atol=1e-6
    )


def test_the_beat_of_steps_in_seconds() -> None:
    # At 30 beats a minute a step of half a second is a quarter of a beat: 16 to the bar.
    half = GridStep.from_toml("0.5 seconds", Path())
    piece = score([(0, 32, 60)], tempos=[(0, 30.0)])
    beat = encoder(step=half).encode(piece).conditioning["beat"]
    np.testing.assert_allclose(beat[:, 1], np.arange(32) % 16 / 16)
    settings = DecodeSettings(tempo=30.0)
    np.testing.assert_allclose(encoder(step=half).conditioning(0, 32, settings)["beat"], beat)


WALTZ_AFTER = [(0, 4, 4), (16, 3, 4), (28, 4, 4)]
NOTES = [(0, 4, 60), (12, 8, 62), (16, 4, 64), (28, 4, 60)]


def test_other_meters_are_kept_cut_or_skipped() -> None:
    piece = score(NOTES, meters=WALTZ_AFTER)
    kept = encoder().encode(piece)
    assert len(kept.steps) == 32
    assert not kept.dropped
    cut = encoder(meters="cut").encode(piece)
    # It ends where 3/4 begins; the note that sounds there is cut, two begin later.
    assert len(cut.steps) == 16
    assert cut.steps[:, 2, 0].tolist() == [0] * 12 + [1] * 4
    assert cut.dropped == {"notes after a meter that is not wanted": 2}
    np.testing.assert_array_equal(cut.steps, kept.steps[:16])
    with problem("meter-unwanted"):
        encoder(meters="skip").encode(piece)
    wanted = encoder(meters="skip", numerators=(3, 4)).encode(piece)
    np.testing.assert_array_equal(wanted.steps, kept.steps)
    with problem("meter-unwanted"):
        encoder(meters="cut").encode(score(NOTES, meters=[(0, 3, 4)]))
    assert list(BiaxialEncoderConfig(numerators=()).problems())


def test_a_struck_note_that_sounds_ends_first_and_all_end_at_the_end() -> None:
    steps = np.zeros((4, 5, 2), dtype=np.uint8)
    steps[:, 1, 0] = 1
    steps[[0, 2], 1, 1] = 1
    decoded = encoder().decode(steps, DecodeSettings())
    # Steps of 120 ticks: from 0 to 2, struck again, and to the end.
    assert decoded.onset.tolist() == [0, 240]
    assert decoded.duration.tolist() == [240, 240]
    assert decoded.pitch.tolist() == [61, 61]


def test_encoding_what_was_decoded_changes_nothing_on_real_music(
    data_folder: Path, tmp_path: Path
) -> None:
    made = BiaxialEncoder(BiaxialEncoderConfig())
    for path in unpack(data_folder / "nottingham/nottingham-midi.tar.gz", tmp_path, 12):
        encoded = made.encode(read_midi(path))
        again = made.encode(made.decode(encoded.steps, DecodeSettings()))
        np.testing.assert_array_equal(again.steps, encoded.steps)
        onsets = encoded.steps[..., 1].astype(int)
        # A note is struck only where it plays, and plays from nothing only where it is struck.
        assert (onsets <= encoded.steps[..., 0]).all()
        starts = np.diff(encoded.steps[..., 0].astype(int), axis=0, prepend=0) > 0
        assert (onsets[starts] == 1).all()
        seconds = made.elapsed(encoded.steps, "seconds", DecodeSettings(tempo=90.0))
        assert seconds[-1] == pytest.approx(len(encoded.steps) / 4 * 60 / 90)
