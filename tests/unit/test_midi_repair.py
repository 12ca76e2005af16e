"""Damaged MIDI files: whatever music they hold is read, and what was odd is said in a line each."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midi_ways import END, WAYS_OF_READING, chunk, header, read_in
from musengine.builtin.midi import tolerant_events
from musengine.builtin.midi.chunks import split_chunks
from musengine.builtin.midi.note_pairing import no_note, pair
from musengine.builtin.midi.reader import MidiReader
from musengine.builtin.midi.warnings import Warnings
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item
from musengine.music.note_tables import LAST_TICK
from musengine.plugins.configs import NoSettings
from musengine.testing import rows_of
from musengine.testing.strategies import few

NOTE = b"\x00\x90\x3c\x50" + b"\x0a\x80\x3c\x40"  # C4, velocity 80, 10 ticks long
ONE = [(0, 10, 60, 80, 0)]


@pytest.fixture(params=WAYS_OF_READING, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs in every way of reading."""
    read_in(request.param, monkeypatch)


def read(data: bytes, folder: Path) -> tuple[list[tuple[int, ...]], tuple[str, ...]]:
    """The notes and the warnings."""
    path = folder / "piece.mid"
    path.write_bytes(data)
    (piece,) = MidiReader(NoSettings()).read(Item(path, path.name))
    return rows_of(piece.content), piece.warnings


TWO = [(0, 10, 60, 80, 0), (0, 10, 60, 80, 1)]
TRACK = chunk(NOTE + END)


@pytest.mark.parametrize(
    ("data", "notes", "warnings"),
    [
        pytest.param(
            header() + chunk(NOTE), ONE, ("track 1 has no end",), id="no end of track"
        ),
        pytest.param(
            header() + chunk(NOTE + END)[:-5], ONE,
            # Its release is cut short: the note ends at its time, where the track does.
            ("track 1 has a wrong length", "track 1 ends too early", "1 note never released"),
            id="cut within a note",
        ),
        pytest.param(
            header(tracks=9) + TRACK + TRACK, TWO,
            ("the header counts 9 tracks, there are 2",), id="too many counted",
        ),
        pytest.param(
            header(tracks=1) + TRACK + TRACK, TWO,
            ("the header counts 1 track, there are 2",), id="too few counted",
        ),
        pytest.param(
            header(tracks=2) + chunk(NOTE + END, length=0) + TRACK, TWO,
            ("track 1 has a wrong length",), id="a length of 0",
        ),
        pytest.param(
            header(tracks=2) + chunk(NOTE + END, length=2**32 - 1) + TRACK, TWO,
            ("track 1 has a wrong length",), id="a length beyond the file",
        ),
        pytest.param(
            header(tracks=2) + chunk(NOTE + END, length=9) + chunk(NOTE + END, length=99), TWO,
            ("track 1 has a wrong length, track 2 has a wrong length",), id="two wrong lengths",
        ),
        pytest.param(
            header() + chunk(b"ab", b"XFIH") + TRACK, ONE,
            ("1 chunk of an unknown kind ignored",), id="unknown chunk",
        ),
        pytest.param(
            header() + TRACK + b"\0\0\r\n", ONE,
            ("4 bytes between or after the tracks ignored",), id="junk at the end",
        ),
        pytest.param(
            b"\0" * 128 + header() + TRACK, ONE,
            ("128 bytes before the header ignored",), id="junk before",
        ),
        pytest.param(TRACK, ONE, ("there is no header",), id="no header"),
        pytest.param(
            header(form=7) + TRACK, ONE,
            ("the header gives format 7, which there is not: read as format 1",), id="format 7",
        ),
        pytest.param(
            header(form=0, tracks=2) + TRACK + TRACK, TWO,
            ("the header gives format 0, which has one track: read as format 1",),
            id="format 0 with two tracks",
        ),
        pytest.param(
            header(division=0) + TRACK, ONE,
            ("the header gives no time division: 480 ticks to a beat are taken",),
            id="no division",
        ),
        pytest.param(
            header(division=0xF000) + TRACK, ONE,
            (
                "the header's time division, 16 frames a second of 0 ticks each, is none: "
                "480 ticks to a beat are taken",
            ),
            id="impossible frames",
        ),
        pytest.param(
            b"MThd\0\0\0\1" + header()[8:] + TRACK, ONE,
            ("the header has a wrong length",), id="wrong length of the header",
        ),
        pytest.param(
            b"MThd\0\0\0\x08" + header()[8:] + b"\1\2" + TRACK, ONE, (), id="a longer header",
        ),
        pytest.param(
            # A controller of 200, then a velocity of 200, which counts as 127.
            header() + chunk(b"\0\xb0\x07\xc8" + b"\0\x90\x3c\xc8\x0a\x80\x3c\0" + END),
            [(0, 10, 60, 127, 0)], ("2 data bytes above 127",), id="data above 127",
        ),
        pytest.param(
            # A pitch of 200 is none; the events around it keep their time.
            header() + chunk(b"\x05\x90\xc8\x50" + NOTE + END),
            [(5, 10, 60, 80, 0)], ("1 data byte above 127",), id="pitch above 127",
        ),
        pytest.param(
            # Six bytes of time count as no time.
            header() + chunk(b"\x81\x81\x81\x81\x81\x01" + NOTE[1:] + END),
            ONE, ("1 number of more than four bytes taken as 0",), id="a time too long",
        ),
        pytest.param(
            # Data bytes before any status: 05 is taken for a time, 11 for data of nothing.
            header() + chunk(b"\x05\x11" + NOTE + END),
            [(5, 10, 60, 80, 0)], ("1 byte of no event ignored",), id="data of no event",
        ),
        pytest.param(
            header() + chunk(NOTE + END + b"\0\0\0"), ONE,
            ("3 bytes after the end of a track ignored",), id="more after the end",
        ),
        pytest.param(
            header() + chunk(NOTE + b"\0\xff\x01\x60text"), ONE,
            ("track 1 ends too early",), id="a text too long",
        ),
        pytest.param(
            # The clock and the song position pointer have no place in a file.
            header() + chunk(b"\0\xf8\0\xf2\1\2" + NOTE + END), ONE, (), id="system messages",
        ),
    ],
)  # fmt: skip
def test_what_there_is_is_read_and_what_was_odd_is_told(tmp_path, data, notes, warnings):
    assert read(data, tmp_path) == (notes, warnings)


