from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import miditoolkit
import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midi_ways import WAYS_OF_READING, read_in
from musengine.builtin.midi.drums import DRUM_BANKS
from musengine.builtin.midi.reader import MidiReader
from musengine.builtin.midi.writer import LONGEST_WAIT, MidiWriter, midi_bytes, quantity
from musengine.interfaces.reader import Item
from musengine.music.note_tables import BEND
from musengine.music.piece import Text
from musengine.music.score import Score, Track
from musengine.music.transforms import one_note_per_key
from musengine.plugins.configs import NoSettings
from musengine.testing import rows_of, score_of
from musengine.testing.strategies import controls, few, scores


def parsed(score: Score) -> mido.MidiFile:
    """What an independent parser makes of a written score."""
    return mido.MidiFile(file=io.BytesIO(midi_bytes(score)))


def timed(track: mido.MidiTrack) -> list[tuple[int, mido.Message]]:
    """(tick, message) of a track."""
    ticks = np.cumsum([message.time for message in track]).tolist()
    return list(zip(ticks, track, strict=True))


def there_and_back(score: Score, folder: Path) -> Score:
    path = folder / "piece.mid"
    MidiWriter(NoSettings()).write(score, path)
    (piece,) = MidiReader(NoSettings()).read(Item(path, path.name))
    assert isinstance(piece.content, Score)
    return piece.content


def channels(score: Score) -> list[tuple[int, int]]:
    """(port, channel) of each track of a written score, taken from its program change."""
    found = []
    for track in parsed(score).tracks[1:]:
        (port,) = [m.port for m in track if m.type == "midi_port"] or [0]
        (channel,) = [m.channel for m in track if m.type == "program_change"]
        assert {m.channel for m in track if m.type == "note_on"} <= {channel}
        found.append((port, channel))
    return found


@pytest.mark.parametrize(
    ("number", "written"),
    [
        # The table of examples in the Standard MIDI File specification.
        (0x00, "00"),
        (0x40, "40"),
        (0x7F, "7f"),
        (0x80, "8100"),
        (0x2000, "c000"),
        (0x3FFF, "ff7f"),
        (0x4000, "818000"),
        (0x100000, "c08000"),
        (0x1FFFFF, "ffff7f"),
        (0x200000, "81808000"),
        (0x8000000, "c0808000"),
        (0xFFFFFFF, "ffffff7f"),
    ],
)
def test_quantities_of_variable_length(number, written):
    assert quantity(number).hex() == written


def test_a_small_file_byte_for_byte():
    score = score_of(
        [(0, 200, 60, 64)],
        ticks_per_beat=96,
        tracks=[Track("Ä", 19)],
        tempos=[(0, 100)],
        meters=[(0, 6, 8)],
        keys=[(0, -3, True)],
        length=384,
    )
    assert midi_bytes(score).hex(" ") == " ".join(
        [
            "4d 54 68 64 00 00 00 06 00 01 00 02 00 60",  # format 1, 2 tracks, 96 ticks
            "4d 54 72 6b 00 00 00 1a",  # 26 bytes: 7 + 8 + 6 + 5
            "00 ff 51 03 09 27 c0",  # 600,000 microseconds a quarter note
            "00 ff 58 04 06 03 18 08",  # 6/8: the denominator is 2 to the 3rd
            "00 ff 59 02 fd 01",  # three flats, minor
            "83 00 ff 2f 00",  # 384 = 3 * 128 ticks on, the end
            "4d 54 72 6b 00 00 00 16",  # 22 bytes: 6 + 3 + 4 + 5 + 4
            "00 ff 03 02 c3 84",  # the name, UTF-8
            "00 c0 13",  # program 19
            "00 90 3c 40",
            "81 48 80 3c 40",  # 200 = 128 + 72 ticks on
            "00 ff 2f 00",
        ]
    )


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), max_size=12)
track_lists = st.lists(
    st.builds(
        Track,
        names,
        st.integers(0, 127),
        st.booleans(),
        st.one_of(st.none(), st.integers(0, 15)),
    ),
    min_size=1,
    max_size=18,
)
meter_maps = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 255), st.integers(0, 15).map(lambda n: 2**n)),
    max_size=4,
)
key_maps = st.lists(st.tuples(st.integers(0, 400), st.integers(-7, 7), st.booleans()), max_size=4)
tempo_maps = st.lists(st.tuples(st.integers(0, 400), st.floats(3.6, 5000.0)), max_size=4)


def makes_no_drums(control: tuple[int, int, int, int]) -> bool:
    """Return whether a controller selects no bank of drums, which pitched notes are spared."""
    _, _, number, value = control
    return number != 0 or value not in DRUM_BANKS


