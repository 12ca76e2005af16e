"""The fast ways of reading give what is read byte by byte, for all files that they take."""

from __future__ import annotations

import random
import shutil
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from midi_ways import END, Reading, by_compiled, by_tolerant, by_vectorised, midi
from musengine.builtin.midi import vectorised_events
from musengine.builtin.midi.assemble import Song
from musengine.builtin.midi.chunks import split_chunks
from musengine.builtin.midi.warnings import Warnings
from musengine.builtin.midi.writer import quantity
from musengine.testing import rows_of
from musengine.testing.strategies import few

COMPILER = (sysconfig.get_config_var("CC") or "none").split()[0]
CAN_COMPILE = shutil.which(COMPILER) and Path(sysconfig.get_path("include"), "Python.h").is_file()
FAST_WAYS = pytest.mark.parametrize("way", [by_compiled, by_vectorised])


@pytest.mark.skipif(not CAN_COMPILE, reason="there is no compiler")
def test_where_it_can_be_compiled_it_is_there():
    assert import_module("musengine.builtin.midi.native_reader")


def told(found: Reading | None) -> object:
    """Everything that a reading says, to compare it."""
    if found is None:
        return None
    score, warnings = found
    maps = (score.tempo_tick, score.tempo_bpm, score.meter_tick, score.meter, score.key)
    controls = (score.key_tick, score.control_tick, score.control)
    lists = [each.tolist() for each in (*maps, *controls)]
    return rows_of(score), score.tracks, score.length, lists, warnings


time = st.sampled_from([0, 0, 1, 2, 130, 8200, 16_300, 17_000, 2**21, 2**28 - 1])
message = st.one_of(
    st.tuples(st.integers(0x90, 0x92), st.integers(60, 62), st.sampled_from([0, 0, 1, 90])),
    st.tuples(st.integers(0x80, 0x82), st.integers(60, 62), st.just(64)),
    st.tuples(st.integers(0xC0, 0xC2), st.integers(0, 2)),
    st.tuples(st.sampled_from([0xA0, 0xB1, 0xE2]), st.integers(0, 127), st.integers(0, 127)),
    st.tuples(st.sampled_from([0xB0, 0xB1]), st.sampled_from([120, 123]), st.just(0)),
    st.tuples(st.just(0xD1), st.integers(0, 127)),
).map(bytes)
drum_message = st.one_of(
    st.tuples(st.sampled_from([0x90, 0x99]), st.integers(60, 61), st.just(90)),
    st.tuples(st.sampled_from([0xB0, 0xB9]), st.just(0), st.sampled_from([0, 1, 121, 126, 127])),
    st.tuples(st.sampled_from([0xB0, 0xB1, 0xB9]), st.just(7), st.integers(0, 127)),
    st.tuples(st.sampled_from([0xC0, 0xC9]), st.integers(0, 1)),
    st.sampled_from(
        [
            b"\xf0\x08\x43\x10\x4c\x00\x00\x7e\x00\xf7",
            b"\xf0\x05\x7e\x7f\x09\x03\xf7",
            b"\xf0\x0a\x41\x10\x42\x12\x40\x11\x15\x02\x18\xf7",
            b"\xf0\x08\x43\x10\x4c\x08\x09\x07\x00\xf7",
        ]
    ),
).map(bytes)
meta = st.tuples(
    st.sampled_from([0x01, 0x03, 0x21, 0x51, 0x58, 0x59]), st.binary(min_size=0, max_size=5)
).map(lambda pair: b"\xff" + bytes([pair[0], len(pair[1])]) + pair[1])
system = st.binary(max_size=3).map(lambda data: b"\xf0" + bytes([len(data) + 1]) + data + b"\xf7")
tracks = st.lists(st.lists(st.tuples(time, message | meta | system), max_size=25), max_size=3)


