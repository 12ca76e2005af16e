"""What the report of a run takes: seconds, and the size of the page."""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from common import write_result

from musengine.api import RunContent, load_registry
from musengine.testing import create

RUNS = 5


def main() -> None:
    """Measure the refresh during training and the report at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run folder, such as the quickstart's")
    run: Path = parser.parse_args().run
    load_registry()
    writer = create("writer", "report")
    page = run / "report.html"
    figures = {}
    for name, underway in (("during training", True), ("at the end", False)):
        content = RunContent(run, underway=underway)
        wall, processor = [], []
        for _ in range(RUNS):
            began = time.perf_counter(), time.process_time()
            writer.write(content, page)
            wall.append(time.perf_counter() - began[0])
            processor.append(time.process_time() - began[1])
        figures[name] = {
            "seconds": round(statistics.median(wall), 3),
            "processor_seconds": round(statistics.median(processor), 3),
            "slowest_seconds": round(max(wall), 3),
            "bytes": page.stat().st_size,
        }
    figures["run"] = {"pieces": len([*(run / "samples").glob("*.mid")]), "repeats": RUNS}
    write_result("report", "python benchmarks/report.py RUN", figures, ("musengine", "numpy"))


if __name__ == "__main__":
    main()
