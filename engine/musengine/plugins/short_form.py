"""A component written as one function: its declaration beside the function that it is."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from musengine.config.fields import Config
from musengine.plugins.declarations import Declaration


class ShortForm:
    """What a decorator such as `sampler` makes of a function.

    It stands in the function's place, where `target` names it, and is called as a component's
    class would be. A plugin's module is looked through for these as for hooks.

    Attributes:
        function: what was decorated.
        declaration: of the component.
    """

    def __init__(self, function: Callable[..., Any], declaration: Declaration) -> None:
        self.function = function
        self.declaration = declaration
        self.__doc__ = function.__doc__

    def __call__(self, config: Config, *arguments: Any) -> Any:
        """Return the component with its settings."""
        raise NotImplementedError

    def settings(self, config: Config) -> dict[str, Any]:
        """Return the keyword arguments that the function is given."""
        return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}


def config_of(function: Callable[..., Any]) -> type[Config]:
    """Return the settings that a function's keyword-only parameters are.

    Their defaults are `setting(...)`. A plain one stands for a key without documentation.

    Raises:
        TypeError: a parameter has no type.
    """
    fields = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.annotation is inspect.Parameter.empty:
            raise TypeError(f"{function.__name__}: the parameter {parameter.name!r} has no type")
        default = parameter.default
        if default is inspect.Parameter.empty:
            default = dataclasses.field()
        fields.append((parameter.name, parameter.annotation, default))
    made = dataclasses.make_dataclass(
        f"{function.__name__}_settings", fields, bases=(Config,), frozen=True, kw_only=True
    )
    # Types are looked up where the function is written.
    made.__module__ = function.__module__
    made.__doc__ = function.__doc__
    return made
