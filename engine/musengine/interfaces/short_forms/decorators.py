"""Samplers, metrics and callbacks from one function each; listing them imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from musengine.config.fields import Config
from musengine.encoding.layouts import Layout
from musengine.plugins.declarations import (
    CallbackDeclaration,
    Declaration,
    Direction,
    MetricDeclaration,
    SamplerDeclaration,
)
from musengine.plugins.short_form import ShortForm, config_of

Function = Callable[..., Any]
Event = Literal["start", "step", "epoch", "validation", "checkpoint", "sample", "end"]


class _Sampler(ShortForm):
    def __call__(self, config: Config, *arguments: Any) -> Any:
        # Here, since it imports PyTorch, which listing a plugin must not.
        from musengine.interfaces.short_forms.components import GridFunction, TokenFunction

        layout: Layout = arguments[0]
        kind = GridFunction if layout.name == "grid" else TokenFunction
        return kind(self.function, self.settings(config), config, layout)


class _Metric(ShortForm):
    def __call__(self, config: Config, *arguments: Any) -> Any:
        from musengine.interfaces.short_forms.components import ScoreFunction

        return ScoreFunction(self.declaration.name, self.function, self.settings(config), config)


class _Callback(ShortForm):
    def __init__(self, function: Function, declaration: Declaration, event: Event) -> None:
        super().__init__(function, declaration)
        self.event = event

    def __call__(self, config: Config, *arguments: Any) -> Any:
        from musengine.interfaces.short_forms.components import EventFunction

        return EventFunction(self.event, self.function, self.settings(config), config)


def sampler(
    name: str, summary: str, *, layout: Literal["tokens", "grid"] = "tokens"
) -> Callable[[Function], ShortForm]:
    """Make a sampler of a function.

    Of tokens it is given their logits (N, size) and the `History`, and returns logits. Of a grid
    it is given thresholds (N, pitches, channels) in [0, 1] and the `History`, and returns
    thresholds. Its keyword-only parameters are the sampler's settings.

    Args:
        name: of the sampler, as pipelines name it.
        summary: one line.
        layout: what it draws for.
    """

    def decorated(function: Function) -> ShortForm:
        common = _common(name, summary, function)
        return _Sampler(function, SamplerDeclaration(**common, layouts=(layout,)))

    return decorated


def metric(
    name: str, summary: str, *, better: Direction | Literal[""] = ""
) -> Callable[[Function], ShortForm]:
    """Make a metric of generated pieces of a function.

    It is given a `Score` and returns a number, NaN where it has none. The figure is the mean over
    the pieces; `NAME_per_piece` has each, and `NAME_human` is the mean over held-out music. Its
    keyword-only parameters are the metric's settings.

    Args:
        name: of the metric, and of its figure.
        summary: one line.
        better: which figures are better, `lower` or `higher`, empty for neither.
    """

    def decorated(function: Function) -> ShortForm:
        common = _common(name, summary, function)
        directions: Any = {name: better} if better else ""
        return _Metric(function, MetricDeclaration(**common, of="pieces", better=directions))

    return decorated


def callback(name: str, summary: str, *, on: Event) -> Callable[[Function], ShortForm]:
    """Make a callback of a function that is called at one event of a run.

    It is given what the method of `Callback` for that event is given, such as a `Progress` on
    `step`. Its keyword-only parameters are the callback's settings.

    Args:
        name: of the callback.
        summary: one line.
        on: the event.
    """

    def decorated(function: Function) -> ShortForm:
        return _Callback(function, CallbackDeclaration(**_common(name, summary, function)), on)

    return decorated


def _common(name: str, summary: str, function: Function) -> dict[str, Any]:
    return {
        "name": name,
        "summary": summary,
        "target": f"{function.__module__}:{function.__name__}",
        "config": config_of(function),
    }
