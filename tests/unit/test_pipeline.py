"""A pipeline resolved: precedence, the wiring check, and every mistake told at once."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import tomli
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from musengine.config.fields import Config, setting
from musengine.config.quantities import GridStep, Length
from musengine.config.toml import SettingsSource, apply
from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.errors import ConfigError, Problem, UserError
from musengine.interfaces.training import DEFAULT_STEPS, TrainingConfig
from musengine.pipeline.resolve import Pipeline, load_pipeline, resolve_pipeline
from musengine.pipeline.sections import INSIDE, ORDER
from musengine.pipeline.values import Source
from musengine.plugins import manager
from musengine.plugins.configs import EncoderConfig, ModelConfig
from musengine.plugins.declarations import (
    CallbackDeclaration,
    Declaration,
    EncoderDeclaration,
    LossDeclaration,
    MetricDeclaration,
    ModelDeclaration,
    ReaderDeclaration,
    Requirement,
    SamplerDeclaration,
    WriterDeclaration,
)
from musengine.plugins.registry import Distribution, Registry, RegistryEntry

FOLDER = Path("/music").resolve()
NEEDED = '[corpus]\npath = "tunes"\n[model]\ntype = "frequencies"\n'
HARP = Requirement(module="no_such_module_anywhere", install="pip install harp")


@dataclass(frozen=True, kw_only=True)
class WordsConfig(EncoderConfig):
    """A token encoder whose layout follows from its settings."""

    size: int = setting(4, doc="How many words.", low=1)
    loud: bool = setting(False, doc="In capitals.")

    def layout(self) -> Layout:
        """Return tokens."""
        return Tokens(size=self.size)


@dataclass(frozen=True, kw_only=True)
class RunesConfig(EncoderConfig):
    """An encoder of text with a layout of its own and a key without a default."""

    alphabet: str = setting(doc="Which runes.")

    def layout(self) -> Layout:
        """Return a layout that nothing else knows."""
        return Layout(name="runes")

    def produces(self) -> tuple[Any, ...]:
        """Return text."""
        return ("text",)


@dataclass(frozen=True, kw_only=True)
class PlainRunesConfig(EncoderConfig):
    """An encoder of scores with a layout that nothing else knows."""

    def layout(self) -> Layout:
        """Return a layout."""
        return Layout(name="runes")


@dataclass(frozen=True, kw_only=True)
class BrokenConfig(EncoderConfig):
    """An encoder whose layout cannot be asked for."""

    def layout(self) -> Layout:
        """Raise."""
        raise RuntimeError("a mistake of another plugin")


@dataclass(frozen=True, kw_only=True)
class ParrotConfig(ModelConfig):
    """A token model."""

    memory: int = setting(3, doc="How far back.", low=1)

    def incompatibilities(self, layout: Layout) -> Iterable[str]:
        """Yield a vocabulary too large."""
        if isinstance(layout, Tokens) and layout.size > 100:
            yield f"a parrot learns 100 words, not {layout.size}"


@dataclass(frozen=True, kw_only=True)
class WingBeatsConfig(Config):
    """A metric with settings."""

    per: float = setting(1.0, doc="Seconds.", above=0.0)
    birds: tuple[str, ...] = setting(("parrot",), doc="Which.", one_or_many=True)


@dataclass(frozen=True, kw_only=True)
class FlocksConfig(Config):
    """Another."""

    window: int = setting(64, doc="Birds in a flock.", low=1, high=1024)
    stride: int = setting(1, doc="From flock to flock.", low=1)


@dataclass(frozen=True, kw_only=True)
class PlumageConfig(Config):
    """A metric with a key that must be given."""

    colour: Path = setting(doc="A picture of it.")


@dataclass(frozen=True, kw_only=True)
class LuteConfig(Config):
    """A writer with a key that has limits."""

    strings: int = setting(47, doc="How many.", low=20, high=48)


def model(name: str, layouts: tuple[str, ...], **more: Any) -> ModelDeclaration:
    settings = {"config": ModelConfig, **more}
    return ModelDeclaration(name=name, summary="", target="a:B", layouts=layouts, **settings)


CRANE = NEEDED.replace("frequencies", "crane")


def with_crane(layouts: tuple[str, ...] = ("grid",), **declared: Any) -> Registry:
    """Return the core's components, a model `crane` and the metrics declared below."""
    registry = manager.load_from([]).registry
    metrics = (each for each in DECLARED if isinstance(each, MetricDeclaration))
    for declaration in (model("crane", layouts, **declared), *metrics):
        registry.add(RegistryEntry(declaration, Distribution("test-plugin", "1.0")))
    return registry


DECLARED: list[Declaration] = [
    EncoderDeclaration(
        name="words",
        summary="",
        target="a:B",
        config=WordsConfig,
        defaults={"training": {"sequence_length": 30, "batch_size": 30, "stride": 30}},
        presets={
            "few": {"encoder": {"size": 2, "loud": True}, "training": {"sequence_length": 31}}
        },
    ),
    EncoderDeclaration(name="runes", summary="", target="a:B", config=RunesConfig),
    EncoderDeclaration(name="broken", summary="", target="a:B", config=BrokenConfig),
    model(
        "parrot",
        ("tokens",),
        config=ParrotConfig,
        stateful=True,
        defaults={
            "encoder": {"type": "words", "size": 9},
            "training": {"batch_size": 20, "clip_norm": 2.0, "sequence_length": 20},
            "sampler": [{"type": "greedy"}],
        },
        presets={
            "wise": {"model": {"memory": 7}, "training": {"batch_size": 21, "clip_norm": 5.0}},
            "old": {},
        },
    ),
    model("skald", ("runes",)),
    model("rhapsode", ("runes",), own_loss=True, uses_samplers=False, generation="own"),
    model("harpist", ("grid",), requires=(HARP,)),
    LossDeclaration(name="hinge", summary="", target="a:B", layouts=("runes",)),
    SamplerDeclaration(name="staves", summary="", target="a:B", layouts=("runes",)),
    MetricDeclaration(name="plucks", summary="", target="a:B", requires=(HARP,)),
    MetricDeclaration(name="wing-beats", summary="", target="a:B", config=WingBeatsConfig),
    MetricDeclaration(name="flocks", summary="", target="a:B", config=FlocksConfig),
    MetricDeclaration(name="plumage", summary="", target="a:B", config=PlumageConfig),
    WriterDeclaration(name="harp", summary="", target="a:B", requires=(HARP,)),
    WriterDeclaration(name="lute", summary="", target="a:B", config=LuteConfig),
    ReaderDeclaration(name="stones", summary="", target="a:B", suffixes=(".stone",)),
    CallbackDeclaration(name="crow", summary="", target="a:B"),
]


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The core's components and those declared above."""
    found = manager.load_from([]).registry
    for declaration in DECLARED:
        assert found.add(RegistryEntry(declaration, Distribution("test-plugin", "1.0"))) is None
    return found


