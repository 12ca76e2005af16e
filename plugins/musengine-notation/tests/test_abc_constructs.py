from __future__ import annotations

import pytest
from abc_rows import notes, notes_of, read, rows

from musengine_notation import abc_to_score


@pytest.mark.parametrize(("what", "abc", "wanted"), rows("## What is understood"))
def test_a_construct_of_the_page_is_read_as_it_says(what, abc, wanted):
    assert read(abc) == notes(wanted)


@pytest.mark.parametrize(("what", "abc", "wanted"), rows("\nPlayed:\n"))
def test_repeats_are_played_as_the_page_says(what, abc, wanted):
    assert read(abc, repeats="played") == notes(wanted)


def quarter(body: str, head: str = "M:4/4\nL:1/4\nK:C\n", **more):
    return abc_to_score("X:1\nT:Tune\n" + head + body + "\n", **more)


def maps(score) -> tuple[list, list]:
    """Tempos and meters, each with its place in quarter notes."""
    per = score.ticks_per_beat
    tempos = [
        (tick / per, round(bpm, 2))
        for tick, bpm in zip(score.tempo_tick.tolist(), score.tempo_bpm.tolist(), strict=True)
    ]
    meters = [
        (tick / per, *meter)
        for tick, meter in zip(score.meter_tick.tolist(), score.meter.tolist(), strict=True)
    ]
    return tempos, meters


def test_two_voices_sound_at_once_however_they_are_written():
    wanted = notes(
        "C5@0 D5@1 E5@2 F5@3 G5@4:4 A5@8 G5@9 F5@10 E5@11 D5@12:4 "
        "C3@0:2 G3@2:2 C3@4:4 F3@8:2 A3@10:2 G3@12:4"
    )
    lines = [
        ("1", "c d e f|g4|"),
        ("2", "C,2 G,2|C,4|"),
        ("1", "a g f e|d4|"),
        ("2", "F,2 A,2|G,4|"),
    ]
    inline = quarter("\n".join(f"[V:{voice}] {music}" for voice, music in lines))
    fields = quarter("\n".join(f"V:{voice}\n{music}" for voice, music in lines))
    declared = quarter(
        "\n".join(f"[V: {voice}]{music}" for voice, music in lines),
        'M:4/4\nL:1/4\nV:1 name="Upper part"\nV:2 nm="Lower" clef=bass\nK:C\n',
    )
    assert notes_of(inline) == notes_of(fields) == notes_of(declared) == wanted
    assert [track.name for track in inline.tracks] == ["1", "2"]
    assert [track.name for track in declared.tracks] == ["Upper part", "Lower"]


def test_a_repeat_behind_a_bar_line_that_is_not_drawn_is_one():
    wanted = notes("C4@0:2 E4@2:2 C4@4:2 E4@6:2 F4@8:2 F4@10:2")
    for lines in ("[|]:|", "|]:|", ":|"):
        assert notes_of(quarter(f"C2E2{lines} F2{lines}", repeats="played")) == wanted


def test_without_bar_lines_an_accidental_is_for_one_note():
    head = "M:4/4\nL:1/4\n%%MIDI nobarlines\nK:C\n"
    assert notes_of(quarter("^F F ^F F", head)) == notes("F#4@0 F4@1 F#4@2 F4@3")
    again = "^F F\n%%MIDI barlines\n^F F"
    assert notes_of(quarter(again, head)) == notes("F#4@0 F4@1 F#4@2 F#4@3")


def test_a_voice_goes_on_where_it_was_left():
    score = quarter("V:1\nC D E F|\nV:1\nG4|")
    assert notes_of(score) == notes("C4@0 D4@1 E4@2 F4@3 G4@4:4")
    assert [track.name for track in quarter("C").tracks] == ["Tune"]


def test_music_before_the_first_voice_is_that_of_voice_1():
    score = quarter("C D\n[V:2] E F\n[V:1] G A")
    assert notes_of(score) == notes("C4@0 E4@0 D4@1 F4@1 G4@2 A4@3")
    assert len(score.tracks) == 2


@pytest.mark.parametrize(
    ("field", "bpm"),
    [
        ("1/4=90", 90),
        ('"Allegro" 1/4=132', 132),
        ('3/8=50 "Slowly"', 75),
        ("1/4 3/8 1/4 3/8=40", 200),
        ("120", 60),
        ("C=100", 50),
        ("C3=40", 60),
        ("C3/2 = 40", 30),
        ('"Andante"', 120),
        ("1/2=60.5", 121),
    ],
)
def test_tempos_in_all_their_forms(field, bpm):
    score = quarter("C", f"M:4/4\nQ:{field}\nL:1/8\nK:C\n")
    assert maps(score)[0] == [(0, bpm)]


