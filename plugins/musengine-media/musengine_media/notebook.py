"""Scores and runs that show and play themselves in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from musengine.api import Score, load_registry
from musengine_media.listen import listening_page
from musengine_media.page.markup import Markup, element
from musengine_media.page.run_page import run_page

if TYPE_CHECKING:
    from musengine.api import Run

_HEIGHTS = {"score": 520, "run": 800}


def register(shell: Any) -> None:
    """Tell IPython how scores and runs are shown."""
    formatter = shell.display_formatter.formatters["text/html"]
    formatter.for_type(Score, score_player)
    # By its name: runs need PyTorch, and a notebook may do without.
    formatter.for_type_by_name("musengine.runs.run", "Run", run_player)


def score_player(score: Score) -> Markup:
    """Return a score's roll, to be played, as a page within the notebook's."""
    return _within(listening_page({"Score": score}, load_registry()), "score")


def run_player(run: Run) -> Markup:
    """Return a run's report as a page within the notebook's."""
    return _within(run_page(run.path, load_registry()), "run")


def _within(page: str, kind: str) -> Markup:
    return element(
        "iframe",
        srcdoc=page,
        title=f"A {kind} of musengine",
        width="100%",
        height=_HEIGHTS[kind],
        frameborder=0,
        allow="autoplay",
    )
