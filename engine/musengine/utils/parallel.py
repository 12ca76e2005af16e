"""A function mapped over tasks in worker processes, which may crash or hang without harm.

Written here since what is at hand does not withstand a worker that is killed, as the system does
when memory runs short. `concurrent.futures` then breaks its pool and knows no time limit for a
task. In `pebble` (5.2) all workers read from one pipe under one lock: one that is killed between
two tasks breaks the pool and loses all the others, and with two workers it reads MIDI files a
third more slowly, three threads handing on what each of these small tasks needs.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, TypeVar

from musengine.errors import MachineError, UserError, is_strict, machines_fault
from musengine.utils.format import shown_number
from musengine.utils.plain_text import PlainText

T = TypeVar("T")
R = TypeVar("R")

SERIAL_BELOW = 24
"""Fewer tasks than this are done in this process: starting workers takes longer."""

_AHEAD = 8
"""Tasks that are sent to a worker at most, so that it need not wait for its next one."""

_AHEAD_BYTES = 4096
"""Bytes of tasks that are sent to a busy worker: less than any system's pipe holds."""

_WINDOW = 64
"""How many results, times the workers, may wait for an earlier one that takes longer."""

_START_TIMEOUT = 120.0
"""Seconds a worker may take to start."""


@dataclass(frozen=True)
class Failure:
    """In place of a task's result: why there is none, in a line."""

    reason: str


@dataclass(frozen=True)
class _Raised:
    """In strict mode, what a task raised: the traceback."""

    trace: str


@dataclass(frozen=True)
class _Stopped:
    """What the machine lacks, so that no task can be done."""

    message: str
    code: str


def process_map(
    function: Callable[[T], R],
    tasks: Iterable[T],
    *,
    workers: int = 0,
    timeout: float = 120.0,
    serial_below: int = SERIAL_BELOW,
) -> Iterator[R | Failure]:
    """Yield the results of a function for some tasks, in the order of the tasks.

    The tasks are spread over spawned processes and are taken from their source only a little ahead
    of the results, so memory does not grow with their number. A task whose process crashes, is
    killed, runs out of memory or takes too long becomes a Failure, and a new process does the
    rest; so does one that raises an exception (in strict mode that is raised here), unless the
    machine is at fault, as with a full disk: then all the others would fail too. When the
    iteration is given up, by Ctrl-C for instance, the processes are gone before anything else
    happens.

    Fewer than `serial_below` tasks are done in this process, which is faster but guards against
    exceptions only. Even one worker is a process of its own otherwise.

    Args:
        function: a module's function, or a `functools.partial` of one; it, the tasks and the
            results are pickled as multiprocessing does.
        tasks: what it is called with.
        workers: processes, 0 for one on each core.
        timeout: seconds a task may take.
        serial_below: the number of tasks from which processes are started; 0 for always.

    Raises:
        MachineError: the machine lacks what the tasks need.
        UserError: the processes do not start.
    """
    source = iter(tasks)
    first = list(itertools.islice(source, serial_below))
    if len(first) < serial_below:
        yield from (_attempt(function, task) for task in first)
        return
    pool = _Pool(function, workers or os.cpu_count() or 1, timeout)
    try:
        yield from pool.results(itertools.chain(first, source))
    finally:
        # Also where the caller stops iterating: the generator is closed, and this runs.
        pool.kill()


def _attempt(function: Callable[[T], R], task: T) -> R | Failure:
    try:
        return function(task)
    except Exception as error:
        if (fault := machines_fault(error)) is not None:
            raise fault from error
        if is_strict():
            raise
        return Failure(f"{type(error).__name__}: {error}")


