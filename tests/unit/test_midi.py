from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from pathlib import Path

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import piano_roll, pieces_or_refusal
from musengine.builtin.midi.reader import MidiReader
from musengine.builtin.midi.writer import MidiWriter
from musengine.errors import UnreadableError
from musengine.interfaces.reader import Item
from musengine.music.piece import Text
from musengine.music.score import Score, Track
from musengine.plugins.configs import NoSettings
from musengine.testing import rows_of, score_of, unpack
from musengine.testing.strategies import few, scores


def read(path: Path) -> Score:
    (piece,) = MidiReader(NoSettings()).read(Item(path, path.name, "a style"))
    assert (piece.id, piece.style, piece.part) == (path.name, "a style", None)
    assert isinstance(piece.content, Score)
    return piece.content


def write(score: Score, path: Path) -> Path:
    writer = MidiWriter(NoSettings())
    assert writer.suffix == ".mid"
    writer.write(score, path)
    return path


def there_and_back(score: Score, folder: Path) -> Score:
    return read(write(score, folder / "piece.mid"))


def file_of(folder: Path, *messages: mido.Message, ticks_per_beat: int = 480) -> Path:
    """A MIDI file of one track with these messages."""
    file = mido.MidiFile(ticks_per_beat=ticks_per_beat)
    file.tracks.append(mido.MidiTrack(messages))
    path = folder / "made.mid"
    file.save(path)
    return path


def heard(score: Score) -> list[Track]:
    """The tracks of a score without the channels they were read from."""
    return [dataclasses.replace(track, channel=None) for track in score.tracks]


def sounding(path: Path) -> Counter[tuple[int, int]]:
    """How many notes sound at once at most, by channel and pitch; all have ended at the end."""
    most: Counter[tuple[int, int]] = Counter()
    for track in mido.MidiFile(path).tracks:
        held: Counter[tuple[int, int]] = Counter()
        for message in track:
            if message.type == "note_on" and message.velocity:
                held[message.channel, message.note] += 1
            elif message.type in ("note_on", "note_off"):
                held[message.channel, message.note] -= 1
                assert held[message.channel, message.note] >= 0, "a note ends that did not sound"
            most |= held
        assert not +held, "a note is never ended"
    return most


def most_together(score: Score) -> int:
    """How many notes of one track and pitch are struck at one time, at most."""
    struck = Counter((row[4], row[0], row[2]) for row in rows_of(score))
    return max(struck.values(), default=0)


def test_a_score_is_the_same_after_writing_and_reading(tmp_path):
    score = score_of(
        [
            (0, 480, 60, 64, 0),
            (0, 240, 67, 65, 0),
            (480, 1920, 62, 127, 0),
            (0, 960, 36, 1, 1),
            (960, 10, 38, 100, 2),
        ],
        ticks_per_beat=480,
        tracks=[Track("flute", 73), Track("bass", 32), Track("kit", 0, True)],
        # 60,000,000 / 93.75 BPM = 640,000 microseconds per beat, which a tempo event holds
        # exactly; so do 120 (500,000) and 75 (800,000).
        tempos=[(0, 93.75), (480, 120.0), (1440, 75.0)],
        meters=[(0, 3, 4), (1440, 6, 8)],
    )
    found = there_and_back(score, tmp_path)
    assert rows_of(found) == rows_of(score)
    assert heard(found) == list(score.tracks)
    assert (found.ticks_per_beat, found.length) == (480, 2400)
    assert found.tempo_tick.tolist() == [0, 480, 1440]
    assert found.tempo_bpm == pytest.approx([93.75, 120.0, 75.0], abs=1e-9)
    assert (found.meter_tick.tolist(), found.meter.tolist()) == ([0, 1440], [[3, 4], [6, 8]])
    assert found.fingerprint() == score.fingerprint()


