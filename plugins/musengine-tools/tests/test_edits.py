"""What `convert` changes in a score on its way."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.api import GridStep, Instrument, Length, Track
from musengine.errors import UnreadableError
from musengine.testing import rows_of, score_of
from musengine.testing.strategies import few, scores
from musengine_tools.edits import Adjustments, find_tracks

TRACKS = (
    Track("Melody", 40, channel=0),
    Track("Bass, low", 33, channel=3),
    Track("kit", 0, is_drum=True, channel=9),
)
BAND = score_of(
    [(0, 4, 72, 80, 0), (0, 4, 40, 80, 1), (0, 1, 38, 80, 2), (4, 4, 74, 80, 0)], tracks=TRACKS
)


def beats(size: str) -> GridStep:
    return GridStep(Fraction(size), "beat")


def names_of(**changes) -> list[str]:
    score, _ = Adjustments(**changes).apply(BAND)
    return [track.name for track in score.tracks]


class TestChoice:
    def test_by_default_nothing_changes(self) -> None:
        score, dropped = Adjustments().apply(BAND)
        assert score.fingerprint() == BAND.fingerprint()
        assert not dropped
        assert not Adjustments().any
        assert Adjustments(transpose=1).any

    @pytest.mark.parametrize(
        ("changes", "left"),
        [
            ({"tracks": ("0",)}, ["Melody"]),
            ({"tracks": ("0,2",)}, ["Melody", "kit"]),
            ({"tracks": ("melody", "kit")}, ["Melody", "kit"]),
            # A name that holds a comma, and one after it.
            ({"tracks": ("Bass, low",)}, ["Bass, low"]),
            ({"tracks": ("MELODY, 2",)}, ["Melody", "kit"]),
            ({"mute_tracks": ("kit,1",)}, ["Melody"]),
            ({"mute_tracks": ("strings",)}, ["Melody", "Bass, low", "kit"]),
            # Channels as MIDI counts them: the first is 1, drums are on 10.
            ({"channels": (1, 10)}, ["Melody", "kit"]),
            ({"mute_channels": (4,)}, ["Melody", "kit"]),
            ({"tracks": ("0,1",), "channels": (4,)}, ["Bass, low"]),
        ],
    )
    def test_tracks_and_channels(self, changes: dict, left: list[str]) -> None:
        assert names_of(**changes) == left

    def test_a_name_goes_before_an_index(self) -> None:
        score = score_of([(0, 1, 60)], tracks=(Track("1"), Track("0")))
        assert find_tracks(score, "1") == [0]

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"tracks": ("melodi",)}, "'kit'; did you mean 'Melody'?"),
            ({"tracks": ("3",)}, "0 'Melody', 1 'Bass, low', 2 'kit'"),
            ({"channels": (2, 3)}, "no track on channel 2, 3; it uses 1, 4, 10"),
            ({"mute_tracks": ("0,1,2",)}, "no notes are left"),
            ({"transpose": 127, "mute_tracks": ("kit",)}, "no notes are left"),
            ({"tracks": ("kit",), "flatten": True}, "nothing but drums"),
        ],
    )
    def test_nothing_left_says_why(self, changes: dict, reason: str) -> None:
        with pytest.raises(UnreadableError) as caught:
            Adjustments(**changes).apply(BAND)
        assert reason in str(caught.value)


class TestChanges:
    def test_what_leaves_the_range_is_counted_and_drums_stay(self) -> None:
        score, dropped = Adjustments(transpose=54).apply(BAND)
        # 74 + 54 is 128, one too high; 72 becomes 126 and 40 becomes 94.
        assert sorted(score.pitch.tolist()) == [38, 94, 126]
        assert dropped == {"notes beyond the range of MIDI": 1}

    def test_flattened_the_drums_are_counted(self) -> None:
        score, dropped = Adjustments(flatten=True).apply(BAND)
        assert score.tracks == (Track("piano"),)
        assert dropped == {"drum notes": 1}

    def test_notes_that_fall_together_are_counted(self) -> None:
        score = score_of([(0, 1, 60), (1, 3, 60)])
        snapped, dropped = Adjustments(quantize=beats("1")).apply(score)
        # Ticks 0 and 1 of 4 both lie nearest to beat 0.
        assert rows_of(snapped) == [(0, 4, 60, 80, 0)]
        assert dropped == {"notes that fell together with another": 1}

    def test_a_tempo_leaves_the_ticks(self) -> None:
        score = score_of([(0, 4, 60), (4, 4, 62)], tempos=[(0, 60.0), (4, 90.0)])
        faster, _ = Adjustments(bpm=240.0).apply(score)
        assert rows_of(faster) == rows_of(score)
        assert faster.tempo_bpm.tolist() == [240.0]
        # Two beats at 240.
        assert float(faster.seconds(faster.length)) == 0.5

    def test_an_instrument_is_not_for_drums(self) -> None:
        score, _ = Adjustments(instrument=Instrument(19)).apply(BAND)
        assert [track.program for track in score.tracks] == [19, 19, 0]

    def test_an_instrument_is_of_no_bank(self) -> None:
        # Banks are chosen by the controllers 0 and 32.
        controls = [(0, 0, 0, 8), (0, 0, 32, 1), (0, 0, 7, 100)]
        banked = score_of([(0, 4, 60)], controls=controls)
        score, _ = Adjustments(instrument=Instrument(19)).apply(banked)
        assert score.control.tolist() == [[0, 7, 100]]
        assert score.control_tick.tolist() == [0]

    @pytest.mark.parametrize(
        ("changes", "durations"),
        [
            ({}, [40]),
            ({"flatten": True}, [16 * 4]),  # a whole note, at the resolution of 16
            ({"flatten": True, "longest_note": Length(1.0, "beats")}, [16]),
            ({"flatten": True, "longest_note": Length(9.0, "beats")}, [9 * 16]),
            ({"longest_note": Length(2.0, "bars")}, [32]),
            # The grid makes 40 ticks to 48; the limit is kept.
            ({"longest_note": Length(11.0, "beats"), "quantize": beats("6")}, [44]),
        ],
    )
    def test_the_longest_note(self, changes: dict, durations: list[int]) -> None:
        score, _ = Adjustments(**changes).apply(score_of([(0, 40, 60)]))
        assert score.duration.tolist() == durations

    @given(scores(), st.booleans(), st.integers(-20, 20))
    @few(60)
    def test_every_note_is_there_or_counted(self, score, flat: bool, semitones: int) -> None:
        changes = Adjustments(flatten=flat, transpose=semitones, quantize=beats("1/2"))
        try:
            changed, dropped = changes.apply(score)
        except UnreadableError:
            return
        assert len(changed) + dropped.total() == len(score)
