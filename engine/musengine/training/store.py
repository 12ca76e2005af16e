"""Where training keeps what it writes, as far as the trainer has to know it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class RunStore(Protocol):
    """What keeps the checkpoints, the log of figures and the state of a run.

    A run folder is one; so is anything else with these members, such as a temporary folder in a
    test or a notebook.
    """

    @property
    def path(self) -> Path:
        """The folder that callbacks may write into."""

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoint files."""

    def checkpoint_paths(self) -> list[Path]:
        """Return the checkpoints, oldest first."""

    def remove_old_checkpoints(self, keep: int) -> None:
        """Delete all checkpoints but the `keep` newest and the one that the state names as best."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Append figures to the log, as JSON values, with the `step` they are of."""

    def state(self) -> dict[str, Any]:
        """Return what is known of the run beyond its checkpoints, as JSON values.

        `best`, where there is one, has the `checkpoint` with the lowest validation loss by name,
        that loss as `figure`, and its `step`.
        """

    def write_state(self, **values: Any) -> None:
        """Change some values of the state; the others stay."""


class NoStore:
    """The store of a process that writes nothing, since another one does."""

    path = checkpoints = Path()

    def checkpoint_paths(self) -> list[Path]:
        """Return none."""
        return []

    def remove_old_checkpoints(self, keep: int) -> None:
        """Delete nothing."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Write nothing."""

    def state(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def write_state(self, **values: Any) -> None:
        """Write nothing."""
