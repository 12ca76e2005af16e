"""Machines that share a job: each is an agent of `torchrun` with its own folder and cache."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TOGETHER = Path(__file__).with_name("together.py")


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def by_number(port: int, number: int) -> list[str]:
    """Return the options of a machine that is told its number, and where the first one is."""
    address = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    return ["--nnodes", "2", "--node-rank", str(number), *address]


def by_address(port: int, number: int) -> list[str]:
    """Return the options of a machine that is told an address alone, whatever its number."""
    del number  # who is the first is found out by themselves
    where = ["--rdzv-backend", "c10d", "--rdzv-id", "7", "--rdzv-endpoint", f"127.0.0.1:{port}"]
    return ["--nnodes", "2", *where]


class Machines:
    """Carries out command lines on machines, one process on each.

    Args:
        port: at which the first one listens.
        lines: the command lines.
        died: see `together.py`.
    """

    def __init__(self, port: int, lines: Sequence[Sequence[str]], died: Sequence[Any] = ()) -> None:
        self.port = port
        self.script = [str(TOGETHER), json.dumps(lines), *([json.dumps(died)] if died else [])]
        self.started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave none behind."""
        for process in self.started:
            # The agent's own group, with the processes that it has started.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def start(self, folder: Path, options: Sequence[str]) -> subprocess.Popen[str]:
        """Start one, which works in a folder and has its cache there; the first one listens then.

        Args:
            folder: of the machine.
            options: of `torchrun`.
        """
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1"]
        caches = {"MUSENGINE_CACHE": str(folder / "cache")}
        process = subprocess.Popen(
            [*launcher, *options, *self.script],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **caches},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        _wait_for(self.port)
        return process

    def ended(self) -> list[tuple[int, str]]:
        """Wait for all; returns the status of each and what it says."""
        said = [process.communicate(timeout=240)[1] for process in self.started]
        return [(each.returncode, err) for each, err in zip(self.started, said, strict=True)]


def _wait_for(port: int) -> None:
    """Wait until something listens at a port."""
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(port)
