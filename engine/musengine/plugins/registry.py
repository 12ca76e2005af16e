"""Which component a kind and a name stand for, whose it is, and who else claims the name."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from musengine.config.fields import Config, build_config, to_table
from musengine.errors import UserError, did_you_mean
from musengine.plugins.configs import Content
from musengine.plugins.declarations import Declaration, TrainedDeclaration, WriterDeclaration
from musengine.utils.by_value import ByValue

D = TypeVar("D", bound=Declaration)

CORE = "musengine"
"""The core's distribution."""

_AT_THE_MARGIN = re.compile(r"^(?:class|def|async def) (\w+)", re.MULTILINE)


def _binds(source: str, name: str) -> bool:
    """Return whether a module binds a name anywhere outside its functions and classes."""
    # Nearly all stand at the margin, and parsing takes as long as compiling.
    if name in _AT_THE_MARGIN.findall(source):
        return True
    # A star import or a module's `__getattr__` may give any name.
    return bool({name, "*", "__getattr__"} & _bound_names(source))


def _bound_names(source: str) -> set[str]:
    names: set[str] = set()
    # A list instead of recursion, which deeply nested code would exhaust.
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                names.add(node.name)
                continue
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names.update(alias.asname or alias.name for alias in node.names)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            waiting.append(node)
    return names


@dataclass(frozen=True, repr=False, eq=False)
class Distribution(ByValue):
    """The distribution a component comes from."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True, repr=False, eq=False)
class RegistryEntry(ByValue):
    """A declared component and where it comes from."""

    declaration: Declaration
    origin: Distribution

    @property
    def name(self) -> str:
        """The component's name."""
        return self.declaration.name

    def declared(self, kind: type[D]) -> D:
        """Return what its plugin says of it; a registry holds each kind's own declarations."""
        assert isinstance(self.declaration, kind)
        return self.declaration

    def missing_requirements(self) -> list[str]:
        """Return one message for each library the component needs and that is not installed."""
        return [
            f"{self.declaration.kind} {self.name!r} needs a library that is not installed: "
            f"{requirement.install}"
            for requirement in self.declaration.requires
            if not requirement.installed()
        ]

    def broken_target(self) -> str:
        """Return what keeps the component's class from being imported, as far as its source shows.

        Nothing is imported but the parent packages, so that a pipeline is checked without PyTorch.
        Empty where nothing does.
        """
        if isinstance(self.declaration, TrainedDeclaration):
            try:
                self.folder()
            except UserError as error:
                return str(error)
            return ""
        module, _, attribute = self.declaration.target.partition(":")
        try:
            spec = importlib.util.find_spec(module)
            if spec is None:
                return self._unloadable(f"there is no module {module!r}")
            source = spec.loader.get_source(module)  # type: ignore[union-attr]
            if source is None or _binds(source, attribute):
                return ""
        except Exception as error:  # a parent package may raise anything, a loader have no source
            return "" if isinstance(error, AttributeError) else self._unloadable(str(error))
        return self._unloadable(f"there is no {attribute!r} in {module}")

    def _unloadable(self, reason: str, target: str = "") -> str:
        return (
            f"{self.declaration.kind} {self.name!r} of {self.origin} cannot be loaded from "
            f"{target or self.declaration.target!r}: {reason}; "
            f"update or reinstall {self.origin.distribution}"
        )

    def folder(self) -> Path:
        """Return a trained model's run folder; nothing is imported but the parent packages.

        Raises:
            UserError: it is not there, or not within its package; names the distribution.
        """
        package, _, inside = self.declaration.target.partition(":")
        reason = f"there is no folder {inside!r} in {package}"
        try:
            spec = importlib.util.find_spec(package)
            places = () if spec is None else spec.submodule_search_locations or ()
            for root in (Path(place).resolve() for place in places):
                found = root.joinpath(*inside.split("/")).resolve()
                if found.is_dir() and found.is_relative_to(root):
                    return found
                if found.is_dir():
                    reason = f"{inside!r} is a link that leads out of {package}"
        except Exception as error:  # a parent package may raise anything
            reason = f"{type(error).__name__}: {error}"
        raise UserError(self._unloadable(reason), code="component-broken")

    def load(self) -> Any:
        """Import and return the component's class.

        Raises:
            UserError: the import fails; names the distribution and the reason.
        """
        if missing := self.missing_requirements():
            raise UserError(missing[0], code="library-missing")
        return self.load_part(self.declaration.target)

    def load_part(self, target: str) -> Any:
        """Import and return what a string of the declaration names, `"package.module:name"`.

        Raises:
            UserError: the import fails; names the distribution and the reason.
        """
        module, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise UserError(self._unloadable(reason, target), code="component-broken") from error

    def configured(self, settings: Mapping[str, Any], *, where: str = "--set") -> Component:
        """Return the component with settings as TOML has them; relative paths from where one is.

        Args:
            settings: key to value.
            where: what messages name as the place of the settings.

        Raises:
            ConfigError: everything that is wrong with them.
        """
        config = build_config(self.declaration.config, settings, where, self.name)
        return Component(self, config)


