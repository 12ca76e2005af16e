"""`musengine convert`: any reader's music to any writer's files, one file or a folder of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from musengine.api import Track
from musengine.testing import (
    SitePackages,
    only_plugins,
    read_midi,
    run_command,
    score_of,
    unpack,
    write_midi,
)

TRACKS = (Track("tune", 73, channel=0), Track("kit", 0, is_drum=True, channel=9))
BAND = score_of([(0, 4, 60, 80, 0), (4, 4, 64, 80, 0), (0, 4, 36, 90, 1)], tracks=TRACKS)

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder of the test's own; returns the status and what was said."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, list[str]]:
        done = run_command("convert", *arguments)
        return done.status, done.err.splitlines()

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Music in two folders, a broken file, and something else."""
    write_midi(BAND, tmp_path / "in" / "a.mid")
    write_midi(BAND, tmp_path / "in" / "jigs" / "b.MID")
    write_midi(BAND, tmp_path / "in" / "reels" / "c.v2.mid")
    (tmp_path / "in" / "jigs" / "broken.mid").write_bytes(b"none")
    (tmp_path / "in" / "notes.doc").write_text("none")
    return tmp_path


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


class TestOneFile:
    @pytest.mark.parametrize(
        ("arguments", "name", "beginning"),
        [
            (("out.svg",), "out.svg", b"<svg"),
            (("out.png",), "out.png", b"\x89PNG"),
            (("out.picture", "--to", "png"), "out.picture", b"\x89PNG"),
            (("out.png", "--to", "picture"), "out.png", b"\x89PNG"),
            (("new/out.mid",), "new/out.mid", b"MThd"),
            # Into a folder that is there: the name of the file that is read.
            ((".", "--to", "svg"), "a.svg", b"<svg"),
        ],
    )
    def test_the_ending_or_a_name_chooses_the_writer(
        self, folder: Path, convert: Run, arguments: tuple[str, ...], name: str, beginning: bytes
    ) -> None:
        if beginning != b"MThd":
            pytest.importorskip("musengine_media")
        status, said = convert("in/a.mid", *arguments)
        assert (status, len(said)) == (0, 1)
        assert (folder / name).read_bytes().lstrip()[: len(beginning)] == beginning

    @pytest.mark.usefixtures("in_workers")
    def test_settings_are_the_writers(self, folder: Path, convert: Run) -> None:
        pytest.importorskip("musengine_media")
        assert convert("in/a.mid", "out.svg", "--set", "width=777")[0] == 0
        assert "777" in (folder / "out.svg").read_text("utf-8")[:300]
        status, said = convert("in/a.mid", "b.svg", "--set", "widht=777", "--set", "height=1")
        assert status == 1
        assert said == [
            "error: --set: [picture] widht: unknown key; did you mean 'width'?",
            "error: --set: [picture] height: must be at least 120 and at most 10000, got 1",
        ]
        assert not (folder / "b.svg").exists()

    def test_what_nothing_writes_is_named(self, folder: Path, convert: Run) -> None:
        status, (line,) = convert("in/a.mid", "out.mdi")
        assert status == 1
        assert line.startswith("error: nothing writes 'mdi'; ")
        assert line.endswith("; did you mean 'midi'?")
        assert convert("in/a.mid", "out", "--from", "mdi")[0] == 1
        assert convert("none.mid", "out.mid") == (1, ["error: none.mid does not exist"])

    def test_nothing_is_replaced_unless_told(self, folder: Path, convert: Run) -> None:
        (folder / "out.mid").write_text("mine")
        status, said = convert("in/a.mid", "out.mid")
        assert status == 1
        assert said[0] == (
            "warning: skipped in/a.mid: out.mid is there already; --overwrite replaces it"
        ).replace("in/a.mid", str(Path("in/a.mid")))
        assert (folder / "out.mid").read_text() == "mine"
        assert convert("in/a.mid", "out.mid", "--overwrite")[0] == 0
        assert len(read_midi(folder / "out.mid")) == 3
        assert convert("in/a.mid", "b.mid") == (0, ["wrote b.mid, 3 notes"])

    def test_changes_are_made_on_the_way(self, folder: Path, convert: Run) -> None:
        changes = ("--tracks", "TUNE", "--transpose", "-12", "--bpm", "90")
        more = ("--instrument", "church organ", "--longest-note", "0.5 bars")
        assert convert("in/a.mid", "out.mid", *changes, *more)[0] == 0
        score = read_midi(folder / "out.mid")
        # C4 and E4 an octave lower; a beat each, which is less than half a bar of 4/4.
        assert score.pitch.tolist() == [48, 52]
        assert np.allclose(score.tempo_bpm, 90, atol=0.001)
        assert [track.program for track in score.tracks] == [19]

    def test_the_pedal_stays(self, folder: Path, convert: Run) -> None:
        pedal = [(0, 0, 64, 127), (4, 0, 64, 0)]
        write_midi(score_of([(0, 2, 60), (2, 4, 64)], controls=pedal), folder / "p.mid")
        assert convert("p.mid", "q.mid", "--transpose", "2")[0] == 0
        score = read_midi(folder / "q.mid")
        assert score.control_tick.tolist() == [0, 4]
        assert score.control.tolist() == [[0, 64, 127], [0, 64, 0]]

    @pytest.mark.usefixtures("in_workers")
    def test_flattened_it_is_one_piano_at_120(self, folder: Path, convert: Run) -> None:
        # 60 BPM: the second note begins at 1 s.
        write_midi(score_of([(0, 4, 60), (4, 40, 62)], tempos=[(0, 60.0)]), folder / "slow.mid")
        assert convert("slow.mid", "flat.mid", "--flatten")[0] == 0
        flat = read_midi(folder / "flat.mid")
        assert flat.ticks_per_beat == 16
        assert flat.seconds(flat.onset).tolist() == [0.0, 1.0]
        # A whole note at most: 4 beats of half a second.
        assert flat.seconds(flat.end).tolist() == [1.0, 3.0]

    def test_a_file_of_drums_alone_says_what_to_do(self, folder: Path, convert: Run) -> None:
        status, said = convert("in/a.mid", "out.mid", "--flatten", "--channels", "10")
        assert status == 1
        assert "it has nothing but drums" in said[0]
        assert not (folder / "out.mid").exists()


