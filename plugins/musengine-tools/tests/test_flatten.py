"""Flattening: one piano at 120 BPM that sounds the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.api import LAST_TICK, Length, Track
from musengine.testing import problem, rows_of, score_of
from musengine.testing.strategies import few, scores
from musengine_tools.flatten import flatten, shorten

LEAD_AND_DRUMS = (Track("lead", 40), Track("drums", 0, is_drum=True))


class TestFlatten:
    def test_tempi_are_resolved_to_120(self) -> None:
        # 16 ticks to a beat. 60 BPM for one beat, then 240: tick 16 is at 1 s, and each beat
        # after it lasts 0.25 s. At 120 BPM and 16 ticks a second has 32 ticks.
        score = score_of(
            [(0, 16, 60), (16, 8, 62), (32, 16, 64)],
            ticks_per_beat=16,
            tempos=[(0, 60.0), (16, 240.0)],
            meters=[(0, 3, 4), (32, 6, 8)],
            keys=[(0, 2, False)],
        )
        flat = flatten(score)
        assert flat.ticks_per_beat == 16
        # Onsets at 0, 1 and 1.25 s; ends at 1, 1.125 and 1.5 s.
        assert rows_of(flat) == [(0, 32, 60, 80, 0), (32, 4, 62, 80, 0), (40, 8, 64, 80, 0)]
        assert flat.tempo_bpm.tolist() == [120.0]
        # The new meter began at tick 32: at 1.25 s.
        assert flat.meter_tick.tolist() == [0, 40]
        assert flat.meter.tolist() == [[3, 4], [6, 8]]
        assert len(flat.key_tick) == 0
        assert flat.length == 48

    @pytest.mark.parametrize(
        ("own", "raised"), [(96, 96), (120, 128), (1, 16), (100, 112), (32767, 32752)]
    )
    def test_the_resolution_is_a_multiple_of_16_and_ticks_follow(
        self, own: int, raised: int
    ) -> None:
        flat = flatten(score_of([(0, own, 60), (own, own, 62)], ticks_per_beat=own))
        assert flat.ticks_per_beat == raised
        # One beat at 120 BPM stays one beat.
        assert rows_of(flat) == [(0, raised, 60, 80, 0), (raised, raised, 62, 80, 0)]

    def test_all_tracks_on_one_piano_without_drums(self) -> None:
        score = score_of(
            [(0, 4, 60, 50, 0), (0, 8, 60, 70, 1), (2, 4, 36, 90, 2)],
            ticks_per_beat=16,
            tracks=(Track("a", 40), Track("b", 73), Track("kit", 0, is_drum=True)),
            controls=[(0, 1, 7, 100)],
        )
        flat = flatten(score)
        assert flat.tracks == (Track("piano"),)
        assert len(flat.control) == len(flat.control_tick) == 0
        # Struck together by two tracks: one note, as long and as loud as the larger.
        assert rows_of(flat) == [(0, 8, 60, 70, 0)]

    def test_drums_kept_are_a_track_of_their_own(self) -> None:
        score = score_of(
            [(0, 4, 36, 50, 0), (0, 4, 36, 70, 1), (4, 4, 38, 90, 2)],
            ticks_per_beat=16,
            tracks=(*LEAD_AND_DRUMS, Track("more drums", 0, is_drum=True)),
        )
        flat = flatten(score, keep_drums=True)
        assert [track.is_drum for track in flat.tracks] == [False, True]
        assert rows_of(flat) == [(0, 4, 36, 50, 0), (0, 4, 36, 70, 1), (4, 4, 38, 90, 1)]

    def test_drums_kept_where_there_are_none(self) -> None:
        assert flatten(score_of([(0, 4, 60)]), keep_drums=True).tracks == (Track("piano"),)

    def test_a_note_struck_while_it_sounds_ends_the_earlier_one(self) -> None:
        flat = flatten(score_of([(0, 16, 60), (8, 16, 60)], ticks_per_beat=16))
        assert rows_of(flat) == [(0, 8, 60, 80, 0), (8, 16, 60, 80, 0)]

    def test_a_note_lasts_at_most_a_whole_note(self) -> None:
        score = score_of([(0, 640, 60), (16, 64, 62)], ticks_per_beat=16)
        # Four beats of 16 ticks; the piece keeps its length.
        assert flatten(score).duration.tolist() == [64, 64]
        assert flatten(score).length == 640
        assert flatten(score, longest=None).duration.tolist() == [640, 64]
        assert flatten(score, longest=Length(2.0, "beats")).duration.tolist() == [32, 32]

    def test_a_piece_that_lasts_for_ever_is_refused(self) -> None:
        # At 4 BPM a tick of one beat lasts 15 s, which is 480 ticks of a 16th beat at 120 BPM.
        score = score_of([(LAST_TICK // 2, 1, 60)], ticks_per_beat=1, tempos=[(0, 4.0)])
        with problem("piece-too-long"):
            flatten(score)

    @given(scores())
    @few(150)
    def test_every_onset_sounds_when_it_did(self, score) -> None:
        flat = flatten(score)
        half_a_tick = 0.5 * 60 / (120 * flat.ticks_per_beat)
        pitched = ~score.is_drum
        for pitch in np.unique(score.pitch[pitched]):
            before = score.seconds(score.onset[pitched & (score.pitch == pitch)])
            after = flat.seconds(flat.onset[flat.pitch == pitch])
            # Each onset has a struck note within half a tick, and no note came from nowhere.
            distance = np.abs(before[:, None] - after[None, :])
            assert (distance.min(axis=1) <= half_a_tick + 1e-9).all()
            assert (distance.min(axis=0) <= half_a_tick + 1e-9).all()
        assert set(flat.pitch.tolist()) == set(score.pitch[pitched].tolist())
        assert (flat.duration <= 4 * flat.ticks_per_beat).all()

    @given(scores(), st.booleans())
    @few(60)
    def test_flat_music_stays_as_it_is(self, score, keep_drums: bool) -> None:
        flat = flatten(score, keep_drums=keep_drums)
        again = flatten(flat, keep_drums=keep_drums)
        assert again.fingerprint() == flat.fingerprint()


class TestShorten:
    def test_bars_are_those_the_note_begins_in(self) -> None:
        # 3/4 for one bar of 12 ticks, then 2/4: bars of 8.
        score = score_of([(0, 100, 60), (12, 100, 62), (20, 3, 64)], meters=[(0, 3, 4), (12, 2, 4)])
        assert shorten(score, Length(1.0, "bars")).duration.tolist() == [12, 8, 3]
        assert shorten(score, Length(0.5, "bars")).duration.tolist() == [6, 4, 3]

    def test_seconds_go_through_the_tempo_map(self) -> None:
        # 4 ticks to a beat: at 60 BPM a tick is 0.25 s, at 120 from tick 4 on 0.125 s. The first
        # note's 2 s are 4 ticks of the one and 8 of the other.
        score = score_of([(0, 100, 60), (4, 100, 62)], tempos=[(0, 60.0), (4, 120.0)])
        assert shorten(score, Length(2.0, "seconds")).duration.tolist() == [12, 16]

    def test_never_less_than_a_tick_nor_more_than_there_is(self) -> None:
        score = score_of([(0, 100, 60)])
        assert shorten(score, Length(0.001, "beats")).duration.tolist() == [1]
        assert shorten(score, Length(1e300, "beats")).duration.tolist() == [100]
        assert shorten(score, Length(1e300, "seconds")).duration.tolist() == [100]

    def test_steps_are_no_length_of_a_note(self) -> None:
        with pytest.raises(ValueError, match="beats, bars or seconds"):
            shorten(score_of([(0, 4, 60)]), Length(2.0, "steps"))
