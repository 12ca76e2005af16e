"""Pieces changed by a trained run, from the command line: all else stays note for note."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from musengine.api import Score, Track, midi_bytes, read_scores
from musengine.testing import read_midi, rows_of, run_command

PIPELINE = """
[corpus]
path = "music"
valid = 0.3
jobs = 1

[model]
type = "notes"
width = 16
hidden = 8
layers = 1

[training]
steps = 4
batch_size = 4
sequence_length = 32
threads = 1

[[sampler]]
type = "notes"
copy = 0.0

[generate]
count = 1
length = "2 bars"
prompt_length = "2 beats"
passages = 2

[[output]]
type = "midi"
"""
BEAT = 480
METERS = [(0, 3, 4), (6 * BEAT, 4, 4), (18 * BEAT, 2, 4)]
"""Bars 1 and 2 are of 3/4, 3 to 5 of 4/4, those from 6 on of 2/4."""


def song(number: int) -> Score:
    """Keys, a bass and drums, with notes that sound over bar lines, 26 beats long."""
    drawn = np.random.default_rng(number)
    rows = [(BEAT * b, BEAT * 3 // 2, 60 + drawn.integers(0, 20), 70, 0) for b in range(25)]
    rows += [(2 * BEAT * b, 900, 36 + drawn.integers(0, 9), 90, 1) for b in range(13)]
    rows += [(BEAT * b, 60, 36, 100, 2) for b in range(26)]
    return Score.from_notes(
        *np.array(rows).T,
        ticks_per_beat=BEAT,
        tracks=[Track("keys", 4), Track("low", 33), Track("kit", 0, is_drum=True)],
        tempos=[(0, 100.0), (10 * BEAT, 80.0)],
        meters=METERS,
        keys=[(0, 2, False)],
        controls=[(BEAT * b, 0, 64, 127 * (b % 2)) for b in range(1, 9)],
        length=26 * BEAT,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, and beside it the file song.mid."""
    folder = tmp_path_factory.mktemp("infill")
    (folder / "music").mkdir()
    for number in range(6):
        (folder / "music" / f"{number}.mid").write_bytes(midi_bytes(song(number)))
    (folder / "song.mid").write_bytes(midi_bytes(song(9)))
    (folder / "p.toml").write_text(PIPELINE.replace('"music"', json.dumps(str(folder / "music"))))
    done = run_command("run", str(folder / "p.toml"), "--run-dir", str(folder / "run"))
    assert done.status == 0, done.err
    return folder / "run"


def made(run: Path, out: Path, *arguments: str) -> Score:
    """The piece that `generate` makes of the song."""
    given = ("--infill", str(run.parent / "song.mid"), "--seed", "5", "--out", str(out))
    done = run_command("generate", str(run), *given, *arguments)
    assert done.status == 0, done.err
    return read_midi(out / "piece-001.mid")


def compared(run: Path, piece: Score) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """The notes of the song that are gone, and those that are new, maps and pedal being equal."""
    before = read_midi(run.parent / "song.mid")
    for name in ("tempo_tick", "tempo_bpm", "meter_tick", "meter", "key", "control_tick"):
        assert getattr(piece, name).tolist() == getattr(before, name).tolist()
    assert (piece.length, piece.tracks[:3]) == (before.length, before.tracks)
    assert (piece.control == before.control).all()
    old, new = Counter(rows_of(before)), Counter(rows_of(piece))
    return sorted((old - new).elements()), sorted((new - old).elements())


@pytest.mark.slow
def test_bars_are_made_anew_and_all_else_stays(run: Path, tmp_path: Path) -> None:
    bytes_before = (run.parent / "song.mid").read_bytes()
    gone, new = compared(run, made(run, tmp_path, "--bars", "3-5", "--density", "8"))
    # Bars 3 to 5 are the twelve beats from the sixth on.
    assert new
    for onset, length, *_ in new:
        assert 6 * BEAT <= onset < onset + length <= 18 * BEAT
    assert all(6 * BEAT <= onset < 18 * BEAT for onset, *_ in gone)
    assert (run.parent / "song.mid").read_bytes() == bytes_before
    record = json.loads((tmp_path / "generated.jsonl").read_text())
    asked = record["settings"]["generate"]
    assert (asked["bars"], asked["density"], record["prompt"]) == ("3-5", 8.0, "song.mid")
    assert record["measures"]["new_notes"] == len(read_midi(tmp_path / "piece-001.mid")) - (
        len(song(9)) - sum(6 * BEAT <= onset < 18 * BEAT for onset in song(9).onset.tolist())
    )
    assert 0 < record["measures"]["given_nll"] < 30