def body(events: list[tuple[int, bytes]], running: bool) -> bytes:
    """A track in which all notes are released at the end, with running status or without."""
    written, status = b"", 0
    released = [
        (0, bytes((0x80 | channel, pitch, 0))) for channel in range(3) for pitch in (60, 61, 62)
    ]
    for wait, event in events + released * len(events):
        short = running and event[0] == status
        written += quantity(wait) + event[short:]
        status = event[0] if event[0] < 0xF0 else status
    return written + END


@FAST_WAYS
@given(tracks=tracks.filter(bool), running=st.booleans())
@few(300)
def test_sound_files_are_read_as_byte_by_byte(way, tracks, running):
    data = midi(*[body(events, running) for events in tracks])
    # Meta events of another length than theirs are not for all ways.
    if (found := way(data)) is not None:
        assert told(found) == told(by_tolerant(data))


def ends_notes(event: bytes) -> bool:
    """Whether it is a controller that ends all notes of its channel."""
    return event[0] & 0xF0 == 0xB0 and event[1] in (120, *range(123, 128))


def chooses_drums(event: bytes) -> bool:
    """Whether it is a controller that chooses a bank of drums."""
    return event[0] & 0xF0 == 0xB0 and event[1] == 0 and event[2] in (120, 126, 127)


@pytest.mark.parametrize("number", [120, *range(123, 128)])
def test_notes_that_a_controller_ends_are_left_to_all_at_once(number):
    # C4 struck at 0, all ended at 4, the release at 9 then ends nothing.
    data = midi(b"\x00\x90\x3c\x50\x04\xb0" + bytes([number]) + b"\x00\x05\x80\x3c\x00" + END)
    assert by_compiled(data) is None
    score, _ = by_vectorised(data)
    assert rows_of(score) == [(0, 4, 60, 80, 0)]
    assert told(by_vectorised(data)) == told(by_tolerant(data))


@FAST_WAYS
@given(
    tracks=st.lists(
        st.lists(st.tuples(time, message | system), max_size=25), min_size=1, max_size=3
    ),
    running=st.booleans(),
)
@few(150)
def test_sound_files_are_left_to_nobody(way, tracks, running):
    name, tempo = b"\x00\xff\x03\x01A", b"\x05\xff\x51\x03\x07\xa1\x20"
    messages = [each for events in tracks for _, each in events]
    # Where drums may lie elsewhere than on the tenth channel is found out byte by byte.
    assume(not any(chooses_drums(each) for each in messages))
    # Notes that a controller ends are matched with their strikes anew: not by the compiled reader.
    assume(way is by_vectorised or not any(map(ends_notes, messages)))
    assert way(midi(*[name + tempo + body(events, running) for events in tracks])) is not None


@FAST_WAYS
def test_files_of_no_notes_and_of_one(way):
    (score, _) = way(midi(END))
    assert len(score) == 0
    # Struck at 1, released at 1 + 200 (81 48): channel 2, program 7.
    data = midi(b"\x00\xc2\x07\x01\x92\x3c\x50\x81\x48\x82\x3c\x00" + END, form=0)
    score, _ = way(data)
    assert rows_of(score) == [(1, 200, 60, 80, 0)]
    assert (score.tracks[0].program, score.tracks[0].channel, score.length) == (7, 2, 201)


ODD = [
    (midi(b"\x00\x90\x3c\xd0\x01\x80\x3c\x00" + END), "a data byte above 127"),
    (midi(b"\x00\x3c\x50" + END), "no status"),
    (midi(b"\x00\x90\x3c\x50\x01\x3c\x00" + END, b"\x00\x3c\x50" + END), "no status of its own"),
    (midi(b"\x00\xf1\x00" + END), "an event of the system"),
    (midi(b"\x81\x81\x81\x81\x00\x90\x3c\x50\x01\x80\x3c\x00" + END), "five bytes of time"),
    (midi(END + b"\x00"), "an end before the end"),
    (midi(b"\x00\x90\x3c\x50\x01\x80\x3c\x00"), "no end"),
    (midi(b"\x00\xff\x01\x7f" + END), "a text longer than its track"),
    (midi(b"\x00\xff\x01\xff\xff\xff\xff\x7f" + END), "a length of five bytes"),
    (midi(b"\xff\xff\xff\x7f\xff\x01\x00" * 4097 + END), "more than 2**40 ticks"),
    (midi(END)[:-1], "cut short"),
    (midi(END)[:-4], "cut short"),
    (midi(b"\x00\x90\x90\x3c\x50\x01\x80\x3c\x00" + END), "two statuses"),
    (midi(b"\x00\xc0\xc0\x05" + END), "two changes of program"),
    (midi(END, form=2), "format 2"),
]