def test_tempos_beyond_what_a_file_can_hold_are_the_nearest_it_can(tmp_path):
    # A tempo event holds 1 to 2**24 - 1 microseconds per beat: 60,000,000 to 3.576 BPM.
    score = score_of([(0, 4, 60)], tempos=[(0, 1e-3), (4, 1e9)])
    found = there_and_back(score, tmp_path)
    assert found.tempo_bpm == pytest.approx([60e6 / (2**24 - 1), 60e6])


def test_a_repeated_note_is_struck_again_not_joined(tmp_path):
    score = score_of([(0, 4, 60), (4, 4, 60), (8, 4, 60)])
    path = write(score, tmp_path / "piece.mid")
    assert rows_of(read(path)) == rows_of(score)
    assert sounding(path) == {(0, 60): 1}


def test_a_note_held_into_its_next_strike_ends_there(tmp_path):
    score = score_of([(0, 10, 60, 50), (4, 2, 60, 60), (8, 4, 60, 70), (0, 10, 61, 40)])
    path = write(score, tmp_path / "piece.mid")
    # Only the first 60 reaches over the next strike, at 4; the 61 is another pitch.
    assert rows_of(read(path)) == [
        (0, 4, 60, 50, 0),
        (0, 10, 61, 40, 0),
        (4, 2, 60, 60, 0),
        (8, 4, 60, 70, 0),
    ]
    assert sounding(path) == {(0, 60): 1, (0, 61): 1}


def test_notes_struck_together_on_one_pitch_are_all_kept(tmp_path):
    # Both end before the strike at 20, so that it cannot be taken for theirs.
    score = score_of([(0, 100, 60, 10), (0, 10, 60, 20), (20, 30, 60, 30)])
    found = there_and_back(score, tmp_path)
    assert rows_of(found) == [(0, 10, 60, 20, 0), (0, 20, 60, 10, 0), (20, 30, 60, 30, 0)]


def test_the_same_pitch_in_two_tracks_is_nobodys_repeated_note(tmp_path):
    score = score_of([(0, 10, 60, 50, 0), (4, 10, 60, 60, 1)], tracks=[Track("a"), Track("b")])
    path = write(score, tmp_path / "piece.mid")
    assert rows_of(read(path)) == rows_of(score)
    assert sounding(path) == {(0, 60): 1, (1, 60): 1}


@given(score=scores())
@few(80)
def test_every_note_written_ends_and_is_read_where_it_was(score, tmp_path):
    path = write(score, tmp_path / "piece.mid")
    assert max(sounding(path).values(), default=0) == most_together(score)
    if not len(score):
        with pytest.raises(UnreadableError, match="no notes"):
            read(path)
        return
    found = read(path)
    # Tracks without notes are not read back; the order of the others stays.
    used = sorted(set(score.track.tolist()))
    assert heard(found) == [score.tracks[index] for index in used]
    again = Counter((used[row[4]], row[0], row[2]) for row in rows_of(found))
    assert again == Counter((row[4], row[0], row[2]) for row in rows_of(score))
    # No note grows, and none has been left sounding when its pitch is struck again.
    for onset, duration, pitch, _, track in rows_of(found):
        assert not any(
            onset < later < onset + duration
            for later, _, other, _, where in rows_of(found)
            if (other, where) == (pitch, track)
        )
    assert found.end.max() <= score.end.max()


def test_more_tracks_than_channels(tmp_path):
    # 15 channels are for pitched tracks: 20 tracks share them and stay apart all the same.
    tracks = [Track(f"part {number}", number) for number in range(20)]
    notes = [(number, 50, 60 + number % 3, 80, number) for number in range(20)]
    score = score_of(notes, tracks=tracks)
    path = write(score, tmp_path / "piece.mid")
    found = read(path)
    assert heard(found) == tracks
    assert rows_of(found) == rows_of(score)
    channels = {message.channel for message in mido.MidiFile(path) if message.type == "note_on"}
    assert channels == set(range(16)) - {9}