def test_of_a_part_alone(run: Path, tmp_path: Path) -> None:
    piece = made(run, tmp_path, "--bars", "2-6", "--part", "low", "--density", "4")
    gone, new = compared(run, piece)
    assert {track for *_, track in gone} | {track for *_, track in new} == {1}
    assert all(3 * BEAT <= onset < 20 * BEAT for onset, *_ in gone + new)


def test_a_part_is_added(run: Path, tmp_path: Path) -> None:
    piece = made(run, tmp_path, "--add-part", "electric bass (pick)", "--density", "4")
    gone, new = compared(run, piece)
    assert not gone
    assert {track for *_, track in new} == {3}
    assert (piece.tracks[3].program, piece.tracks[3].is_drum) == (34, False)


def test_instruments_of_a_passage(run: Path, tmp_path: Path) -> None:
    piece = made(run, tmp_path, "--bars", "3", "--instruments", "drums,bass", "--density", "12")
    gone, new = compared(run, piece)
    assert {track for *_, track in new} == {1, 2}
    assert {track for *_, track in gone} >= {0}


def test_a_passage_in_a_key(run: Path, tmp_path: Path) -> None:
    more = ("--bars", "1-9", "--part", "keys", "--density", "8", "--key", "Bb")
    _, new = compared(run, made(run, tmp_path, *more))
    assert len(new) > 20
    assert {pitch % 12 for _, _, pitch, *_ in new} <= {10, 0, 2, 3, 5, 7, 9}


def test_the_same_seed_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    for out, count in (("a", "1"), ("b", "2")):
        made(run, tmp_path / out, "--bars", "3-5", "--count", count)
    one, other = (tmp_path / out / "piece-001.mid" for out in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "b" / "piece-002.mid").read_bytes() != one.read_bytes()


def test_the_named_file_is_never_written_over(run: Path, tmp_path: Path) -> None:
    named = tmp_path / "piece-001.mid"
    named.write_bytes(before := midi_bytes(song(9)))
    more = ("--infill", str(named), "--bars", "2", "--out", str(tmp_path), "--seed", "5")
    assert run_command("generate", str(run), *more).status == 0
    assert named.read_bytes() == before
    assert (tmp_path / "piece-002.mid").is_file()


@pytest.mark.slow
def test_new_pieces_of_chosen_instruments(run: Path, tmp_path: Path) -> None:
    given = ("--instruments", "bass", "--density", "6", "--length", "8 bars", "--count", "2")
    done = run_command("generate", str(run), *given, "--out", str(tmp_path), "--seed", "5")
    assert done.status == 0, done.err
    for piece in read_scores(tmp_path, jobs=1).values():
        # What sounds on from the prompt is written, too.
        later = piece.track[piece.onset > 0].tolist()
        assert {piece.tracks[track].program for track in later} == {33}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--bars", "9-12"), "generate.bars: 9-12 is beyond the end; the piece has 9 bars"),
        (
            ("--bars", "2", "--part", "flute"),
            "no part is called 'flute'; there are: keys, low, kit",
        ),
        (("--bars", "2", "--instruments", "flute"), "there are: drums, bass, piano"),
        (("--add-part", "flute"), "no instrument called 'flute' was learned"),
        (("--add-part", "bass", "--part", "low"), "leave part or add_part out"),
        ((), "say what is made anew of it: bars, part, or add_part"),
        (("--bars", "5-3"), 'expected bars such as "5-8"'),
        (("--bars", "2", "--record", "inside.npz"), "leave it or --infill out"),
        (("--infill", "nothing.mid", "--bars", "2"), "nothing.mid does not exist"),
        (("--infill", "music", "--bars", "2"), "it holds 6 pieces; name a file of one"),
    ],
)
def test_what_cannot_be_is_one_line(
    run: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(run.parent)
    done = run_command("generate", "run", "--infill", "song.mid", *arguments)
    errors = [line for line in done.err.splitlines() if "error" in line]
    assert (done.status, len(errors)) == (1, 1), done.err
    assert words in errors[0]
