"""Scores to notes and back: fields by hand, and what stays as it is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from musengine.api import DecodeSettings, GridStep, Meter, Piece, Score, Text, Track, read_scores
from musengine.errors import UnreadableError
from musengine.testing import unpack
from musengine.testing.strategies import few, scores
from musengine_notes.config import NotesEncoderConfig
from musengine_notes.encoder import Notes

HUNDREDTHS = GridStep(Fraction(1, 100), "seconds")
PIANO, BASS, DRUMS = Track("p", 0), Track("b", 33), Track("d", 0, is_drum=True)


def encoder(*learned: Score, **settings: Any) -> Notes:
    made = Notes(NotesEncoderConfig(**settings))
    made.fit([Piece(str(number), score) for number, score in enumerate(learned)])
    return made


def band(*, upbeat: int = 0, **more: Any) -> Score:
    """Four beats of 480 ticks: a drum and a bass note, a chord, and a note after three beats."""
    return Score.from_notes(
        [0, 0, 480, 480, 1440],
        [30, 960, 480, 240, 480],
        [36, 40, 64, 60, 67],
        [127, 80, 64, 64, 1],
        [2, 1, 0, 0, 0],
        ticks_per_beat=480,
        tracks=[PIANO, BASS, DRUMS],
        **more,
    )


class TestFields:
    def test_a_band_by_hand(self) -> None:
        score = band()
        made = encoder(score)
        layout = made.layout
        # Drums first, then from low to high; 0 is a rest and 1 the pedal.
        assert [each.label for each in made.instruments] == ["drums", "bass", "piano"]
        assert [(p.drums, p.lowest, p.highest) for p in layout.parts] == [
            (True, 36, 36),
            (False, 40, 40),
            (False, 60, 67),
        ]
        drums, bass, piano, end = 2, 3, 4, 5
        encoded = made.encode(score)
        # Delay in sixteenths, part, pitch (drums 128 more), duration - 1, velocity of 16 degrees.
        assert encoded.steps.tolist() == [
            [0, drums, 128 + 36, 0, 15],
            [0, bass, 40, 7, 9],
            [4, piano, 60, 1, 7],
            [0, piano, 64, 3, 7],
            [8, piano, 67, 3, 0],
            [0, end, 0, 0, 0],
        ]
        assert encoded.dropped == {}
        place_before, place, bar, at_once = encoded.conditioning["metre"].T
        assert place.tolist() == [0, 0, 4, 4, 12, 12]
        assert place_before.tolist() == [0, 0, 0, 4, 4, 12]
        assert set(bar.tolist()) == {16}
        # How many began with the note before, up to it; in a thousand onsets hardly one has more.
        assert at_once.tolist() == [0, 1, 2, 1, 2, 1]
        assert layout.at_once == 2

    def test_what_is_written_has_the_instruments(self) -> None:
        score = band()
        made = encoder(score)
        again = made.decode(made.encode(score).steps, DecodeSettings(90.0, Meter(3, 4)))
        assert [(t.program, t.is_drum) for t in again.tracks] == [
            (0, True),
            (33, False),
            (0, False),
        ]
        assert again.pitch.tolist() == [36, 40, 60, 64, 67]
        assert np.abs(again.velocity - [127, 80, 64, 64, 1]).max() <= 4
        assert again.tempo_bpm.tolist() == pytest.approx([90.0], abs=1e-3)
        assert again.meter.tolist() == [[3, 4]]

    def test_an_upbeat_begins_late_in_a_whole_bar(self) -> None:
        # One beat of 1/4, then 3/4: the first note is on the third beat of a bar of three.
        score = Score.from_notes(
            [0, 480, 1920],
            480,
            [60, 62, 64],
            ticks_per_beat=480,
            meters=[(0, 1, 4), (480, 3, 4)],
        )
        made = encoder(score)
        encoded = made.encode(score)
        assert encoded.steps[:3, 0].tolist() == [8, 4, 12]
        assert encoded.conditioning["metre"][:3, 1].tolist() == [8, 0, 0]

    def test_four_bars_of_a_beat_are_one(self) -> None:
        score = Score.from_notes([0, 1440, 1920], 480, 60, ticks_per_beat=480, meters=[(0, 1, 4)])
        made = encoder(score)
        _, place, bar, _ = made.encode(score).conditioning["metre"][:3].T
        assert place.tolist() == [0, 12, 0]
        assert bar.tolist() == [16, 16, 16]
        alike = made.conditioning(0, 1, DecodeSettings(120.0, Meter(1, 4)))
        assert alike["metre"][0, 2] == 16

    def test_long_rests_are_steps(self) -> None:
        score = Score.from_notes([0, 130], 1, 60, ticks_per_beat=4)
        steps = encoder(score).encode(score).steps
        # 130 sixteenths are 64, 64 and 2.
        assert steps[:, :2].tolist() == [[0, 2], [64, 0], [64, 0], [2, 2], [0, 3]]

    def test_names_tell_more_apart_than_families(self) -> None:
        tracks = [Track("MELODY", 0), Track("PIANO", 0)]
        score = Score.from_notes([0, 0], 4, [72, 48], 80, [0, 1], ticks_per_beat=4, tracks=tracks)
        assert [each.label for each in encoder(score).instruments] == ["piano", "melody"]
        assert [each.label for each in encoder(score, parts="one").instruments] == ["all"]

    def test_unknown_instruments(self) -> None:
        made = encoder(band().take(np.array([2, 3, 4])))
        encoded = made.encode(band())
        assert encoded.dropped == {
            "notes of unknown instruments": 1,  # the drum
            "notes given to another instrument": 1,  # the bass
        }
        assert (encoded.steps[:-1, 1] == 2).all()

    def test_what_is_no_music(self) -> None:
        made = encoder(band())
        with pytest.raises(UnreadableError, match="from a score"):
            made.encode(Text("abc"))
        with pytest.raises(UnreadableError, match="no notes"):
            made.encode(band().take(np.zeros(5, dtype=bool)))
        with pytest.raises(UnreadableError, match="more than"):
            made.encode(band(length=480 * 2**22))


class TestReturns:
    def test_how_alike_bars_are_that_lie_apart(self) -> None:
        # Four bars of two notes: the second bar is the first, the third half of it, the last none.
        onset = [0, 8, 16, 24, 32, 40, 48, 56]
        pitch = [60, 64, 60, 64, 60, 65, 70, 71]
        score = Score.from_notes(onset, 4, pitch, ticks_per_beat=4)
        made = encoder(score, lags=(1, 2, 4))
        # The second bar is the first, the third shares one of three notes with it, the last none.
        assert made.layout.returns == pytest.approx(((1 + 1 / 3 + 0) / 3, (1 / 3 + 0) / 2, 0.0))


class TestPedal:
    def score(self) -> Score:
        controls = [(0, 0, 64, 127), (100, 0, 64, 0), (120, 0, 64, 90), (121, 0, 64, 80)]
        return Score.from_notes(
            [0, 480],
            480,
            60,
            ticks_per_beat=480,
            tempos=[(0, 60.0)],
            controls=[*controls, (960, 0, 64, 0)],
        )

    def test_movements_are_events(self) -> None:
        made = encoder(self.score(), step=HUNDREDTHS)
        steps = made.encode(self.score()).steps
        # 480 ticks are a second: down at 0, up at 0.21, down at 0.25, up at 2.
        assert steps[steps[:, 1] == 1, 2].tolist() == [1, 0, 1, 0]
        again = made.decode(steps, DecodeSettings(60.0))
        times = again.seconds(again.control_tick).round(2).tolist()
        assert times == pytest.approx([0.0, 0.21, 0.25, 2.0], abs=0.021)
        assert made.left_out(self.score()) == {}

    def test_lifted_within_a_step_it_is_lifted(self) -> None:
        made = encoder(self.score())
        steps = made.encode(self.score()).steps
        assert steps[steps[:, 1] == 1][:, [0, 2]].tolist() == [[0, 1], [1, 0], [0, 1], [4, 0]]

    def test_without(self) -> None:
        made = encoder(self.score(), pedal=False)
        assert not made.layout.pedal
        assert made.left_out(self.score())["pedal movements"].count == 5


@pytest.mark.parametrize("step", [GridStep(Fraction(1, 4), "beat"), HUNDREDTHS])
class TestRoundTrip:
    @few(40)
    @given(score=scores())
    def test_decoded_and_encoded_again_it_is_the_same(self, step: GridStep, score: Score) -> None:
        made = encoder(score, step=step)
        if not len(score):
            return
        steps = made.encode(score).steps
        for settings in (DecodeSettings(), DecodeSettings(97.0, Meter(3, 4))):
            again = made.encode(made.decode(steps, settings))
            assert again.steps.tolist() == steps.tolist()

    def test_any_array_decodes(self, step: GridStep) -> None:
        made = encoder(band(), step=step)
        drawn = np.random.default_rng(0)
        for _ in range(20):
            steps = drawn.integers(0, made.layout.sizes, (40, 5))
            score = made.decode(steps, DecodeSettings())
            if not len(score):
                continue
            # What nobody can play is mended once, and then stays.
            once = made.encode(score).steps
            again = made.encode(made.decode(once, DecodeSettings())).steps
            assert again.tolist() == once.tolist()

    def test_time_goes_on_after_the_end(self, step: GridStep) -> None:
        made = encoder(band(), step=step)
        end = [0, made.layout.end, 0, 0, 0]
        steps = np.array([[0, 4, 60, 0, 3], [4, 4, 62, 0, 3], *[end] * 50])
        passed = made.elapsed(steps, "beats", DecodeSettings())
        assert (np.diff(passed) >= 0).all()
        assert passed[-1] > 40 * 64 * float(step.size)
        assert passed[1] == pytest.approx(4 * float(step.size) * (1 if step.unit == "beat" else 2))
        assert len(made.decode(steps, DecodeSettings())) == 2


class TestRealMusic:
    @pytest.mark.parametrize(
        ("archive", "step"),
        [
            ("pop909/pop909-main-001-808.tar.gz", "1/4 beat"),
            ("piano-midi-de/piano-midi-de.tar.gz", "0.01 seconds"),
            ("musicguru/musicguru-collection.tar.gz", "1/12 beat"),
        ],
    )
    def test_stays_as_it_is(
        self, archive: str, step: str, data_folder: Path, tmp_path: Path
    ) -> None:
        files = unpack(data_folder / archive, tmp_path, 4)
        music = read_scores(*files, jobs=1)
        made = encoder(*music.values(), step=GridStep.from_toml(step, tmp_path))
        for score in music.values():
            steps = made.encode(score).steps
            again = made.decode(steps, DecodeSettings())
            assert len(again) >= 0.7 * len(score)
            assert made.encode(again).steps.tolist() == steps.tolist()