def source(text: str, *settings: str) -> SettingsSource:
    made = SettingsSource(Path("pipe.toml"), "pipe.toml", tomli.loads(text), FOLDER)
    for assignment in settings:
        apply(made, assignment)
    return made


class Resolver:
    """Resolves texts against one registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def __call__(self, text: str, *settings: str) -> Pipeline:
        return resolve_pipeline(source(text, *settings), self.registry)

    def codes(self, text: str, *settings: str) -> list[tuple[str, str, str]]:
        """Return the code, the table and the key of each problem."""
        return [(each.code, each.table, each.key) for each in self.found(text, *settings)]

    def message(self, text: str, *settings: str) -> str:
        """Return what is said of the only problem."""
        (problem,) = self.found(text, *settings)
        return problem.message

    def found(self, text: str, *settings: str) -> tuple[Problem, ...]:
        with pytest.raises(ConfigError) as caught:
            self(text, *settings)
        return caught.value.problems

    def places(self, text: str, *settings: str) -> list[tuple[str, str, str]]:
        """Return the file, the table and the key of each problem, sorted."""
        return sorted((each.file, each.table, each.key) for each in self.found(text, *settings))


@pytest.fixture
def resolved(registry: Registry) -> Resolver:
    """Resolve the text of a pipeline."""
    return Resolver(registry)


class TestDefaults:
    def test_five_lines_are_enough(self, resolved: Resolver) -> None:
        pipeline = resolved(NEEDED)
        assert pipeline.name == "pipe"
        assert pipeline.corpus.path == (Source(str(FOLDER / "tunes")),)
        assert pipeline.encoder.name == "piano-roll"
        assert [sampler.name for sampler in pipeline.samplers] == ["bernoulli"]
        assert [output.name for output in pipeline.outputs] == ["midi"]
        assert [callback.name for callback in pipeline.callbacks] == ["console"]
        assert [metric.name for metric in pipeline.metrics] == ["nll"]
        assert pipeline.evaluate.parts == ("valid", "test")
        assert pipeline.left_out() == []
        assert pipeline.training.steps == DEFAULT_STEPS
        assert pipeline.reader is None

    def test_a_default_that_is_installed_counts(self) -> None:
        registry = manager.load_from([]).registry
        picture = WriterDeclaration(
            name="picture", summary="", target="a:B", default_for=("score",)
        )
        registry.add(RegistryEntry(picture, Distribution("test-plugin", "1.0")))
        outputs = Resolver(registry)(NEEDED).outputs
        assert [output.name for output in outputs] == ["midi", "picture"]

    def test_the_number_of_steps_only_where_no_limit_is_given(self, resolved: Resolver) -> None:
        for limit in ("epochs = 3", "minutes = 0.5"):
            assert resolved(NEEDED + f"[training]\n{limit}").training.steps is None
        assert resolved(NEEDED + "[training]\nsteps = 0").training.steps == 0

    def test_a_loss_where_gradients_need_one(self, resolved: Resolver) -> None:
        # The counting model is fitted, not descended.
        assert resolved(NEEDED).loss is None
        parrot = resolved('[corpus]\npath = "x"\n[model]\ntype = "parrot"')
        assert parrot.loss is not None
        assert parrot.loss.name == "cross-entropy"

    def test_what_is_chosen_follows_from_the_layout(self, resolved: Resolver) -> None:
        # Of the layout "runes" there is one sampler, one loss, and a text comes out.
        text = '[corpus]\npath = "x"\n[encoder]\ntype = "runes"\nalphabet = "f"\n[model]\ntype = '
        skald = resolved(text + '"skald"')
        assert skald.loss is not None
        assert (skald.loss.name, skald.samplers[0].name) == ("hinge", "staves")
        assert [output.name for output in skald.outputs] == ["text"]
        rhapsode = resolved(text + '"rhapsode"')
        assert (rhapsode.loss, rhapsode.samplers) == (None, ())

    def test_empty_lists_are_kept(self, resolved: Resolver) -> None:
        pipeline = resolved("output = []\ncallback = []\nmetric = []\n" + NEEDED)
        assert (pipeline.outputs, pipeline.callbacks, pipeline.metrics) == ((), (), ())


class TestPrecedence:
    """--set over the file over presets over the defaults of model and encoder over a key's own."""

    PARROT = '[corpus]\npath = "x"\n[model]\ntype = "parrot"\n'

    def test_what_a_model_sets_by_default(self, resolved: Resolver) -> None:
        pipeline = resolved(self.PARROT)
        assert pipeline.encoder.table() == {"type": "words", "size": 9, "loud": False}
        assert pipeline.training.batch_size == 20
        assert pipeline.training.clip_norm == 2.0
        assert [sampler.name for sampler in pipeline.samplers] == ["greedy"]
        # The encoder it names has defaults too, and they lie below its own.
        assert pipeline.training.sequence_length == 20
        assert pipeline.training.stride == 30
        # What nobody says is the table's own default.
        assert pipeline.training.updates_per_batch == 1
        assert pipeline.training.optimizer == pipeline.optimizer.name == "adam"

    def test_a_preset_lies_over_defaults(self, resolved: Resolver) -> None:
        pipeline = resolved(self.PARROT + 'preset = "wise"')
        assert pipeline.model.config == ParrotConfig(memory=7)
        assert (pipeline.training.batch_size, pipeline.training.clip_norm) == (21, 5.0)
        assert pipeline.training.sequence_length == 20
        assert "preset" not in pipeline.model.table()

    def test_an_encoders_preset_lies_over_a_models_defaults(self, resolved: Resolver) -> None:
        pipeline = resolved(self.PARROT + '[encoder]\npreset = "few"')
        assert pipeline.encoder.config == WordsConfig(size=2, loud=True)
        assert pipeline.training.sequence_length == 31
        assert pipeline.training.batch_size == 20

    def test_the_file_lies_over_a_preset(self, resolved: Resolver) -> None:
        text = self.PARROT + 'preset = "wise"\nmemory = 8\n[training]\nbatch_size = 4'
        pipeline = resolved(text)
        assert pipeline.model.config == ParrotConfig(memory=8)
        assert (pipeline.training.batch_size, pipeline.training.clip_norm) == (4, 5.0)

    def test_the_command_line_lies_over_all(self, resolved: Resolver) -> None:
        text = self.PARROT + 'preset = "wise"\n[training]\nbatch_size = 4'
        pipeline = resolved(
            text, "training.batch_size=5", "model.preset=old", "sampler.0.type=categorical"
        )
        assert pipeline.training.batch_size == 5
        assert pipeline.model.config == ParrotConfig(memory=3)
        assert [sampler.name for sampler in pipeline.samplers] == ["categorical"]

    def test_defaults_for_another_encoder_than_the_users_are_dropped(
        self, resolved: Resolver
    ) -> None:
        # Else `size = 9` would be an unknown key of the piano roll; what the user did wrong is
        # to choose that encoder.
        text = self.PARROT + '[encoder]\ntype = "piano-roll"\n[[sampler]]\ntype = "bernoulli"'
        assert resolved.codes(text) == [("wrong-layout", "model", "type")]

    def test_a_default_that_cannot_be_is_not_blamed_on_the_file(self) -> None:
        defaults = {
            "training": {"lerning_rate": 0.1, "steps": "many"},
            "sampler": [{"type": "greedy", "heat": 2}],
            "smapler": [],
        }
        presets = {"wild": {"generate": {"count": -1}, "callbacks": []}}
        registry = with_crane(defaults=defaults, presets=presets)
        whose = "model 'crane' of test-plugin 1.0"
        preset = f"preset 'wild' of {whose}"
        assert Resolver(registry).places(CRANE + 'preset = "wild"\n') == [
            (whose, "", "smapler"),
            (whose, "sampler.0", "heat"),
            (whose, "training", "lerning_rate"),
            (whose, "training", "steps"),
            (preset, "", "callbacks"),
            (preset, "generate", "count"),
        ]
        # What the user says instead is the user's own.
        places = Resolver(registry).places(CRANE + '[training]\nsteps = "few"', "training.seed=-1")
        assert ("pipe.toml", "training", "steps") in places
        assert ("--set", "training", "seed") in places
        assert (whose, "training", "lerning_rate") in places

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            (PARROT + 'preset = "wize"', ["'wize'", "'wise'"]),
            (PARROT + "preset = 5", ["5", "wise, old"]),
            (NEEDED + 'preset = "x"', ["'frequencies'", "'x'"]),
        ],
    )
    def test_an_unknown_preset(self, resolved: Resolver, text: str, named: list[str]) -> None:
        assert resolved.codes(text) == [("unknown-preset", "model", "preset")]
        assert all(name in resolved.message(text) for name in named)


