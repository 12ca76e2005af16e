"""Reading of files one by one: in worker processes, by way of the cache, faults told in a line."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from musengine.data.files.found import FoundFiles, Task
from musengine.data.files.loader import PieceLoader
from musengine.data.manifest import Skipped, SourceFile
from musengine.errors import (
    MachineError,
    UnreadableError,
    UserError,
    is_strict,
    machine_apart,
)
from musengine.plugins.registry import Component
from musengine.utils.parallel import SERIAL_BELOW, Failure, process_map
from musengine.utils.progress import ProgressReporter

Work = Callable[[PieceLoader, SourceFile], Any]

_TOGETHER = 1000
"""Files that are looked up in the cache before those that it lacks are read: memory does not grow
with the corpus."""


@contextlib.contextmanager
def faults_explained(reader: Component) -> Iterator[None]:
    """Turn whatever goes wrong while a reader reads a file into one line that says why.

    Raises:
        MachineError: the machine is at fault, and not the file.
        UnreadableError: in place of any other error; in strict mode a reader's own faults stay.
    """
    try:
        with machine_apart():
            yield
    except MachineError:
        raise
    except UserError as error:  # also a library that is not installed
        raise UnreadableError(error.lines[0], code=error.code) from error
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), code="cannot-read") from error
    # A fault of one plugin's reader must not lose what the others read.
    except Exception as error:
        if is_strict():
            raise
        provider = f"reader {reader.name!r} of {reader.entry.origin}"
        raise UnreadableError(
            f"{provider} failed: {type(error).__name__}: {error}", code="plugin-failed"
        ) from error


@dataclass(frozen=True)
class Files:
    """Files to read; those that cannot be are added to `skipped` with the reason.

    Attributes:
        loader: loads their pieces.
        found: the files.
        numbers: which of them are read.
        skipped: receives the others.
    """

    loader: PieceLoader
    found: FoundFiles
    numbers: Sequence[int]
    skipped: list[Skipped]

    def results(
        self,
        function: Work,
        jobs: int,
        timeout: float,
        reporter: ProgressReporter,
        cached: Work | None = None,
    ) -> Iterator[Any]:
        """Yield what a function returns of each file; None for one that cannot be read.

        Args:
            function: called in a worker process.
            jobs: processes, 0 for one on each core.
            timeout: seconds that a file may take.
            reporter: receives the progress.
            cached: looks up in this process what the function would return; None where it cannot.
        """
        count = len(self.numbers)
        outcomes = self._outcomes(function, jobs, timeout, cached)
        with reporter.bar("reading") as bar:
            for done, (number, outcome) in enumerate(zip(self.numbers, outcomes, strict=True), 1):
                bar.update(done / count, f"{done} of {count} files")
                reason = outcome.reason if isinstance(outcome, Failure) else outcome
                if isinstance(reason, str):
                    self.skipped.append(Skipped(self.found.path(number), reason))
                yield None if isinstance(reason, str) else outcome

    def _outcomes(
        self, function: Work, jobs: int, timeout: float, cached: Work | None
    ) -> Iterator[Any]:
        """Yield what came of each file; those that the cache has are looked up in this process.

        That takes less time than starting workers, as long as only a few have to be read.
        """
        tasks = map(self.found.task, self.numbers)
        work = _Guarded(function, self.loader)
        if cached is None:
            yield from process_map(work, tasks, workers=jobs, timeout=timeout)
            return
        look_up = _Guarded(cached, self.loader)
        while together := list(itertools.islice(tasks, _TOGETHER)):
            known: list[Any] = []
            absent: list[Task] = []
            for task in together:
                known.append(look_up(task))
                if known[-1] is None:
                    absent.append(task)
                # So many are worth the workers: the rest is not looked up here but by them.
                if len(absent) == SERIAL_BELOW:
                    break
            rest: Iterable[Task] = together[len(known) :]
            if len(absent) == SERIAL_BELOW:
                rest = itertools.chain(rest, tasks)
            read = process_map(work, itertools.chain(absent, rest), workers=jobs, timeout=timeout)
            # In the order of the files: what the cache lacked comes first from the workers, then
            # the rest.
            for outcome in known:
                yield next(read) if outcome is None else outcome
            yield from read


@dataclass(frozen=True)
class _Guarded:
    """A function of a file that returns in words what is wrong with the file."""

    function: Work
    loader: PieceLoader

    def __call__(self, task: Task) -> Any:
        reader, item = task
        try:
            with faults_explained(self.loader.readers[reader]):
                file = SourceFile(reader, item, self.loader.key(reader, item))
                return self.function(self.loader, file)
        except UnreadableError as error:
            # Returned, not raised: an exception would have to be pickled, and a plugin's own class
            # may not be.
            return error.lines[0]
