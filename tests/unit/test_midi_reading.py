"""MIDI files as they occur, byte by byte, with the Score each must give worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from midi_ways import END, WAYS_OF_READING, midi, read_in
from musengine.builtin.midi.reader import MidiReader
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item
from musengine.music.note_tables import BEND
from musengine.music.piece import Piece
from musengine.music.score import Score, Track
from musengine.plugins.configs import NoSettings
from musengine.testing import rows_of


@pytest.fixture(params=WAYS_OF_READING, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test runs in every way of reading."""
    read_in(request.param, monkeypatch)
    return request.param


def read_all(data: bytes, folder: Path, name: str = "piece.mid") -> list[Piece]:
    path = folder / name
    path.write_bytes(data)
    return list(MidiReader(NoSettings()).read(Item(path, path.name, "a style")))


def read(data: bytes, folder: Path) -> Piece:
    (piece,) = read_all(data, folder)
    assert isinstance(piece.content, Score)
    return piece


def notes(data: bytes, folder: Path) -> list[tuple[int, ...]]:
    """Onset, duration, pitch, velocity and track of what is read."""
    return rows_of(read(data, folder).content)


# Strike C4 (60) with velocity 80 and release it 10 ticks later.
NOTE = b"\x00\x90\x3c\x50" + b"\x0a\x80\x3c\x40"


def test_what_it_reads_through_is_said(way):
    library = MidiReader(NoSettings()).library()
    assert library.startswith("numpy ")
    assert library.endswith("compiled reader") == (way == "compiled")


def test_a_clean_file_of_each_format(tmp_path):
    piece = read(midi(NOTE + END, form=0), tmp_path)
    assert rows_of(piece.content) == [(0, 10, 60, 80, 0)]
    assert (piece.format, piece.warnings, piece.style) == ("MIDI format 0", (), "a style")
    assert piece.content.ticks_per_beat == 96
    assert piece.content.length == 10
    assert piece.content.tracks == (Track("", 0, False, 0),)
    # A conductor's track, then two with the same note; the second begins 5 ticks later.
    tempo = b"\x00\xff\x51\x03\x0a\x2c\x2a"  # 666,666 microseconds per beat
    piece = read(midi(tempo + END, NOTE + END, b"\x05" + NOTE[1:] + END), tmp_path)
    assert rows_of(piece.content) == [(0, 10, 60, 80, 0), (5, 10, 60, 80, 1)]
    assert piece.format == "MIDI format 1"
    assert piece.content.tempo_bpm.tolist() == [60e6 / 666_666]


def test_tracks_of_format_2_are_pieces_of_their_own(tmp_path):
    slow = b"\x00\xff\x51\x03\x0f\x42\x40"  # a second per beat
    pieces = read_all(midi(slow + NOTE + END, END, NOTE + END, form=2), tmp_path)
    assert [piece.id for piece in pieces] == ["piece.mid#1", "piece.mid#2"]
    assert [piece.content.tempo_bpm.tolist() for piece in pieces] == [[60.0], [120.0]]
    assert all(rows_of(piece.content) == [(0, 10, 60, 80, 0)] for piece in pieces)
    assert {piece.format for piece in pieces} == {"MIDI format 2"}


def test_running_status_and_release_by_velocity_0(tmp_path):
    body = b"\x00\x90\x3c\x50" + b"\x0a\x3c\x00" + b"\x02\x3e\x51" + b"\x0a\x3e\x00"
    assert notes(midi(body + END), tmp_path) == [(0, 10, 60, 80, 0), (12, 10, 62, 81, 0)]


@pytest.mark.parametrize("between", [b"\x03\xff\x01\x02hi", b"\x03\xf0\x03\x41\x10\xf7"])
def test_running_status_goes_on_after_a_text_and_after_an_exclusive_message(tmp_path, between):
    body = b"\x00\x90\x3c\x50" + between + b"\x07\x3c\x00"
    piece = read(midi(body + END), tmp_path)
    assert rows_of(piece.content) == [(0, 10, 60, 80, 0)]
    assert piece.warnings == ()


def test_a_note_of_no_length_lasts_a_tick(tmp_path):
    piece = read(midi(b"\x05\x90\x3c\x50\x00\x80\x3c\x00" + END), tmp_path)
    assert rows_of(piece.content) == [(5, 1, 60, 80, 0)]
    assert piece.warnings == ("1 note without length, made one tick long",)


def on(wait: int, pitch: int, velocity: int = 80, channel: int = 0) -> bytes:
    return bytes([wait, 0x90 | channel, pitch, velocity])