class TestMetrics:
    """A metric is a table `[[metric]]`, as a sampler is a table `[[sampler]]`."""

    BOTH = '[[metric]]\ntype = "wing-beats"\n[[metric]]\ntype = "flocks"\nwindow = 32\n'

    def test_each_with_its_settings(self, resolved: Resolver) -> None:
        beats, flocks = resolved(NEEDED + self.BOTH, "metric.0.birds=crow").metrics
        assert beats.config == WingBeatsConfig(birds=("crow",))
        assert flocks.config == FlocksConfig(window=32)

    def test_the_command_line_lies_over_the_file(self, resolved: Resolver) -> None:
        pipeline = resolved(NEEDED + self.BOTH, "metric.1.window=16", "metric.2.type=nll")
        assert pipeline.tables()["metric"] == [
            {"type": "wing-beats", "per": 1.0, "birds": ["parrot"]},
            {"type": "flocks", "window": 16, "stride": 1},
            {"type": "nll"},
        ]
        assert pipeline.tables()["evaluate"] == {"parts": ["valid", "test"]}
        (only,) = resolved(NEEDED + self.BOTH, 'metric=[{type="nll"}]').metrics
        assert only.name == "nll"

    def test_a_list_takes_the_place_of_another(self) -> None:
        defaults = {"metric": [{"type": "flocks", "window": 16}, {"type": "nll"}]}
        presets = {"wide": {"metric": [{"type": "flocks", "stride": 2}]}}
        resolved = Resolver(with_crane(defaults=defaults, presets=presets))
        flocks, nll = resolved(CRANE).metrics
        assert (flocks.config, nll.name) == (FlocksConfig(window=16), "nll")
        (flocks,) = resolved(CRANE + 'preset = "wide"').metrics
        assert flocks.config == FlocksConfig(stride=2)
        (nll,) = resolved(CRANE + 'preset = "wide"\n[[metric]]\ntype = "nll"').metrics
        assert nll.name == "nll"
        assert defaults["metric"][0] == {"type": "flocks", "window": 16}

    def test_all_that_is_wrong_at_once(self, resolved: Resolver) -> None:
        text = NEEDED + (
            '[[metric]]\ntype = "nl"\n[[metric]]\ntype = "plumage"\n[[metric]]\nwindow = 3\n'
            '[[metric]]\ntype = "flocks"\nwindow = 2000\nwindw = 3\n'
            '[evaluate]\npart = "test"\nparts = ["tests"]'
        )
        assert resolved.places(text, "metric.3.stride=often") == [
            ("--set", "metric.3", "stride"),
            ("pipe.toml", "evaluate", "part"),
            ("pipe.toml", "evaluate", "parts"),
            ("pipe.toml", "metric.0", "type"),
            ("pipe.toml", "metric.1", "colour"),
            ("pipe.toml", "metric.2", "type"),
            ("pipe.toml", "metric.3", "window"),
            ("pipe.toml", "metric.3", "windw"),
        ]

    def test_one_is_measured_once(self, resolved: Resolver) -> None:
        # The figures of both would have the same names.
        text = NEEDED + self.BOTH + '[[metric]]\ntype = "flocks"\nwindow = 64'
        assert resolved.places(text) == [("pipe.toml", "metric.2", "type")]

    def test_one_that_needs_a_likelihood_is_left_out_of_a_model_without(self) -> None:
        resolved = Resolver(with_crane(likelihood=False))
        assert resolved(CRANE).metrics == ()
        pipeline = resolved(CRANE + self.BOTH + '[[metric]]\ntype = "perplexity"')
        (line,) = pipeline.left_out()
        assert "'perplexity'" in line
        assert "'crane'" in line
        # Another model may come to have it; the run's pipeline keeps what was asked for.
        assert [metric.name for metric in pipeline.metrics][-1] == "perplexity"

    def test_a_path_starts_where_every_other_does(self, resolved: Resolver) -> None:
        text = NEEDED + '[[metric]]\ntype = "plumage"\ncolour = "a.png"\n'
        (plumage,) = resolved(text).metrics
        assert plumage.config == PlumageConfig(colour=FOLDER / "a.png")
        (plumage,) = resolved(text, "metric.0.colour=b.png").metrics
        assert plumage.config == PlumageConfig(colour=Path.cwd() / "b.png")