def test_many_odd_tracks_are_one_line(tmp_path):
    data = header(tracks=8) + chunk(NOTE) * 8
    assert read(data, tmp_path)[1] == (
        "track 1 has no end, track 2 has no end, track 3 has no end, track 4 has no end, "
        "track 5 has no end, and 3 tracks more",
    )


def test_a_track_that_runs_past_all_time_is_cut(tmp_path):
    # 4,096 waits of 2**28 - 1 ticks stay below 2**40, the next does not.
    waits = b"\xff\xff\xff\x7f\xb0\x07\x00" + b"\xff\xff\xff\x7f\x07\x00" * 4096
    notes, warnings = read(header() + chunk(NOTE + waits + NOTE + END), tmp_path)
    assert notes == ONE
    assert f"track 1 runs on past tick {LAST_TICK} and is cut" in warnings


def test_a_million_notes_are_read_and_more_than_a_file_may_have_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tolerant_events, "MAX_NOTES", 1000)
    few_notes = b"\0\x90\x3c\x40" + b"\0\x3c\x00\0\x3c\x40" * 999
    notes, _ = read(header() + chunk(few_notes), tmp_path)
    assert len(notes) == 1000
    with pytest.raises(UnreadableError, match="more than 1000 notes"):
        read(header() + chunk(few_notes + b"\0\x3c\x00\0\x3c\x40"), tmp_path)
    half = chunk(few_notes[:-3000])
    with pytest.raises(UnreadableError, match="more than 1000 notes"):
        read(header(form=2, tracks=3) + half * 3, tmp_path)