def test_drums_are_on_the_channel_of_drums(tmp_path):
    tracks = [Track("a", 5), Track("kit", 0, True), Track("b", 6)]
    path = write(
        score_of([(0, 4, 60), (0, 4, 42, 80, 1), (0, 4, 62, 80, 2)], tracks=tracks),
        tmp_path / "piece.mid",
    )
    channel = {m.note: m.channel for m in mido.MidiFile(path) if m.type == "note_on"}
    assert channel[42] == 9
    assert 9 not in (channel[60], channel[62])
    assert channel[60] != channel[62]
    assert heard(read(path)) == tracks


def test_names_in_any_script_are_kept(tmp_path):
    tracks = [Track("Flöte"), Track("скрипка"), Track("")]
    notes = [(0, 4, 60 + index, 80, index) for index in range(3)]
    found = there_and_back(score_of(notes, tracks=tracks), tmp_path)
    assert [track.name for track in found.tracks] == ["Flöte", "скрипка", ""]


def test_silence_after_the_last_note_is_kept(tmp_path):
    found = there_and_back(score_of([(0, 4, 60)], length=400), tmp_path)
    assert found.length == 400


def test_texts_are_not_written(tmp_path):
    with pytest.raises(TypeError, match="the MIDI writer writes scores"):
        MidiWriter(NoSettings()).write(Text("X:1"), tmp_path / "piece.mid")


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableError) as caught:
        read(path)
    (line,) = caught.value.lines
    return line


def test_what_is_not_midi_is_said_in_a_line(tmp_path):
    path = tmp_path / "song.mid"
    path.write_bytes(b"")
    assert refusal(path) == "the file is empty"
    path.write_text("MThe quick brown fox\njumps", encoding="utf-8")
    assert refusal(path) == "not a MIDI file: it does not begin with MThd"
    path.write_bytes(b"MThd")
    assert refusal(path) == "a damaged MIDI file: it ends within its header"


def test_a_file_without_notes_is_said(tmp_path):
    assert refusal(write(score_of([]), tmp_path / "silence.mid")) == "no notes"
    path = file_of(tmp_path, mido.MetaMessage("set_tempo", tempo=500_000))
    assert refusal(path) == "no notes"


def test_a_meter_of_nothing_is_left_out():
    score = score_of([(0, 4, 60)], meters=[(0, 0, 4), (2, 4, 0), (3, 4, 2**255)])
    assert (score.meter_tick.tolist(), score.meter.tolist()) == ([0], [[4, 4]])


MADE = score_of(
    [(step * 30, 40, 50 + step % 12, 80, step % 3) for step in range(40)],
    tracks=[Track("a", 1), Track("b", 40), Track("kit", 0, True)],
    tempos=[(0, 90), (300, 140)],
    meters=[(0, 3, 4), (400, 7, 8)],
)

damage = st.tuples(
    st.one_of(st.just(1.0), st.floats(0.02, 1.0)),
    st.lists(st.tuples(st.floats(0.0, 0.9999), st.integers(0, 255)), max_size=6),
)


def damaged(data: bytes, how) -> bytes:
    """Cut a file and overwrite bytes of it, at shares of its length."""
    share, changes = how
    cut = bytearray(data[: max(1, int(share * len(data)))])
    for place, value in changes:
        cut[int(place * len(cut))] = value
    return bytes(cut)


def is_read_or_refused(path: Path) -> None:
    for piece in pieces_or_refusal(MidiReader(NoSettings()), path):
        # What is read can be used: it has notes, and an encoder takes it or says why not.
        assert len(piece.content) > 0
        with contextlib.suppress(UnreadableError):
            assert len(piano_roll().encode(piece.content).steps) > 0


@given(how=damage)
@few(200)
def test_damaged_files_are_read_or_refused(how, tmp_path):
    path = tmp_path / "piece.mid"
    write(MADE, path)
    path.write_bytes(damaged(path.read_bytes(), how))
    is_read_or_refused(path)


@given(noise=st.binary(max_size=200), chunk=st.booleans())
@few(100)
def test_noise_is_read_or_refused(noise, chunk, tmp_path):
    path = tmp_path / "piece.mid"
    header = b"MThd\0\0\0\6\0\1\0\1\1\xe0"
    track = b"MTrk" + len(noise).to_bytes(4, "big") if chunk else b""
    path.write_bytes(header + track + noise)
    is_read_or_refused(path)


