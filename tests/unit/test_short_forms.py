"""Samplers, metrics and callbacks written as one function each, all in one file."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from musengine.config.fields import settings_of
from musengine.config.quantities import GridStep
from musengine.encoding.layouts import Grid, Tokens
from musengine.interfaces.callback import Progress
from musengine.interfaces.metric import Evidence, Reference
from musengine.interfaces.sampler import History
from musengine.plugins import manager
from musengine.testing import SitePackages, problem, score_of

ONE_FILE = '''
"""Three components in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from musengine.api import callback, metric, sampler, setting

if TYPE_CHECKING:
    from torch import Tensor
    from musengine.api import History, Progress, Score


@sampler("sharpen", "Makes the likely likelier")
def sharpen(
    logits: Tensor, history: History, *, power: float = setting(2.0, doc="The factor.", above=0)
) -> Tensor:
    """Multiplies logits."""
    return logits * power


@sampler("bolder", "More notes", layout="grid")
def bolder(thresholds: Tensor, history: History) -> Tensor:
    return thresholds / 2


@metric("span", "Semitones from the lowest note to the highest", better="higher")
def span(score: Score, *, octaves: bool = setting(False, doc="In octaves.")) -> float:
    if not len(score):
        return float("nan")
    semitones = int(score.pitch.max() - score.pitch.min())
    return semitones / 12 if octaves else semitones


@callback("noted", "Writes down every step", on="step")
def noted(progress: Progress, *, file: Path = setting(doc="Where to.")) -> None:
    with open(file, "a") as out:
        out.write(json.dumps(progress.step) + "\\n")
'''


@pytest.fixture
def loaded(site_packages: SitePackages) -> manager.Plugins:
    site_packages.add("one-file", {"one-file": "one_file"}, one_file=ONE_FILE)
    return site_packages.load()


def test_all_are_listed(loaded: manager.Plugins) -> None:
    (plugin,) = [each for each in loaded.plugins if each.name == "one-file"]
    assert plugin.reasons == []
    assert [(each.kind, each.name) for each in plugin.declarations] == [
        ("sampler", "sharpen"),
        ("sampler", "bolder"),
        ("metric", "span"),
        ("callback", "noted"),
    ]
    entry = loaded.registry.get("sampler", "sharpen")
    assert entry.broken_target() == ""
    assert [each.doc for each in settings_of(entry.declaration.config)] == ["The factor."]


def test_their_parameters_are_settings(loaded: manager.Plugins) -> None:
    registry = loaded.registry
    tokens = Tokens(size=2)
    history = History(tokens, torch.zeros(1, 0, dtype=torch.long), 0)
    sharp = registry.get("sampler", "sharpen").configured({"power": 3.0}).create(tokens)
    assert sharp.logits(torch.tensor([[1.0, 2.0]]), history).tolist() == [[3.0, 6.0]]
    grid = Grid(lowest=60, pitches=1, step=GridStep(Fraction(1), "beat"))
    bold = registry.get("sampler", "bolder").configured({}).create(grid)
    assert bold.thresholds(torch.tensor([[[0.5]]]), history).tolist() == [[[0.25]]]
    with problem("out-of-range"):
        registry.get("sampler", "sharpen").configured({"power": 0.0})


def test_a_metric_has_each_pieces_figure_and_that_of_people(loaded: manager.Plugins) -> None:
    metric = loaded.registry.get("metric", "span").configured({"octaves": True}).create()
    octave, fifth = score_of([(0, 4, 60), (4, 4, 72)]), score_of([(0, 4, 60), (4, 4, 66)])
    evidence = Evidence(
        model=None,  # type: ignore[arg-type]
        encoder=None,  # type: ignore[arg-type]
        part=(),
        part_name="generated",
        generated=[("a", octave), ("b", fifth), ("c", score_of([]))],
        reference=Reference(tuple, lambda: [("d", fifth)]),
    )
    figures = metric.measure(evidence)
    assert (figures["span"], figures["span_human"]) == (0.75, 0.5)
    assert math.isnan(figures["span_per_piece"].pop("c"))
    assert figures["span_per_piece"] == {"a": 1.0, "b": 0.5}
    assert loaded.registry.get("metric", "span").declaration.better == {"span": "higher"}


def test_a_callback_is_called_at_its_event(loaded: manager.Plugins, tmp_path: Path) -> None:
    told = tmp_path / "steps"
    noted = loaded.registry.get("callback", "noted").configured({"file": str(told)}).create()
    noted.on_start(tmp_path, Progress())
    noted.on_step(Progress(step=4))
    noted.on_step(Progress(step=5))
    assert [json.loads(line) for line in told.read_text().splitlines()] == [4, 5]
    assert noted.should_stop(Progress()) is None


def test_a_parameter_without_a_type_is_the_plugins_fault(site_packages: SitePackages) -> None:
    code = """
from musengine.api import sampler

@sampler("x", "y")
def untyped(logits, history, *, power=1):
    return logits
"""
    site_packages.add("untyped", {"untyped": "untyped"}, untyped=code)
    (plugin,) = [each for each in site_packages.load().plugins if each.name == "untyped"]
    assert plugin.status == "failed"
    assert "'power'" in plugin.reasons[0]
