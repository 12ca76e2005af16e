"""Our own reading compiled gives what our own reading gives, for all files that it takes."""

from __future__ import annotations

import random
import shutil
import sysconfig
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midi_ways import END, Found, by_compiled, by_own_means, midi, use_library
from musengine.builtin.midi import reader
from musengine.builtin.midi.events import quantity
from musengine.plugins.declarations import NoSettings
from musengine.testing import rows_of
from musengine.testing.strategies import few

COMPILER = (sysconfig.get_config_var("CC") or "none").split()[0]
CAN_COMPILE = shutil.which(COMPILER) and Path(sysconfig.get_path("include"), "Python.h").is_file()
# Where it can be compiled it has to be there.
found = import_module if CAN_COMPILE else pytest.importorskip
found("musengine.builtin.midi.compiled")


def told(found: Found | None) -> object:
    """Everything that a reading says, to compare it."""
    if found is None:
        return None
    score, warnings = found
    maps = (score.tempo_tick, score.tempo_bpm, score.meter_tick, score.meter, score.key)
    lists = [each.tolist() for each in (*maps, score.key_tick)]
    return rows_of(score), score.tracks, score.length, lists, warnings


time = st.sampled_from([0, 0, 1, 2, 130, 17_000])
message = st.one_of(
    st.tuples(st.integers(0x90, 0x92), st.integers(60, 62), st.sampled_from([0, 0, 1, 90])),
    st.tuples(st.integers(0x80, 0x82), st.integers(60, 62), st.just(64)),
    st.tuples(st.integers(0xC0, 0xC2), st.integers(0, 2)),
    st.tuples(st.sampled_from([0xA0, 0xB1, 0xE2]), st.integers(0, 127), st.integers(0, 127)),
    st.tuples(st.just(0xD1), st.integers(0, 127)),
).map(bytes)
meta = st.tuples(
    st.sampled_from([0x01, 0x03, 0x51, 0x58, 0x59]), st.binary(min_size=0, max_size=5)
).map(lambda pair: b"\xff" + bytes([pair[0], len(pair[1])]) + pair[1])
system = st.binary(max_size=3).map(lambda data: b"\xf0" + bytes([len(data)]) + data)
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


@given(tracks=tracks.filter(bool), running=st.booleans())
@few(300)
def test_clean_files_are_read_as_by_our_own_reading(tracks, running):
    data = midi(*[body(events, running) for events in tracks])
    assert told(by_compiled(data)) == told(by_own_means(data))


def test_files_of_no_notes_and_of_one():
    assert told(by_compiled(midi(END))) == told(by_own_means(midi(END)))
    # Struck at 1, released at 1 + 200 (81 48): channel 2, program 7.
    data = midi(b"\x00\xc2\x07\x01\x92\x3c\x50\x81\x48\x82\x3c\x00" + END, form=0)
    score, _ = by_compiled(data)
    assert rows_of(score) == [(1, 200, 60, 80, 0)]
    assert (score.tracks[0].program, score.tracks[0].channel, score.length) == (7, 2, 201)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (midi(b"\x00\x90\x3c\x50" + END), "never released"),
        (midi(b"\x00\x90\x3c\xd0\x01\x80\x3c\x00" + END), "a data byte above 127"),
        (midi(b"\x00\x3c\x50" + END), "no status"),
        (midi(b"\x00\xf1\x00" + END), "an event of the system"),
        (midi(b"\x81\x81\x81\x81\x00\x90\x3c\x50\x01\x80\x3c\x00" + END), "five bytes of time"),
        (midi(END + b"\x00"), "an end before the end"),
        (midi(b"\x00\x90\x3c\x50\x01\x80\x3c\x00"), "no end"),
        (midi(b"\x00\xff\x01\x7f" + END), "a text longer than its track"),
        (midi(b"\xff\xff\xff\x7f\xff\x01\x00" * 9 + END), "more than 2**31 ticks"),
        (midi(END) + b"\x00", "a byte after the last track"),
        (midi(END)[:-1], "cut short"),
        (midi(END)[:-6], "cut short"),
        (midi(END)[:15], "cut short"),
        (midi(END).replace(b"MTrk", b"MTrx"), "another chunk"),
        (midi(END, END, form=0), "two tracks in format 0"),
        (midi(END, form=2), "format 2"),
        (midi(), "no track"),
        (b"", "empty"),
    ],
)
def test_what_is_odd_is_left_to_others(data, why):
    assert by_compiled(data) is None, why


def test_more_than_its_tables_hold_is_left_to_others():
    names = b"\x00\xff\x03\x00" * 5000
    assert by_compiled(midi(names + END)) is None
    strikes = [bytes((0, 0xC0, program, 0, 0x90, 60, 80, 1, 0x80, 60, 0)) for program in range(90)]
    assert by_compiled(midi(*[b"".join(strikes) + END] * 3)) is None


def damageable() -> bytes:
    events = [
        (random.Random(n).choice([0, 3, 200]), bytes((0x90 | n % 3, 60 + n % 3, 70)))
        for n in range(12)
    ]
    metas = [(0, b"\xff\x03\x04name"), (5, b"\xff\x51\x03\x07\xa1\x20"), (9, b"\xc1\x05")]
    return midi(body(metas, False), body(events[:6], False), body(events[6:], True))


def test_damaged_files_are_left_or_read_as_by_our_own_reading():
    data, random_ = damageable(), random.Random(3)
    read = 0
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(random_.choice([1, 1, 3])):
            at = random_.randrange(14, len(changed))
            changed[at : at + random_.choice([0, 1, 1, 4])] = random_.randbytes(
                random_.choice([0, 1])
            )
        if (found := by_compiled(bytes(changed))) is not None:
            assert told(found) == told(by_own_means(bytes(changed)))
            read += 1
    assert 200 < read < 2800


def test_without_it_files_are_read_through_a_library(monkeypatch):
    use_library("miditoolkit", monkeypatch)
    (score, _, _) = next(reader._scores(damageable()))
    assert len(score) == 12
    assert reader.MidiReader(NoSettings()).library() == f"miditoolkit {version('miditoolkit')}"
