from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers import refused
from musengine.errors import UserError
from musengine.utils.files import locked, read_json, whole_file, write_json, write_text

posix = pytest.mark.skipif(os.name != "posix", reason="permissions and limits are POSIX's here")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_place_when_the_block_ends(tmp_path):
    path = tmp_path / "deep" / "folder" / "piece.mid"
    with whole_file(path) as aside:
        aside.write_bytes(b"music")
        assert not path.exists()
        # Beside the result, so that renaming is enough, and of the same ending for writers that
        # look at it.
        assert (aside.parent, aside.suffix) == (path.parent, ".mid")
    assert path.read_bytes() == b"music"
    assert names(path.parent) == ["piece.mid"]


def test_the_file_before_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "state.json"
    write_text(path, "old")
    with whole_file(path) as aside:
        aside.write_text("half of the n", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
        aside.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(28, "no room")])
def test_a_block_that_fails_leaves_nothing_behind(tmp_path, error):
    path = tmp_path / "state.json"
    write_text(path, "old")
    expected = UserError if isinstance(error, OSError) else type(error)

    def half_write() -> None:
        with whole_file(path) as aside:
            aside.write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(expected):
        half_write()
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["state.json"]


def test_what_the_system_refuses_is_one_line_naming_the_path(tmp_path):
    path = tmp_path / "piece.mid"
    with refused("cannot-write", path, "No space left", "--run-dir"), whole_file(path):
        raise OSError(28, "No space left on device")


def test_a_file_where_a_folder_should_be_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("", encoding="utf-8")
    with refused("cannot-write", "piece.mid"):
        write_text(tmp_path / "runs" / "piece.mid", "x")
    (tmp_path / "taken").mkdir()
    with refused("cannot-write", "taken"):
        write_text(tmp_path / "taken", "x")
    assert names(tmp_path) == ["runs", "taken"]


@posix
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_a_file_has_the_usual_permissions(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "piece.txt", "x")
    finally:
        assert os.umask(before) == mask
    assert stat.S_IMODE((tmp_path / "piece.txt").stat().st_mode) == mode


FILL = """
import resource, sys
from pathlib import Path
from musengine.errors import UserError
from musengine.utils.files import write_text
path = Path(sys.argv[1])
write_text(path, "old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_text(path, "x" * 2000)
except UserError as error:
    print(*error.lines, sep="\\n")
"""


@posix
def test_a_file_that_finds_no_room_is_one_line_and_leaves_the_old_one(tmp_path):
    # No file of this process may grow beyond a thousand bytes, as if the disk were full there.
    path = tmp_path / "state.json"
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=True
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"cannot write {path}: ")
    assert line.endswith("make room or choose another folder with --run-dir")
    assert done.stderr == ""
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["state.json"]


def test_json_comes_back_as_it_was(tmp_path):
    value = {"b": [1, 2.5, None, True], "a": {"ключ": "значение"}}
    path = tmp_path / "state.json"
    write_json(path, value)
    assert read_json(path) == value
    text = path.read_text(encoding="utf-8")
    # For people too: sorted, in their own letters, one line at the end.
    assert text.index('"a"') < text.index('"b"')
    assert "ключ" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a": 1', "is damaged: "),
        (b"", "is damaged: "),
        (b'"\xff"', "is damaged: "),
        (100_000 * b"[", "is damaged: "),
        (b" " * 1001, "is too large to be one of musengine's files"),
    ],
)
def test_json_that_cannot_be_read_is_one_line(tmp_path, data, reason):
    path = tmp_path / "state.json"
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_json(path, limit=1000 if len(data) == 1001 else 10**6)
    (line,) = caught.value.lines
    assert line.startswith(f"{path} {reason}")


def test_json_that_is_not_there_is_one_line(tmp_path):
    path = tmp_path / "state.json"
    with refused("cannot-read", path):
        read_json(path)


HOLD = """
import sys
from pathlib import Path
from musengine.utils.files import locked
with locked(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock, until it is told to go on or ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def check_free(path: Path) -> None:
    with locked(path, "busy"):
        pass


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path):
    path = tmp_path / "run" / "run.lock"
    with holder(path) as other:
        with refused("run-folder-in-use", "busy"):
            check_free(path)
        other.communicate()
        assert other.returncode == 0
        check_free(path)


def test_a_lock_goes_with_the_process_that_held_it(tmp_path):
    path = tmp_path / "run.lock"
    with holder(path) as other:
        other.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        other.wait()
        check_free(path)


def test_a_lock_is_let_go_when_the_block_ends_however(tmp_path):
    path = tmp_path / "run.lock"
    with pytest.raises(ValueError, match="inside"), locked(path, "busy"):
        raise ValueError("inside")
    check_free(path)
    # The message is for the second holder only, in this process too.
    with locked(path, "busy"), refused("run-folder-in-use", "busy"):
        check_free(path)


def test_a_lock_that_cannot_be_had_at_all_is_one_line(tmp_path):
    (tmp_path / "run.lock").mkdir()
    with refused("cannot-write", "run.lock"):
        check_free(tmp_path / "run.lock")