class TestFolders:
    @pytest.mark.usefixtures("in_workers")
    def test_the_folders_stay_and_each_skip_is_a_line(self, folder: Path, convert: Run) -> None:
        status, said = convert("in", "out", "--to", "midi")
        assert status == 0
        assert files_in(folder / "out") == ["a.mid", "jigs/b.mid", "reels/c.v2.mid"]
        skipped = [line for line in said if line.startswith("warning: skipped ")]
        assert len(skipped) == 1
        assert str(Path("in/jigs/broken.mid")) in skipped[0]
        assert said[-1] == "wrote 3 files to out, 9 notes, 1 skipped"

    def test_without_a_word_it_is_midi(self, folder: Path, convert: Run) -> None:
        status, said = convert("in", "out", "--flatten", "--style", "jigs", "--style", "ree*")
        assert status == 0
        assert files_in(folder / "out") == ["jigs/b.mid", "reels/c.v2.mid"]
        (line,) = [line for line in said if "left out of what was written" in line]
        assert "2 drum notes (--keep-drums)" in line
        assert said[-1] == "wrote 2 files to out, 4 notes, 1 skipped"

    def test_what_is_wrong_with_many_is_one_line_with_their_number(
        self, folder: Path, convert: Run
    ) -> None:
        for number in range(5):
            (folder / "in" / f"bad{number}.mid").write_bytes(b"none")
        _, said = convert("in", "out")
        skipped = [line for line in said if line.startswith("warning: skipped")]
        assert len(skipped) == 1
        assert "skipped 6 pieces, such as" in skipped[0]

    def test_a_file_of_an_unknown_ending_is_told_all_that_are_known(
        self, folder: Path, convert: Run
    ) -> None:
        (folder / "a.xyz").touch()
        status, (line,) = convert("a.xyz", "b.mid")
        assert status == 1
        assert {".mid", ".txt"} <= set(line.replace(",", "").replace(";", "").split())

    def test_two_files_of_one_name_are_told(self, folder: Path, convert: Run) -> None:
        write_midi(BAND, folder / "in" / "a.midi")
        _, said = convert("in", "out")
        first, second = str(Path("in/a.mid")), str(Path("in/a.midi"))
        out = Path("out/a.mid")
        assert f"warning: skipped {second}: it would be {out}, as {first} is" in said
        assert files_in(folder / "out") == ["a.mid", "jigs/b.mid", "reels/c.v2.mid"]

    def test_again_it_writes_only_what_is_not_there(self, folder: Path, convert: Run) -> None:
        assert convert("in", "out")[0] == 0
        (folder / "out" / "a.mid").unlink()
        _, said = convert("in", "out")
        assert said[-1] == "wrote 1 file to out, 3 notes, 3 skipped"
        status, said = convert("in", "out")
        assert (status, said[-1]) == (1, "error: nothing was written to out")

    def test_no_music_is_an_error(self, folder: Path, convert: Run) -> None:
        (folder / "empty").mkdir()
        (folder / "empty" / "x.doc").touch()
        status, said = convert("empty", "out")
        assert (status, said) == (1, ["error: no music in empty (there are 1 .doc)"])
        status, said = convert("in", "out", "--style", "waltzes")
        assert (status, said[0][:38]) == (1, "error: no music of style waltzes in in")
        assert convert("in", "in/a.mid")[1] == [
            "error: in/a.mid is a file, and in holds many; name a folder"
        ]

    def test_a_book_becomes_numbered_files(self, folder: Path, convert: Run) -> None:
        (folder / "books").mkdir()
        book = {"train": [[[60 + number]] for number in range(11)]}
        (folder / "books" / "eleven.json").write_text(json.dumps(book))
        assert convert("books", "out")[0] == 0
        names = files_in(folder / "out")
        assert names == [f"eleven-{number:02}.mid" for number in range(1, 12)]
        assert read_midi(folder / "out" / "eleven-03.mid").pitch.tolist() == [62]
        _, said = convert("books/eleven.json", "single.mid")
        first, last = "single-01.mid", "single-11.mid"
        assert said == [f"wrote 11 files, {first} to {last}, 11 notes"]

    def test_no_file_takes_the_place_of_another_of_the_same_call(
        self, folder: Path, convert: Run
    ) -> None:
        # The pieces of x.json would be x-1 and x-2, and x-1.json becomes x-1 as well.
        (folder / "books").mkdir()
        for name, pitches in (("x", (60, 62)), ("x-1", (64,)), ("x-02", (65,))):
            book = {"train": [[[pitch]] for pitch in pitches]}
            (folder / "books" / f"{name}.json").write_text(json.dumps(book))
        for _ in range(2):
            assert convert("books", "out", "--overwrite")[0] == 0
            found = {
                name: read_midi(folder / "out" / name).pitch.tolist()
                for name in files_in(folder / "out")
            }
            assert found == {
                "x-001.mid": [60],
                "x-002.mid": [62],
                "x-02.mid": [65],
                "x-1.mid": [64],
            }

    @pytest.mark.skipif(os.name == "nt", reason="no such names on Windows")
    def test_a_line_break_in_a_name_is_written_out(self, folder: Path, convert: Run) -> None:
        (folder / "odd").mkdir()
        (folder / "odd" / "a\nb.mid").write_bytes(b"no music")
        _, said = convert("odd", "out")
        assert said[0].startswith("warning: skipped odd/a\\nb.mid: ")