@st.composite
def whole_scores(draw: st.DrawFn) -> Score:
    """Scores of any maps whose notes do not overlap on one pitch of a track; every track has one.

    Maps and controllers lie within the music, and the silence after it is no longer than readers
    believe.
    """
    tracks = draw(track_lists)
    notes = draw(
        st.lists(
            st.tuples(
                st.integers(0, 500),
                st.integers(1, 20_000),
                st.integers(0, 127),
                st.integers(1, 127),
                st.integers(0, len(tracks) - 1),
            ),
            max_size=30,
        )
    )
    notes += [(400 + index, 40, 60, 64, index) for index in range(len(tracks))]
    resolution = draw(st.integers(1, 32_767))
    score = score_of(
        notes,
        ticks_per_beat=resolution,
        tracks=tracks,
        tempos=draw(tempo_maps),
        meters=draw(meter_maps),
        keys=draw(key_maps),
        controls=draw(st.lists(controls(len(tracks)).filter(makes_no_drums), max_size=20)),
    )
    # The silence is counted from the notes as they are when none overlaps another.
    score = one_note_per_key(score)
    return replace(score, length=int(score.end.max()) + draw(st.integers(0, 900 * resolution)))


def controls_of(score: Score) -> list[list[tuple[int, ...]]]:
    """(tick, number, value) of the controllers of each track, those of banks first in a tick."""
    rows: list[list[tuple[int, ...]]] = [[] for _ in score.tracks]
    for tick, (track, *change) in zip(
        score.control_tick.tolist(), score.control.tolist(), strict=True
    ):
        rows[track].append((tick, *change))
    return [sorted(own, key=lambda row: (row[0], row[0] or row[1] not in (0, 32))) for own in rows]


