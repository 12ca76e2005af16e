"""Distributions of a test's own: modules beside a `dist-info` in a folder, nothing installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from musengine.plugins import manager


@dataclass(frozen=True)
class SitePackages:
    """A folder that holds distributions, as `site-packages` does; to be put on the module path."""

    folder: Path

    def add(
        self,
        distribution: str,
        entry_points: Mapping[str, str] | str,
        version: str = "1.0",
        *,
        metadata: bool = True,
        **modules: str,
    ) -> None:
        """Add a distribution.

        Args:
            distribution: its name.
            entry_points: of the group `musengine`, name to module; or all of `entry_points.txt`.
            version: its version.
            metadata: whether it has a METADATA file.
            modules: the source text of each module, by the module's name.
        """
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        if metadata:
            lines = ("Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}", "")
            (info / "METADATA").write_text("\n".join(lines))
        if not isinstance(entry_points, str):
            listed = "".join(f"{name} = {module}\n" for name, module in entry_points.items())
            entry_points = f"[musengine]\n{listed}"
        (info / "entry_points.txt").write_text(entry_points)
        for name, source in modules.items():
            (self.folder / f"{name}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()

    def entry_points(self) -> list[importlib.metadata.EntryPoint]:
        """Return the entry points of this folder's distributions, and of no others."""
        found = importlib.metadata.distributions(path=[str(self.folder)])
        points = (point for distribution in found for point in distribution.entry_points)
        return [point for point in points if point.group == manager.GROUP]

    def load(self, chosen: set[str] | None = None, *, strict: bool = False) -> manager.Plugins:
        """Load the core and this folder's plugins; those that are installed stay away.

        Args:
            chosen: names of entry points, None for all.
            strict: raise what a plugin raises.
        """
        return manager.load_from(self.entry_points(), chosen=chosen, strict=strict)

    def environment(self, *folders: Path, **variables: str) -> dict[str, str]:
        """Return the environment of a process that finds this folder's distributions.

        Args:
            folders: more folders for the module path.
            variables: more variables.
        """
        before = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
        path = os.pathsep.join([str(self.folder), *map(str, folders), *before])
        return {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1", **variables}
