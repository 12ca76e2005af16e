"""How long the commands take that need no torch."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from common import ROOT, write_result

COMMANDS = {
    "--help": ["--help"],
    "plugins": ["plugins"],
    "schema": ["schema"],
    "check": ["check", str(ROOT / "pipelines" / "quickstart.toml")],
}
RUNS = 15


def seconds(arguments: list[str]) -> float:
    """Return the time of one call, the interpreter's start included."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "musengine", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure every command, the runs interleaved."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    figures = {
        name: {
            "median_seconds": round(statistics.median(values), 3),
            "slowest_seconds": round(max(values), 3),
            "runs": RUNS,
        }
        for name, values in times.items()
    }
    write_result("startup", "python benchmarks/startup.py", figures)


if __name__ == "__main__":
    main()
