from __future__ import annotations

import ctypes
import functools
import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from musengine.utils.parallel import Failure, process_map

POSIX = os.name == "posix"


def act(task: int | str) -> int | str:
    """Do what a task says, in a worker process."""
    if task == "pid":
        return os.getpid()
    if task == "segfault":
        ctypes.string_at(0)
    if task == "exit":
        os._exit(7)
    if task == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "hang":
        while True:
            pass
    if task == "raise":
        raise ValueError("no such thing")
    if task == "memory":
        raise MemoryError
    if task == "unpicklable":
        return threading.Lock()  # type: ignore[return-value]
    assert isinstance(task, int)
    return task * task


def length(data: bytes) -> bytes:
    return data + data


def scaled(factor: int, task: int) -> int:
    # Uneven work, so that workers overtake each other.
    return sum(range(task % 7 * 1000)) * 0 + factor * task


def test_results_come_in_the_order_of_the_tasks():
    function = functools.partial(scaled, 3)
    for workers in (1, 2):
        assert list(process_map(function, range(500), workers=workers)) == [
            3 * n for n in range(500)
        ]


def test_few_tasks_are_done_here_and_more_elsewhere():
    assert set(process_map(act, ["pid"] * 23)) == {os.getpid()}
    elsewhere = set(process_map(act, ["pid"] * 24, workers=1))
    assert len(elsewhere) == 1
    assert os.getpid() not in elsewhere
    assert os.getpid() not in set(process_map(act, ["pid"] * 2, workers=2, serial_below=0))


def test_no_tasks_give_no_results():
    assert list(process_map(act, [])) == list(process_map(act, [], serial_below=0)) == []


def test_a_crash_costs_its_own_task_alone():
    tasks: list[int | str] = [*range(20), "exit", *range(20, 40)]
    results = list(process_map(act, tasks, workers=2, serial_below=0))
    assert results.pop(20) == Failure("its process crashed (exit status 7)")
    assert results == [n * n for n in range(40)]


def test_workers_killed_at_any_moment_cost_a_task_each():
    # As the system kills them when memory runs short: at work, between two tasks or at the start.
    tasks, kills = itertools.count(), 0
    drawn = random.Random(3)
    due = time.monotonic() + 1
    results = process_map(act, tasks, workers=2)
    failures = 0
    for number, result in enumerate(results):
        if isinstance(result, Failure):
            failures += 1
        else:
            assert result == number * number
        if kills == 8 and time.monotonic() >= due:
            break
        if time.monotonic() >= due:
            drawn.choice(multiprocessing.active_children()).kill()
            kills += 1
            due = time.monotonic() + drawn.uniform(0, 0.3)
    results.close()  # type: ignore[attr-defined]
    assert number > 2 * kills
    assert 0 < failures <= kills


