"""What `[training]` names: optimizers, schedules and batching strategies, with their settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import tomli
import tomli_w

from musengine.config.fields import Config, setting
from musengine.config.toml import SettingsSource, apply
from musengine.errors import ConfigError
from musengine.pipeline.resolve import Pipeline, resolve_pipeline
from musengine.plugins import manager
from musengine.plugins.declarations import (
    BatchingDeclaration,
    Declaration,
    ModelConfig,
    ModelDeclaration,
    OptimizerDeclaration,
    Requirement,
    ScheduleDeclaration,
)
from musengine.plugins.registry import Distribution, Registry, RegistryEntry

FOLDER = Path("/music").resolve()
NEEDED = '[corpus]\npath = "tunes"\n[model]\ntype = "frequencies"\n'
HARP = Requirement(module="no_such_module_anywhere", install="pip install harp")


@dataclass(frozen=True, kw_only=True)
class WavesConfig(Config):
    """A schedule with settings."""

    length: int = setting(10, doc="Steps of a wave.", low=1)
    start: Path | None = setting(None, doc="A table of rates.")


WAVES = ScheduleDeclaration(name="waves", summary="", target="a:B", config=WavesConfig)
LION = OptimizerDeclaration(name="lion", summary="", target="a:B", uses=("momentum",))
HARPS = OptimizerDeclaration(name="harps", summary="", target="a:B", requires=(HARP,))
RELAY = BatchingDeclaration(name="relay", summary="", target="a:B", stateful=True, uses=("fill",))


def registry_with(*declarations: Declaration) -> Registry:
    """The core's components and some more."""
    registry = manager.load_from([]).registry
    for declaration in declarations:
        registry.add(RegistryEntry(declaration, Distribution("test-plugin", "1.0")))
    return registry


class Resolver:
    """Resolves texts against one registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def __call__(self, text: str, *settings: str) -> Pipeline:
        made = SettingsSource(Path("pipe.toml"), "pipe.toml", tomli.loads(text), FOLDER)
        for assignment in settings:
            apply(made, assignment)
        return resolve_pipeline(made, self.registry)


@pytest.fixture
def resolved() -> Resolver:
    """Resolve the text of a pipeline, with the components above and the core's own."""
    return Resolver(registry_with(WAVES, LION, HARPS, RELAY))


def test_by_name_or_with_settings(resolved: Resolver) -> None:
    pipeline = resolved(NEEDED + '[training]\noptimizer = "lion"\nschedule = "waves"')
    assert (pipeline.batching.name, pipeline.optimizer.name) == ("pieces", "lion")
    assert pipeline.schedule.config == WavesConfig()
    assert pipeline.training.schedule == "waves"
    text = NEEDED + '[training]\nschedule = {type = "waves", length = 4, start = "a.csv"}'
    pipeline = resolved(text)
    assert pipeline.schedule.config == WavesConfig(length=4, start=FOLDER / "a.csv")
    # A name alone stays one; what has settings is a table, in the place of the name.
    tables = pipeline.tables()["training"]
    assert (tables["batching"], tables["optimizer"]) == ("pieces", "adam")
    start = str(FOLDER / "a.csv")
    assert tables["schedule"] == {"type": "waves", "length": 4, "start": start}
    assert resolved(tomli_w.dumps(pipeline.tables())) == pipeline


def test_the_command_line_lies_over_a_name_and_a_table(resolved: Resolver) -> None:
    text = NEEDED + '[training]\nschedule = "waves"'
    pipeline = resolved(text, "training.schedule.length=7", "training.schedule.start=b")
    assert pipeline.schedule.config == WavesConfig(length=7, start=Path.cwd() / "b")
    text = NEEDED + '[training]\nschedule = {type = "waves", length = 4}'
    assert resolved(text, "training.schedule=cosine").schedule.name == "cosine"