def test_tempo_meter_and_key_change_where_they_are_written():
    score = quarter("C D E F|[Q:1/4=60]G4|\nM:3/4\nK:G\nF3|[M:C|][K:Am]F4|", "L:1/4\nM:C\nK:C\n")
    assert notes_of(score)[5:] == notes("F#4@8:3 F4@11:4")
    assert maps(score) == ([(0, 120), (4, 60)], [(0, 4, 4), (8, 3, 4), (11, 2, 2)])
    assert score.key.tolist() == [[0, 0], [1, 0], [0, 1]]


def test_an_added_meter_is_its_sum():
    assert maps(quarter("G5/2|G5/2|", "M:(2+3)/8\nL:1/4\nK:G\n"))[1] == [(0, 5, 8)]
    assert maps(quarter("G7/2|G7/2|", "M:2+2+3/8\nL:1/4\nK:G\n"))[1] == [(0, 7, 8)]


def test_an_upbeat_is_a_bar_with_a_meter_of_its_length():
    score = quarter("C/D/|EFGA|BAGF|]")
    assert maps(score)[1] == [(0, 1, 4), (1, 4, 4)]
    assert score.upbeat == score.ticks_per_beat


def test_maps_go_back_with_a_repeat():
    score = quarter("|:[Q:1/4=60][M:4/4]C4|[Q:1/4=90][M:2/4]D2:|E2|", repeats="played")
    assert notes_of(score) == notes("C4@0:4 D4@4:2 C4@6:4 D4@10:2 E4@12:2")
    tempos, meters = maps(score)
    assert tempos == [(0, 60), (4, 90), (6, 60), (10, 90)]
    assert meters == [(0, 4, 4), (4, 2, 4), (6, 4, 4), (10, 2, 4)]


def test_programs_and_channels_are_those_of_the_voices():
    head = "M:4/4\nL:1/4\n%%MIDI program 5\nV:1\n%%MIDI program 40\nV:2\nV:3\n%%MIDI channel 10\n"
    score = quarter("[V:1]C\n%%MIDI program 41\nD\n[V:2]E\n[V:3]C,,", head + "K:C\n")
    tracks = [(t.name, t.program, t.is_drum, t.channel) for t in score.tracks]
    assert tracks == [
        ("1", 40, False, None),
        ("1", 41, False, None),
        ("2", 5, False, None),
        ("3", 5, True, 9),
    ]
    assert sorted(zip(score.pitch.tolist(), score.track.tolist(), strict=True)) == [
        (36, 3),
        (60, 0),
        (62, 1),
        (64, 2),
    ]


def test_a_drum_map_gives_letters_their_drums():
    score = quarter("%%MIDI channel 10\n%%MIDI drummap C 36\n%%MIDI drummap ^c 42\nC ^c D")
    assert score.pitch.tolist() == [36, 42, 62]


def test_a_program_for_another_channel_is_not_the_voices():
    assert quarter("%%MIDI program 2 40\nC").tracks[0].program == 0
    assert quarter("%%MIDI program 1 40\nC").tracks[0].program == 40
    assert quarter("[I:MIDI program 40]C").tracks[0].program == 40
    assert quarter("I:MIDI=program 40\nC").tracks[0].program == 40


def test_a_transposed_voice_is_in_its_sounding_key():
    score = quarter("K:C transpose=-2\nCE")
    assert score.pitch.tolist() == [58, 62]
    assert score.key.tolist() == [[-2, 0]]


def test_a_grace_notes_accidental_lasts_to_the_bar_line():
    assert notes_of(quarter("{^c}d c|c")) == notes("D5@0 C#5@1 C5@2")


def test_velocity_is_even_and_rests_at_the_end_count():
    score = quarter("!f!C D z2|")
    assert set(score.velocity.tolist()) == {80}
    assert score.length == 4 * score.ticks_per_beat


def test_a_field_like_line_of_music_is_music():
    assert notes_of(quarter("|:C D\nE:|\nG:|")) == notes("C4@0 D4@1 E4@2 G4@3")


def test_exclamation_marks_are_decorations_or_ends_of_lines():
    assert notes_of(quarter("C!D.C. al fine!|D !fine!E")) == notes("C4@0 D4@1 E4@2")
    assert notes_of(quarter("C! D E F! G")) == notes("C4@0 D4@1 E4@2 F4@3 G4@4")


def test_endings_stand_once_each_where_repeats_are_not_played():
    wanted = notes("C4@0:4 D4@4:4 E4@8:4 F4@12:4")
    assert notes_of(quarter("|:C4|[1,2 D4:|[3 E4||F4|]")) == wanted
    assert notes_of(quarter("|:C4|[1-3 D4:|[4 E4||F4|]")) == wanted
    assert notes_of(quarter("|:C4|1 D4:|2 E4||F4|]")) == wanted
