from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musengine.api import Item, Score, Text, Track, one_note_per_key
from musengine.errors import UnwritableError
from musengine.testing import create, score_of
from musengine.testing.strategies import few
from musengine_notation import to_musicxml
from musengine_notation.written.spelling import key_of_notes, spelled

BEAT = 1680
SEMITONE = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def read_back(score: Score, folder: Path) -> Score:
    path = folder / "piece.musicxml"
    create("writer", "musicxml").write(score, path)
    (piece,) = create("reader", "notation").read(Item(path, path.name))
    assert piece.warnings == ()
    assert isinstance(piece.content, Score)
    return piece.content


def beats(score: Score) -> list[tuple[Fraction, Fraction, int]]:
    """Onset and duration in beats, and pitch, of every note."""
    rows = zip(score.onset.tolist(), score.duration.tolist(), score.pitch.tolist(), strict=True)
    ticks = score.ticks_per_beat
    return sorted((Fraction(on, ticks), Fraction(long, ticks), pitch) for on, long, pitch in rows)


def measures(score: Score, part: int = 0) -> list[ElementTree.Element]:
    return ElementTree.fromstring(to_musicxml(score)).findall("part")[part].findall("measure")


def written(measure: ElementTree.Element) -> list[str]:
    """Each note as its place, value with dots, and ties: `C#5 quarter. (`; a chord's after `+`."""
    found = []
    for note in measure.findall("note"):
        sign = {"1": "#", "-1": "b", None: ""}[note.findtext("pitch/alter")]
        place = f"{note.findtext('pitch/step')}{sign}{note.findtext('pitch/octave')}"
        ties = "".join({"start": "(", "stop": ")"}[tie.get("type", "")] for tie in note.iter("tie"))
        place = "rest" if note.find("rest") is not None else place
        value = f"{note.findtext('type')}{'.' * len(note.findall('dot'))}"
        found.append(f"{'+' * (note.find('chord') is not None)}{place} {value} {ties}".rstrip())
    return found


@st.composite
def grid_scores(draw: st.DrawFn) -> Score:
    """Scores of two tracks, in each beat of which everything is on one division."""
    numerator, denominator = draw(st.sampled_from([(2, 4), (3, 4), (4, 4), (6, 8), (5, 4), (3, 2)]))
    divisors = draw(st.lists(st.sampled_from([1, 2, 4, 8, 16, 3, 6, 12, 5, 10, 7]), min_size=12))
    place = st.integers(0, 11).flatmap(
        lambda beat: st.integers(0, divisors[beat] - 1).map(
            lambda part: beat * BEAT + part * BEAT // divisors[beat]
        )
    )
    note = st.tuples(place, place, st.integers(21, 108), st.integers(1, 127), st.integers(0, 1))
    notes = [
        (min(a, b), max(a, b) - min(a, b), pitch, velocity, track)
        for a, b, pitch, velocity, track in draw(st.lists(note, min_size=1, max_size=16))
        if a != b
    ]
    return one_note_per_key(
        score_of(
            notes or [(0, BEAT, 60)],
            ticks_per_beat=BEAT,
            tracks=[Track("one", 40), Track("two", draw(st.integers(8, 127)))],
            meters=[(0, numerator, denominator)],
        )
    )


@few(25)
@given(score=grid_scores())
def test_what_is_on_a_grid_reads_back_as_it_was(score, tmp_path):
    again = read_back(score, tmp_path)
    assert beats(again) == beats(score)
    sounding = sorted(set(score.track.tolist()))
    assert [each.program for each in again.tracks] == [score.tracks[i].program for i in sounding]