class TestDefaultComponents:
    """What a component is the default for stands in its declaration, and nowhere else."""

    def test_without_any_nothing_is_chosen(self) -> None:
        registry = Registry()
        for entry in manager.load_from([]).registry.entries.values():
            declaration = dataclasses.replace(entry.declaration, default_for=())
            registry.add(RegistryEntry(declaration, entry.origin), core=True)
        resolved = Resolver(registry)
        text = NEEDED.replace("frequencies", "crane") + '[encoder]\ntype = "piano-roll"\n'
        registry.add(RegistryEntry(model("crane", ("grid",)), Distribution("test-plugin", "1.0")))
        assert resolved.places(NEEDED) == [("pipe.toml", "encoder", "type")]
        # Of two losses and two samplers for a grid neither is better than the other.
        assert resolved.places(text) == [
            ("pipe.toml", "loss", "type"),
            ("pipe.toml", "sampler", "type"),
        ]
        pipeline = resolved(text + '[loss]\ntype = "squared-error"', "sampler.0.type=greedy")
        assert (pipeline.outputs, pipeline.callbacks, pipeline.metrics) == ((), (), ())

    def test_of_two_the_cores_goes_first(self) -> None:
        registry = with_crane()
        for name in ("alphabetical", "zigzag"):
            for declaration in (
                SamplerDeclaration(
                    name=name, summary="", target="a:B", layouts=("grid",), default_for=("grid",)
                ),
                WriterDeclaration(name=name, summary="", target="a:B", default_for=("score",)),
                CallbackDeclaration(name=name, summary="", target="a:B", default_for=("run",)),
            ):
                registry.add(RegistryEntry(declaration, Distribution("other-plugin", "2.0")))
        pipeline = Resolver(registry)(CRANE)
        assert [sampler.name for sampler in pipeline.samplers] == ["bernoulli"]
        written = [output.name for output in pipeline.outputs]
        assert written == ["midi", "alphabetical", "zigzag"]
        assert [callback.name for callback in pipeline.callbacks] == ["console"]

    def test_of_two_plugins_the_first_by_name(self) -> None:
        registry = with_crane(layouts=("runes",))
        for name in ("zigzag", "alphabetical"):
            for declaration in (
                EncoderDeclaration(
                    name=name, summary="", target="a:B", config=PlainRunesConfig,
                    default_for=("score",),
                ),
                LossDeclaration(name=name, summary="", target="a:B", default_for=("runes",)),
                SamplerDeclaration(
                    name=name, summary="", target="a:B", layouts=("runes",), default_for=("runes",)
                ),
            ):  # fmt: skip
                registry.add(RegistryEntry(declaration, Distribution("other-plugin", "2.0")))
        pipeline = Resolver(registry)(CRANE + '[encoder]\ntype = "zigzag"')
        assert pipeline.loss is not None
        assert (pipeline.loss.name, pipeline.samplers[0].name) == ("alphabetical", "alphabetical")

    def test_one_that_lacks_a_library_is_left_out_with_a_line(self) -> None:
        registry = with_crane()
        for declaration in (
            WriterDeclaration(
                name="harp", summary="", target="a:B", requires=(HARP,), default_for=("score",)
            ),
            SamplerDeclaration(
                name="pluck", summary="", target="a:B", layouts=("grid",), requires=(HARP,),
                default_for=("grid",),
            ),
        ):  # fmt: skip
            registry.add(RegistryEntry(declaration, Distribution("other-plugin", "2.0")))
        pipeline = Resolver(registry)(CRANE)
        assert [output.name for output in pipeline.outputs] == ["midi"]
        told = pipeline.left_out()
        assert [line.split()[0] for line in told] == ["[output]", "[sampler]"]
        assert all("pip install harp" in line for line in told)
        # What is named is a mistake where it cannot be used.
        places = Resolver(registry).places(CRANE + '[[output]]\ntype = "harp"')
        assert places == [("pipe.toml", "output.0", "type")]

    def test_what_a_model_names_and_is_not_installed_is_left_out(self) -> None:
        chain = [{"type": "no-such"}, {"type": "greedy"}]
        defaults = {"sampler": chain, "metric": [{"type": "no-such"}]}
        registry = with_crane(defaults=defaults, presets={"all": {"sampler": chain}})
        pipeline = Resolver(registry)(CRANE)
        assert [sampler.name for sampler in pipeline.samplers] == ["greedy"]
        # Where nothing is left, it is as if the model had named nothing.
        assert [metric.name for metric in pipeline.metrics] == ["nll"]
        told = pipeline.left_out()
        assert [line.split()[0] for line in told] == ["[sampler]", "[metric]"]
        assert all("'no-such'" in line and "'crane'" in line for line in told)
        # Of a list of the user's own nothing is left out; a preset is the user's choice.
        named = '[[sampler]]\ntype = "greedy"\n[[metric]]\ntype = "nll"'
        assert Resolver(registry)(CRANE + named).left_out() == []
        whose = "preset 'all' of model 'crane' of test-plugin 1.0"
        places = Resolver(registry).places(CRANE + 'preset = "all"')
        assert places == [(whose, "sampler.0", "type")]