@FAST_WAYS
@pytest.mark.parametrize(("data", "why"), ODD)
def test_what_is_odd_is_left_to_others(way, data, why):
    assert way(data) is None, why


strokes = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.booleans()), max_size=24)


@FAST_WAYS
@given(tracks=st.lists(strokes, min_size=1, max_size=2), rest=st.integers(0, 9))
@few(300)
def test_hanging_notes_are_the_same_as_byte_by_byte(way, tracks, rest):
    bodies = [
        b"".join(
            bytes([wait, (0x90 if strike else 0x80) | number, pitch, 80])
            for wait, pitch, strike in one
        )
        for number, one in enumerate(tracks)
    ]
    data = midi(*[body + bytes([rest]) + END[1:] for body in bodies])
    if any(strike for one in tracks for _, _, strike in one):
        assert told(way(data)) == told(by_tolerant(data))


@FAST_WAYS
def test_of_strikes_and_releases_what_is_left_over_hangs(way):
    # C4 at 0, 1 and 2, released at 3 and 4: brackets, so that the first hangs, until the second.
    strikes = b"\x00\x90\x3c\x50" + b"\x01\x90\x3c\x50" * 2
    data = midi(strikes + b"\x01\x80\x3c\x00" * 2 + END)
    score, warnings = way(data)
    assert rows_of(score) == [(0, 1, 60, 80, 0), (1, 1, 60, 80, 0), (2, 2, 60, 80, 0)]
    assert warnings[0] == "1 note never released"
    assert told(way(data)) == told(by_tolerant(data))


def test_what_hangs_where_a_controller_ends_notes_is_not_for_the_compiled_reader():
    silence = b"\x00\xb1\x7b\x00"
    data = midi(silence + b"\x00\x90\x3c\x50\x05\x90\x3e\x50\x01\x80\x3e\x00" + END)
    assert by_compiled(data) is None
    assert told(by_vectorised(data)) == told(by_tolerant(data))


@given(
    tracks=st.lists(st.lists(st.tuples(st.integers(0, 3), drum_message), max_size=20), max_size=3)
)
@few(300)
def test_drums_and_their_controllers_are_the_same_as_byte_by_byte(tracks):
    data = midi(*[body(events, False) for events in tracks], body([], False))
    assert told(by_compiled(data)) == told(by_tolerant(data))


def test_a_file_of_more_changes_of_drums_than_may_be_is_left_to_others():
    # Each puts all sixteen channels back, once one was changed.
    puts_back = b"\x00\xf0\x05\x7e\x7f\x09\x01\xf7"
    data = b"\x00\xb0\x00\x7e" + puts_back * 256 + b"\x00\x90\x3c\x50\x01\x80\x3c\x00" + END
    assert by_compiled(midi(data)) is None


@pytest.mark.parametrize(
    "many",
    [
        b"\x00\xff\x03\x00" * 17_000,
        b"\x00\xb0\x00\x01" * 17_000,
        b"\x00\xf0\x01\xf7" * 17_000,
        b"\x01\xff\x51\x03\x07\xa1\x20" * 66_000,
    ],
    ids=["names", "banks", "messages", "tempos"],
)
def test_more_than_its_tables_hold_is_left_to_others(many):
    assert by_compiled(midi(many + END)) is None


def test_more_parts_than_its_tables_hold_are_left_to_others():
    strikes = [bytes((0, 0xC0, program, 0, 0x90, 60, 80, 1, 0x80, 60, 0)) for program in range(90)]
    assert by_compiled(midi(*[b"".join(strikes) + END] * 3)) is None


