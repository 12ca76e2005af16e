"""What the machine is at fault for ends the run in one line, and is never told of the music."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from helpers import write_random_midi
from musengine.errors import MachineError, UnreadableError, machines_fault
from musengine.utils.parallel import Failure, process_map
from warm import Ended, Warm

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a fork and a limit on file sizes")


def the_error(ended: Ended) -> str:
    """Return the one line that a command ended in, with status 1."""
    assert ended.status == 1, ended
    assert "Traceback" not in ended.err
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert "skipped" not in ended.err
    return line


@pytest.mark.slow
@posix
@pytest.mark.parametrize("files", [6, 30], ids=["in this process", "in worker processes"])
@pytest.mark.parametrize("cache", ["'cache'", "false"])
def test_a_disk_that_is_full_amid_the_music_is_no_bad_music(
    folder: Path, warm: Warm, files: int, cache: str
) -> None:
    write_random_midi(folder / "music", files, beats=40, notes=60)
    settings = ["--set", "corpus.path=music", "--set", f"corpus.cache={cache}"]
    settings += ["--set", "corpus.transpose=all keys", "--set", "corpus.jobs=2"]
    settings += ["--set", "encoder.lowest=21", "--set", "encoder.highest=108"]
    ended = warm(folder, "train", "pipe.toml", "-q", *settings, largest=6000)
    assert "cannot write" in the_error(ended)
    assert not (folder / "runs" / "pipe").exists()
    assert warm(folder, "train", "pipe.toml", "-q", *settings).status == 0


@pytest.mark.slow
@posix
@pytest.mark.parametrize("largest", [0, 1, 100, 400, 1000, 2000, 3000, 5000, 10_000])
def test_a_disk_that_is_full_at_any_write(folder: Path, warm: Warm, largest: int) -> None:
    (folder / "pipe.toml").write_text(
        (folder / "pipe.toml").read_text().replace("[encoder]", "cache = 'cache'\n[encoder]")
    )
    ended = warm(folder, "run", "pipe.toml", "-q", largest=largest)
    if ended.status:
        assert the_error(ended).startswith("error: ")
    run = folder / "runs" / "pipe"
    assert not run.exists() or (run / "pipeline.toml").exists()
    assert list(folder.rglob(".*")) == []
    again = warm(folder, "run", "pipe.toml", "-q")
    assert again.status == 0, again.err
    assert (run / "samples" / "piece-001.mid").is_file()


@pytest.mark.slow
@posix
def test_neither_a_cache_nor_a_temporary_folder(folder: Path, warm: Warm) -> None:
    # No file can have a byte, wherever it is.
    message = the_error(warm(folder, "run", "pipe.toml", largest=0))
    assert "no folder for temporary files can be written" in message
    assert "TMPDIR" in message
    assert not (folder / "runs" / "pipe").exists()


def refuse(code: int) -> int:
    try:
        raise OSError(code, "as the system says it", "there")
    except OSError as error:
        raise UnreadableError("it is damaged") from error


@pytest.mark.parametrize("below", [9, 0], ids=["in this process", "in worker processes"])
def test_one_that_a_plugin_took_for_damage_is_seen_all_the_same(below: int) -> None:
    with pytest.raises(MachineError, match="as the system says it"):
        list(process_map(refuse, [errno.ENOSPC] * 3, workers=1, serial_below=below))
    found = list(process_map(refuse, [errno.EACCES] * 2, workers=1, serial_below=below))
    assert [type(each) for each in found] == [Failure, Failure]


def test_what_was_handled_before_and_hidden_is_no_fault() -> None:
    with pytest.raises(UnreadableError) as raised:
        refuse(errno.ENOSPC)
    assert machines_fault(raised.value) is not None
    hidden = UnreadableError("no notes")
    hidden.__context__, hidden.__suppress_context__ = OSError(errno.ENOSPC, "full"), True
    assert machines_fault(hidden) is None