PLUGIN = '''
from dataclasses import dataclass
from musengine.api import Encoder
from musengine.api import Reader
from musengine.api import Writer
from musengine.api import setting
from musengine.api import EncoderConfig, EncoderDeclaration, ReaderDeclaration, WriterDeclaration
from musengine.errors import UnreadableError
from musengine.api import hookimpl
from musengine.api import Piece, Score, Text

@dataclass(frozen=True, kw_only=True)
class NumbersConfig(EncoderConfig):
    """Pitches as numbers, a beat each."""
    between: str = setting(" ", doc="What stands between two.")

    def notation(self):
        return "numbers"

class Numbers(Encoder):
    def encode(self, content): ...
    def decode(self, steps, settings): ...
    def elapsed(self, steps, unit, settings): ...

    def to_text(self, score):
        pitches = score.pitch[~score.is_drum].tolist()
        return Text(self.config.between.join(map(str, pitches)), "numbers")

    def dropped_in_text(self, score):
        return {"drum strokes": int(score.is_drum.sum())}

    def from_text(self, text):
        pitches = [int(word) for word in text.text.split(self.config.between) if word.isdigit()]
        if not pitches:
            raise UnreadableError("no numbers in it")
        return Score.from_notes(range(len(pitches)), 1, pitches, ticks_per_beat=1)

class LineReader(Reader):
    def read(self, item):
        return [Piece(item.id, Text(item.path.read_text()))]

class Spoilt(Writer):
    suffix = ".spoilt"

    def write(self, content, path):
        path.write_text("half")
        raise RuntimeError("out of ink")

@hookimpl
def musengine_encoders():
    return [EncoderDeclaration(
        name="pitch-numbers", summary="", target="numbers_plugin:Numbers", config=NumbersConfig,
    )]

@hookimpl
def musengine_readers():
    return [ReaderDeclaration(
        name="lines", summary="", target="numbers_plugin:LineReader", suffixes=(".line",),
        content=("text",),
    )]

@hookimpl
def musengine_writers():
    return [WriterDeclaration(
        name="spoilt", summary="", target="numbers_plugin:Spoilt", suffixes={".ink": {}},
    )]
'''