def test_a_preset_names_one_and_the_file_another() -> None:
    wishes = {"training": {"schedule": {"type": "waves", "length": 3}, "optimizer": "sgd"}}
    crane = ModelDeclaration(
        name="crane",
        summary="",
        target="a:B",
        config=ModelConfig,
        layouts=("grid",),
        defaults=wishes,
    )
    text, resolved = NEEDED.replace("frequencies", "crane"), Resolver(registry_with(crane, WAVES))
    pipeline = resolved(text)
    assert pipeline.schedule.config == WavesConfig(length=3)
    assert pipeline.optimizer.name == "sgd"
    # Of the same component the preset's settings stay, of another they mean nothing.
    assert resolved(text, "training.schedule=waves").schedule.config == WavesConfig(length=3)
    assert resolved(text, "training.schedule.start=a").schedule.config.length == 3
    assert resolved(text, "training.schedule=cosine").schedule.table() == {"type": "cosine"}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ('optimizer = "lin"', ("training.optimizer", "type")),
        ("optimizer = 5", ("training", "optimizer")),
        ("optimizer = {}", ("training.optimizer", "type")),
        ("optimizer = {type = 5}", ("training.optimizer", "type")),
        ('optimizer = {type = "lin"}', ("training.optimizer", "type")),
        ('optimizer = {type = "lion", heat = 2}', ("training.optimizer", "heat")),
        ('optimizer = "harps"', ("training.optimizer", "type")),
        ('schedule = "adam"', ("training.schedule", "type")),
        ('schedule = {type = "waves", length = 0}', ("training.schedule", "length")),
        ("batching = ['pieces']", ("training", "batching")),
        # A key that does nothing unless it is set, and that the component does not use.
        ("momentum = 0.5", ("training", "momentum")),
        ("momentum = 0.0", ("training", "momentum")),
        ('optimizer = "lion"\nweight_decay = 0.1', ("training", "weight_decay")),
        ('optimizer = "lion"\nepsilon = 0.1', ("training", "epsilon")),
        ('optimizer = "sgd"\nsmoothing = 0.5', ("training", "smoothing")),
        ("rate_per_piece = true\nbatch_size = 1", ("training", "rate_per_piece")),
        # What a batching strategy declares.
        ('batching = "relay"', ("training", "batching")),
        ('batching = "pieces"\nfill = "repeat"', ("training", "sequence_length")),
    ],
)
def test_what_is_wrong_with_one(resolved: Resolver, value: str, place: tuple[str, str]) -> None:
    with pytest.raises(ConfigError) as raised:
        resolved(NEEDED + "[training]\n" + value)
    assert [(each.table, each.key) for each in raised.value.problems] == [place]


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (("training.optimizer=lin",), ("training.optimizer", "type")),
        (
            ("training.schedule=waves", "training.schedule.length=0"),
            ("training.schedule", "length"),
        ),
        (("training.momentum=0.5",), ("training", "momentum")),
    ],
)
def test_the_command_line_is_named_where_it_is_wrong(
    resolved: Resolver, settings: tuple[str, ...], place: tuple[str, str]
) -> None:
    with pytest.raises(ConfigError) as raised:
        resolved(NEEDED, *settings)
    found = [(each.file, each.table, each.key) for each in raised.value.problems]
    assert found == [("--set", *place)]


@pytest.mark.parametrize(
    "value",
    [
        'optimizer = "lion"\nmomentum = 0.9',
        'optimizer = "lion"\nweight_decay = 0.0',
        'batching = "segments"\nfill = "repeat"\nstride = 7',
    ],
)
def test_what_is_used_or_lies_idle_is_right(resolved: Resolver, value: str) -> None:
    assert resolved(NEEDED + "[training]\n" + value)


def test_who_uses_a_key_is_named(resolved: Resolver) -> None:
    with pytest.raises(ConfigError) as raised:
        resolved(NEEDED + "[training]\nmomentum = 0.9")
    assert "lion, rmsprop, sgd" in str(raised.value)


def test_the_cores_default_goes_before_a_plugins() -> None:
    eager = OptimizerDeclaration(
        name="aardvark", summary="", target="a:B", default_for=("training",)
    )
    assert Resolver(registry_with(eager))(NEEDED).optimizer.name == "adam"