@pytest.fixture(scope="module")
def nottingham(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    archive = data_folder / "nottingham" / "nottingham-midi.tar.gz"
    return unpack(archive, tmp_path_factory.mktemp("nottingham"), 50)


@pytest.fixture(scope="module")
def pop909(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    archive = data_folder / "pop909" / "pop909-main-001-808.tar.gz"
    return unpack(archive, tmp_path_factory.mktemp("pop909"), 5)


def strikes(path: Path) -> Counter[tuple[int, int]]:
    """(tick, pitch) of every note struck in a file, counted without the reader."""
    found: Counter[tuple[int, int]] = Counter()
    for track in mido.MidiFile(path).tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                found[tick, message.note] += 1
    return found


def struck(score: Score) -> Counter[tuple[int, int]]:
    return Counter(zip(score.onset.tolist(), score.pitch.tolist(), strict=True))


def test_real_folk_tunes_are_read_note_for_note(nottingham, tmp_path):
    assert len(nottingham) == 50
    for path in nottingham:
        score = read(path)
        # The data's own description: 1024 ticks to the beat.
        assert score.ticks_per_beat == 1024
        assert struck(score) == strikes(path)
        again = there_and_back(score, tmp_path)
        assert struck(again) == struck(score)
        assert again.tempo_bpm == pytest.approx(score.tempo_bpm, rel=1e-5)
        assert again.meter.tolist() == score.meter.tolist()


def test_real_pop_songs_are_read_note_for_note(pop909, tmp_path):
    for path in pop909:
        score = read(path)
        # The data's own description: 480 ticks, tracks MELODY, BRIDGE and PIANO.
        assert score.ticks_per_beat == 480
        assert {track.name for track in score.tracks} <= {"MELODY", "BRIDGE", "PIANO"}
        assert struck(score) == strikes(path)
        written = write(score, tmp_path / "again.mid")
        assert struck(read(written)) == struck(score)
        # These songs strike pitches again before they are released; what is written never does.
        assert max(sounding(written).values()) == most_together(score)


@given(data=st.data())
@few(40)
def test_damaged_real_files_are_read_or_refused(data, nottingham, tmp_path):
    original = data.draw(st.sampled_from(nottingham[::5])).read_bytes()
    path = tmp_path / "piece.mid"
    path.write_bytes(damaged(original, data.draw(damage)))
    is_read_or_refused(path)


@pytest.mark.parametrize(
    ("archive", "name"),
    [
        ("musicguru/musicguru-collection.tar.gz", "mei1.mid"),  # a controller value above 127
        ("pop909/pop909-versions-001-808.tar.gz", "324-v3.mid"),  # not one note
    ],
)
def test_the_odd_ones_among_real_files_are_read_or_refused(data_folder, tmp_path, archive, name):
    (path,) = unpack(data_folder / archive, tmp_path, 1, endings=(name,))
    is_read_or_refused(path)
    if name == "324-v3.mid":
        assert refusal(path) == "no notes"


def test_a_file_larger_than_any_music_is_refused_unread(tmp_path):
    path = tmp_path / "huge.mid"
    with path.open("wb") as file:
        file.write(b"MThd")
        file.seek(64 * 2**20)
        file.write(b"\0")  # the hole between takes no room on the disk
    assert refusal(path) == f"{64 * 2**20 + 1} bytes are more than the {64 * 2**20} a file may have"


def test_files_are_of_format_1_with_tempo_and_meter_in_a_track_of_their_own(tmp_path):
    file = mido.MidiFile(write(score_of([(0, 4, 60)]), tmp_path / "piece.mid"))
    assert file.type == 1
    assert [sorted({message.type for message in track}) for track in file.tracks] == [
        ["end_of_track", "set_tempo", "time_signature"],
        ["end_of_track", "note_off", "note_on", "program_change"],
    ]