class TestPaths:
    def test_from_the_file_or_from_the_working_directory(
        self, tmp_path: Path, registry: Registry
    ) -> None:
        path = tmp_path / "pipe.toml"
        path.write_text(NEEDED + '[generate]\nprompt = "a.mid"')
        pipeline = load_pipeline(path, registry)
        assert pipeline.corpus.path[0].text == str(tmp_path.resolve() / "tunes")
        assert pipeline.generate.prompt.path == tmp_path.resolve() / "a.mid"
        pipeline = load_pipeline(path, registry, ["corpus.path=tunes", "corpus.cache=kept"])
        assert pipeline.corpus.path[0].text == str(Path.cwd() / "tunes")
        assert pipeline.corpus.cache == Path.cwd() / "kept"
        assert pipeline.generate.prompt.path == tmp_path.resolve() / "a.mid"

    def test_several_of_them(self, resolved: Resolver) -> None:
        text = NEEDED.replace('"tunes"', '["~/a", "music21:bach", "b"]')
        home = (Path.home() / "a").resolve()
        assert [source.text for source in resolved(text).corpus.path] == [
            str(home),
            "music21:bach",
            str(FOLDER / "b"),
        ]


class TestAllProblemsAtOnce:
    def test_of_every_table(self, resolved: Resolver) -> None:
        text = """
            trainning = 5
            [corpus]
            pathh = "x"
            valid = 1.5
            [encoder]
            type = "piano-roll"
            lowest = 60
            highest = 50
            [model]
            type = "frequencies"
            given = "lost"
            [training]
            steps = "many"
            [[sampler]]
            type = "bernouli"
            [[sampler]]
            type = "greedy"
            heat = 2
            [generate]
            length = "30"
            [[output]]
            type = "lute"
            strings = 10
            [[metric]]
            type = "nil"
        """
        found = resolved.found(text, "training.seed=-1", "output.1.type=midy")
        assert {(each.file, each.table, each.key, each.code) for each in found} == {
            ("pipe.toml", "", "trainning", "unknown-table"),
            ("pipe.toml", "corpus", "pathh", "unknown-key"),
            ("pipe.toml", "corpus", "valid", "out-of-range"),
            ("pipe.toml", "corpus", "path", "missing-key"),
            ("pipe.toml", "encoder", "highest", "settings-conflict"),
            ("pipe.toml", "model", "given", "invalid-value"),
            ("pipe.toml", "training", "steps", "invalid-value"),
            ("--set", "training", "seed", "out-of-range"),
            ("pipe.toml", "sampler.0", "type", "unknown-component"),
            ("pipe.toml", "sampler.1", "heat", "unknown-key"),
            ("pipe.toml", "generate", "length", "invalid-value"),
            ("pipe.toml", "output.0", "strings", "out-of-range"),
            ("--set", "output.1", "type", "unknown-component"),
            ("pipe.toml", "metric.0", "type", "unknown-component"),
        }
        assert len(found) == 14
        # The value found, the bounds, the nearest right name.
        messages = {(each.table, each.key): each.message for each in found}
        for place, values in {
            ("", "trainning"): ["'training'"],
            ("corpus", "pathh"): ["'path'"],
            ("corpus", "valid"): ["0", "1", "1.5"],
            ("encoder", "highest"): ["60", "50"],
            ("model", "given"): ["'lost'", "'last'"],
            ("training", "seed"): ["9007199254740992", "-1"],
            ("sampler.0", "type"): ["'bernoulli'"],
            ("output.0", "strings"): ["20", "48", "10"],
            ("output.1", "type"): ["'midi'"],
            ("metric.0", "type"): ["'nll'"],
        }.items():
            assert all(value in messages[place] for value in values)

    def test_tables_of_the_wrong_kind(self, resolved: Resolver) -> None:
        text = 'training = 5\nsampler = ["greedy"]\n' + NEEDED
        assert resolved.codes(text) == [
            ("invalid-value", "", "training"),
            ("invalid-value", "", "sampler"),
        ]

    def test_one_table_where_a_list_is_meant(self, resolved: Resolver) -> None:
        pipeline = resolved(NEEDED + '[sampler]\ntype = "greedy"')
        assert [sampler.name for sampler in pipeline.samplers] == ["greedy"]

    def test_nothing_at_all(self, resolved: Resolver) -> None:
        path, model = resolved.found("")
        assert (path.table, path.key, path.code) == ("corpus", "path", "missing-key")
        assert (model.table, model.key, model.code) == ("model", "type", "missing-key")
        assert ", ".join(resolved.registry.names("model")) in model.message

    def test_a_component_without_or_with_a_wrong_type(self, resolved: Resolver) -> None:
        text = '[corpus]\npath = "x"\n[model]\ngiven = "last"\n[[sampler]]\ntype = 5'
        assert resolved.codes(text) == [
            ("missing-key", "model", "type"),
            ("invalid-value", "sampler.0", "type"),
        ]
        _, sampler = resolved.found(text)
        assert ", ".join(resolved.registry.names("sampler")) in sampler.message

    def test_empty_lists_and_lengths(self, resolved: Resolver) -> None:
        text = NEEDED.replace('"tunes"', "[]") + '[generate]\nlength = "0 bars"'
        assert resolved.codes(text) == [
            ("invalid-value", "corpus", "path"),
            ("out-of-range", "generate", "length"),
        ]

    def test_shares_that_leave_nothing(self, resolved: Resolver) -> None:
        text = NEEDED.replace("[model]", "valid = 0.5\ntest = 0.5\n[model]")
        assert resolved.codes(text) == [("settings-conflict", "corpus", "valid")]

    def test_an_unknown_model_names_the_nearest(self, resolved: Resolver) -> None:
        (problem,) = resolved.found(NEEDED, "model.type=parot")
        assert (problem.file, problem.code) == ("--set", "unknown-component")
        assert "'parrot'" in problem.message


