"""The tolerant loader: every plugin loads by itself, and what fails is recorded, never fatal."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import inspect
import itertools
import logging
import os
import re
import sys
import traceback
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import pluggy

from musengine import __version__
from musengine.errors import did_you_mean, is_strict
from musengine.plugins import hookspecs
from musengine.plugins.api_version import declared_range, unsuitable
from musengine.plugins.declarations import DECLARATIONS, Declaration
from musengine.plugins.registry import CORE, Distribution, Registry, RegistryEntry
from musengine.plugins.short_form import ShortForm
from musengine.plugins.validation import faults
from musengine.utils.signals import StopRequest, interrupts_noticed

logger = logging.getLogger(__name__)

GROUP = "musengine"

MOST_DECLARATIONS = 1000
"""That a plugin may give through one hook."""

_HOOKS = {declaration: hook for hook, declaration in DECLARATIONS.items()}
Status = Literal["ok", "failed", "conflict", "disabled", "missing"]


@dataclass
class Plugin:
    """One entry point: whose it is, whether it loaded, and why not."""

    name: str
    origin: Distribution
    status: Status = "ok"
    reasons: list[str] = field(default_factory=list)
    declarations: list[Declaration] = field(default_factory=list)
    api: str = ""
    """The versions of the plugin API that it says it is made for."""

    def __str__(self) -> str:
        who = f"{self.name} ({self.origin})" if self.origin.distribution else self.name
        return f"{who} {self.status}: {'; '.join(self.reasons)}" if self.reasons else who

    def fail(self, status: Status, reason: str) -> None:
        """Record why the plugin, or one of its names, is not usable."""
        self.status = status
        self.reasons.append(" ".join(reason.split()))


@dataclass(frozen=True)
class Plugins:
    """Every plugin found, and the registry of what can be used."""

    plugins: tuple[Plugin, ...]
    registry: Registry

    @property
    def broken(self) -> list[Plugin]:
        """Plugins that failed, clash or are missing; what was disabled on purpose is not."""
        return [plugin for plugin in self.plugins if plugin.status not in ("ok", "disabled")]


# Once per process: importing plugins takes time, and they do not change meanwhile.
@functools.cache
def load() -> Plugins:
    """Load the core's components and every installed plugin, once per process.

    `MUSENGINE_PLUGINS=a,b` loads only those entry points (none if empty);
    `MUSENGINE_STRICT=1` raises a plugin's own exception instead of recording it.
    """
    selection = os.environ.get("MUSENGINE_PLUGINS")
    chosen = None if selection is None else {name.strip() for name in selection.split(",")} - {""}
    points, damaged = _entry_points()
    return load_from(points, damaged=damaged, chosen=chosen, strict=is_strict())


def load_registry() -> Registry:
    """Return the components that are installed; a broken plugin is a warning, the rest goes on."""
    loaded = load()
    for plugin in loaded.broken:
        logger.warning(f"plugin {plugin}")
    return loaded.registry


def _entry_points() -> tuple[list[importlib.metadata.EntryPoint], list[Plugin]]:
    """Return the entry points found, and a failed plugin for each that cannot be read."""
    try:
        # One damaged distribution makes this call fail for all of them, plugin or not.
        return list(importlib.metadata.entry_points(group=GROUP)), []
    except Exception:
        return _entry_points_one_by_one()


def _entry_points_one_by_one() -> tuple[list[importlib.metadata.EntryPoint], list[Plugin]]:
    """Read each distribution by itself: the damaged metadata of one must not hide the others."""
    points: list[importlib.metadata.EntryPoint] = []
    damaged: list[Plugin] = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        origin = _origin(distribution)
        # The first of a name on the path is the one that is imported.
        name = re.sub(r"[-_.]+", "-", origin.distribution).lower()
        if origin.version and name in seen:
            continue
        seen.add(name)
        try:
            points.extend(point for point in distribution.entry_points if point.group == GROUP)
        except Exception as error:
            if _may_be_ours(distribution):
                plugin = Plugin(origin.distribution, origin)
                plugin.fail("failed", f"its entry_points.txt cannot be read: {error}")
                damaged.append(plugin)
    return points, damaged


def damaged_metadata(error: BaseException) -> str | None:
    """Return a line on the distribution whose entry points no library can read, if that it is.

    Args:
        error: what another library raised, which looked for entry points of its own.
    """
    frames = traceback.walk_tb(error.__traceback__)
    if not any(frame.f_globals.get("__name__") == "importlib.metadata" for frame, _ in frames):
        return None
    for distribution in importlib.metadata.distributions():
        try:
            list(distribution.entry_points)
        except Exception as fault:
            origin = _origin(distribution)
            return (
                f"the installed distribution {origin} is damaged: its entry_points.txt cannot be "
                f"read ({type(fault).__name__}: {fault}); install it again, or remove it"
            )
    return None


def _may_be_ours(distribution: importlib.metadata.Distribution) -> bool:
    try:
        return f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or "")
    except Exception:
        return True


def load_from(
    entry_points: Iterable[importlib.metadata.EntryPoint],
    *,
    damaged: Iterable[Plugin] = (),
    chosen: set[str] | None = None,
    strict: bool = False,
) -> Plugins:
    """Load plugins from entry points, each by itself.

    Args:
        entry_points: of the group `musengine`.
        damaged: plugins known to be unreadable, to be listed with the others.
        chosen: names to load, None for all.
        strict: raise what a plugin raises.
    """
    core = Plugin("core", Distribution(CORE, __version__))
    registry = Registry()
    _collect(core, "musengine.builtin.plugin", strict=True)
    for declaration in core.declarations:
        # The core first, so that its names are taken before any plugin asks for them.
        registry.add(RegistryEntry(declaration, core.origin), core=True)
    # Sorted, since the order of installed distributions differs from machine to machine.
    found = sorted(
        ((point, _origin(point.dist)) for point in entry_points),
        key=lambda pair: (pair[0].name, pair[1].distribution),
    )
    plugins = [_load_one(point, origin, chosen, strict) for point, origin in found]
    _mark_duplicates(plugins)
    plugins.extend(damaged)
    for name in sorted((chosen or set()) - {plugin.name for plugin in plugins}):
        absent = Plugin(name, Distribution("", ""))
        absent.fail("missing", "named in MUSENGINE_PLUGINS but not installed")
        plugins.append(absent)
    _register(plugins, registry)
    return Plugins((core, *plugins), registry)


def _load_one(
    point: importlib.metadata.EntryPoint,
    origin: Distribution,
    chosen: set[str] | None,
    strict: bool,
) -> Plugin:
    plugin = Plugin(point.name, origin)
    if chosen is not None and point.name not in chosen:
        plugin.fail("disabled", "not named in MUSENGINE_PLUGINS")
    else:
        _collect(plugin, point, strict=strict)
    return plugin


def _collect(plugin: Plugin, source: importlib.metadata.EntryPoint | str, *, strict: bool) -> None:
    """Import a plugin and gather its declarations; it is taken whole or not at all."""
    noticed = StopRequest()
    try:
        # What a plugin prints must not get into output that a program reads.
        with contextlib.redirect_stdout(sys.stderr), interrupts_noticed() as noticed:
            if not isinstance(source, str):
                # Before the import: what is made for another version may fail in ways that say
                # less.
                _check_api(plugin, source.module)
            module = importlib.import_module(source) if isinstance(source, str) else source.load()
            plugin.declarations = _declarations(module)
            # Its log records are shown by who asks for them, and by nobody else.
            logging.getLogger(module.__name__.partition(".")[0]).addHandler(logging.NullHandler())
    # A plugin may raise anything at import, SystemExit included; the rest must go on.
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        if strict or noticed.requested:
            raise
        kind = "" if isinstance(error, _BadPluginError) else f"{type(error).__name__}: "
        plugin.fail("failed", f"{kind}{error}".rstrip(": "))


def _check_api(plugin: Plugin, module: str) -> None:
    wanted = declared_range(module)
    if wanted is None:
        return
    plugin.api = wanted
    if reason := unsuitable(wanted, plugin.origin.distribution):
        raise _BadPluginError(reason)


class _BadPluginError(Exception):
    """The plugin loads but breaks the hooks' contract."""


