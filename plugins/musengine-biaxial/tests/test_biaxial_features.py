"""The 80 features: worked out by hand, and by a literal reference on real music."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from biaxial_toys import BOTH, PLAY, beat_of, features_by_hand, grid

from musengine.testing import read_midi, unpack
from musengine_biaxial.config import BiaxialConfig, BiaxialEncoderConfig
from musengine_biaxial.encoder import BiaxialEncoder
from musengine_biaxial.features import Features

CLASSIC = BiaxialConfig(beat="classic", position="index")


def told(steps: np.ndarray, lowest: int, first: int, config: BiaxialConfig = CLASSIC) -> np.ndarray:
    channels = BOTH if steps.shape[-1] == 2 else PLAY
    features = Features(config, grid(channels, lowest, steps.shape[-2])).double()
    beat = torch.from_numpy(beat_of(first, len(steps)))
    return features(torch.from_numpy(steps), beat).numpy()


def ones(row: np.ndarray) -> dict[int, float]:
    """What is not nought in a row."""
    return {int(k): float(row[k]) for k in np.flatnonzero(row)}


def test_held_restruck_lowest_and_highest_notes_by_hand() -> None:
    # 78 notes from 24. In the step before, 24 is held, 30 struck again while it sounds, 101 held.
    state = np.zeros((1, 78, 2), dtype=np.uint8)
    state[0, 0] = (1, 0)
    state[0, 6] = (1, 1)
    state[0, 77] = (1, 0)
    rows = told(state, 24, 21)[0]
    assert rows.shape == (78, 80)
    # Step 21 is 5 in its 16: 0101 from the lowest bit: 1, 0, 1, 0. The last number is always 0.
    beat = {75: 1.0, 76: -1.0, 77: 1.0, 78: -1.0}
    # Offset k stands at 13 + 2 (k + 12): its own at 37 and 38, 6 above at 49 and 50, 6 below at 25.
    # Pitch classes: 24 is C = 0, 30 is F sharp = 6, 101 is F = 5. Counted from each note's own:
    # for 24: C at 63, F sharp at 69, F at 68.
    assert ones(rows[0]) == {1: 1, 37: 1, 49: 1, 50: 1, 63: 1, 69: 1, 68: 1, **beat}
    # For 30, number 6: class at 1 + 6; 24 lies 6 below; own class at 63, C 6 further at 69, F 11
    # further at 74.
    assert ones(rows[6]) == {0: 6, 7: 1, 25: 1, 37: 1, 38: 1, 63: 1, 69: 1, 74: 1, **beat}
    # For 101, number 77: class at 1 + 5; nobody near, nobody above; C 7 further, F sharp 1.
    assert ones(rows[77]) == {0: 77, 6: 1, 37: 1, 63: 1, 70: 1, 64: 1, **beat}
    # Number 66, pitch 90: class F sharp; 101 lies 11 above, at 13 + 2 · 23 = 59.
    assert ones(rows[66]) == {0: 66, 7: 1, 59: 1, 63: 1, 69: 1, 74: 1, **beat}
    # Number 64: 101 lies 13 above, out of sight, and must not wrap round to 24 either.
    assert ones(rows[64]) == {0: 64, 5: 1, 65: 1, 71: 1, 64: 1, **beat}


def test_several_notes_of_one_class_are_counted() -> None:
    state = np.zeros((1, 30, 2), dtype=np.uint8)
    state[0, [0, 12, 24], 0] = 1
    assert told(state, 60, 0)[0, 0, 63] == 3
    # From D, two classes up, C stands ten further.
    assert told(state, 60, 0)[0, 2, 73] == 3


@pytest.mark.parametrize(("lowest", "pitches"), [(24, 78), (21, 88), (24, 80), (61, 5)])
def test_real_pieces_equal_the_literal_reference(
    data_folder: Path, tmp_path: Path, lowest: int, pitches: int
) -> None:
    highest = lowest + pitches - 1
    encoder = BiaxialEncoder(BiaxialEncoderConfig(lowest=lowest, highest=highest))
    for path in unpack(data_folder / "piano-midi-de/piano-midi-de.tar.gz", tmp_path, 2):
        steps = encoder.encode(read_midi(path)).steps[:40]
        assert steps[..., 0].any()
        assert (steps[..., 0] & ~steps[..., 1]).any(), "nothing is held here"
        features = told(steps, lowest, 3)
        for t, state in enumerate(steps):
            np.testing.assert_array_equal(features[t], features_by_hand(state, lowest, 3 + t))


def test_play_alone_takes_half_the_vicinity() -> None:
    state = (np.random.default_rng(0).random((4, 20, 1)) < 0.3).astype(np.uint8)
    # With the articulate bits left out of the literal 80 (every other one of 13 to 62).
    both = np.concatenate([state, np.zeros_like(state)], axis=-1)
    left = np.r_[0:13, 13:63:2, 63:80]
    for t in range(4):
        expected = features_by_hand(both[t], 40, t)[:, left]
        np.testing.assert_array_equal(told(state, 40, 0)[t], expected)


def test_the_place_as_a_share_goes_from_nought_to_one() -> None:
    state = np.zeros((1, 5, 2), dtype=np.uint8)
    place = told(state, 60, 0, BiaxialConfig(beat="none"))[0, :, 0]
    assert place.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert told(state, 60, 0, BiaxialConfig(beat="none")).shape == (1, 5, 75)


def test_the_beat_by_the_meter() -> None:
    # Step 6 of sixteenths in 4/4: 6/16 of the bar, 2/4 of the beat; then twice these.
    state = np.zeros((1, 2, 2), dtype=np.uint8)
    waves = told(state, 60, 6, BiaxialConfig(beat="meter"))[0, :, -8:]
    shares = np.array([0.375, 0.5, 0.75, 1.0])
    expected = [*np.cos(2 * np.pi * shares), *np.sin(2 * np.pi * shares)]
    np.testing.assert_allclose(waves, [expected] * 2, atol=1e-6)