class TestReader:
    def test_by_name_or_with_settings(self, resolved: Resolver) -> None:
        text = NEEDED.replace("[model]", 'reader = "rolls"\n[model]')
        pipeline = resolved(text)
        assert pipeline.reader is not None
        assert pipeline.reader.table() == {"type": "rolls", "step": "1 beat"}
        pipeline = resolved(text, "corpus.reader.step=1/4 beat")
        assert pipeline.reader is not None
        assert pipeline.reader.config.step == GridStep(Fraction(1, 4), "beat")  # type: ignore[attr-defined]

    def test_a_default_lies_below_it_key_by_key(self) -> None:
        defaults = {"corpus": {"reader": {"type": "rolls", "step": "1/3 beat"}}}
        resolved = Resolver(with_crane(defaults=defaults))

        def read_by(*settings: str) -> dict[str, Any]:
            reader = resolved(CRANE, *settings).reader
            assert reader is not None
            return reader.table()

        assert read_by() == {"type": "rolls", "step": "1/3 beat"}
        assert read_by("corpus.reader.step=2 beats") == {"type": "rolls", "step": "2 beat"}
        assert read_by("corpus.reader=rolls") == {"type": "rolls", "step": "1/3 beat"}
        assert read_by("corpus.reader=midi") == {"type": "midi"}
        whose = "model 'crane' of test-plugin 1.0"
        # One that is declared as the default of the section is taken where none is named.
        declaration = ReaderDeclaration(
            name="wax", summary="", target="a:B", default_for=("corpus",)
        )
        registry = with_crane()
        registry.add(RegistryEntry(declaration, Distribution("other-plugin", "2.0")))
        pipeline = Resolver(registry)(CRANE)
        assert pipeline.reader is not None
        assert pipeline.tables()["corpus"]["reader"] == "wax"
        wrong = with_crane(defaults={"corpus": {"reader": {"type": "rolls", "step": 3}}})
        assert Resolver(wrong).places(CRANE) == [(whose, "corpus.reader", "step")]

    @pytest.mark.parametrize(
        ("reader", "code", "table", "key", "named"),
        [
            ('"rols"', "unknown-component", "corpus.reader", "type", "'rolls'"),
            ("5", "invalid-value", "corpus", "reader", "5"),
            ("{type = 'rolls', stp = 1}", "unknown-key", "corpus.reader", "stp", "'step'"),
            ("{}", "missing-key", "corpus.reader", "type", "midi, rolls, stones, text"),
        ],
    )
    def test_what_is_wrong_with_one(
        self, resolved: Resolver, reader: str, code: str, table: str, key: str, named: str
    ) -> None:
        text = NEEDED.replace("[model]", f"reader = {reader}\n[model]")
        assert resolved.codes(text) == [(code, table, key)]
        assert named in resolved.message(text)


