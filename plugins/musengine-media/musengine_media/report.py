"""The report of a run, and the command that makes it again or puts several side by side."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from musengine.api import (
    CommandContext,
    ExitStatus,
    NoSettings,
    RunContent,
    Writable,
    Writer,
    find_run,
    load_registry,
    whole_file,
)
from musengine_media.page.run_page import run_page, runs_page

logger = logging.getLogger(__name__)


class ReportWriter(Writer[NoSettings]):
    """Writes the page of a run."""

    @property
    def suffix(self) -> str:
        """`.html`."""
        return ".html"

    def write(self, content: Writable, path: Path) -> None:
        """Write the page."""
        if not isinstance(content, RunContent):
            raise TypeError("a report is made of a run")
        page = run_page(
            content.folder,
            load_registry(),
            content.problem,
            pieces=content.pieces,
            quick=content.underway,
        )
        path.write_text(page, encoding="utf-8")


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine report`."""
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="run folders, or trained models by name"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the page (RUN/report.html; of several runs report.html)",
    )


def report(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine report`."""
    found = [find_run(run, context.registry) for run in parsed.runs]
    folders = [each.folder.path for each in found]
    if len(found) == 1:
        page = run_page(folders[0], context.registry)
        (own,) = found
        # A package that is installed is not written into.
        default = f"{own.trained.name}.html" if own.trained else folders[0] / "report.html"
        path = parsed.out or Path(default)
    else:
        page = runs_page(folders, context.registry)
        path = parsed.out or Path("report.html")
    with whole_file(path, "--out") as aside:
        aside.write_text(page, encoding="utf-8")
    logger.info(f"report: {path}")
    return ExitStatus.DONE
