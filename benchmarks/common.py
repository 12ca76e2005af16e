"""What all benchmarks share: where the data is, what machine this is, where results go."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def data_folder() -> Path:
    """Return the real music: `MUSENGINE_DATA`, else `shared/data` beside the checkout."""
    chosen = os.environ.get("MUSENGINE_DATA")
    folder = Path(chosen) if chosen else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        raise SystemExit(f"no real data in {folder}; set MUSENGINE_DATA")
    return folder


def musengine(*words: str, settings: Sequence[str] = ()) -> None:
    """Run a command of musengine with `--set` settings, quietly."""
    given = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "musengine", *words, "--quiet", *given]
    subprocess.run(command, check=True)


def processor() -> str:
    """Return the processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def peak_memory() -> float:
    """Return the most memory, in MiB, that this process has taken."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux counts in `ru_maxrss` what the process that started this one had.
        (line,) = [each for each in status.read_text().splitlines() if each.startswith("VmHWM:")]
        return int(line.split()[1]) / 2**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def stored_figures(name: str) -> dict[str, Any]:
    """Return the figures of an earlier result; none where there is no such file."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return {}
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return figures


def write_result(
    name: str,
    command: str,
    figures: dict[str, Any],
    packages: Sequence[str] = ("musengine", "torch", "numpy"),
) -> None:
    """Print figures and write them with what they were measured on."""
    result = {
        "command": command,
        "date": datetime.date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "versions": {package: importlib.metadata.version(package) for package in packages},
        "figures": figures,
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    print(text, end="")