class TestWiring:
    def test_a_token_model_on_a_grid(self, resolved: Resolver) -> None:
        text = '[corpus]\npath = "x"\n[encoder]\ntype = "piano-roll"\n[model]\ntype = "parrot"'
        # The model's default, a greedy sampler, fits both layouts. The encoder that raises and
        # the one whose layout cannot be known without its settings are passed over.
        assert resolved.codes(text) == [("wrong-layout", "model", "type")]
        assert resolved.message(text).endswith(": words")

    def test_a_grid_model_on_tokens(self, resolved: Resolver) -> None:
        text = NEEDED + '[encoder]\ntype = "words"'
        assert resolved.codes(text) == [("wrong-layout", "model", "type")]
        assert resolved.message(text).endswith(": piano-roll")

    def test_a_model_that_no_encoder_fits(self, resolved: Resolver) -> None:
        # The one encoder of runes has a key that must be given, so it cannot be tried out.
        (problem,) = resolved.found(NEEDED, "model.type=skald")
        assert (problem.file, problem.code) == ("--set", "wrong-layout")
        assert not any(name in problem.message for name in ("words", "plain-runes"))

    def test_what_a_model_says_of_the_layout(self, resolved: Resolver) -> None:
        settings = ("model.type=parrot", "encoder.size=101")
        assert resolved.codes(NEEDED, *settings) == [("settings-conflict", "model", "type")]
        assert "101" in resolved.message(NEEDED, *settings)

    def test_samplers_losses_and_writers_of_another_kind(self, resolved: Resolver) -> None:
        text = NEEDED + (
            '[[sampler]]\ntype = "greedy"\n[[sampler]]\ntype = "categorical"\n'
            '[[output]]\ntype = "text"\n[[output]]\ntype = "midi"'
        )
        assert resolved.codes(text) == [
            ("wrong-layout", "sampler.1", "type"),
            ("wrong-content", "output.0", "type"),
        ]
        text = NEEDED + '[loss]\ntype = "hinge"'
        assert resolved.codes(text, "model.type=parrot") == [("wrong-layout", "loss", "type")]

    @pytest.mark.parametrize("name", ["frequencies", "rhapsode"])
    def test_a_loss_that_would_not_be_descended(self, resolved: Resolver, name: str) -> None:
        # One is not trained by gradients, the other has a loss of its own.
        text = '[corpus]\npath = "x"\n[model]\ntype = "frequencies"\n'
        if name == "rhapsode":
            text = text.replace("frequencies", name) + '[encoder]\ntype = "runes"\nalphabet = "f"\n'
        codes = resolved.codes(text, "loss.type=hinge", "training.loss_reduction=sum")
        assert codes == [
            ("component-superfluous", "loss", "type"),
            ("key-unused", "training", "loss_reduction"),
        ]

    def test_a_chain_for_a_layout_of_a_plugins_own(self, resolved: Resolver) -> None:
        text = (
            '[corpus]\npath = "x"\n[encoder]\ntype = "runes"\nalphabet = "f"\n'
            '[model]\ntype = "skald"\n[[sampler]]\ntype = "staves"\n[[sampler]]\ntype = "staves"'
        )
        assert resolved.codes(text) == [("wrong-layout", "sampler.1", "type")]

    def test_a_layout_without_a_sampler_and_with_several(self, resolved: Resolver) -> None:
        registry = manager.load_from([]).registry
        for declaration in DECLARED[1:]:
            if declaration.name not in ("staves", "words"):
                registry.add(RegistryEntry(declaration, Distribution("test-plugin", "1.0")))
        text = (
            '[corpus]\npath = "x"\n[encoder]\ntype = "runes"\nalphabet = "f"\n'
            '[model]\ntype = "skald"'
        )
        assert Resolver(registry).codes(text) == [("missing-key", "sampler", "type")]
        for name in ("staves", "bones"):
            declaration = SamplerDeclaration(
                name=name, summary="", target="a:B", layouts=("runes",)
            )
            registry.add(RegistryEntry(declaration, Distribution("test-plugin", "1.0")))
        assert Resolver(registry).codes(text) == [("missing-key", "sampler", "type")]
        assert "bones, staves" in Resolver(registry).message(text)

    def test_a_model_without_its_sampler(self, resolved: Resolver) -> None:
        assert resolved.codes("sampler = []\n" + NEEDED) == [("needs-sampler", "sampler", "")]
        # A sampler misspelt is one mistake, not two.
        text = NEEDED + '[[sampler]]\ntype = "gredy"'
        assert resolved.codes(text) == [("unknown-component", "sampler.0", "type")]

    def test_stateful_batching_of_a_model_that_cannot(self, resolved: Resolver) -> None:
        text = NEEDED + '[training]\nbatching = "stateful"'
        assert resolved.codes(text) == [("not-stateful", "training", "batching")]
        assert resolved(NEEDED, "model.type=parrot", "training.batching=stateful")

    def test_filling_up_to_no_length(self, resolved: Resolver) -> None:
        text = NEEDED + '[training]\nbatching = "pieces"\nfill = "repeat"'
        assert resolved.codes(text) == [("settings-conflict", "training", "sequence_length")]
        assert resolved(text, "training.sequence_length=64")

    def test_libraries_that_are_not_installed(self, resolved: Resolver) -> None:
        text = NEEDED + '[[output]]\ntype = "harp"\n[[metric]]\ntype = "plucks"'
        found = resolved.found(text, "model.type=harpist")
        assert [(each.file, each.table, each.key, each.code) for each in found] == [
            ("--set", "model", "type", "library-missing"),
            ("pipe.toml", "metric.0", "type", "library-missing"),
            ("pipe.toml", "output.0", "type", "library-missing"),
        ]
        assert all("pip install harp" in each.message for each in found)

    def test_one_table_in_the_wrong_does_not_hide_the_wiring(self, resolved: Resolver) -> None:
        text = '[corpus]\npath = 5\n[encoder]\ntype = "piano-roll"\n[model]\ntype = "parrot"'
        assert resolved.codes(text) == [
            ("invalid-value", "corpus", "path"),
            ("wrong-layout", "model", "type"),
        ]


