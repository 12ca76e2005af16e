"""Curves of the training: a drawing that stands by itself, and the values behind it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from musengine_media.page.markup import Markup, element
from musengine_media.page.roll import COLOURS

WIDTH, HEIGHT = 900, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 884, 14, 248
MOST_POINTS = 400
"""Of a curve; of a longer one points are left out, evenly."""
MOST_DOTS = 40
"""Points of a curve above which they are not marked."""


@dataclass(frozen=True)
class Curve:
    """Numbers over the steps of the training.

    Attributes:
        name: what they are, and of which run where there are several.
        x: (K,) steps, ascending.
        y: (K,) finite numbers.
        drawn: False for what is told beside the others only.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    drawn: bool = True


def thinned(curve: Curve) -> Curve:
    """Return a curve with as many points as can be seen; its last stays."""
    stride = math.ceil(len(curve.x) / MOST_POINTS)
    if stride <= 1:
        return curve
    # Counted from the end, so that the last point stays.
    chosen = range((len(curve.x) - 1) % stride, len(curve.x), stride)
    x, y = [curve.x[at] for at in chosen], [curve.y[at] for at in chosen]
    return Curve(curve.name, x, y, curve.drawn)


class Charts:
    """The charts of a page.

    Attributes:
        data: what the script tells of each at the place that is pointed at, by its id.
    """

    def __init__(self) -> None:
        self.data: dict[str, dict[str, Any]] = {}

    def figure(self, title: str, curves: Sequence[Curve]) -> Markup | None:
        """Return a chart of some curves; None where there is nothing to draw."""
        curves = [thinned(curve) for curve in curves if len(curve.x)]
        drawn = [curve for curve in curves if curve.drawn]
        if not any(len(curve.x) > 1 for curve in drawn):
            return None
        frame = _Frame(drawn)
        label = f"chart-{len(self.data) + 1}"
        self.data[label] = {
            "x": "step",
            "range": [frame.first, frame.last],
            "box": [LEFT, RIGHT, TOP, BOTTOM],
            "curves": [
                {"name": each.name, "x": list(each.x), "y": list(each.y)} for each in curves
            ],
        }
        svg = element(
            "svg",
            element("title", f"{title}, by step"),
            frame.grid(),
            (frame.line(curve, index) for index, curve in enumerate(drawn)),
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
            role="img",
        )
        return element(
            "figure",
            element("figcaption", f"{title}: ", _key(drawn)),
            element(
                "div",
                svg,
                class_="chart",
                tabindex=0,
                role="group",
                aria_label=f"Values of {title}",
            ),
            element("p", _last(curves), class_="told", role="status"),
            id=label,
        )


def _key(curves: Sequence[Curve]) -> Iterator[str]:
    for index, curve in enumerate(curves):
        yield element("span", class_=f"key part-{index % COLOURS}")
        yield f" {curve.name}  "


def _last(curves: Sequence[Curve]) -> str:
    told = ", ".join(f"{curve.name} {curve.y[-1]:.5g}" for curve in curves)
    return f"at the end: {told}"


class _Frame:
    """Where the numbers of a chart lie in its picture."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        self.first = min(curve.x[0] for curve in curves)
        self.last = max(curve.x[-1] for curve in curves)
        values = [value for curve in curves for value in curve.y]
        self.ticks = ticks(min(values), max(values), 5)
        self.low, self.high = min(*values, self.ticks[0]), max(*values, self.ticks[-1])

    def x(self, step: float) -> float:
        share = (step - self.first) / max(self.last - self.first, 1e-9)
        return round(LEFT + share * (RIGHT - LEFT), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / max(self.high - self.low, 1e-12)
        return round(BOTTOM - share * (BOTTOM - TOP), 1)

    def line(self, curve: Curve, index: int) -> Markup:
        points = zip(map(self.x, curve.x), map(self.y, curve.y), strict=True)
        places = [f"{x:g} {y:g}" for x, y in points]
        path = "M" + "L".join(places)
        if len(places) <= MOST_DOTS:
            # A line of no length, with round ends, is a dot.
            path += "".join(f"M{place}h0" for place in places)
        return element("path", class_=f"curve part-{index % COLOURS}", d=path)

    def grid(self) -> Iterator[Markup]:
        for value in self.ticks:
            y = self.y(value)
            yield element("path", class_="axis", d=f"M{LEFT} {y:g}H{RIGHT}")
            yield element("text", f"{value:g}", x=LEFT - 8, y=y + 4, text_anchor="end")
        for step in ticks(self.first, self.last, 7):
            if self.first <= step <= self.last:
                yield element(
                    "text", f"{step:,.0f}", x=self.x(step), y=BOTTOM + 20, text_anchor="middle"
                )


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers, about `most`, that span a range."""
    span = max(high - low, abs(high) * 1e-6, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * each for each in (1, 2, 5, 10) if span / (power * each) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]
