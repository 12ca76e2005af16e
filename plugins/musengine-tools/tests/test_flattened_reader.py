"""The reader that flattens: what a pipeline reads is what `musengine convert --flatten` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from musengine.api import Item, Score, Track, load_pipeline, read_dataset
from musengine.errors import ConfigError, UnreadableError
from musengine.testing import create, read_midi, rows_of, run_command, score_of, write_midi

TRACKS = (Track("tune", 40, channel=0), Track("bass", 32, channel=1), Track("kit", is_drum=True))
SONG = score_of(
    # 16 ticks to a beat; a beat at 60 BPM, then 240: tick 16 is at 1 s, each beat after it 0.25 s.
    [(0, 16, 60, 80, 0), (16, 32, 64, 80, 1), (16, 160, 67, 80, 0), (0, 4, 36, 80, 2)],
    ticks_per_beat=16,
    tracks=TRACKS,
    tempos=[(0, 60.0), (16, 240.0)],
)


def read(path: Path, **settings: object) -> Score:
    (piece,) = create("reader", "flattened", **settings).read(Item(path, "a/song.mid", "a"))
    assert (piece.id, piece.style) == ("a/song.mid", "a")
    assert isinstance(piece.content, Score)
    return piece.content


def test_it_gives_what_convert_writes(workplace: Path) -> None:
    song = write_midi(SONG, workplace / "song.mid")
    assert run_command("convert", "song.mid", "flat.mid", "--flatten").status == 0
    flat = read(song)
    assert rows_of(flat) == rows_of(read_midi(workplace / "flat.mid"))
    # At 32 ticks a second: a beat of a second, then half a second, and 2.5 s ended after 2.
    assert rows_of(flat) == [(0, 32, 60, 80, 0), (32, 16, 64, 80, 0), (32, 64, 67, 80, 0)]
    assert flat.tempo_bpm.tolist() == [120.0]


def test_longest_note_drums_and_channels_are_settings(workplace: Path) -> None:
    song = write_midi(SONG, workplace / "song.mid")
    assert read(song, longest_note="1 beat").duration.max() == 16
    assert read(song, longest_note="8 beats").duration.max() == 80
    assert read(song, keep_drums=True).is_drum.sum() == 1
    assert read(song, channels=[2]).pitch.tolist() == [64]
    assert read(song, mute_channels=[2]).pitch.tolist() == [60, 67]
    for length in ("3 steps", "0 beats"):
        with pytest.raises(ConfigError):
            create("reader", "flattened", longest_note=length)


def test_any_kind_of_score_is_flattened_by_the_reader_for_it(workplace: Path) -> None:
    pytest.importorskip("musengine_notation")
    (workplace / "tune.abc").write_text("X:1\nT:a\nM:4/4\nL:1/4\nQ:1/4=60\nK:C\nCDEF|\n")
    reader = create("reader", "flattened")
    (piece,) = reader.read(Item(workplace / "tune.abc", "tune.abc"))
    # A beat at 60 is two at 120.
    assert (piece.content.onset / piece.content.ticks_per_beat).tolist() == [0, 2, 4, 6]
    assert "numpy" in reader.library()


def test_what_cannot_be_flattened_is_one_line(workplace: Path) -> None:
    drums = score_of([(0, 1, 36)], tracks=(Track("kit", is_drum=True),))
    write_midi(drums, workplace / "drums.mid")
    (workplace / "no.mid").write_bytes(b"nothing")
    (workplace / "no.xyz").write_bytes(b"nothing")
    codes = []
    for name in ("drums.mid", "no.mid", "no.xyz"):
        with pytest.raises(UnreadableError) as caught:
            list(create("reader", "flattened").read(Item(workplace / name, name)))
        assert len(caught.value.lines) == 1
        codes.append(caught.value.code)
    assert codes[0] == "only-drums"
    assert codes[2] == "no-reader"


def test_a_pipeline_names_it(workplace: Path) -> None:
    for number in range(3):
        write_midi(SONG.transpose(number), workplace / "music" / f"{number}.mid")
    (workplace / "pipe.toml").write_text(
        '[corpus]\npath = "music"\nreader = "flattened"\n'
        '[encoder]\ntype = "piano-roll"\nstep = "1 beat"\n[model]\ntype = "frequencies"\n'
    )
    # A second, then ten beats of a quarter second each: seven beats at 120 BPM, not eleven.
    pieces = read_dataset(load_pipeline("pipe.toml")).parts["train"]
    assert {len(piece) for piece in pieces} == {7}