class TestRoundTrip:
    TEXTS = (
        NEEDED,
        NEEDED + '[encoder]\nstep = "0.3 seconds"\nnotes = "onsets"\n[training]\nminutes = 0.1',
        NEEDED.replace("[model]", 'reader = {type = "rolls", step = "1/3 beat"}\n[model]'),
        '[corpus]\npath = "x"\n[model]\ntype = "parrot"\npreset = "wise"',
        "output = []\ncallback = []\n" + NEEDED,
        NEEDED + '[generate]\nlength = "12.3456789 beats"\nprompt = "~/a.mid"\ninstrument = 52',
        '[corpus]\npath = ["x", "music21:bach"]\ncache = "kept"\n[encoder]\ntype = "runes"\n'
        'alphabet = "f\\"u"\n[model]\ntype = "rhapsode"\n[training]\nsteps = 7\nepochs = 3',
        NEEDED + '[evaluate]\nparts = "test"\n[[metric]]\ntype = "wing-beats"\nper = 3\n'
        '[[metric]]\ntype = "flocks"\nwindow = 5',
    )

    @pytest.mark.parametrize("text", TEXTS)
    def test_a_resolved_pipeline_resolves_to_itself(
        self, resolved: Resolver, registry: Registry, tmp_path: Path, text: str
    ) -> None:
        pipeline = resolved(text)
        path = tmp_path / "pipe.toml"
        path.write_text(tomli_w.dumps(pipeline.tables()), encoding="utf-8")
        again = load_pipeline(path, registry)
        assert again == pipeline
        assert again.tables() == pipeline.tables()
        assert list(pipeline.tables()) == [name for name in ORDER if name in pipeline.tables()]

    def test_every_key_is_written_out(self, resolved: Resolver) -> None:
        training = resolved(NEEDED, "training.steps=5").tables()["training"]
        unset = {
            field.name
            for field in dataclasses.fields(TrainingConfig)
            if field.default is None
            # Those that the optimizer gives, and the limit where there is none.
            and field.name not in ("steps", "learning_rate", "epsilon")
            and ("training", field.name) not in INSIDE
        }
        assert set(training) == {field.name for field in dataclasses.fields(TrainingConfig)} - unset

    def test_components_names_every_one(self, resolved: Resolver) -> None:
        text = NEEDED.replace("[model]", 'reader = "rolls"\n[encoder]\ntype = "words"\n[model]')
        text = text.replace("frequencies", "parrot") + '[loss]\ntype = "squared-error"'
        names = {part.name for part in resolved(text).components()}
        assert names == {
            *("rolls", "words", "parrot", "squared-error"),
            *("segments", "adam", "constant"),
            *("greedy", "nll", "midi", "console"),
        }


def test_layouts_are_compared_by_value() -> None:
    step = GridStep(Fraction(1, 4), "beat")
    assert Grid(lowest=21, pitches=88, step=step) == Grid(lowest=21, pitches=88, step=step)
    assert Grid(lowest=21, pitches=88, step=step) != Grid(lowest=21, pitches=87, step=step)
    assert Grid(lowest=21, pitches=88, step=step).step_shape == (88, 1)
    two = Grid(lowest=21, pitches=88, step=step, channels=("sound", "onset"))
    assert two.step_shape == (88, 2)
    assert Tokens(size=3, meanings={0: ("rest", 0)}) != Tokens(size=3)
    assert Layout(name="runes").step_shape == ()


words = st.sampled_from(
    [
        *ORDER,
        *("type", "preset", "reader", "path", "steps", "parts", "length", "size", "0"),
        *("frequencies", "parrot", "words", "piano-roll", "wise", "greedy", "rolls", "nll"),
        *("1/4 beat", "30 seconds", "music21:bach", "corpus", "stateful"),
        *("flocks", "wing-beats", "window", "per"),
    ]
)
values = st.recursive(
    st.one_of(words, st.integers(), st.floats(), st.booleans(), st.text(max_size=3), st.dates()),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
tables_of_all_kinds = st.dictionaries(
    words | st.text(max_size=3),
    values | st.dictionaries(words, values, max_size=3),
    max_size=5,
)
BASE_TABLES = st.sampled_from(
    [{}, tomli.loads(NEEDED), tomli.loads('[corpus]\npath = "x"\n[model]\ntype = "parrot"')]
)


@given(
    base=BASE_TABLES,
    tables=tables_of_all_kinds,
    settings=st.lists(
        st.tuples(words, words, words).map(lambda w: f"{w[0]}.{w[1]}={w[2]}")
        | st.tuples(words, words).map(lambda w: f"metric.0.{w[0]}={w[1]}")
    ),
)
def test_whatever_a_file_holds_its_problems_are_told(
    registry: Registry, base: dict[str, Any], tables: dict[str, Any], settings: list[str]
) -> None:
    """Rubbish is refused with one line for each problem, and never crashes."""
    made = SettingsSource(Path("pipe.toml"), "pipe.toml", {**base, **tables}, FOLDER)
    with contextlib.suppress(UserError):
        for assignment in settings:
            apply(made, assignment)
        pipeline = resolve_pipeline(made, registry)
        assert isinstance(pipeline.generate.length, Length)


class TestFormerNames:
    def test_every_former_key_is_refused_with_the_new_one(self, resolved: Resolver) -> None:
        text = (
            '[training]\nfeed = "pieces"\n[generate]\nprime = "none"\nprime_text = "x"\n'
            'prime_length = "1 bar"\nprime_offset = 0\ninclude_prime = true\n'
            '[evaluate]\nmetrics = ["nll"]\nsimilarity.window = 32\n'
            '[[callbacks]]\ntype = "console"\n' + NEEDED
        )
        with pytest.raises(ConfigError) as raised:
            resolved(text)
        new = {(p.table, p.key): p.message for p in raised.value.problems}
        assert set(new) == {
            ("training", "feed"),
            ("", "callbacks"),
            *(("generate", key) for key in ("prime", "prime_text", "prime_length")),
            *(("generate", key) for key in ("prime_offset", "include_prime")),
            *(("evaluate", key) for key in ("metrics", "similarity")),
        }
        assert "[[metric]]" in new["evaluate", "metrics"]
        assert '[[metric]] type = "similarity"' in new["evaluate", "similarity"]
        assert "'batching'" in new["training", "feed"]
        assert "'callback'" in new["", "callbacks"]
        assert "'prompt_length'" in new["generate", "prime_length"]
