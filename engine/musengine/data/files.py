"""Music files one by one, each in a worker process: what commands about many files share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from musengine.interfaces.reader import Item
from musengine.plugins.registry import Component
from musengine.utils.format import counted
from musengine.utils.parallel import Failure, process_map
from musengine.utils.progress import SILENT, ProgressReporter


@dataclass(frozen=True)
class MusicFile:
    """One file to work on.

    Attributes:
        reader: what reads it.
        item: the file.
        shown: its name as the user would write it.
    """

    reader: Component
    item: Item
    shown: str


F = TypeVar("F", bound=MusicFile)
R = TypeVar("R")


def process_files(
    function: Callable[[F], R],
    files: Sequence[F],
    *,
    title: str,
    jobs: int = 0,
    timeout: float = 300.0,
    reporter: ProgressReporter = SILENT,
) -> Iterator[tuple[F, R | Failure]]:
    """Yield each file with what a function returns for it, in order.

    A file at which the function raises, crashes its process or takes too long yields a Failure
    that says so, and the rest goes on.

    Args:
        function: importable by name, since it runs in worker processes.
        files: what is worked on.
        title: what is done, for the progress bar, as `converting`.
        jobs: processes, 0 for one on each core.
        timeout: seconds that one file may take.
        reporter: told how far it is.
    """
    results = process_map(function, files, workers=jobs, timeout=timeout, serial_below=0)
    with reporter.bar(title) as bar:
        for count, (file, result) in enumerate(zip(files, results, strict=True), 1):
            yield file, result
            bar.update(count / len(files), f"{count} of {counted(len(files), 'file')}")
