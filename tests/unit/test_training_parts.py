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
from musengine.pipeline.resolved import as_data, as_toml
from musengine.plugins import manager
from musengine.plugins.configs import ModelConfig
from musengine.plugins.declarations import (
    BatchingDeclaration,
    Declaration,
    Follows,
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


@dataclass(frozen=True, kw_only=True)
class HeronConfig(ModelConfig):
    """A model with a rate for each leg."""

    rates: tuple[float, ...] = setting((), doc="Rates.", instead_of="learning_rate")


HERON = ModelDeclaration(
    name="heron",
    summary="",
    target="a:B",
    config=HeronConfig,
    layouts=("grid",),
    defaults={"training": {"optimizer": "adam", "learning_rate": 0.5}},
    presets={
        "old": {
            "model": {"rates": [0.1, 0.2]},
            "training": {
                "optimizer": "rmsprop",
                "smoothing": 0.8,
                "sequence_length": 12,
                "align": Follows("training", "sequence_length", plus=2),
            },
        }
    },
)
HERONS = NEEDED.replace("frequencies", "heron")
OLD = HERONS + 'preset = "old"\n'


class TestOptimizersOwn:
    """An optimizer's constants are its own: none of another is taken over."""

    @pytest.fixture
    def resolved(self) -> Resolver:
        swift = OptimizerDeclaration(
            name="swift",
            summary="",
            target="a:B",
            uses=("momentum",),
            defaults={"training": {"learning_rate": 7.0, "momentum": 0.7, "clip_norm": 3.0}},
        )
        return Resolver(registry_with(HERON, swift, LION, WAVES))

    @staticmethod
    def constants(pipeline: Pipeline) -> dict[str, object]:
        keys = ("learning_rate", "momentum", "smoothing", "epsilon")
        values = {key: getattr(pipeline.training, key) for key in keys}
        return {key: value for key, value in values.items() if value is not None}

    def test_where_nothing_else_is_said_they_count(self, resolved: Resolver) -> None:
        # The core's default is named by nobody.
        assert self.constants(resolved(NEEDED)) == {"learning_rate": 0.001, "epsilon": 1e-8}
        # The model's default is for its own optimizer.
        assert self.constants(resolved(HERONS)) == {"learning_rate": 0.5, "epsilon": 1e-8}
        swift = resolved(HERONS, "training.optimizer=swift")
        assert self.constants(swift) == {"learning_rate": 7.0, "momentum": 0.7}
        assert (swift.training.clip_norm, swift.omitted) == (3.0, ())
        # A stranger's that declares nothing is left to itself.
        assert self.constants(resolved(HERONS, "training.optimizer=lion")) == {}

    def test_the_command_line_before_the_file_before_the_preset(self, resolved: Resolver) -> None:
        constants = {"smoothing": 0.8, "epsilon": 1e-8}
        assert self.constants(resolved(OLD)) == constants
        file = OLD + "[training]\nsmoothing = 0.6\n"
        assert self.constants(resolved(file)) == {**constants, "smoothing": 0.6}
        pipeline = resolved(file, "training.smoothing=0.4")
        assert self.constants(pipeline) == {**constants, "smoothing": 0.4}
        assert pipeline.model.config == HeronConfig(rates=(0.1, 0.2))

    def test_those_of_a_preset_are_left_behind(self, resolved: Resolver) -> None:
        for pipeline in (
            resolved(OLD, "training.optimizer=sgd"),
            resolved(OLD + '[training]\noptimizer = "sgd"'),
        ):
            assert self.constants(pipeline) == {"learning_rate": 0.001}
            assert (pipeline.model.config, pipeline.omitted) == (HeronConfig(), ())
            assert pipeline.training.sequence_length == 12

    def test_those_of_the_file_are_left_behind_and_told(self, resolved: Resolver) -> None:
        file = HERONS + '[training]\noptimizer = "sgd"\nlearning_rate = 0.3\nmomentum = 0.9\n'
        assert self.constants(resolved(file)) == {"learning_rate": 0.3, "momentum": 0.9}
        same = resolved(file, "training.optimizer=sgd")
        assert self.constants(same) == {"learning_rate": 0.3, "momentum": 0.9}
        other = resolved(file, "training.optimizer=adadelta", "training.epsilon=0.5")
        expected = {"learning_rate": 1.0, "smoothing": 0.9, "epsilon": 0.5}
        assert self.constants(other) == expected
        assert len(other.omitted) == 2
        assert all("adadelta" in line and "pipe.toml" in line for line in other.omitted)
        assert {line.split(" ")[1] for line in other.omitted} == {
            "training.learning_rate",
            "training.momentum",
        }
        # Without an optimizer the file's are for the model's.
        plain = HERONS + "[training]\nlearning_rate = 0.3\n"
        assert self.constants(resolved(plain))["learning_rate"] == 0.3
        assert self.constants(resolved(plain, "training.optimizer=sgd"))["learning_rate"] == 0.001
        given = ("training.optimizer=sgd", "training.learning_rate=4")
        assert self.constants(resolved(plain, *given)) == {"learning_rate": 4.0}

    def test_a_component_named_anew_begins_anew(self, resolved: Resolver) -> None:
        file = OLD + '[training]\nschedule = { type = "waves", length = 3 }\n'
        assert resolved(file, "training.schedule=waves").schedule.config == WavesConfig()
        longer = resolved(file, "training.schedule.start=a")
        assert longer.schedule.config == WavesConfig(length=3, start=Path.cwd() / "a")

    def test_what_one_place_says_together_is_meant_together(self, resolved: Resolver) -> None:
        with pytest.raises(ConfigError) as raised:
            resolved(OLD, "training.optimizer=adam", "training.momentum=0.5")
        assert [(each.key, each.code) for each in raised.value.problems] == [
            ("momentum", "key-unused")
        ]

    def test_a_key_is_unset(self, resolved: Resolver) -> None:
        file = OLD + '[training]\nmomentum = 0.9\nunset = ["smoothing", "optimizer"]\n'
        # The preset's optimizer is taken away, so that the core's default comes, and its constants.
        with pytest.raises(ConfigError) as raised:
            resolved(file)
        assert [each.key for each in raised.value.problems] == ["momentum"]
        pipeline = resolved(file, "training.momentum=")
        assert pipeline.optimizer.name == "adam"
        assert self.constants(pipeline) == {"learning_rate": 0.001, "epsilon": 1e-8}
        rmsprop = resolved(OLD, "training.smoothing=", "model.rates=")
        assert self.constants(rmsprop) == {
            "learning_rate": 0.01,
            "smoothing": 0.99,
            "epsilon": 1e-8,
        }
        # What is written out stands for the same, although the model's defaults lie below.
        whole = resolved(HERONS, "training.optimizer=lion", "training.learning_rate=")
        assert whole.tables()["training"]["unset"] == ["learning_rate"]
        assert resolved(tomli_w.dumps(whole.tables())) == whole
        for settings in (("training.momentumm=",), ("model.rate=",)):
            with pytest.raises(ConfigError) as raised:
                resolved(OLD, *settings)
            assert [each.code for each in raised.value.problems] == ["unknown-key"]
        with pytest.raises(ConfigError) as raised:
            resolved(OLD + "[training]\nunset = 'momentum'")
        assert [(each.key, each.code) for each in raised.value.problems] == [
            ("unset", "invalid-value")
        ]

    def test_a_rate_beside_the_models_own_does_nothing(self, resolved: Resolver) -> None:
        for settings in (
            ("training.learning_rate=0.1", "model.rates=[1, 2]"),
            ("training.learning_rate=0.1", "model.preset=old"),
        ):
            with pytest.raises(ConfigError) as raised:
                resolved(HERONS, *settings)
            (problem,) = raised.value.problems
            assert (problem.file, problem.table, problem.key) == (
                "--set",
                "training",
                "learning_rate",
            )
            assert problem.code == "key-unused"
        # One that a default gives is no mistake of the user's.
        assert resolved(HERONS, "model.rates=[1, 2]").training.learning_rate is None
        unset = resolved(OLD, "model.rates=", "training.learning_rate=0.1")
        assert unset.training.learning_rate == 0.1

    def test_a_value_goes_along_with_another(self, resolved: Resolver) -> None:
        assert resolved(OLD).training.align == 14
        assert resolved(OLD, "training.sequence_length=30").training.align == 32
        assert resolved(OLD, "training.align=3").training.align == 3
        assert resolved(OLD, "training.sequence_length=").training.align == 1

    def test_whose_each_value_is(self, resolved: Resolver) -> None:
        file = OLD + "[training]\nstride = 3\n"
        pipeline = resolved(file, "training.seed=4", "training.schedule.type=waves")
        origins = {
            key: pipeline.origins.get(("training", key)) for key in pipeline.tables()["training"]
        }
        preset = "preset 'old' of model 'heron' of test-plugin 1.0"
        assert origins["stride"] == "pipe.toml"
        assert (origins["seed"], origins["schedule"]) == ("--set", "--set")
        assert (origins["optimizer"], origins["smoothing"]) == (preset, preset)
        assert str(origins["align"]).startswith(preset)
        assert str(origins["epsilon"]).startswith("optimizer 'rmsprop' of musengine")
        assert (origins["steps"], origins["clip_norm"]) == (None, None)
        text = as_toml(pipeline)
        assert resolved(text) == pipeline
        lines = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
        assert lines["stride"].split() == ["3", "#", "pipe.toml"]
        assert lines["clip_norm"].split() == ["0.0", "#", "default"]
        data = as_data(pipeline)
        assert data["pipeline"] == pipeline.tables()
        assert data["origins"]["training.stride"] == "pipe.toml"
        assert data["origins"]["training.schedule.length"] == "default"
        assert data["origins"]["sampler.0.type"].startswith("default of musengine")
