"""Where the time of a run went: a table for the eye, and a file in its folder."""

from __future__ import annotations

import logging
from pathlib import Path

from musengine.utils.files import write_json
from musengine.utils.profile import ProfileResult

logger = logging.getLogger(__name__)

_TITLE = "where the time went"


def keep_profile(profile: ProfileResult, path: Path, processes: int) -> None:
    """Write a profile as JSON, for this process among so many.

    Raises:
        MachineError: the file cannot be written.
    """
    stages = {
        name: {"seconds": round(stage.seconds, 6), "times": stage.times}
        for name, stage in profile.stages.items()
    }
    write_json(
        path,
        {
            "seconds": round(profile.seconds, 6),
            "stages": stages,
            "rest": round(profile.rest, 6),
            "processes": processes,
        },
    )


def tell_profile(profile: ProfileResult) -> None:
    """Say where the time went, a line for each stage, the longest first."""
    rows = [(name, stage.seconds, f"{stage.times:,}") for name, stage in profile.stages.items()]
    rows.sort(key=lambda row: -row[1])
    rows += [("everything else", profile.rest, ""), ("in all", profile.seconds, "")]
    width = max(len(_TITLE), *(len(name) for name, _, _ in rows))
    logger.info(f"{_TITLE:{width}}   seconds    share      times")
    for name, seconds, times in rows:
        share = seconds / profile.seconds if profile.seconds else 0.0
        logger.info(f"{name:{width}} {seconds:9.2f} {share:8.1%} {times:>10}".rstrip())