def _declarations(module: Any) -> list[Declaration]:
    # A manager for each plugin: pluggy keeps a name registered after a failed registration, and
    # one raising implementation would end the call for all.
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    name = manager.register(module)
    _check_hook_names(manager, module)
    declarations: list[Declaration] = []
    for hook_name, expected in DECLARATIONS.items():
        for implementation in getattr(manager.hook, hook_name).get_hookimpls():
            result = implementation.function()
            declarations.extend(_validated(hook_name, result, expected))
    for found in vars(module).values():
        if isinstance(found, ShortForm):
            hook = _HOOKS[type(found.declaration)]
            declarations.extend(_validated(hook, [found.declaration], type(found.declaration)))
    if not declarations:
        raise _BadPluginError(f"{name} declares nothing; are its hooks marked with @hookimpl?")
    return declarations


def _check_hook_names(manager: pluggy.PluginManager, module: Any) -> None:
    try:
        manager.check_pending()
    except pluggy.PluginValidationError:
        for attribute in dir(module):
            marked = manager.parse_hookimpl_opts(module, attribute)
            if marked is not None and attribute not in DECLARATIONS:
                near = did_you_mean(attribute, DECLARATIONS)
                raise _BadPluginError(f"there is no hook {attribute!r}{near}") from None
        raise


