"""How much processor time the commands take that need no torch.

It hardly heeds what else runs on the machine, unlike the clock. Python's bytecode is kept, as it is
for users: `PYTHONDONTWRITEBYTECODE` is taken out of the environment.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys

from common import ROOT, write_result

COMMANDS = {
    "--help": ["--help"],
    "plugins": ["plugins"],
    "schema": ["schema"],
    "check": ["check", str(ROOT / "pipelines" / "quickstart.toml")],
}
RUNS = 15


def seconds(arguments: list[str]) -> float:
    """Return the processor time of one call, the interpreter's start included."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "musengine", *arguments]
    subprocess.run(command, check=True, capture_output=True, env=kept)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Measure every command, the runs interleaved, the first of each not counted."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS + 1):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    figures = {
        name: {
            "median_processor_seconds": round(statistics.median(values[1:]), 3),
            "highest_processor_seconds": round(max(values[1:]), 3),
            "runs": RUNS,
        }
        for name, values in times.items()
    }
    write_result("startup", "python benchmarks/startup.py", figures)


if __name__ == "__main__":
    main()