@pytest.fixture
def numbers(site_packages: SitePackages) -> Iterator[None]:
    """A plugin whose encoder is a text notation, and the only one there is."""
    site_packages.add("numbers", {"numbers": "numbers_plugin"}, numbers_plugin=PLUGIN)
    with only_plugins("tools", "numbers"):
        yield


@pytest.mark.usefixtures("numbers")
class TestNotations:
    @pytest.mark.parametrize("name", ["numbers", "pitch-numbers"])
    def test_a_score_becomes_a_text(self, folder: Path, convert: Run, name: str) -> None:
        status, said = convert("in", "out", "--to", name, "--set", "between='-'")
        assert status == 0
        assert files_in(folder / "out") == ["a.txt", "jigs/b.txt", "reels/c.v2.txt"]
        assert (folder / "out" / "a.txt").read_text() == "60-64"
        assert "warning: left out of what was written: 3 drum strokes" in said

    @pytest.mark.parametrize(
        ("arguments", "pitches"),
        [
            # The only notation there is, with its settings as they are.
            ((), [60, 62]),
            (("--from", "numbers"), [60, 62]),
            (("--from", "numbers", "--set", "from.between='2'"), [60, 6]),
        ],
    )
    def test_a_text_becomes_a_score(
        self, folder: Path, convert: Run, arguments: tuple[str, ...], pitches: list[int]
    ) -> None:
        (folder / "texts").mkdir()
        (folder / "texts" / "x.line").write_text("60 62" if len(arguments) < 4 else "60262")
        (folder / "texts" / "none.line").write_text("la la")
        status, said = convert("texts", "out", *arguments)
        assert status == 0
        assert read_midi(folder / "out" / "x.mid").pitch.tolist() == pitches
        assert "none.line: no numbers in it" in said[0]

    def test_a_text_stays_a_text(self, folder: Path, convert: Run) -> None:
        (folder / "x.line").write_text("la la")
        assert convert("x.line", "out.txt")[0] == 0
        assert (folder / "out.txt").read_text() == "la la"

    def test_a_score_is_no_text_by_itself(self, folder: Path, convert: Run) -> None:
        # In a folder, and a file by its ending.
        for arguments in (("in", "out", "--to", "text"), ("in/a.mid", "out.txt")):
            assert convert(*arguments) == (
                1,
                [
                    f"error: {arguments[0]} holds scores and no texts; --to with a text notation "
                    "makes texts of them (numbers, pitch-numbers)"
                ],
            )

    def test_a_setting_of_what_is_read_needs_its_name(self, folder: Path, convert: Run) -> None:
        status, (line,) = convert("in", "out", "--set", "from.between=x")
        assert status == 1
        assert "say with --from what it is a setting of" in line

    @pytest.mark.usefixtures("in_workers")
    def test_a_writer_that_fails_leaves_nothing(self, folder: Path, convert: Run) -> None:
        status, said = convert("in/a.mid", "made/out.ink")
        assert status == 1
        assert "RuntimeError: out of ink" in said[0]
        assert not (folder / "made").exists()
        (folder / "there").mkdir()
        assert convert("in/a.mid", "there/out.ink")[0] == 1
        assert list((folder / "there").iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--channels", "0"), ("--channels", "1,17"), ("--quantize", "1/4"), ("--bpm", "0")),
        *(("--longest-note", "3 steps"), ("--instrument", "kazoo"), ("--transpose", "up")),
    ],
)
def test_a_wrong_value_is_a_usage_error(arguments: tuple[str, str]) -> None:
    done = run_command("convert", "in", "out", *arguments)
    assert done.status == 2
    assert f"argument {arguments[0]}: " in done.err


def test_a_real_collection_flattened_sounds_the_same(
    data_folder: Path, tmp_path: Path, convert: Run
) -> None:
    archive = data_folder / "musicguru" / "musicguru-collection.tar.gz"
    originals = unpack(archive, tmp_path / "in", 40)
    status, _ = convert("in", "out", "--flatten")
    assert status == 0
    compared = 0
    for path in originals:
        out = tmp_path / "out" / path.relative_to(tmp_path / "in").with_suffix(".mid")
        if not out.exists():
            continue
        before, after = read_midi(path), read_midi(out)
        half_a_tick = 0.25 / after.ticks_per_beat
        for pitch in range(128):
            mine = before.onset[(before.pitch == pitch) & ~before.is_drum]
            theirs = after.onset[after.pitch == pitch]
            assert bool(len(mine)) == bool(len(theirs))
            if not len(mine):
                continue
            apart = np.abs(before.seconds(mine)[:, None] - after.seconds(theirs)[None])
            assert max(apart.min(axis=0).max(), apart.min(axis=1).max()) <= half_a_tick + 1e-9
            compared += len(mine)
    assert compared > 10_000