def off(wait: int, pitch: int, channel: int = 0) -> bytes:
    return bytes([wait, 0x80 | channel, pitch, 0])


def test_a_note_struck_again_is_cut_and_releases_go_in_order(tmp_path):
    # Strikes at 0 and 10, releases at 20 and 30: the second release is the second strike's.
    piece = read(midi(on(0, 60, 1) + on(10, 60, 2) + off(10, 60) + off(10, 60) + END), tmp_path)
    assert rows_of(piece.content) == [(0, 10, 60, 1, 0), (10, 20, 60, 2, 0)]
    assert piece.warnings == ("1 note struck again before release, and cut there",)


def test_notes_struck_together_last_until_their_releases(tmp_path):
    body = on(0, 60, 1) + on(0, 60, 2) + off(10, 60) + off(10, 60)
    piece = read(midi(body + END), tmp_path)
    assert rows_of(piece.content) == [(0, 10, 60, 1, 0), (0, 20, 60, 2, 0)]
    assert piece.warnings == ()
    # Both are cut by a strike at 15, which lasts until 30.
    body = on(0, 60, 1) + on(0, 60, 2) + on(15, 60, 3) + off(5, 60) + off(5, 60) + off(5, 60)
    found = notes(midi(body + END), tmp_path)
    assert found == [(0, 15, 60, 1, 0), (0, 15, 60, 2, 0), (15, 15, 60, 3, 0)]


def test_a_strike_before_the_release_at_the_same_time_is_no_overlap(tmp_path):
    piece = read(midi(on(5, 60, 1) + on(5, 60, 2) + off(0, 60) + off(5, 60) + END), tmp_path)
    assert rows_of(piece.content) == [(5, 5, 60, 1, 0), (10, 5, 60, 2, 0)]
    assert piece.warnings == ()


def test_a_note_never_released_ends_at_the_next_strike_and_shifts_no_other(tmp_path):
    # The strike at 0 has no release; those at 10 and 30 have theirs, at 20 and 40.
    body = on(0, 60, 1) + on(10, 60, 2) + off(10, 60) + on(10, 60, 3) + off(10, 60)
    piece = read(midi(body + END), tmp_path)
    assert rows_of(piece.content) == [(0, 10, 60, 1, 0), (10, 10, 60, 2, 0), (30, 10, 60, 3, 0)]
    assert piece.warnings == ("1 note never released",)


def test_a_note_never_released_nor_struck_again_ends_with_its_track(tmp_path):
    # Track 1 ends at 40, track 2 at 90.
    hanging = on(0, 60) + on(0, 64) + off(10, 64) + b"\x1e\xff\x2f\x00"
    piece = read(midi(hanging, off(90, 60) + END), tmp_path)
    assert rows_of(piece.content) == [(0, 40, 60, 80, 0), (0, 10, 64, 80, 0)]
    assert piece.content.length == 90
    assert piece.warnings == ("1 note never released",)


def test_a_release_without_a_strike_is_passed_over(tmp_path):
    body = off(5, 60) + on(5, 60) + off(5, 60) + off(1, 60) + on(1, 60) + off(2, 60)
    assert notes(midi(body + END), tmp_path) == [(10, 5, 60, 80, 0), (17, 2, 60, 80, 0)]


def test_a_track_for_each_channel_and_program(tmp_path):
    body = (
        b"\x00\xff\x03\x03all"
        + b"\x00\xc1\x0a"
        + (on(0, 60, 50, 1) + off(10, 60, 1))
        + (on(0, 42, 51, 9) + off(10, 42, 9))
        + (on(0, 64, 52, 0) + off(10, 64, 0))
        + b"\x00\xc1\x05"
        + (on(0, 62, 53, 1) + off(10, 62, 1))
    )
    score = read(midi(body + END), tmp_path).content
    # By channel; on one channel in the order of the first notes.
    assert score.tracks == (
        Track("all", 0, False, 0),
        Track("all", 10, False, 1),
        Track("all", 5, False, 1),
        Track("all", 0, True, 9),
    )
    assert rows_of(score) == [
        (0, 10, 60, 50, 1),
        (10, 10, 42, 51, 3),
        (20, 10, 64, 52, 0),
        (30, 10, 62, 53, 2),
    ]


def test_a_note_has_the_program_of_its_strike(tmp_path):
    body = on(0, 60) + b"\x05\xc0\x07" + off(5, 60) + END
    assert read(midi(body), tmp_path).content.tracks == (Track("", 0, False, 0),)