@pytest.mark.parametrize("way", WAYS_OF_READING)
@given(score=whole_scores())
@few(80)
def test_writing_and_reading_gives_the_same_score(way, score, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        read_in(way, patch)
        found = there_and_back(score, tmp_path)
    expected = [replace(track, channel=None) for track in score.tracks]
    assert [replace(track, channel=None) for track in found.tracks] == expected
    assert [track.channel for track in found.tracks] == [channel for _, channel in channels(score)]
    assert rows_of(found) == rows_of(score)
    for name in ("tempo_tick", "tempo_bpm", "meter_tick", "meter", "key_tick", "key"):
        assert getattr(found, name).tolist() == getattr(score, name).tolist(), name
    assert (found.ticks_per_beat, found.length) == (score.ticks_per_beat, score.length)
    assert controls_of(found) == controls_of(score)
    # And what was read is written as the same bytes.
    assert midi_bytes(found) == midi_bytes(replace(score, tracks=found.tracks))


# The keys of seven flats to seven sharps.
MAJOR = ["Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#"]
MINOR = ["Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#"]


@given(score=whole_scores())
@few(80)
def test_another_library_reads_what_is_written(score):
    file = miditoolkit.MidiFile(file=io.BytesIO(midi_bytes(score)), charset="utf-8")
    assert file.ticks_per_beat == score.ticks_per_beat
    assert file.max_tick == score.length + 1
    parts = [(each.name, int(each.program), each.is_drum) for each in file.instruments]
    assert parts == [(track.name, track.program, track.is_drum) for track in score.tracks]
    found = [
        (note.start, note.end - note.start, note.pitch, note.velocity, track)
        for track, instrument in enumerate(file.instruments)
        for note in instrument.notes
    ]
    assert sorted(found) == sorted(rows_of(score))
    # It gives the default of 120 where no tempo is told, and every meter and key as it is written.
    assert {(change.time, change.tempo) for change in file.tempo_changes} == set(
        zip(score.tempo_tick.tolist(), score.tempo_bpm.tolist(), strict=True)
    )
    meters = [
        (change.time, [change.numerator, change.denominator])
        for change in file.time_signature_changes
    ]
    assert meters == list(zip(score.meter_tick.tolist(), score.meter.tolist(), strict=True))
    names = [(change.time, change.key_name) for change in file.key_signature_changes]
    assert names == [
        (tick, f"{MINOR[sharps + 7]}m" if minor else MAJOR[sharps + 7])
        for tick, (sharps, minor) in zip(score.key_tick.tolist(), score.key.tolist(), strict=True)
    ]
    for instrument, own in zip(file.instruments, controls_of(score), strict=True):
        changes = [(each.time, each.number, each.value) for each in instrument.control_changes]
        bends = [(each.time, BEND, each.pitch) for each in instrument.pitch_bends]
        assert changes == [row for row in own if row[1] != BEND]
        assert bends == [row for row in own if row[1] == BEND]


@given(score=scores())
@few(80)
def test_every_note_is_ended_before_its_pitch_is_struck_again(score):
    for index, track in enumerate(parsed(score).tracks[1:]):
        struck = Counter(row[0] for row in rows_of(score) if row[4] == index)
        held: Counter[int] = Counter()
        since: dict[int, int] = {}
        for tick, message in timed(track):
            if message.type == "note_on":
                # Only what is struck at the same moment may sound together on one pitch.
                assert not held[message.note] or since[message.note] == tick
                held[message.note] += 1
                since[message.note] = tick
                struck[tick] -= 1
            elif message.type == "note_off":
                assert tick > since[message.note]
                held[message.note] -= 1
        assert not any(held.values())
        assert not any(struck.values())


def test_silence_at_the_end_is_kept_by_the_end_of_the_first_track():
    maps, notes = parsed(score_of([(0, 4, 60)], length=400)).tracks
    assert timed(maps)[-1][0] == 400
    assert timed(notes)[-1][0] == 4


def test_what_the_maps_say_after_the_end_is_left_out():
    score = score_of([(0, 4, 60)], tempos=[(4, 60), (5, 90)], meters=[(9, 3, 4)], keys=[(9, 1, 0)])
    assert [(tick, m.type) for tick, m in timed(parsed(score).tracks[0])] == [
        *((0, "set_tempo"), (0, "time_signature"), (4, "set_tempo"), (4, "end_of_track"))
    ]


def drum(name: str = "kit") -> Track:
    return Track(name, 0, True)


def test_tracks_have_the_channels_they_name_and_others_free_ones():
    tracks = [Track("a", 1), Track("b", 2, channel=0), drum(), Track("c", 3, channel=15)]
    tracks += [Track("d", 4, channel=9), replace(drum(), channel=3)]
    notes = [(0, 4, 60, 80, index) for index in range(len(tracks))]
    # Channel 9 is for drums alone, and drums are nowhere else.
    assert channels(score_of(notes, tracks=tracks)) == [
        *((0, 1), (0, 0), (0, 9), (0, 15), (0, 2), (0, 9))
    ]


def test_tracks_that_name_one_channel_share_it_only_without_harm():
    def placed(one: Track, other: Track, notes) -> list[tuple[int, int]]:
        return channels(score_of(notes, tracks=[one, other]))

    left, right = Track("left", 5, channel=2), Track("right", 5, channel=2)
    apart = [(0, 4, 60, 80, 0), (5, 4, 60, 80, 1), (0, 9, 72, 80, 1)]
    assert placed(left, right, apart) == [(0, 2), (0, 2)]
    # The second strikes 60 while the first holds it: one note would cut the other short.
    held = [(0, 8, 60, 80, 0), (5, 4, 60, 80, 1)]
    assert placed(left, right, held) == [(0, 2), (0, 0)]
    # Players may end the first after the second is struck, where both are at one moment.
    touching = [(0, 5, 60, 80, 0), (5, 4, 60, 80, 1)]
    assert placed(left, right, touching) == [(0, 2), (0, 0)]
    # Another program would change the sound of the first.
    assert placed(left, replace(right, program=6), apart) == [(0, 2), (0, 0)]


def test_more_parts_than_channels_go_to_another_port():
    # Parts 0 to 14 fill the channels of port 0 but 9. Part 17 plays the instrument of part 3 and
    # gets its channel on the other port; that of part 0, which 18 plays, is taken by 15.
    programs = [*range(20, 35), 40, 41, 23, 20, 42]
    tracks = [Track(str(index), program) for index, program in enumerate(programs)]
    notes = [(0, 4, 60, 80, index) for index in range(20)]
    free = [channel for channel in range(16) if channel != 9]
    expected = [(0, channel) for channel in free]
    expected += [(1, 0), (1, 1), (1, 3), (1, 2), (1, 4)]
    found = channels(score_of(notes, tracks=tracks))
    assert found == expected


def test_a_thousand_parts_have_places_of_their_own():
    tracks = [Track(str(index), index % 128) for index in range(1000)]
    notes = [(0, 4, 60, 80, index) for index in range(1000)]
    assert len(set(channels(score_of(notes, tracks=tracks)))) == 1000


def test_a_resolution_too_fine_for_the_format_is_made_coarser_without_loss_where_it_can_be():
    # All times are multiples of 40: 40,320 ticks to the beat become 1,008.
    score = score_of(
        [(0, 120, 60), (40_320, 80, 62)], ticks_per_beat=40_320, tempos=[(80, 90)], length=80_640
    )
    file = parsed(score)
    assert file.ticks_per_beat == 1008
    assert [(t, m.type) for t, m in timed(file.tracks[1]) if "note" in m.type] == [
        *((0, "note_on"), (3, "note_off"), (1008, "note_on"), (1010, "note_off"))
    ]
    assert timed(file.tracks[0])[-1][0] == 2016


def test_a_resolution_too_fine_for_the_format_is_rounded_where_it_must_be():
    # 50,000 ticks to the beat, a prime number of ticks: 27,720 ticks to the beat are written.
    # 99991 ticks are 99991 * 27720 / 50000 = 55435.01 of those.
    file = parsed(score_of([(99_991, 50_000, 60)], ticks_per_beat=50_000))
    assert file.ticks_per_beat == 27_720
    ticks = [t for t, m in timed(file.tracks[1]) if "note" in m.type]
    # The end: 149991 * 27720 / 50000 = 83155.01.
    assert ticks == [55_435, 83_155]


def test_meters_that_midi_cannot_write_are_the_nearest_it_can():
    meters = [(4, 3), (5, 6), (300, 4), (1, 48), (1000, 1), (3, 2**15), (255, 1), (257, 2)]
    score = score_of(
        [(0, 400, 60)], meters=[(index * 20, *meter) for index, meter in enumerate(meters)]
    )
    found = [
        (m.numerator, m.denominator) for m in parsed(score).tracks[0] if m.type == "time_signature"
    ]
    # 4/3 of a whole note are 5.33 quarters; 5/6 are 6.67 eighths; 300/4 are 150/2; a 48th is 1.33
    # 64ths; no bar is longer than 255 whole notes; 257/2 are 128.5 whole notes.
    assert found == [(5, 4), (7, 8), (150, 2), (1, 64), (255, 1), (3, 2**15), (255, 1), (129, 1)]


def test_waits_longer_than_the_format_has_room_for_are_divided():
    score = score_of(
        [(0, 1, 60), (2**29, 2**28, 62), (2**40, 5, 64)], length=2**40 + 2**30, tempos=[(2**35, 90)]
    )
    maps, notes = parsed(score).tracks
    assert [(t, m.type) for t, m in timed(maps) if m.type != "text"] == [
        (0, "set_tempo"),
        (0, "time_signature"),
        (2**35, "set_tempo"),
        (2**40 + 2**30, "end_of_track"),
    ]
    assert [(t, m.note) for t, m in timed(notes) if "note" in m.type] == [
        *((0, 60), (1, 60), (2**29, 62), (2**29 + 2**28, 62), (2**40, 64), (2**40 + 5, 64))
    ]
    assert max(m.time for m in notes) == LONGEST_WAIT


def test_controllers_stand_between_the_ends_and_the_beginnings_of_notes():
    score = score_of(
        [(0, 4, 60), (4, 4, 62)],
        tracks=[Track("", 5, channel=2)],
        # Too late: the music is over.
        controls=[(9, 0, 7, 1), (4, 0, 64, 127), (4, 0, BEND, -8192), (0, 0, 64, 0), (0, 0, 32, 3)],
    )
    _, notes = parsed(score).tracks
    assert [(tick, message.bytes()) for tick, message in timed(notes)[:-1]] == [
        (0, [0xB2, 32, 3]),  # the bank, before the program
        (0, [0xC2, 5]),
        (0, [0xB2, 64, 0]),
        (0, [0x92, 60, 80]),
        (4, [0x82, 60, 64]),
        (4, [0xB2, 64, 127]),
        (4, [0xE2, 0, 0]),
        (4, [0x92, 62, 80]),
        (8, [0x82, 62, 64]),
    ]


def test_odd_names_and_programs_are_written_all_the_same():
    score = score_of(
        [(0, 4, 60), (0, 4, 60, 80, 1)],
        tracks=[Track("\udc80 \N{VIOLIN}" + "x" * 300, 200), Track("", -4)],
    )
    first, second = parsed(score).tracks[1:]
    assert first.name.encode("latin-1").decode("utf-8") == "? \N{VIOLIN}" + "x" * 300
    assert [m.program for m in (*first, *second) if m.type == "program_change"] == [127, 0]
    assert not any(m.type == "track_name" for m in second)


def test_a_score_of_nothing_is_a_file_of_nothing():
    assert len(parsed(score_of([], tracks=[])).tracks) == 1
    maps, notes = parsed(score_of([], length=7)).tracks
    assert (timed(maps)[-1][0], timed(notes)[-1][0]) == (7, 0)


def test_texts_are_not_written(tmp_path):
    with pytest.raises(TypeError, match="the MIDI writer writes scores"):
        MidiWriter(NoSettings()).write(Text("X:1"), tmp_path / "piece.mid")
