"""A run by its folder, its name in `runs/`, or the name of a trained model that is installed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from musengine.errors import UserError, did_you_mean
from musengine.interfaces.training import Origin
from musengine.plugins.declarations import TrainedDeclaration
from musengine.plugins.registry import Registry, RegistryEntry
from musengine.runs.folder import RUNS, RunFolder

logger = logging.getLogger(__name__)

_KIND = TrainedDeclaration.kind


@dataclass(frozen=True)
class NamedRun:
    """A run, and the trained model that it is, if it is one.

    Attributes:
        folder: the run's. That of a trained model lies inside a package and is read alone.
        trained: what its plugin declares of a trained model; None for a run of one's own.
    """

    folder: RunFolder
    trained: RegistryEntry | None = None

    @property
    def origin(self) -> Origin:
        """What the pipeline of a run names that goes on from it."""
        return Origin(self.folder.path.resolve() if self.trained is None else self.trained.name)


def find_run(name: str | Path, registry: Registry) -> NamedRun:
    """Return what a name stands for: a run folder first, then one in `runs/`, then a trained model.

    Args:
        name: a path, or a name alone.
        registry: the trained models that are installed.

    Raises:
        UserError: there is none of that name; says which are near.
    """
    found = _own_run(Path(name), registry)
    if found is not None:
        return NamedRun(found)
    if _is_claimed(str(name), registry):
        entry = registry.get(_KIND, str(name))
        folder = RunFolder(entry.folder())
        folder.require()
        return NamedRun(folder, entry)
    raise _unknown(Path(name), registry)


def checkpoint_of(origin: Origin, registry: Registry) -> Path:
    """Return the weights that a run starts from: the best of a run or a trained model, or a file.

    Raises:
        UserError: there are none.
    """
    place = origin.place
    if isinstance(place, str):
        return find_run(place, registry).folder.checkpoint_for("best")
    if place.is_file():
        return place
    if not RunFolder(place).exists:
        raise UserError(
            f"training.init_from: {place} is neither a run folder nor a checkpoint",
            code="no-checkpoint",
        )
    return RunFolder(place).checkpoint_for("best")


def _own_run(path: Path, registry: Registry) -> RunFolder | None:
    # Runs of one's own first: a distribution that is installed later must not take a name from
    # them.
    places = [path, RUNS / path] if _is_bare(path) else [path]
    for place in places:
        if RunFolder(place).exists:
            if _is_claimed(str(path), registry):
                logger.info(f"{path}: the run folder {place}, not the trained model of that name")
            return RunFolder(place)
    return None


def _is_bare(path: Path) -> bool:
    return len(path.parts) == 1 and path.name not in ("", "..")


def _is_claimed(name: str, registry: Registry) -> bool:
    key = (_KIND, name)
    return key in registry.entries or key in registry.contested


def _unknown(path: Path, registry: Registry) -> UserError:
    if not _is_bare(path) or path.is_dir():
        return UserError(
            f"{path} is not a run folder: it has no pipeline.toml", code="not-a-run-folder"
        )
    runs = sorted(place.parent.name for place in RUNS.glob("*/pipeline.toml"))
    names = [*runs, *registry.names(_KIND)]
    near = did_you_mean(path.name, names)
    if not near and names:
        near = f"; there are: {', '.join(names[:10])}"
    return UserError(
        f"{path} is neither a run folder nor a trained model that is installed{near}",
        code="not-a-run-folder",
    )