def controls_of(score: Score) -> list[tuple[int, ...]]:
    """Tick, track, number and value of the controllers of a score."""
    ticks, changes = score.control_tick.tolist(), score.control.tolist()
    return [(tick, *change) for tick, change in zip(ticks, changes, strict=True)]


def test_controllers_and_bends(tmp_path):
    body = b"\x00\xb0\x40\x7f" + on(0, 60) + b"\x05\xe0\x01\x41" + off(5, 60) + b"\x02\xb0\x40\x00"
    # Pressure of a channel and of a key are no controllers.
    piece = read(midi(body + b"\x01\xa0\x3c\x10\x01\xd0\x20" + END), tmp_path)
    # 0x41 × 128 + 1 - 8,192 is 129.
    assert controls_of(piece.content) == [(0, 0, 64, 127), (5, 0, BEND, 129), (12, 0, 64, 0)]
    assert piece.warnings == ()


def test_a_controller_is_of_the_part_of_the_next_note_else_of_the_last(tmp_path):
    body = (
        b"\x00\xb1\x07\x01"  # before any program: of the first part, which has program 5
        + b"\x00\xc1\x05"
        + (on(0, 60, 80, 1) + off(4, 60, 1))
        + b"\x00\xb1\x00\x02"  # the bank of the next program
        + b"\x00\xc1\x09"
        + (on(0, 62, 80, 1) + b"\x01\xb1\x07\x03" + off(1, 62, 1))
        + b"\x00\xb2\x07\x04"  # no note is on this channel
        + (on(0, 64, 80, 0) + b"\x00\xb0\x07\x05" + off(4, 64, 0))
        + b"\x00\xb1\x07\x06"
        + END
    )
    score = read(midi(body), tmp_path).content
    assert [(track.channel, track.program) for track in score.tracks] == [(0, 0), (1, 5), (1, 9)]
    assert controls_of(score) == [
        (0, 1, 7, 1),
        (4, 2, 0, 2),
        (5, 2, 7, 3),
        (6, 0, 7, 5),
        (10, 2, 7, 6),
    ]


def test_controllers_in_a_track_of_their_own_are_of_the_first_part_on_their_channel(tmp_path):
    setup = b"\x00\xb1\x07\x01\x00\xb3\x07\x02" + END
    notes = on(0, 60, 80, 0) + on(0, 60, 80, 1) + off(4, 60, 0) + off(0, 60, 1) + END
    score = read(midi(setup, notes, notes), tmp_path).content
    assert [track.channel for track in score.tracks] == [0, 1, 0, 1]
    assert controls_of(score) == [(0, 1, 7, 1)]


@pytest.mark.parametrize("number", [120, 123, 124, 125, 126, 127])
def test_a_controller_ends_all_notes_of_its_channel(tmp_path, number):
    silence = bytes([5, 0xB0, number, 0])
    body = (
        on(0, 60) + on(0, 64) + on(0, 67, 80, 1) + silence + on(5, 64) + off(5, 64) + off(5, 67, 1)
    )
    other = on(0, 72) + off(9, 72) + on(0, 74, 80, 2) + off(9, 74, 2)
    piece = read(midi(body + END, other + END), tmp_path)
    # Notes of other channels go on; those of this one end in other tracks, too.
    assert rows_of(piece.content) == [
        (0, 5, 60, 80, 0),
        (0, 5, 64, 80, 0),
        (0, 20, 67, 80, 1),
        (0, 5, 72, 80, 2),
        (9, 9, 74, 80, 3),
        (10, 5, 64, 80, 0),
    ]
    assert piece.warnings == ()


def test_notes_that_begin_when_another_track_ends_all_go_on(tmp_path):
    silence = b"\x05\xb0\x7b\x00"
    sounding = on(0, 60) + on(5, 62) + off(5, 60) + off(0, 62)
    for tracks in ([silence + END, sounding + END], [sounding + END, silence + END]):
        found = [row[:3] for row in notes(midi(*tracks), tmp_path)]
        assert found == [(0, 5, 60), (5, 5, 62)]


def test_a_note_struck_again_when_another_track_ends_all_is_not_cut_by_it(tmp_path):
    sounding = on(0, 60) + on(5, 60) + off(5, 60) + off(0, 60)
    piece = read(midi(sounding + END, b"\x05\xb0\x7b\x00" + END), tmp_path)
    assert [row[:2] for row in rows_of(piece.content)] == [(0, 5), (5, 5)]
    assert piece.warnings == ()