@few(40)
@given(score=grid_scores())
def test_every_voice_fills_its_bars(score):
    for part in range(len(set(score.track.tolist()))):
        for measure in measures(score, part):
            lengths: dict[str, int] = {}
            for element in measure:
                if element.tag in ("note", "forward") and element.find("chord") is None:
                    voice = element.findtext("voice", "")
                    lengths[voice] = lengths.get(voice, 0) + int(element.findtext("duration", "0"))
            numerator, denominator = score.meter[0].tolist()
            assert set(lengths.values()) == {4 * BEAT * numerator // denominator}
            assert "1" in lengths


def test_maps_names_and_an_upbeat_read_back(tmp_path):
    score = score_of(
        [(0, 4, 64), (4, 8, 65), (12, 8, 60), (0, 20, 50, 80, 1)],
        tracks=[Track("Flöte", 73), Track("", 33)],
        tempos=[(0, 90), (14, 132.5)],
        meters=[(0, 1, 4), (4, 3, 4)],
        keys=[(0, -3, True), (16, 2, False)],
    )
    again = read_back(score, tmp_path)
    assert beats(again) == beats(score)
    assert [(each.name, each.program) for each in again.tracks] == [
        ("Flöte", 73),
        ("Electric Bass (finger)", 33),
    ]
    per_tick = again.ticks_per_beat // 4
    assert again.tempo_bpm == pytest.approx([90, 132.5], abs=0.01)
    assert again.tempo_tick.tolist() == [0, 14 * per_tick]
    assert again.meter.tolist() == [[1, 4], [3, 4]]
    assert again.meter_tick.tolist() == [0, 4 * per_tick]
    assert again.key.tolist() == [[-3, 1], [2, 0]]
    assert again.key_tick.tolist() == [0, 16 * per_tick]
    first, *_ = measures(score)
    assert (first.get("number"), first.get("implicit")) == ("0", "yes")
    assert first.findtext("attributes/time/beats") == "3"


def test_values_ties_and_rests_are_those_a_musician_would_write():
    # A quarter, a syncope, a note over the bar line; then a dotted half and a rest.
    score = score_of(
        [(0, 4, 60), (4, 2, 62), (6, 4, 64), (14, 8, 65), (22, 6, 67)], meters=[(0, 4, 4)]
    )
    first, second = measures(score)
    assert written(first) == [
        *("C4 quarter", "D4 eighth", "E4 eighth (", "E4 eighth )"),
        *("rest eighth", "rest eighth", "F4 eighth ("),
    ]
    assert written(second) == ["F4 quarter. )", "G4 eighth (", "G4 quarter )", "rest quarter"]
    (syncope,) = measures(score_of([(0, 2, 60), (2, 4, 62), (6, 2, 64), (8, 8, 60)]))
    assert written(syncope) == ["C4 eighth", "D4 quarter", "E4 eighth", "C4 half"]


def test_three_eighths_are_the_beat_of_a_compound_meter():
    score = score_of([(0, 6, 60), (6, 8, 62), (14, 10, 60)], meters=[(0, 6, 8)])
    first, second = measures(score)
    assert written(first) == ["C4 quarter.", "D4 quarter. ("]
    assert written(second) == ["D4 eighth )", "C4 quarter (", "C4 quarter. )"]


def test_notes_that_overlap_are_in_voices_and_those_that_do_not_in_chords():
    score = score_of([(0, 8, 60), (0, 8, 64), (0, 4, 72), (4, 4, 74), (8, 8, 67)])
    (measure,) = measures(score)
    voices = [note.findtext("voice") for note in measure.findall("note")]
    assert list(zip(written(measure), voices, strict=True)) == [
        ("C5 quarter", "1"),
        ("D5 quarter", "1"),
        ("G4 half", "1"),
        ("C4 half", "2"),
        ("+E4 half", "2"),
    ]


def test_a_beat_of_thirds_is_a_bracketed_triplet():
    score = score_of([(0, 2, 60), (2, 1, 62), (3, 3, 64)], ticks_per_beat=3, meters=[(0, 2, 4)])
    (measure,) = measures(score)
    assert written(measure) == ["C4 quarter", "D4 eighth", "E4 quarter"]
    times = [
        (note.findtext("time-modification/actual-notes"), note.findtext("duration"))
        for note in measure.findall("note")
    ]
    assert times == [("3", "1120"), ("3", "560"), (None, "1680")]
    assert [tuplet.get("type") for tuplet in measure.iter("tuplet")] == ["start", "stop"]


def test_notes_of_a_beat_are_beamed():
    score = score_of([(0, 3, 60), (3, 1, 62), (4, 2, 64), (6, 1, 65), (7, 1, 67), (8, 2, 69)])
    (measure,) = measures(score)
    beams = [[beam.text for beam in note.findall("beam")] for note in measure.findall("note")]
    assert beams[:6] == [
        ["begin"],
        ["end", "backward hook"],
        ["begin"],
        ["continue", "begin"],
        ["end", "end"],
        [],
    ]


def test_an_accidental_stands_once_in_a_bar_and_not_on_tied_notes():
    # In G major: F sharp is in the key, F natural is not; the last C sharp is tied over the line.
    pitches = [66, 65, 65, 66, 66, 66, 66, 61]
    notes = [(2 * index, 2, pitch) for index, pitch in enumerate(pitches)]
    score = score_of([*notes[:7], (14, 6, 61), (20, 4, 61)], keys=[(0, 1, False)])
    first, second = measures(score)
    assert [note.findtext("accidental") for note in first.findall("note")] == [
        *(None, "natural", None, "sharp", None, None, None, "sharp")
    ]
    assert [note.findtext("accidental") for note in second.findall("note")][:2] == [None, "sharp"]


@pytest.mark.parametrize(
    ("pitch", "sharps", "expected"),
    [
        (60, 0, ("C", 0, 4)),
        (61, 0, ("C", 1, 4)),
        (63, 0, ("E", -1, 4)),
        (66, 0, ("F", 1, 4)),
        (70, 0, ("B", -1, 4)),
        (61, -4, ("D", -1, 4)),
        (59, -6, ("C", -1, 4)),
        (71, 7, ("B", 0, 4)),
        (60, 7, ("B", 1, 3)),
        (0, 0, ("C", 0, -1)),
    ],
)
def test_pitches_are_spelled_in_their_key(pitch, sharps, expected):
    assert spelled(pitch, sharps) == expected


@pytest.mark.parametrize("sharps", range(-7, 8))
def test_a_spelled_pitch_sounds_as_it_is(sharps):
    for pitch in range(128):
        step, alter, octave = spelled(pitch, sharps)
        assert 12 * (octave + 1) + SEMITONE[step] + alter == pitch
        assert abs(alter) <= 2


def test_without_a_signature_the_key_is_that_of_the_notes():
    def scale(tonic: int) -> Score:
        return score_of([(n, 1, tonic + step) for n, step in enumerate((0, 2, 4, 5, 7, 9, 11))])

    assert [key_of_notes(scale(tonic)) for tonic in (60, 62, 65, 70)] == [0, 2, -1, -2]
    (measure,) = measures(scale(63))
    assert measure.find("attributes/key") is None
    assert written(measure)[:3] == ["Eb4 16th", "F4 16th", "G4 16th"]


def test_a_piano_of_two_hands_has_two_staves(tmp_path):
    score = score_of([(0, 4, 72), (0, 4, 40), (4, 4, 76), (8, 8, 43)])
    (measure,) = measures(score)
    staves = [note.findtext("staff") for note in measure.findall("note")]
    assert staves == ["1", "1", "1", "2", "2", "2"]
    assert [sign.text for sign in measure.findall("attributes/clef/sign")] == ["G", "F"]
    again = read_back(score, tmp_path)
    assert beats(again) == beats(score)
    # As far apart, but never together: one hand, one staff.
    (measure,) = measures(score_of([(0, 4, 72), (4, 4, 40)]))
    assert len(measure.findall("attributes/clef")) == 1


def test_drums_are_written_unpitched_and_read_back(tmp_path):
    notes = [(0, 4, 36), (0, 2, 42), (2, 2, 42), (4, 4, 38), (8, 8, 81)]
    score = score_of(notes, tracks=[Track("kit", 0, True)])
    (measure,) = measures(score)
    assert measure.find("note/pitch") is None
    assert measure.findtext("note/unpitched/display-step") == "G"
    again = read_back(score, tmp_path)
    assert beats(again) == beats(score)
    assert again.is_drum.all()


def test_music_on_no_grid_moves_little_and_stays_whole(tmp_path):
    rng = np.random.default_rng(3)
    onset = np.sort(rng.integers(0, 480 * 32, 120))
    score = one_note_per_key(
        Score.from_notes(
            onset, rng.integers(1, 900, 120), np.arange(120) % 60 + 40, ticks_per_beat=480
        )
    )
    again = read_back(score, tmp_path)
    assert len(again) == len(score)
    by_pitch = sorted(beats(score), key=lambda note: (note[2], note[0]))
    moved = sorted(beats(again), key=lambda note: (note[2], note[0]))
    away = [abs(float(a[0] - b[0])) for a, b in zip(by_pitch, moved, strict=True)]
    assert max(away) <= 0.5
    assert np.mean(away) < 0.1


def test_what_is_too_much_to_read_is_refused():
    for notes in ([(2**40, 8, 60)], [(0, 2**40, 60)]):
        with pytest.raises(UnwritableError) as caught:
            to_musicxml(score_of(notes))
        assert caught.value.code == "piece-too-long"
    with pytest.raises(UnwritableError) as caught:
        to_musicxml(score_of([], length=8))
    assert caught.value.code == "no-notes"
    with pytest.raises(TypeError):
        create("writer", "musicxml").write(Text("X:1"), Path("none"))


def test_names_are_text_whatever_is_in_them(tmp_path):
    score = score_of([(0, 4, 60)], tracks=[Track('<b>\x00 & \ud800"', 5)])
    assert read_back(score, tmp_path).tracks[0].name == '<b> & "'


def test_ties_are_joined_in_each_voice(tmp_path):
    """A whole note tied over the bar line under quarters, which music21 alone reads as two."""
    score = score_of([(0, 32, 48), *((4 * n, 4, 60 + n) for n in range(8))])
    assert (0, 8, 48) in beats(read_back(score, tmp_path))
