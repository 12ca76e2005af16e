"""The learning curve: a run's log as an SVG picture, kept up to date while it trains."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from musengine.interfaces.callback import Callback, Progress
from musengine.plugins.configs import NoSettings
from musengine.runs.folder import RunFolder
from musengine.utils.files import write_text

FILE = "learning-curve.svg"
_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 300, 70, 20, 34, 46
_MOST_POINTS = 600
_RARELY = 30
"""A picture is drawn anew after this many times as long as the last one took."""

# Colours that can be told apart on both grounds and by most who see some colours alike.
_STYLE = """<style>
path { fill: none; stroke-width: 1.8; stroke-linejoin: round } text { font: 12px sans-serif }
.ground { fill: #ffffff } text { fill: #3a3f4a } .grid { stroke: #e1e4ea; stroke-width: 1 }
.train { stroke: #1f5fa8 } .valid { stroke: #c2512f } circle { fill: #c2512f }
@media (prefers-color-scheme: dark) {
.ground { fill: #16181d } text { fill: #d5d9e0 } .grid { stroke: #343944 }
.train { stroke: #6cb1f5 } .valid { stroke: #f59b73 } circle { fill: #f59b73 }
}
</style>"""


@dataclass
class Panel:
    """Curves with one axis: by part (`train` or `valid`) their points, steps and values."""

    title: str
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))


class LearningCurve(Callback[NoSettings]):
    """Draws the picture at every checkpoint."""

    def __init__(self) -> None:
        super().__init__(NoSettings())
        self._run: RunFolder | None = None
        self._next = 0.0

    def on_start(self, folder: Path, progress: Progress) -> None:
        """Remember where the run is."""
        self._run = RunFolder(folder)

    def on_checkpoint(self, progress: Progress, path: Path) -> None:
        """Draw, unless that was done only just now: a long log takes its time."""
        began = time.monotonic()
        if self._run is not None and began >= self._next:
            draw(self._run)
            # Drawing reads the whole log, so that its time grows with the run; this bounds it to
            # about 3 %.
            self._next = time.monotonic() + _RARELY * (time.monotonic() - began)


def draw(run: RunFolder) -> None:
    """Draw what a run's `metrics.jsonl` tells; nothing where that makes no line."""
    panels = panels_of(run.records())
    if any(len(curve) > 1 for panel in panels for curve in panel.curves.values()):
        write_text(run.path / FILE, svg(panels))


def panels_of(records: Iterable[Mapping[str, Any]]) -> list[Panel]:
    """Return what is drawn of a log: figures in one unit on one panel, accuracies on another."""
    panels: dict[str, Panel] = {}

    def add(title: str, part: str, step: int, value: float | None) -> None:
        if value is not None and math.isfinite(value):
            panels.setdefault(title, Panel(title)).curves[part].append((step, value))

    for record in records:
        unit = f"loss ({record['unit']})" if record.get("unit") else "loss"
        if "loss" in record:
            add(unit, "train", record["step"], record["loss"])
        for name, value in record.get("valid", {}).items():
            title = unit if name in ("loss", "nll") else name.replace("_", " ")
            add(title, "valid", record["step"], value)
    return [panels[title] for title in sorted(panels, key=lambda title: title[:4] != "loss")]


def svg(panels: Sequence[Panel]) -> str:
    """Return the panels one below the other, with a ground of their own in light and in dark."""
    height = _PANEL * len(panels)
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', _STYLE]
    lines.append(f'<rect class="ground" width="{_WIDTH}" height="{height}"/>')
    last = max(step for panel in panels for curve in panel.curves.values() for step, _ in curve)
    for number, panel in enumerate(panels):
        lines.append(f'<g transform="translate(0 {number * _PANEL})">')
        lines.extend(_drawn(panel, max(last, 1)))
        lines.append("</g>")
    return "\n".join([*lines, "</svg>", ""])


def _drawn(panel: Panel, last: int) -> Iterator[str]:
    curves = {part: _thinned(curve) for part, curve in sorted(panel.curves.items())}
    values = [value for curve in curves.values() for _, value in curve]
    low, high = min(values), max(values)
    # A loss that falls to a small part of what it was is seen to the end on no even scale.
    scale = math.log if low > 0 and high > 8 * low else float
    marks = (_even_marks if scale is float else _log_marks)(low, high)
    bottom, top = scale(min(low, *marks)), scale(max(high, *marks))

    def x_of(step: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / last

    def y_of(value: float) -> float:
        # SVG counts y downwards.
        share = (scale(value) - bottom) / (top - bottom)
        return _PANEL - _BOTTOM - (_PANEL - _TOP - _BOTTOM) * share

    for mark in marks:
        y = y_of(mark)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield _text(_LEFT - 8, y + 4, f"{mark:,.6g}", "end")
    for mark in _even_marks(0, last):
        if mark <= last and mark == int(mark):
            yield _text(x_of(mark), _PANEL - _BOTTOM + 18, f"{mark:,.6g}", "middle")
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _PANEL - 8, "step", "middle")
    yield _text(_LEFT, 20, panel.title, "start")
    for place, (part, curve) in enumerate(curves.items()):
        points = [f"{x_of(step):.1f} {y_of(value):.1f}" for step, value in curve]
        yield f'<path class="{part}" d="M{"L".join(points)}"/>'
        if part == "valid":
            dots = [point.split() for point in points]
            yield from (f'<circle cx="{x}" cy="{y}" r="2.4"/>' for x, y in dots)
        x = _WIDTH - _RIGHT - 190 + 95 * place
        yield f'<path class="{part}" d="M{x} 16H{x + 18}"/>'
        yield _text(x + 24, 20, {"train": "training", "valid": "validation"}[part], "start")


def _thinned(curve: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return a curve of so many points at the most, each the mean of some that follow another."""
    count = -(-len(curve) // _MOST_POINTS)
    groups = (curve[start : start + count] for start in range(0, len(curve), count))
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _even_marks(low: float, high: float) -> list[float]:
    """Return round numbers evenly apart, about five, the first and last beyond both ends."""
    size = max(abs(low), abs(high), 1e-12)
    if high - low < 1e-9 * size:  # the same, but for rounding
        low, high = low - size / 2, high + size / 2
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    apart = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    return [apart * k for k in range(math.floor(low / apart), math.ceil(high / apart) + 1)]


def _log_marks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten, the first and last beyond both ends."""
    # One power more at both ends, since a logarithm may be rounded across a whole number.
    powers = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
    marks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    first = max(mark for mark in marks if mark <= low)
    last = min(mark for mark in marks if mark >= high)
    return sorted({mark for mark in marks if first <= mark <= last})


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