def test_channels_of_another_port_are_other_channels(tmp_path):
    port = b"\x00\xff\x21\x01"
    silence = b"\x05\xb0\x7b\x00"
    tracks = [port + b"\x01" + silence + END]
    tracks += [port + each + on(0, 60) + off(9, 60) + END for each in (b"\x00", b"\x01")]
    assert [row[1] for row in notes(midi(*tracks), tmp_path)] == [9, 5]


def test_a_controller_that_comes_when_nothing_sounds_ends_nothing(tmp_path):
    silence = b"\x00\xb0\x7b\x00"
    piece = read(midi(silence + NOTE + silence + NOTE + END), tmp_path)
    assert rows_of(piece.content) == [(0, 10, 60, 80, 0), (10, 10, 60, 80, 0)]


@pytest.mark.parametrize("number", [121, 122, 7])
def test_other_controllers_end_nothing(tmp_path, number):
    body = on(0, 60) + bytes([5, 0xB0, number, 0]) + off(5, 60)
    assert notes(midi(body + END), tmp_path) == [(0, 10, 60, 80, 0)]


def test_a_note_off_after_all_were_ended_is_nobodys(tmp_path):
    silence = b"\x05\xb0\x7b\x00"
    body = on(0, 60) + silence + off(1, 60) + on(1, 60) + off(3, 60)
    assert notes(midi(body + END), tmp_path) == [(0, 5, 60, 80, 0), (7, 3, 60, 80, 0)]


def test_tempos_in_several_tracks_are_one_map(tmp_path):
    # 500,000 at 0 and 600,000 at 20 in track 1; 1,000,000 at 10 in track 2.
    first = b"\x00\xff\x51\x03\x07\xa1\x20" + b"\x14\xff\x51\x03\x09\x27\xc0"
    second = b"\x0a\xff\x51\x03\x0f\x42\x40"
    score = read(midi(first + END, second + NOTE + END), tmp_path).content
    assert score.tempo_tick.tolist() == [0, 10, 20]
    assert score.tempo_bpm.tolist() == [120.0, 60.0, 100.0]


def test_of_changes_at_one_time_the_last_in_the_file_counts(tmp_path):
    meters = b"\x00\xff\x58\x04\x03\x02\x18\x08" + b"\x00\xff\x58\x04\x06\x03\x18\x08"
    score = read(midi(meters + NOTE + END), tmp_path).content
    assert score.meter.tolist() == [[6, 8]]
    many = b"".join(b"\x00\xff\x51\x03\x07\xa1" + bytes([low]) for low in range(100))
    score = read(midi(many + NOTE + END), tmp_path).content
    assert score.tempo_bpm.tolist() == [60e6 / (0x07A100 + 99)]


def test_odd_meters_and_keys_are_kept(tmp_path):
    # 7/8 at 0 and 5/16 at 10; D minor (one flat) at 0, C sharp major (seven sharps) at 4.
    metas = (
        b"\x00\xff\x58\x04\x07\x03\x18\x08\x00\xff\x59\x02\xff\x01"
        b"\x04\xff\x59\x02\x07\x00\x06\xff\x58\x04\x05\x04\x18\x08"
    )
    score = read(midi(metas + NOTE + END), tmp_path).content
    assert (score.meter_tick.tolist(), score.meter.tolist()) == ([0, 10], [[7, 8], [5, 16]])
    assert (score.key_tick.tolist(), score.key.tolist()) == ([0, 4], [[-1, 1], [7, 0]])


def test_tempos_meters_and_keys_that_are_none_are_left_out_and_told(tmp_path):
    metas = (
        b"\x00\xff\x51\x03\x00\x00\x00"  # a beat without length
        b"\x00\xff\x51\x01\x07"  # cut short
        b"\x00\xff\x58\x04\x00\x02\x18\x08"  # 0/4
        b"\x00\xff\x59\x02\x09\x00"  # nine sharps
        b"\x00\xff\x59\x02\x00\x07"  # neither major nor minor
    )
    piece = read(midi(metas + NOTE + END), tmp_path)
    score = piece.content
    assert rows_of(score) == [(0, 10, 60, 80, 0)]
    assert (score.tempo_bpm.tolist(), score.meter.tolist()) == ([120.0], [[4, 4]])
    assert len(score.key) == 0
    assert piece.warnings == (
        "2 impossible tempos left out",
        "1 impossible meter left out",
        "2 impossible keys left out",
    )