def _validated(hook: str, result: object, expected: type[Declaration]) -> list[Declaration]:
    if isinstance(result, (str, bytes)) or not isinstance(result, Iterable):
        raise _BadPluginError(
            f"{hook} must return a list of {expected.__name__}, returned {type(result).__name__}"
        )
    # A list may be made as it is asked for, without an end.
    declarations = list(itertools.islice(result, MOST_DECLARATIONS + 1))
    if len(declarations) > MOST_DECLARATIONS:
        raise _BadPluginError(f"{hook} returned more than {MOST_DECLARATIONS:,} declarations")
    for item in declarations:
        if not isinstance(item, expected):
            shown = item.__name__ if inspect.isclass(item) else type(item).__name__
            raise _BadPluginError(f"{hook} must return {expected.__name__}, returned {shown}")
        if wrong := faults(item):
            raise _BadPluginError("; ".join(wrong))
    return declarations


def _mark_duplicates(plugins: list[Plugin]) -> None:
    by_name: dict[str, list[Plugin]] = defaultdict(list)
    for plugin in plugins:
        by_name[plugin.name].append(plugin)
    for name, group in by_name.items():
        if len(group) > 1 and any(plugin.status != "disabled" for plugin in group):
            owners = " and ".join(str(plugin.origin) for plugin in group)
            for plugin in group:
                # Neither of the two: which one wins would depend on the order of installation.
                plugin.declarations = []
                plugin.fail("conflict", f"entry point {name!r} is claimed by {owners}")


def _register(plugins: list[Plugin], registry: Registry) -> None:
    """Register what loaded; a clash is reported for every plugin that claims the name."""
    claims: dict[tuple[str, str], list[Plugin]] = defaultdict(list)
    messages: dict[tuple[str, str], str] = {}
    for plugin in plugins:
        for declaration in plugin.declarations:
            key = (declaration.kind, declaration.name)
            # Registered only after all are loaded, so that a clash can name everyone who claims the
            # name.
            claims[key].append(plugin)
            if message := registry.add(RegistryEntry(declaration, plugin.origin)):
                messages[key] = message
    for key, message in messages.items():
        # Each plugin once, also one that claims a name twice itself.
        for plugin in {id(plugin): plugin for plugin in claims[key]}.values():
            plugin.fail("conflict", message)
    # A plugin of which only some names clash is loaded all the same.
    missing = (plugin for plugin in plugins if plugin.status != "ok" and not plugin.declarations)
    registry.absent = [str(plugin) for plugin in missing]


def _origin(distribution: importlib.metadata.Distribution | None) -> Distribution:
    try:
        assert distribution is not None
        metadata = distribution.metadata  # parsed anew each time it is asked for
        name, version = metadata["Name"], metadata["Version"]
    except Exception:  # a folder named like metadata that holds none
        name, version = None, None
    return Distribution(name or "unknown distribution", version or "")


def loaded_packages() -> set[str]:
    """Return the packages of the plugins that are loaded in this process, the core's included."""
    return set(owners())


def owners() -> dict[str, Plugin]:
    """Return the loaded plugins by the packages that their components live in."""
    # Not loaded yet, perhaps just loading: asking for it here would never end.
    if not load.cache_info().currsize:
        return {}
    return {
        re.split("[.:]", declaration.target)[0]: plugin
        for plugin in load().plugins
        for declaration in plugin.declarations
    }