@pytest.mark.parametrize(
    ("limit", "event", "reason"),
    [
        ("MAX_CHANGES", b"\0\xc0\x05", "more than 100 changes of program, tempo, meter, key"),
        ("MAX_CHANGES", b"\0\xff\x03\1A", "more than 100 changes of program, tempo, meter, key"),
        ("MAX_CONTROLS", b"\0\xb0\x07\x40", "more than 100 controllers"),
    ],
)
def test_too_many_changes_and_controllers_are_refused(tmp_path, monkeypatch, limit, event, reason):
    monkeypatch.setattr(tolerant_events, limit, 100)
    read(header() + chunk(NOTE + event * 100), tmp_path)
    with pytest.raises(UnreadableError, match=reason):
        read(header() + chunk(NOTE + event * 101), tmp_path)


def test_65535_tracks_in_a_kilobyte(tmp_path):
    notes, warnings = read(header(tracks=65_535) + TRACK + chunk(b"") * 100, tmp_path)
    assert notes == ONE
    assert "the header counts 65,535 tracks, there are 101" in warnings


def test_deep_riff_is_no_music(tmp_path):
    with pytest.raises(UnreadableError, match="does not begin with MThd"):
        read(b"RIFF\xff\xff\xff\xffLIST" * 4000, tmp_path)


def test_parts_of_a_file_beyond_its_end_are_not_there():
    data = header(tracks=3) + b"MTrk\x7f\xff\xff\xff" + b"MTr"
    found = split_chunks(data, Warnings())
    assert [data[begin:stop] for begin, stop in found.tracks] == [b"MTr"]


Event = tuple[int, int, bool]
"""Its tick, its key, and whether it is a note-on."""


def pairs_by_hand(
    events: list[Event], track_end: list[int]
) -> tuple[list[tuple[int, int]], int, int]:
    """The rule, event by event: brackets tell who hangs, the others are first in, first out."""
    ends: dict[int, int] = {}
    hanging = cut = 0
    for key in {key for _, key, _ in events}:
        own = [(at, tick, strike) for at, (tick, k, strike) in enumerate(events) if k == key]
        brackets: list[int] = []
        used: list[int] = []
        for at, _, strike in own:
            if strike:
                brackets.append(at)
            elif brackets:
                brackets.pop()
                used.append(at)
        strikes = [at for at, _, strike in own if strike]
        for at, release in zip((s for s in strikes if s not in brackets), used, strict=True):
            ends[at] = events[release][0]
        for at in brackets:
            later = [s for s in strikes if s > at]
            ends[at] = events[later[0]][0] if later else track_end[key // 2048]
        hanging += len(brackets)
        for at in strikes:
            later = [events[s][0] for s in strikes if events[s][0] > events[at][0]]
            if later and later[0] < ends[at]:
                ends[at], cut = later[0], cut + 1
    return sorted((at, end - events[at][0]) for at, end in ends.items()), hanging, cut


event = st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2048 + 1, None]), st.booleans())


@pytest.mark.parametrize("width", [np.uint16, np.uint32])
@given(steps=st.lists(event, max_size=40), rest=st.integers(0, 3))
@few(300)
def test_pairing_is_the_rule_event_by_event(width, steps, rest):
    ticks = list(itertools.accumulate(wait for wait, _, _ in steps))
    end = (ticks[-1] if ticks else 0) + rest
    none = no_note(np.zeros(0, dtype=width))
    keys = np.array([none if key is None else key for _, key, _ in steps], dtype=width)
    velocity = np.array([90 * strike for _, _, strike in steps], dtype=np.uint8)
    found = pair(np.array(ticks, dtype=np.int64), keys, velocity, np.array([end, end + 7]))
    events = [
        (tick, key, strike)
        for tick, (_, key, strike) in zip(ticks, steps, strict=True)
        if key is not None
    ]
    places = [at for at, (_, key, _) in enumerate(steps) if key is not None]
    notes, hanging, cut = pairs_by_hand(events, [end, end + 7])
    by_hand = [(places[at], duration) for at, duration in notes]
    assert list(zip(found.note_on.tolist(), found.duration.tolist(), strict=True)) == by_hand
    assert (found.hanging, found.cut) == (hanging, cut)