@dataclass(frozen=True, repr=False, eq=False)
class Component(ByValue):
    """A component chosen by a pipeline, with its settings."""

    entry: RegistryEntry
    config: Config

    @property
    def name(self) -> str:
        """The component's name."""
        return self.entry.name

    def declared(self, kind: type[D]) -> D:
        """Return what its plugin says of it."""
        return self.entry.declared(kind)

    def create(self, *arguments: Any) -> Any:
        """Import the class and build it from its settings and the arguments."""
        return self.entry.load()(self.config, *arguments)

    def table(self) -> dict[str, Any]:
        """Return the TOML table that chooses it."""
        return {"type": self.name, **to_table(self.config)}


@dataclass
class Registry:
    """All usable components, and the names that several plugins claim.

    The core's own names are reserved: a plugin that claims one loses it. A name two plugins
    claim belongs to neither, and using it names both.
    """

    entries: dict[tuple[str, str], RegistryEntry] = field(default_factory=dict)
    contested: dict[tuple[str, str], list[Distribution]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    """Plugins that are not loaded, one phrase each, for messages about unknown names."""

    def add(self, entry: RegistryEntry, *, core: bool = False) -> str | None:
        """Register a component; returns a message when its name is taken."""
        key = (entry.declaration.kind, entry.name)
        what = f"{entry.declaration.kind} {entry.name!r}"
        if key in self.contested:
            self.contested[key].append(entry.origin)
        elif key not in self.entries:
            self.entries[key] = entry
            return None
        elif self.entries[key].origin.distribution == CORE and not core:
            return f"{what} is a name of the core's own"
        else:
            # Taken out of the entries: a contested name is nobody's, whatever was registered first.
            self.contested[key] = [self.entries.pop(key).origin, entry.origin]
        return f"{what} is claimed by {self._claimants(key)}"

    def _claimants(self, key: tuple[str, str]) -> str:
        origins = [str(origin) for origin in self.contested[key]]
        if len(set(origins)) == 1:
            return f"{origins[0]} more than once"
        return " and ".join(dict.fromkeys(origins))

    def names(self, kind: str) -> list[str]:
        """Return the usable names of a kind, sorted."""
        return sorted(name for known, name in self.entries if known == kind)

    def of_kind(self, kind: str) -> list[RegistryEntry]:
        """Return the usable components of a kind, by name."""
        return [self.entries[kind, name] for name in self.names(kind)]

    def defaults_for(self, kind: str, thing: str) -> list[RegistryEntry]:
        """Return what is declared as the default for something, the core's own first, by name."""
        found = [entry for entry in self.of_kind(kind) if thing in entry.declaration.default_for]
        return sorted(found, key=lambda entry: entry.origin.distribution != CORE)

    def writers_by_suffix(
        self, *contents: Content
    ) -> dict[str, tuple[RegistryEntry, Mapping[str, Any]]]:
        """Return the writers of such contents, by the file endings that they name.

        Each comes with the settings by which it makes such files.
        """
        return {
            suffix: (entry, settings)
            for entry in self.of_kind("writer")
            if isinstance(entry.declaration, WriterDeclaration)
            and set(contents) & set(entry.declaration.content)
            for suffix, settings in entry.declaration.suffixes.items()
        }

    def get(self, kind: str, name: str) -> RegistryEntry:
        """Return a component.

        Raises:
            UserError: unknown or contested; says who claims it, what is near, what is not loaded.
        """
        entry = self.entries.get((kind, name))
        if entry is not None:
            return entry
        if (kind, name) in self.contested:
            raise UserError(
                f"{kind} {name!r} is claimed by {self._claimants((kind, name))}; uninstall one, "
                "or choose plugins with MUSENGINE_PLUGINS",
                code="component-contested",
            )
        message, near = f"no {kind} {name!r} is installed", did_you_mean(name, self.names(kind))
        if self.absent:
            message += "; not loaded: " + "; ".join(self.absent)
        elif not near:
            message += "; there are: " + (", ".join(self.names(kind)) or "none")
        raise UserError(message + near, code="unknown-component")
