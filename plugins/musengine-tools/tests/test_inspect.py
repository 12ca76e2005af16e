"""`musengine inspect`: what is in files, what is odd, and never a change to any of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from musengine.api import Source, Track
from musengine.testing import SitePackages, run_command, score_of, unpack, write_midi
from musengine_tools.inspect import Expectations, inspect

TRACKS = (Track("tune", 73, channel=0), Track("kit", 0, is_drum=True, channel=9))
# 4 ticks to a beat: C4 and E4, a beat each, then a chord of two beats; one drum. 4 beats at 120.
NOTES = [
    (0, 4, 60, 80, 0),
    (4, 4, 64, 80, 0),
    (8, 8, 60, 80, 0),
    (8, 8, 67, 80, 0),
    (0, 4, 36, 9, 1),
]


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a folder `music`: a file, its copy, a broken one, no music."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "music"
    write_midi(score_of(NOTES, tracks=TRACKS), folder / "band.mid")
    # The same notes half as loud, at another tempo and resolution, and an octave apart: no copy.
    louder = [(2 * on, 2 * long, pitch, 40, track) for on, long, pitch, _, track in NOTES]
    copy = score_of(louder, ticks_per_beat=8, tracks=TRACKS, tempos=[(0, 60.0), (8, 90.0)])
    write_midi(copy, folder / "more" / "copy.MID")
    waltz = score_of([(0, 12, 72), (12, 12, 74)], meters=[(0, 3, 4)])
    write_midi(waltz, folder / "more" / "waltz.midi")
    (folder / "broken.mid").write_bytes(b"no MIDI at all")
    (folder / "readme.doc").write_text("not music")
    return folder


Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def inspected() -> Run:
    """Run the command with --json; returns the status and what was printed."""

    def run(*arguments: str) -> tuple[int, Any]:
        done = run_command("inspect", "--json", *arguments)
        return done.status, json.loads(done.out)

    return run


@pytest.mark.usefixtures("in_workers")
def test_every_file_has_an_entry_with_its_figures(music: Path, inspected: Run) -> None:
    before = {path: path.read_bytes() for path in music.rglob("*") if path.is_file()}
    status, result = inspected("music")
    assert status == 0
    assert set(result) == {"files", "totals"}
    files = {entry["path"]: entry for entry in result["files"]}
    paths = ("band.mid", "broken.mid", "more/copy.MID", "more/waltz.midi")
    assert set(files) == {str(Path("music", path)) for path in paths}
    band = files[str(Path("music/band.mid"))]
    assert band["error"] is None
    assert band["notes"] == 5
    assert band["pieces"] == 1
    assert band["pitch_range"] == [60, 67]
    assert band["seconds"] == 2.0
    assert band["bars"] == 1
    assert band["tempi"] == [120.0]
    assert band["meters"] == ["4/4"]
    assert band["duplicate_of"] is None
    assert band["findings"] == []
    tune, kit = band["tracks"]
    assert (tune["name"], tune["instrument"], tune["notes"]) == ("tune", "Flute", 4)
    assert (kit["instrument"], kit["notes"], kit["monophonic"]) == ("Drums", 1, False)
    assert not tune["monophonic"]
    waltz = files[str(Path("music/more/waltz.midi"))]
    assert waltz["monophonic"] == [0]
    assert (waltz["bars"], waltz["meters"]) == (2, ["3/4"])
    # 4 beats: one at 60 BPM, three at 90.
    copy = files[str(Path("music/more/copy.MID"))]
    assert copy["seconds"] == 3.0
    assert copy["tempi"] == [60.0, 90.0]
    assert copy["duplicate_of"] == str(Path("music/band.mid"))
    broken = files[str(Path("music/broken.mid"))]
    assert broken["error"]
    assert broken["notes"] == 0
    # It changes nothing.
    assert {path: path.read_bytes() for path in music.rglob("*") if path.is_file()} == before


def test_totals_are_those_of_all_files(music: Path, inspected: Run) -> None:
    _, result = inspected("music")
    totals = result["totals"]
    assert (totals["files"], totals["readable"], totals["refused"]) == (4, 3, 1)
    assert totals["notes"] == 5 + 5 + 2
    assert totals["seconds"] == 2.0 + 3.0 + 3.0
    assert totals["duplicates"] == 1
    assert totals["pitch_range"] == [60, 74]
    assert totals["instruments"] == {"Flute": 8, "Drums": 2, "Acoustic Grand Piano": 2}
    assert totals["ignored"] == {".doc": 1}


def test_a_file_named_twice_is_looked_at_once(music: Path, inspected: Run) -> None:
    _, result = inspected("music/band.mid", "music", str(music / "band.mid"))
    paths = [entry["path"] for entry in result["files"]]
    assert paths[0] == str(Path("music/band.mid"))
    assert len(paths) == 4
    assert result["totals"]["duplicates"] == 1


@pytest.mark.parametrize(
    ("wish", "path", "finding"),
    [
        (("--expect-bpm", "120"), "more/copy.MID", "the tempo is 60, 90, not 120 throughout"),
        (("--expect-meter", "4/4"), "more/waltz.midi", "the meter is 3/4, not 4/4 throughout"),
        (("--expect-range", "21-72"), "more/waltz.midi", "1 note outside A0 to C5 (21 to 72): 74"),
        (("--expect-range", "C4-C5"), "more/waltz.midi", "1 note outside C4 to C5 (60 to 72): 74"),
    ],
)
def test_wishes_become_findings(
    music: Path, inspected: Run, wish: tuple[str, str], path: str, finding: str
) -> None:
    # The drum note 36 lies below all these ranges and counts for none.
    _, result = inspected("music", *wish)
    found = {entry["path"]: entry["findings"] for entry in result["files"] if entry["findings"]}
    assert found == {str(Path("music", path)): [finding]}
    assert result["totals"]["findings"] == 1


def test_only_strict_makes_a_fault_a_failure(music: Path, inspected: Run) -> None:
    fine = "music/more/waltz.midi"
    assert inspected(fine, "--strict")[0] == 0
    assert inspected("music", "--strict")[0] == 1
    assert inspected(fine, "--strict", "--expect-bpm", "120.009")[0] == 0
    assert inspected(fine, "--strict", "--expect-bpm", "120.02")[0] == 1


def test_people_get_a_table_and_whole_lines(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = run_command("inspect", "music", "--expect-meter", "4/4")
    assert done.status == 0
    lines = done.out.splitlines()
    assert " ".join(lines[0].split()) == "file notes pitches bars length tempo meter tracks"
    copy, waltz = str(Path("music/more/copy.MID")), str(Path("music/more/waltz.midi"))
    (row,) = (line for line in lines if line.startswith(f"{copy} "))
    assert row.split()[1:7] == ["5", "C4-G4", "1", "3", "s", "60-90"]
    assert row.endswith("2: Flute, Drums")
    # Nothing is wrapped: each problem is one line that begins with the file.
    assert f"{copy}: has the same notes as {Path('music/band.mid')}" in lines
    assert f"{waltz}: finding: the meter is 3/4, not 4/4 throughout" in lines
    assert any(line.startswith(f"{Path('music/broken.mid')}: refused: ") for line in lines)
    assert any(line.startswith("4 files, 1 refused, 12 notes, 8 s, 1 duplicate") for line in lines)


def test_a_book_has_one_entry(tmp_path: Path, inspected: Run) -> None:
    # Three sequences of chords; a pitch that goes on is one note: 2 + 1 + 2 notes, 4 steps of a
    # beat each at 120 BPM.
    book = {"train": [[[60], [60], [64]], [[60, 60]]], "test": [[[70, 72]]]}
    (tmp_path / "book.json").write_text(json.dumps(book))
    _, result = inspected(str(tmp_path / "book.json"))
    (entry,) = result["files"]
    assert entry["pieces"] == 3
    assert entry["notes"] == 5
    assert entry["pitch_range"] == [60, 72]
    assert entry["seconds"] == 2.5
    # The pieces' equal tracks are told once; the last piece's has a chord.
    assert [track["notes"] for track in entry["tracks"]] == [5]
    assert entry["monophonic"] == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("musik", "musik does not exist; did you mean 'music'?"),
        ("music/readme.doc", "no reader for"),
    ],
)
def test_what_is_not_there_is_an_error(music: Path, path: str, said: str) -> None:
    done = run_command("inspect", path)
    assert done.status == 1
    assert said in done.err


@pytest.mark.parametrize(
    "arguments",
    [("--expect-bpm", "fast"), ("--expect-range", "9"), ("--expect-meter", "4"), ("--jobs", "0")],
)
def test_a_wish_that_is_none_is_a_usage_error(arguments: tuple[str, str]) -> None:
    done = run_command("inspect", "music", *arguments)
    assert done.status == 2
    assert f"{arguments[0]}: expected" in done.err


PLUGIN = """
import os
from musengine.api import Reader
from musengine.api import ReaderDeclaration
from musengine.api import hookimpl