def test_silence_at_the_end_is_kept_unless_it_is_absurd(tmp_path):
    # 96 ticks to a beat: 0x60 ticks after the note is one beat.
    assert read(midi(NOTE + b"\x60\xff\x2f\x00"), tmp_path).content.length == 106
    # ff ff ff 7f is 2**28 - 1 ticks, 2,796,202 beats and a part of one.
    piece = read(midi(NOTE + b"\xff\xff\xff\x7f\xff\x2f\x00"), tmp_path)
    assert piece.content.length == 10
    assert piece.warnings == ("2,796,202 beats of silence at the end left out",)


def test_a_century_of_ticks_costs_nothing(tmp_path):
    # Nine waits of 2**28 - 1 ticks: what counts in 32 bits would come round.
    body = b"".join(b"\xff\xff\xff\x7f" + note for note in [b"\x90\x3c\x50", b"\x3c\x00"] * 5)
    wait = 2**28 - 1
    found = notes(midi(body + END), tmp_path)
    assert found == [(wait * (2 * n + 1), wait, 60, 80, 0) for n in range(5)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Flöte".encode(), "Flöte"),
        ("Flöte".encode("latin-1"), "Flöte"),
        ("“Bass”".encode("cp1252"), "“Bass”"),
        ("メロディー".encode("shift-jis"), "メロディー"),
        ("скрипка".encode(), "скрипка"),
        (b"\x81", "\x81"),  # in none but Latin-1
        (b"", ""),
    ],
)
def test_names_in_any_encoding(tmp_path, name, text):
    meta = b"\x00\xff\x03" + bytes([len(name)]) + name
    piece = read(midi(meta + NOTE + END), tmp_path)
    assert [track.name for track in piece.content.tracks] == [text]
    assert piece.warnings == ()


def test_of_several_names_the_last_counts(tmp_path):
    body = b"\x00\xff\x03\x01A" + NOTE + b"\x00\xff\x03\x01B" + END
    assert read(midi(body), tmp_path).content.tracks[0].name == "B"


def test_frames_of_film_as_time(tmp_path):
    # E7 28 is 25 frames a second of 40 ticks each: 1,000 ticks a second.
    tempo = b"\x00\xff\x51\x03\x09\x27\xc0"
    piece = read(midi(tempo + NOTE + END, division=0xE728), tmp_path)
    assert piece.content.seconds(10) == pytest.approx(0.01)
    assert rows_of(piece.content) == [(0, 10, 60, 80, 0)]
    assert piece.warnings == (
        "times are in frames, 25 a second of 40 ticks each: a second is taken as a beat",
        "1 tempo change ignored, since times are in frames",
    )
    # 29 stands for 30,000 frames in 1,001 seconds.
    piece = read(midi(NOTE + END, division=0xE350), tmp_path)
    assert piece.content.seconds(30_000 * 80) == pytest.approx(1001)


def test_a_file_in_riff(tmp_path):
    inside = midi(NOTE + END)
    data = b"RMIDdata" + len(inside).to_bytes(4, "little") + inside + b"LIST\4\0\0\0INFO"
    piece = read(b"RIFF" + len(data).to_bytes(4, "little") + data, tmp_path)
    assert rows_of(piece.content) == [(0, 10, 60, 80, 0)]
    assert (piece.format, piece.warnings) == ("MIDI format 1 in RIFF", ())


@pytest.mark.parametrize("ending", [".mid", ".MID", ".midi", ".Kar", ".RMI"])
def test_endings_in_any_case(tmp_path, ending):
    from musengine.data.reading import read_sources
    from musengine.pipeline.values import Source
    from musengine.plugins import manager

    path = tmp_path / f"song{ending}"
    path.write_bytes(midi(NOTE + END))
    reading = read_sources([Source(str(path))], manager.load().registry)
    assert [piece.id for piece in reading.pieces] == [path.name]


def test_a_damaged_score_has_the_types_of_a_sound_one(tmp_path):
    sound = read(midi(NOTE + END), tmp_path).content
    damaged = read(midi(NOTE), tmp_path).content
    for name in ("onset", "duration", "pitch", "velocity", "track"):
        assert getattr(damaged, name).dtype == getattr(sound, name).dtype == np.int64


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"MThe quick brown fox", "not a MIDI file: it does not begin with MThd"),
        (b"MThd\0\0\0\6\0", "a damaged MIDI file: it ends within its header"),
        (midi(END), "no notes"),
        (midi(), "no notes"),
        (midi(off(0, 60) + END), "no notes"),
        (midi(END, END, form=2), "no notes"),
    ],
)
def test_what_holds_no_notes_is_refused_with_the_reason(tmp_path, data, reason):
    with pytest.raises(UnreadableError) as caught:
        read_all(data, tmp_path)
    assert caught.value.lines == [reason]