def one_note(pitch: int) -> bytes:
    """A file of one note, and a controller of the same value."""
    struck = bytes([0, 0xB0, 7, pitch, 0, 0x90, pitch, 90, 24, 0x80, pitch, 64])
    return midi(struck + END)


def test_songs_of_one_thread_and_of_several_share_no_memory():
    native_reader = pytest.importorskip(
        "musengine.builtin.midi.native_reader", exc_type=ImportError
    )

    def song_of(pitch: int) -> Song:
        found = native_reader.song_of(split_chunks(one_note(pitch), Warnings()))
        assert found is not None
        return found

    with ThreadPoolExecutor(4) as threads:
        songs = [*map(song_of, range(60)), *threads.map(song_of, range(60, 120))]
    assert [song.notes[2].tolist() for song in songs] == [[pitch] for pitch in range(120)]
    assert [song.controls[3].tolist() for song in songs] == [[pitch] for pitch in range(120)]


def test_large_files_are_not_read_all_at_once(monkeypatch):
    data = midi(END)
    assert by_vectorised(data) is not None
    monkeypatch.setattr(vectorised_events, "_LARGEST", len(data) - 1)
    assert by_vectorised(data) is None


@pytest.mark.parametrize(
    "time",
    [
        b"\xff\x7f",  # also what makers of instruments add
        b"\xff\x01",  # also a text, of 0x90 bytes and more
        b"\x81\xff\x51",
        b"\xf0\x01",  # also an exclusive message
        b"\xf7\x02",
        b"\xc0\x05",  # also a change of program
        b"\xc0\xc1\x05",
        b"\xd1\x90\x05",
        b"\x90\x05",
    ],
)
def test_times_that_look_like_something_else(time):
    note = b"\x00\x90\x3c\x50" + time + b"\x80\x3c\x40"
    again = (
        time + b"\x90\x3e\x50" + time + b"\x3e\x00" + time + b"\x91\x40\x50" + time + b"\x40\x00"
    )
    for data in (midi(note + again + END), midi(time + note[1:] + END, again + END)):
        assert by_vectorised(data) is not None
        assert told(by_vectorised(data)) == told(by_tolerant(data)) == told(by_compiled(data))


@pytest.mark.parametrize("status", [b"\xd0", b"\xc0"])
def test_running_status_with_one_data_byte(status):
    # Four of them, one after a time of two bytes, one after a text; then notes.
    short = b"\x00" + status + b"\x03\x08\x04\x81\x00\x05\x00\xff\x01\x02\x90\x3c\x07\x06"
    note = b"\x00\x90\x3c\x50\x0a\x3c\x00"
    for data in (
        midi(note + short + note + short + END),
        midi(short + note + END, note + short + END, note + END),
    ):
        assert by_vectorised(data) is not None
        assert told(by_vectorised(data)) == told(by_tolerant(data)) == told(by_compiled(data))


def damageable() -> bytes:
    events = [
        (random.Random(n).choice([0, 3, 200]), bytes((0x90 | n % 3, 60 + n % 3, 70)))
        for n in range(12)
    ]
    metas = [(0, b"\xff\x03\x04name"), (5, b"\xff\x51\x03\x07\xa1\x20"), (9, b"\xc1\x05")]
    metas += [(3, b"\xb1\x40\x7f"), (2, b"\xe1\x00\x50"), (1, b"\xd1\x20")]
    return midi(body(metas, False), body(events[:6], False), body(events[6:], True))


@pytest.mark.slow
@FAST_WAYS
def test_damaged_files_are_left_or_read_as_byte_by_byte(way):
    data, random_ = damageable(), random.Random(3)
    read = 0
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(random_.choice([1, 1, 3])):
            at = random_.randrange(14, len(changed))
            changed[at : at + random_.choice([0, 1, 1, 4])] = random_.randbytes(
                random_.choice([0, 1])
            )
        if (found := way(bytes(changed))) is not None:
            assert told(found) == told(by_tolerant(bytes(changed)))
            read += 1
    assert 200 < read < 2800