@dataclass(eq=False)
class _Worker:
    """One process.

    Attributes:
        process: it has the other end of the pipe.
        pipe: tasks go out and results come in.
        ready: it has started.
        active_at: when it began its task, or was started, in seconds.
        queue: the tasks sent to it, with their indices, in the order it does them.
    """

    process: SpawnProcess
    pipe: connection.Connection
    ready: bool = False
    active_at: float = field(default_factory=time.monotonic)
    queue: deque[tuple[int, bytes]] = field(default_factory=deque)

    def accepts(self, data: bytes) -> bool:
        """Whether it can be sent a task without waiting for it to read.

        Waiting could last for ever, since it may itself be waiting to be read.
        """
        if not self.queue:
            return True
        queued = sum(len(other) for _, other in self.queue)
        return len(self.queue) < _AHEAD and queued + len(data) <= _AHEAD_BYTES

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class _Pool(Generic[T, R]):
    """Some workers, the tasks to send, and the results that came back."""

    def __init__(self, function: Callable[[T], R], size: int, timeout: float) -> None:
        self.function, self.size, self.timeout = function, size, timeout
        self.workers: list[_Worker] = []
        self.waiting: deque[tuple[int, bytes]] = deque()
        self.received: dict[int, Any] = {}
        self.any_started = False

    def results(self, tasks: Iterable[T]) -> Iterator[R | Failure]:
        """Yield the results in the order of the tasks."""
        # Pickled here and once, so that the size of what waits in a pipe is known.
        numbered = ((index, _packed(task)) for index, task in enumerate(tasks))
        next_index = 0
        while True:
            # Bounded: one slow task must not let results of thousands of others pile up in memory.
            self._send_tasks(numbered, next_index + _WINDOW * self.size)
            while next_index in self.received:
                result = self.received.pop(next_index)
                next_index += 1
                if isinstance(result, _Raised):
                    raise RuntimeError(f"in a worker process:\n{result.trace}")
                if isinstance(result, _Stopped):
                    raise MachineError(result.message, code=result.code)
                yield result
            if any(worker.queue for worker in self.workers):
                self._wait()
            elif not self.waiting:
                return

    def kill(self) -> None:
        """End all processes at once."""
        for worker in self.workers:
            # All are told to end before any is waited for.
            worker.process.kill()
        for worker in self.workers:
            worker.kill()
        self.workers.clear()

    def _send_tasks(self, numbered: Iterator[tuple[int, bytes]], before: int) -> None:
        """Send tasks up to an index, those that wait first, while a worker accepts them."""
        while True:
            entry = self.waiting.popleft() if self.waiting else next(numbered, None)
            if entry is None:
                return
            if entry[0] >= before or not self._send(*entry):
                self.waiting.appendleft(entry)
                return

    def _send(self, index: int, data: bytes) -> bool:
        """Send a task to the worker with the fewest, a new one where all are busy."""
        worker = min(self.workers, key=lambda worker: len(worker.queue), default=None)
        if worker is None or (worker.queue and len(self.workers) < self.size):
            worker = self._start()
        elif not worker.accepts(data):
            return False
        if not worker.queue:
            worker.active_at = time.monotonic()
        worker.queue.append((index, data))
        # Where it has just ended, waiting for its result tells.
        with contextlib.suppress(OSError):
            worker.pipe.send_bytes(data)
        return True

    def _start(self) -> _Worker:
        # Not forked: threads of PyTorch and open files would be copied in whatever state they are.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(self.function, theirs), daemon=True)
        with _interrupts_held_back():
            process.start()
        # While this process holds that end open too, it never sees that the worker is gone.
        theirs.close()
        worker = _Worker(process, ours)
        self.workers.append(worker)
        return worker

    def _wait(self) -> None:
        """Wait for a result, the end of a worker or a deadline."""
        busy = {worker.pipe: worker for worker in self.workers if worker.queue}
        now = time.monotonic()
        deadline = min(worker.active_at + self._limit(worker) for worker in busy.values())
        # A pipe is readable too where its worker has ended.
        readable = connection.wait(list(busy), max(0.0, deadline - now))
        for pipe, worker in busy.items():
            if pipe in readable:
                self._receive(worker)
            elif time.monotonic() - worker.active_at >= self._limit(worker):
                self._fail(worker, f"took longer than {shown_number(self._limit(worker))} seconds")

    def _limit(self, worker: _Worker) -> float:
        return self.timeout if worker.ready else _START_TIMEOUT

    def _receive(self, worker: _Worker) -> None:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            self._fail(worker, _why_ended(worker.process.exitcode))
            return
        # Each result starts the clock of the next task anew.
        worker.active_at = time.monotonic()
        if not worker.ready:
            worker.ready = self.any_started = True
            return
        index, _ = worker.queue.popleft()
        self.received[index] = message

    def _fail(self, worker: _Worker, reason: str) -> None:
        """End a worker; the task it was at has failed, the others go to another."""
        self.workers.remove(worker)
        worker.kill()
        # Where others have started, one that does not was killed: it costs a task like any other.
        if not worker.ready and not self.any_started:
            raise UserError(
                f"worker processes do not start ({reason}); a script that uses musengine must do "
                'so under `if __name__ == "__main__":`',
                code="workers-do-not-start",
            )
        index, _ = worker.queue.popleft()
        self.received[index] = Failure(reason)
        # Back to the front in their order: they were not begun.
        self.waiting.extendleft(reversed(worker.queue))


def _packed(task: object) -> bytes:
    return bytes(ForkingPickler.dumps(task))


def _why_ended(status: int | None) -> str:
    if status is not None and status < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-status).name
            hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
            return f"its process crashed ({name}{hint})"
    return f"its process crashed (exit status {status})"


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let processes started inside inherit a blocked Ctrl-C, which comes to this one afterwards.

    So they cannot be interrupted amid their imports, before they ignore it themselves.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(function: Callable[[T], R], pipe: connection.Connection) -> None:
    """Do tasks until there are no more, or nobody to send results to."""
    # Ctrl-C reaches the whole process group; it is the parent that ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What a library prints about a stranger's file may have escape sequences in it.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is not None:
            setattr(sys, name, PlainText(getattr(sys, name)))
    with contextlib.suppress(EOFError, OSError):
        pipe.send(None)
        while True:
            task: T = pipe.recv()
            pipe.send_bytes(_outcome(function, task))


def _outcome(function: Callable[[T], R], task: T) -> bytes:
    """Return a task's result, pickled; one that cannot be pickled is a failure too."""
    try:
        return _packed(_attempt(function, task))
    except MachineError as error:
        return _packed(_Stopped(str(error), error.code))
    except Exception as error:
        if is_strict():
            return _packed(_Raised(traceback.format_exc()))
        return _packed(Failure(f"{type(error).__name__}: {error}"))


def _end_with_parent() -> None:
    """End this process with the one that started it, even amid a task that never ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    # Not `sys.exit`, which would only end this thread.
    os._exit(1)
