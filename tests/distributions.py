"""Distributions that are only folders: modules beside a `dist-info`, nothing installed."""

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
class Site:
    """A folder on the module path that holds distributions of the test's own."""

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
        """Add a distribution: its entry points (name to module) and its modules' source texts."""
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
        """Load the core and this folder's plugins."""
        return manager.load_from(self.entry_points(), chosen=chosen, strict=strict)

    def environment(self, *folders: Path, **variables: str) -> dict[str, str]:
        """Return the environment of a process that finds this folder's distributions."""
        before = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
        path = os.pathsep.join([str(self.folder), *map(str, folders), *before])
        return {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1", **variables}


MODEL = """
from musengine.plugins.declarations import ModelConfig, ModelDeclaration
from musengine.plugins.hookspecs import hookimpl

@hookimpl
def musengine_models():
    return [
        ModelDeclaration(
            name=name, summary="", target="nowhere:Nothing", config=ModelConfig, layouts=("grid",)
        )
        for name in {names!r}
    ]
"""


def declaring(*names: str) -> str:
    """Return the source of a plugin that declares models of these names."""
    return MODEL.format(names=names)