class DiesAtStart:
    """A task's number; its process ends at "exit", and so do those that are started afterwards."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self):
        return start_or_die, (self.flag,)

    def __call__(self, task: int | str) -> int | str:
        if task == "exit":
            self.flag.touch()
            os._exit(7)
        return task


def start_or_die(flag: Path) -> DiesAtStart:
    if flag.exists():
        os._exit(5)
    return DiesAtStart(flag)


def test_a_worker_that_dies_at_its_start_costs_a_task_where_others_have_started(tmp_path):
    function = DiesAtStart(tmp_path / "flag")
    results = list(process_map(function, [1, "exit", 2, 3], workers=1, serial_below=0))
    assert results == [
        1,
        Failure("its process crashed (exit status 7)"),
        Failure("its process crashed (exit status 5)"),
        Failure("its process crashed (exit status 5)"),
    ]


@pytest.mark.skipif(not POSIX, reason="signals are told only on POSIX systems")
def test_the_kind_of_crash_is_told():
    tasks: list[int | str] = ["segfault", 1, "kill", 2]
    assert list(process_map(act, tasks, workers=1, serial_below=0)) == [
        Failure("its process crashed (SIGSEGV)"),
        1,
        Failure("its process crashed (SIGKILL, perhaps for want of memory)"),
        4,
    ]


def say(task: int) -> int:
    print("\x1b[31mto the output", flush=True)
    print("\x1b]0;title\x07to the errors", file=sys.stderr)
    return task


def test_what_a_worker_prints_is_shown_and_not_done(capfd):
    assert list(process_map(say, [1], workers=1, timeout=60, serial_below=0)) == [1]
    shown = capfd.readouterr()
    assert "\\x1b[31mto the output" in shown.out
    assert "\\x1b]0;title" in shown.err
    assert "\x1b" not in shown.out + shown.err


def test_a_task_that_hangs_is_given_up_while_others_go_on():
    tasks: list[int | str] = [1, "hang", *range(2, 30), "hang", 30]
    results = list(process_map(act, tasks, workers=2, timeout=0.4, serial_below=0))
    assert results.pop(1) == results.pop(29) == Failure("took longer than 0.4 seconds")
    assert results == [n * n for n in range(1, 31)]


def test_time_in_which_nobody_asks_for_results_does_not_count():
    results = process_map(act, range(60), workers=1, timeout=0.2, serial_below=0)
    assert next(results) == 0
    threading.Event().wait(0.5)
    assert list(results) == [n * n for n in range(1, 60)]


@pytest.mark.parametrize("serial_below", [0, 24])
def test_an_exception_is_a_failure_of_its_task(serial_below):
    assert list(
        process_map(act, [2, "raise", "memory", 3], workers=1, serial_below=serial_below)
    ) == [
        4,
        Failure("ValueError: no such thing"),
        Failure("MemoryError: "),
        9,
    ]


@pytest.mark.parametrize(("serial_below", "kind"), [(0, RuntimeError), (24, ValueError)])
def test_in_strict_mode_an_exception_is_raised(serial_below, kind, monkeypatch):
    monkeypatch.setenv("MUSENGINE_STRICT", "1")
    with pytest.raises(kind, match="no such thing"):
        list(process_map(act, [2, "raise", 3], workers=1, serial_below=serial_below))


def test_a_result_that_cannot_travel_is_a_failure():
    bad, good = process_map(act, ["unpicklable", 3], workers=1, serial_below=0)
    assert isinstance(bad, Failure)
    assert "pickle" in bad.reason
    assert good == 9


def test_tasks_and_results_larger_than_any_pipe_do_not_block():
    tasks = [bytes([n]) * 2**20 for n in range(12)]
    results = list(process_map(length, tasks, workers=2, serial_below=0))
    assert results == [task + task for task in tasks]


def test_tasks_are_taken_only_a_little_ahead():
    taken = itertools.count()
    last = 0

    def tasks() -> Iterator[int]:
        nonlocal last
        while True:
            last = next(taken)
            yield last

    results = process_map(act, tasks(), workers=2)
    assert [next(results) for _ in range(1000)] == [n * n for n in range(1000)]
    assert last < 1000 + 2 * 64 + 2
    results.close()  # type: ignore[attr-defined]


def test_giving_up_ends_the_processes():
    results = process_map(act, itertools.repeat("pid"), workers=2)
    while len({next(results) for _ in range(50)}) < 2:
        pass
    assert len(multiprocessing.active_children()) == 2
    results.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


SCRIPT = """
import itertools, signal, sys
from musengine.utils.parallel import process_map

def hang(task):
    print(task, flush=True)
    while True:
        pass

if __name__ == "__main__":
    # What starts the tests in the background may have told all its children to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        list(process_map(hang, itertools.count(), workers=2))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.skipif(not POSIX, reason="sends a POSIX signal to a group")
@pytest.mark.parametrize("at_once", [True, False])
def test_ctrl_c_ends_all_without_a_word(at_once, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()  # one worker is at work; the other may be starting still
    if not at_once:
        process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    # The workers hold the other ends of the pipes: reading ends when they all have.
    try:
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, errors) == (130, "")


@pytest.mark.skipif(not POSIX, reason="sends a POSIX signal to a group")
def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL


def test_a_script_without_a_guard_is_told(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from musengine.utils.parallel import process_map\n"
        "print(list(process_map(abs, range(3), serial_below=0)))\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "worker processes do not start" in done.stderr


def test_small_tasks_are_not_dominated_by_their_travel():
    began = time.perf_counter()
    assert sum(1 for _ in process_map(act, range(200), workers=1)) == 200
    short = time.perf_counter() - began
    began = time.perf_counter()
    assert sum(1 for _ in process_map(act, range(4200), workers=1)) == 4200
    # The start is the same for both, so the difference is that of 4,000 tasks: less than half a
    # millisecond each even on a busy machine.
    assert time.perf_counter() - began - short < 2.0