@hookimpl
def musengine_readers():
    return [ReaderDeclaration(name="bad", summary="", target="bad_plugin:Bad", suffixes=(".bad",))]

class Bad(Reader):
    def read(self, item):
        what = item.path.read_text()
        if what == "crash":
            os._exit(7)
        while what == "hang":
            pass
        raise RuntimeError("spilt milk")
"""


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.usefixtures("in_workers")
def test_a_reader_that_crashes_or_hangs_costs_one_file(
    tmp_path: Path, site_packages: SitePackages
) -> None:
    site_packages.add("bad", {"bad": "bad_plugin"}, bad_plugin=PLUGIN)
    folder = tmp_path / "folder"
    for name in ("crash", "hang", "raise"):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.bad").write_text(name)
    write_midi(score_of([(0, 4, 60)]), folder / "well.mid")
    registry = site_packages.load().registry
    source = Source(str(folder))
    inspection = inspect([source], registry, Expectations(), jobs=1, timeout=8)
    said = {Path(file.path).stem: file.error for file in inspection.files}
    assert said["well"] is None
    assert "crashed (exit status 7)" in str(said["crash"])
    assert "took longer than 8 seconds" in str(said["hang"])
    assert "reader 'bad' of bad 1.0 failed: RuntimeError: spilt milk" in str(said["raise"])
    assert inspection.totals()["refused"] == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("archive", "files", "notes", "refused"),
    [
        # As the data's own account of itself says; the one refused file has no notes.
        ("pop909/pop909-main-001-808.tar.gz", 808, 1_359_660, 0),
        ("pop909/pop909-versions-001-808.tar.gz", 1_799, 2_957_780, 1),
        ("piano-midi-de/piano-midi-de.tar.gz", 337, 794_411, 0),
    ],
)
def test_the_counts_of_real_collections(
    data_folder: Path,
    tmp_path: Path,
    inspected: Run,
    archive: str,
    files: int,
    notes: int,
    refused: int,
) -> None:
    unpack(data_folder / archive, tmp_path / "all", 10_000)
    _, result = inspected(str(tmp_path / "all"))
    totals = result["totals"]
    assert (totals["files"], totals["notes"], totals["refused"]) == (files, notes, refused)
    assert totals["notes"] == sum(entry["notes"] for entry in result["files"])


def test_what_arrays_would_not_hold_is_told_with_its_keys(music: Path, inspected: Run) -> None:
    _, result = inspected("music/band.mid", "music/more/copy.MID")
    assert result["totals"]["encoder"] == "piano-roll"
    assert result["totals"]["left_out"] == {
        "drum notes": {"count": 2, "keep": "encoder.drums = true"},
        "tempo changes": {"count": 1, "keep": ""},
    }
    assert result["files"][0]["left_out"] == {
        "drum notes": {"count": 1, "keep": "encoder.drums = true"}
    }
    told = run_command("inspect", "music/band.mid").out
    assert "1 drum notes (encoder.drums = true)" in told
    assert run_command("inspect", "music/band.mid", "--encoder", "none").status == 1
