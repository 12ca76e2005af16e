"""The command line, called in this process, and the weights that a run left."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from musengine.training.checkpoint import Checkpoint


class CommandResult(NamedTuple):
    """What a command ended with: its exit status and what it wrote."""

    status: int
    out: str
    err: str


def run_command(*arguments: str, settings: Sequence[str] = ()) -> CommandResult:
    """Call the command line in this process, in the working directory.

    Args:
        arguments: the words after `musengine`.
        settings: `TABLE.KEY=VALUE` words, each given with `--set`.
    """
    from musengine.cli.main import main

    words = [word for setting in settings for word in ("--set", setting)]
    # Not StringIO, which has no buffer: commands may write bytes.
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([*arguments, *words])
        except SystemExit as ended:  # of argparse: wrong usage, --help, --version
            status = ended.code if isinstance(ended.code, int) else 0
    return CommandResult(int(status), _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode("utf-8")


def load_checkpoint(path: Path) -> Checkpoint:
    """Return what a checkpoint holds: `model` (tensors by name), `meta` and `extra`.

    Args:
        path: the file, or a run folder for the last one in it.

    Raises:
        UserError: there is none, or it is damaged.
    """
    from musengine.runs.folder import RunFolder
    from musengine.training import checkpoint

    return checkpoint.load(RunFolder(path).checkpoint_for("last") if path.is_dir() else path)
