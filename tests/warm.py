"""A process that has imported everything, and carries out each command line in a fork of itself.

Run as a script it reads one JSON request a line: `arguments`, `folder`, and what shall go wrong:
`kill_at`, the number of the file operation before which the process gets a signal, which is
`SIGKILL` or that of the number `signal`; `list_to`, a file
that receives every operation; `largest`, bytes past which no file can grow, as on a full disk;
`constants`, numbers by the names of what is to be them, such as `package.module.STEPS`. It answers
each with one JSON line: `status`, as `Popen.returncode` has it, `out` and `err`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND if os.name else 0
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


class Warm:
    """Carries out command lines quickly, each in a process of its own; POSIX alone.

    Args:
        cache: the folder of their cache.
        environment: what else libraries are to find in the environment when they are imported.
    """

    def __init__(self, cache: Path, environment: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, str(Path(__file__).resolve())]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                **(environment or {}),
                "MUSENGINE_CACHE": str(cache),
                "OMP_NUM_THREADS": "1",
            },
        )

    def __call__(self, folder: Path, *arguments: str, **request: Any) -> Ended:
        """Carry out a command line in a folder; see the module for what can go wrong."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        whole = {"arguments": arguments, "folder": str(folder), **request}
        self._process.stdin.write(json.dumps(whole) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def watch(folder: Path, list_to: str | None, kill_at: int | None, number: int) -> None:
    """Count what is opened, made, renamed or deleted in a folder; get a signal before one."""
    count = 0
    listed = None if list_to is None else os.open(list_to, os.O_WRONLY | os.O_CREAT, 0o600)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            path, _, flags = arguments
            kind = "write" if isinstance(flags, int) and flags & _WRITES else "read"
        elif event in _CHANGES:
            path, kind = arguments[0], event.removeprefix("os.")
        else:
            return
        if isinstance(path, int):
            return
        whole = Path.cwd() / os.fsdecode(path)
        if not whole.is_relative_to(folder):
            return
        count += 1
        if count - 1 == kill_at:
            os.kill(os.getpid(), number)
        if listed is not None:
            os.write(listed, f"{kind} {whole.relative_to(folder)}\n".encode())

    sys.addaudithook(hook)


def carry_out(request: dict[str, Any]) -> dict[str, Any]:
    """Fork, carry out a command line and tell how it ended."""
    # Through pipes: a file would be full where every file is.
    pipes = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        for number, (_, theirs) in enumerate(pipes, 1):
            os.dup2(theirs, number)
        _child(request)
    for _, theirs in pipes:
        os.close(theirs)
    with ThreadPoolExecutor() as readers:
        out, err = readers.map(_read, [ours for ours, _ in pipes])
    _, status = os.waitpid(child, 0)
    return {"status": os.waitstatus_to_exitcode(status), "out": out, "err": err}


def _read(ours: int) -> str:
    with os.fdopen(ours, "rb") as file:
        return file.read().decode(errors="replace")


def _child(request: dict[str, Any]) -> None:
    status = 99  # of a traceback
    try:
        os.chdir(request["folder"])
        os.environ.update(request.get("environment", {}))
        if (largest := request.get("largest")) is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        if "list_to" in request or "kill_at" in request:
            number = request.get("signal", signal.SIGKILL)
            watch(Path.cwd(), request.get("list_to"), request.get("kill_at"), number)
        for name, value in request.get("constants", {}).items():
            module, _, constant = name.rpartition(".")
            setattr(importlib.import_module(module), constant, value)
        from musengine.cli.main import main

        status = main(request["arguments"])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 99
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                status = 98
        os._exit(status)


def _serve() -> None:
    """Import what runs need, then serve."""
    import torch

    import musengine.runs.session
    from musengine.cli.main import main
    from musengine.plugins import manager

    assert main
    assert musengine.runs.session
    torch.set_num_threads(1)
    # The first optimizer of a process imports a second's worth of modules, which look for a folder
    # for temporary files: each command is to look for one itself.
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    tempfile.tempdir = None
    manager.load()
    families = ("lstm3", "charrnn", "melody", "biaxial", "notes", "remi")
    names = [f"musengine_{each}.model" for each in families]
    for name in (*names, "musengine_remi.encoder", "musengine_media.report"):
        with contextlib.suppress(ImportError):
            __import__(name)
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
