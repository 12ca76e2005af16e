"""Whether a declaration says what it may say, found when the plugin is loaded.

What would else break a pipeline much later, far from its cause, is said here, to the author of the
plugin: every field has the type its declaration gives it, names and import strings have their
form, and what is one of a few words is one of them.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from musengine.config.fields import Config
from musengine.config.setting_types import hints_of
from musengine.encoding.layouts import Grid, Tokens
from musengine.errors import did_you_mean
from musengine.plugins.configs import EncoderConfig, ModelConfig, SamplerConfig, WriterConfig
from musengine.plugins.declarations import DECLARATIONS, Declaration, TrainedDeclaration

_BASES: dict[str, type[Config]] = {"encoder": EncoderConfig, "model": ModelConfig}
"""What the config of a kind must derive from, where not from Config alone."""
_NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_IMPORT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_RESOURCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[^\\:]+\.toml")
_FOLDER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:(?!\.)[^\\:/]+(/(?!\.)[^\\:/]+)*")
"""Of a package and a folder within it, no part of which begins with a dot."""
_KNOWN_LAYOUTS = (Grid.name, Tokens.name)
"""The core's; a plugin may have others, but none that is nearly one of these."""

_DECLARATION = {declaration.kind: declaration for declaration in DECLARATIONS.values()}


def faults(item: Declaration) -> list[str]:
    """Return everything that is wrong with a declaration, a phrase each."""
    found = list(_wrong_types(item))
    # The other checks rely on the types.
    return found or [*_wrong_forms(item), *_wrong_config(item)]


@functools.cache
def _hints(kind: str) -> dict[str, Any]:
    """Return the type of each field that declarations of a kind have."""
    hints = hints_of(_DECLARATION[kind])
    return {field.name: hints[field.name] for field in dataclasses.fields(_DECLARATION[kind])}


def _wrong_types(item: Declaration) -> Iterator[str]:
    what = f"{item.kind} {item.name!r}"
    for name, hint in _hints(item.kind).items():
        value = getattr(item, name)
        if name == "config":
            base = _BASES.get(item.kind, Config)
            if not (inspect.isclass(value) and issubclass(value, base)):
                yield f"the config of {what} is no {base.__name__}"
        elif expected := _mismatch(value, hint):
            yield f"{name} of {what} must be {expected}, got {value!r}"


def _mismatch(value: object, hint: Any) -> str:
    """Return what is expected where a value is not what a type hint asks for, else nothing."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return ""
    if origin is Literal:
        return "" if value in arguments else " or ".join(filter(None, arguments)) or "empty"
    # A list will do: what is meant is clear, and nothing changes it.
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return "a tuple"
        return next(filter(None, (_mismatch(each, arguments[0]) for each in value)), "")
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            return "a mapping"
        pairs = ((*value.keys(), arguments[0]), (*value.values(), arguments[1]))
        wrong = (_mismatch(each, kind) for *several, kind in pairs for each in several)
        return next(filter(None, wrong), "")
    if arguments:  # a union: what is nearest to the value says what it should be
        expected = [_mismatch(value, each) for each in arguments]
        return (
            ""
            if "" in expected
            else next((each for each in expected if each != "a mapping"), expected[0])
        )
    # A bool is an int to Python, and nowhere meant as one.
    fits = isinstance(value, hint) and not (hint is int and isinstance(value, bool))
    return "" if fits else f"a {hint.__name__}"


def _wrong_forms(item: Declaration) -> Iterator[str]:
    what = f"{item.kind} {item.name!r}"
    if not _NAME.fullmatch(item.name):
        yield f"the name of {what} must be of small letters, digits, hyphens and dots"
    for name in ("summary", "licence", "trained_on"):
        if "\n" in getattr(item, name, ""):
            yield f"the {name} of {what} must be one line"
    if isinstance(item, TrainedDeclaration):
        yield from _wrong_forms_of_trained(item, what)
        return
    others = {name: getattr(item, name, "") for name in ("arguments", "notebook")}
    targets = {"target": item.target, **others}
    for field, target in targets.items():
        if (target or field == "target") and not _IMPORT.fullmatch(target):
            yield f"{field} of {what} must be 'package.module:name', got {target!r}"
    for name, place in getattr(item, "templates", {}).items():
        if not _RESOURCE.fullmatch(place):
            yield f"template {name!r} of {what} must be 'package:folder/file.toml', got {place!r}"
    for suffix in getattr(item, "suffixes", ()):
        if not re.fullmatch(r"\.[^\sA-Z./\\]+(\.[^\sA-Z./\\]+)*", suffix):
            yield f"suffixes of {what} must be of small letters after a dot, got {suffix!r}"
    for layout in getattr(item, "layouts", ()):
        if layout not in _KNOWN_LAYOUTS and (near := did_you_mean(layout, _KNOWN_LAYOUTS)):
            yield f"layouts of {what}: there is no {layout!r}{near}"


def _wrong_forms_of_trained(item: TrainedDeclaration, what: str) -> Iterator[str]:
    if not _FOLDER.fullmatch(item.target):
        yield f"target of {what} must be 'package:folder', got {item.target!r}"
    for name in ("licence", "trained_on"):
        if not getattr(item, name).strip():
            yield f"{name} of {what} must be said"
    if item.size <= 0:
        yield f"size of {what} must be its bytes, got {item.size}"


def _wrong_config(item: Declaration) -> Iterator[str]:
    what = f"{item.kind} {item.name!r}"
    if item.kind == "reader" or item.default_for:
        try:  # these are also used without a table of their own
            item.config()
        except TypeError as error:
            yield f"every key of the config of {what} needs a default: {error}"
    for kind, base in (("sampler", SamplerConfig), ("writer", WriterConfig)):
        method = "incompatibilities" if kind == "sampler" else "lacks"
        if item.kind == kind and hasattr(item.config, method) and not issubclass(item.config, base):
            yield f"the config of {what} has {method!r} and does not derive from {base.__name__}"
