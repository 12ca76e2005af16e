"""What installed plugins write of a run as a whole, such as a report."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from musengine.errors import UserError, is_strict
from musengine.interfaces.writer import RunContent, Writer
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.declarations import WriterDeclaration
from musengine.plugins.registry import Component, Registry
from musengine.runs.folder import RunFolder
from musengine.utils.files import whole_file

logger = logging.getLogger(__name__)


def write_run(
    run: RunFolder,
    pipeline: Pipeline,
    registry: Registry,
    *,
    pieces: Path | None = None,
    problem: str = "",
    underway: bool = False,
) -> None:
    """Write a run with all writers of runs, and say where; what hinders one is a warning.

    Args:
        run: nothing is written where it has not begun.
        pipeline: says whether anything is to be written, and may have settings for the writers.
        registry: the writers that are installed.
        pieces: the folder whose pieces are told of, and which is written into; the run's samples
            and its folder without one.
        problem: why the work on the run ended before its time, if it did.
        underway: the run goes on afterwards; then nothing is said.
    """
    if not pipeline.report.enabled or not run.exists:
        return
    writers = _writers(pipeline, registry)
    if not writers and not underway:
        logger.info("no report: no installed plugin writes one; pip install musengine-media")
    content = RunContent(run.path, problem, underway, pieces)
    for component in writers:
        try:
            writer: Writer[Any] = component.create()
            path = (pieces or run.path) / f"{component.name}{writer.suffix}"
            with whole_file(path) as aside:
                writer.write(content, aside)
        except Exception as error:
            if is_strict() and not isinstance(error, UserError):
                raise
            # What came of the run must not be lost, nor its own failure hidden, by its report.
            logger.warning(f"no {component.name}: {_reason(error)}")
        else:
            if not underway:
                logger.info(f"{component.name}: {path}")


def _writers(pipeline: Pipeline, registry: Registry) -> list[Component]:
    """Return the writers of runs: those in the pipeline's outputs, and those that are defaults."""
    own = [
        output for output in pipeline.outputs if "run" in output.declared(WriterDeclaration).content
    ]
    named = {component.name for component in own}
    entries = [entry for entry in registry.defaults_for("writer", "run") if entry.name not in named]
    return [*own, *(entry.configured({}) for entry in entries if not entry.missing_requirements())]


def _reason(error: Exception) -> str:
    if isinstance(error, UserError):
        return error.lines[0]
    return " ".join(f"{type(error).__name__}: {error}".split())
