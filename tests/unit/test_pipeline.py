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
from musengine.config.quantities import GridStep, Length, Source
from musengine.config.toml import SettingsSource, apply
from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.errors import ConfigError, UserError
from musengine.pipeline.resolve import ORDER, Pipeline, load, resolve
from musengine.pipeline.sections import DEFAULT_STEPS, TrainingConfig
from musengine.plugins import manager
from musengine.plugins.declarations import (
    CallbackDeclaration,
    Declaration,
    EncoderConfig,
    EncoderDeclaration,
    LossDeclaration,
    MetricDeclaration,
    ModelConfig,
    ModelDeclaration,
    ReaderDeclaration,
    Requirement,
    SamplerDeclaration,
    WriterDeclaration,
)
from musengine.plugins.registry import Distribution, Registry, RegistryEntry
from musengine_evaluation.settings import SimilarityConfig

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
        return resolve(source(text, *settings), self.registry)

    def problems(self, text: str, *settings: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self(text, *settings)
        return caught.value.lines


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
        assert pipeline.evaluate.metrics == ("nll",)
        assert pipeline.training.steps == DEFAULT_STEPS
        assert pipeline.reader is None

    def test_a_default_that_is_installed_counts(self) -> None:
        registry = manager.load_from([]).registry
        picture = WriterDeclaration(name="picture", summary="", target="a:B")
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
        pipeline = resolved("output = []\ncallback = []\n" + NEEDED)
        assert (pipeline.outputs, pipeline.callbacks) == ((), ())


class TestPrecedence:
    """--set over the file over presets over what model and encoder wish for over defaults."""

    PARROT = '[corpus]\npath = "x"\n[model]\ntype = "parrot"\n'

    def test_what_a_model_wishes_for(self, resolved: Resolver) -> None:
        pipeline = resolved(self.PARROT)
        assert pipeline.encoder.table() == {"type": "words", "size": 9, "loud": False}
        assert pipeline.training.batch_size == 20
        assert pipeline.training.clip_norm == 2.0
        assert [sampler.name for sampler in pipeline.samplers] == ["greedy"]
        # The encoder it wishes for has wishes too, and they lie below its own.
        assert pipeline.training.sequence_length == 20
        assert pipeline.training.stride == 30
        # What nobody says is the table's own default.
        assert pipeline.training.optimizer == "adam"

    def test_a_preset_lies_over_wishes(self, resolved: Resolver) -> None:
        pipeline = resolved(self.PARROT + 'preset = "wise"')
        assert pipeline.model.config == ParrotConfig(memory=7)
        assert (pipeline.training.batch_size, pipeline.training.clip_norm) == (21, 5.0)
        assert pipeline.training.sequence_length == 20
        assert "preset" not in pipeline.model.table()

    def test_an_encoders_preset_lies_over_a_models_wishes(self, resolved: Resolver) -> None:
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

    def test_wishes_for_another_encoder_than_the_users_are_dropped(
        self, resolved: Resolver
    ) -> None:
        # Else `size = 9` would be an unknown key of the piano roll; what the user did wrong is
        # to choose that encoder.
        (problem,) = resolved.problems(
            self.PARROT + '[encoder]\ntype = "piano-roll"\n[[sampler]]\ntype = "bernoulli"'
        )
        assert "works on tokens" in problem

    def test_a_wish_that_cannot_be_is_not_blamed_on_the_file(self) -> None:
        registry = manager.load_from([]).registry
        wishes = {"training": {"lerning_rate": 0.1, "steps": "many"}}
        presets = {"wild": {"generate": {"count": -1}}}
        declaration = model("crane", ("grid",), defaults=wishes, presets=presets)
        registry.add(RegistryEntry(declaration, Distribution("test-plugin", "1.0")))
        text = NEEDED.replace("frequencies", "crane") + 'preset = "wild"\n'
        whose = "model 'crane' of test-plugin 1.0:"
        assert Resolver(registry).problems(text) == [
            f"{whose} [training] lerning_rate: unknown key; did you mean 'learning_rate'?",
            f"{whose} [training] steps: expected a whole number, got 'many'",
            f"{whose} [generate] count: must be at least 0 and at most 100000, got -1",
        ]
        # What the user says instead is the user's own.
        problems = Resolver(registry).problems(text + '[training]\nsteps = "few"')
        assert "pipe.toml: [training] steps: expected a whole number, got 'few'" in problems

    def test_an_unknown_preset(self, resolved: Resolver) -> None:
        assert resolved.problems(self.PARROT + 'preset = "wize"') == [
            "pipe.toml: [model] preset: 'parrot' has no preset 'wize'; did you mean 'wise'?"
        ]
        assert resolved.problems(self.PARROT + "preset = 5") == [
            "pipe.toml: [model] preset: 'parrot' has no preset 5; there are: wise, old"
        ]
        assert resolved.problems(NEEDED + 'preset = "x"') == [
            "pipe.toml: [model] preset: 'frequencies' has no preset 'x'; it has none"
        ]


class TestMetrics:
    """Each metric's settings are a table in `[evaluate]` by its name."""

    BOTH = '[evaluate]\nmetrics = ["wing-beats", "similarity"]\n'

    def test_a_table_for_each(self, resolved: Resolver) -> None:
        text = NEEDED + self.BOTH + "[evaluate.similarity]\nwindow = 32\n"
        pipeline = resolved(text + '[evaluate.wing-beats]\nbirds = "crow"')
        beats, similarity = pipeline.metrics
        assert beats.config == WingBeatsConfig(birds=("crow",))
        assert similarity.config == SimilarityConfig(window=32)
        assert pipeline.tables()["evaluate"] == {
            "metrics": ["wing-beats", "similarity"],
            "wing-beats": {"per": 1.0, "birds": ["crow"]},
            "similarity": {"window": 32, "stride": 1, "step": "1/8 beat", "seed": 0},
        }

    def test_the_command_line_lies_over_the_file(self, resolved: Resolver) -> None:
        text = NEEDED + self.BOTH + "[evaluate.similarity]\nwindow = 32\nstride = 4\n"
        assignments = "evaluate.similarity.window=16", "evaluate.wing-beats.per=2"
        beats, similarity = resolved(text, *assignments).metrics
        assert similarity.config == SimilarityConfig(window=16, stride=4)
        assert beats.config == WingBeatsConfig(per=2.0)

    def test_without_tables_the_defaults_and_no_metric_twice(self, resolved: Resolver) -> None:
        pipeline = resolved(NEEDED + '[evaluate]\nmetrics = ["similarity", "nll", "similarity"]')
        assert [metric.name for metric in pipeline.metrics] == ["similarity", "nll"]
        assert pipeline.metrics[0].config == SimilarityConfig()
        # Measured by default, so that a table may stand alone.
        assert resolved(NEEDED + "[evaluate.nll]").tables()["evaluate"] == {"metrics": ["nll"]}

    def test_wishes_lie_below_key_by_key(self) -> None:
        registry = manager.load_from([]).registry
        wishes = {
            "evaluate": {
                "metrics": ["nll", "similarity"],
                "similarity": {"window": 16, "stride": 2},
                "originality": {"ngram": 5},
            }
        }
        presets = {"wide": {"evaluate": {"similarity": {"window": 128}}}}
        declaration = model("crane", ("grid",), defaults=wishes, presets=presets)
        registry.add(RegistryEntry(declaration, Distribution("test-plugin", "1.0")))
        text = NEEDED.replace("frequencies", "crane") + 'preset = "wide"\n'
        pipeline = Resolver(registry)(text + "[evaluate.similarity]\nseed = 7")
        assert pipeline.metrics[1].config == SimilarityConfig(window=128, stride=2, seed=7)
        # A wish for a metric that is not measured is nobody's mistake.
        assert "originality" not in pipeline.tables()["evaluate"]
        assert wishes["evaluate"]["similarity"] == {"window": 16, "stride": 2}

    def test_a_wish_that_cannot_be_is_its_makers(self) -> None:
        registry = manager.load_from([]).registry
        wishes = {"evaluate": {"metrics": "similarity", "similarity": {"window": 0}}}
        declaration = model("crane", ("grid",), defaults=wishes)
        registry.add(RegistryEntry(declaration, Distribution("test-plugin", "1.0")))
        text = NEEDED.replace("frequencies", "crane")
        wrong = "[evaluate.similarity] window: must be at least 1 and at most 1024, got"
        assert Resolver(registry).problems(text) == [f"model 'crane' of test-plugin 1.0: {wrong} 0"]
        own = Resolver(registry).problems(text + "[evaluate.similarity]\nwindow = -1")
        assert own == [f"pipe.toml: {wrong} -1"]

    def test_all_that_is_wrong_at_once(self, resolved: Resolver) -> None:
        text = (
            NEEDED
            + '[evaluate]\nmetrics = ["similarity", "wing-beats", "plumage", "nl"]\n'
            + "metricks = 3\nnll = 4\nwing-beats = 5\n[evaluate.simlarity]\nwindow = 32\n"
            + "[evaluate.originality]\nngramm = 9\n[evaluate.similarity]\nwindow = 2000\n"
            + "windw = 3\nstep = 'often'\n"
        )
        assert sorted(resolved.problems(text, "evaluate.accuracy.top=3")) == sorted(
            [
                "pipe.toml: [evaluate] metrics: no metric 'nl' is installed; did you mean 'nll'?",
                "pipe.toml: [evaluate] metricks: unknown key; did you mean 'metrics'?",
                "pipe.toml: [evaluate] nll: expected a table [evaluate.nll], got 4",
                "pipe.toml: [evaluate] wing-beats: expected a table [evaluate.wing-beats], got 5",
                "pipe.toml: [evaluate] simlarity: no metric 'simlarity' is installed; did you "
                "mean 'similarity'?",
                "pipe.toml: [evaluate] originality: not among the metrics; name it there, or "
                "leave its table out",
                "pipe.toml: [evaluate.originality] ngramm: unknown key; did you mean 'ngram'?",
                "pipe.toml: [evaluate.similarity] window: must be at least 1 and at most 1024, "
                "got 2000",
                "pipe.toml: [evaluate.similarity] windw: unknown key; did you mean 'window'?",
                'pipe.toml: [evaluate.similarity] step: expected a step such as "1/4 beat" or '
                "\"0.3 seconds\", got 'often'",
                "pipe.toml: [evaluate.plumage] colour: missing; A picture of it.",
                "--set: [evaluate] accuracy: not among the metrics; name it there, or leave its "
                "table out",
                "--set: [evaluate.accuracy] top: unknown key",
            ]
        )

    def test_settings_are_looked_at_where_the_metrics_are_not_known(
        self, resolved: Resolver
    ) -> None:
        text = NEEDED + "[evaluate]\nmetrics = 3\n[evaluate.similarity]\nwindow = 0"
        assert resolved.problems(text) == [
            "pipe.toml: [evaluate] metrics: expected a string, got 3",
            "pipe.toml: [evaluate.similarity] window: must be at least 1 and at most 1024, got 0",
        ]

    def test_other_metrics_on_the_command_line_put_the_files_tables_by(
        self, resolved: Resolver
    ) -> None:
        # A run folder's own file has a table for each metric that it was measured by.
        text = NEEDED + self.BOTH + "similarity.window = 32\nwing-beats.per = 2\n"
        only = "evaluate.metrics=similarity"
        (similarity,) = resolved(text, only).metrics
        assert similarity.config == SimilarityConfig(window=32)
        assert resolved(text, "evaluate.metrics=nll").tables()["evaluate"] == {"metrics": ["nll"]}
        assert resolved.problems(text, only, "evaluate.wing-beats.per=3") == [
            "--set: [evaluate] wing-beats: not among the metrics; name it there, or leave its "
            "table out"
        ]

    def test_a_path_starts_where_every_other_does(self, resolved: Resolver) -> None:
        text = NEEDED + '[evaluate]\nmetrics = "plumage"\nplumage.colour = "a.png"\n'
        (plumage,) = resolved(text).metrics
        assert plumage.config == PlumageConfig(colour=FOLDER / "a.png")
        (plumage,) = resolved(text, "evaluate.plumage.colour=b.png").metrics
        assert plumage.config == PlumageConfig(colour=Path.cwd() / "b.png")


class TestPaths:
    def test_from_the_file_or_from_the_working_directory(
        self, tmp_path: Path, registry: Registry
    ) -> None:
        path = tmp_path / "pipe.toml"
        path.write_text(NEEDED + '[generate]\nprompt = "a.mid"')
        pipeline = load(path, registry)
        assert pipeline.corpus.path[0].text == str(tmp_path.resolve() / "tunes")
        assert pipeline.generate.prompt.path == tmp_path.resolve() / "a.mid"
        pipeline = load(path, registry, ["corpus.path=tunes", "corpus.cache=kept"])
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
            [evaluate]
            metrics = ["nll", "nil"]
        """
        assert sorted(resolved.problems(text, "training.seed=-1", "output.1.type=midy")) == sorted(
            [
                "pipe.toml: trainning: unknown table; did you mean 'training'?",
                "pipe.toml: [corpus] pathh: unknown key; did you mean 'path'?",
                "pipe.toml: [corpus] valid: must be at least 0.0 and less than 1.0, got 1.5",
                "pipe.toml: [corpus] path: missing; A file, a folder, a built-in corpus such as "
                "`music21:bach-chorales`, or a list.",
                "pipe.toml: [encoder] highest: must be at least lowest (60), got 50",
                "pipe.toml: [model] given: expected one of 'nothing', 'pitch', 'last', got 'lost'; "
                "did you mean 'last'?",
                "pipe.toml: [training] steps: expected a whole number, got 'many'",
                "--set: [training] seed: must be at least 0 and at most 9007199254740992, got -1",
                "pipe.toml: [sampler.0] type: no sampler 'bernouli' is installed; "
                "did you mean 'bernoulli'?",
                "pipe.toml: [sampler.1] heat: unknown key",
                'pipe.toml: [generate] length: expected a length such as "64 steps", "16 beats", '
                '"8 bars", "30 seconds" or "500 tokens", got \'30\'',
                "pipe.toml: [output.0] strings: must be at least 20 and at most 48, got 10",
                "--set: [output.1] type: no writer 'midy' is installed; did you mean 'midi'?",
                "pipe.toml: [evaluate] metrics: no metric 'nil' is installed; did you mean 'nll'?",
            ]
        )

    def test_tables_of_the_wrong_kind(self, resolved: Resolver) -> None:
        text = 'training = 5\nsampler = ["greedy"]\n' + NEEDED
        assert resolved.problems(text) == [
            "pipe.toml: training: expected a table [training], got 5",
            "pipe.toml: sampler: expected [[sampler]], a list of tables",
        ]

    def test_one_table_where_a_list_is_meant(self, resolved: Resolver) -> None:
        pipeline = resolved(NEEDED + '[sampler]\ntype = "greedy"')
        assert [sampler.name for sampler in pipeline.samplers] == ["greedy"]

    def test_nothing_at_all(self, resolved: Resolver) -> None:
        assert resolved.problems("") == [
            "pipe.toml: [corpus] path: missing; A file, a folder, a built-in corpus such as "
            "`music21:bach-chorales`, or a list.",
            "pipe.toml: [model] type: missing; say which model to train: "
            + ", ".join(resolved.registry.names("model")),
        ]

    def test_a_component_without_or_with_a_wrong_type(self, resolved: Resolver) -> None:
        text = '[corpus]\npath = "x"\n[model]\ngiven = "last"\n[[sampler]]\ntype = 5'
        assert resolved.problems(text) == [
            "pipe.toml: [model] type: missing; name a model: "
            + ", ".join(resolved.registry.names("model")),
            "pipe.toml: [sampler.0] type: got 5; name a sampler: "
            + ", ".join(resolved.registry.names("sampler")),
        ]

    def test_empty_lists_and_lengths(self, resolved: Resolver) -> None:
        text = NEEDED.replace('"tunes"', "[]") + '[generate]\nlength = "0 bars"'
        assert resolved.problems(text) == [
            "pipe.toml: [corpus] path: an empty list; name a file, a folder or a built-in corpus",
            "pipe.toml: [generate] length: must be more than nothing",
        ]

    def test_shares_that_leave_nothing(self, resolved: Resolver) -> None:
        text = NEEDED.replace("[model]", "valid = 0.5\ntest = 0.5\n[model]")
        assert resolved.problems(text) == [
            "pipe.toml: [corpus] valid: valid and test together must leave a share to train on"
        ]

    def test_an_unknown_model_names_the_nearest(self, resolved: Resolver) -> None:
        assert resolved.problems(NEEDED, "model.type=parot") == [
            "--set: [model] type: no model 'parot' is installed; did you mean 'parrot'?"
        ]


class TestReader:
    def test_by_name_or_with_settings(self, resolved: Resolver) -> None:
        text = NEEDED.replace("[model]", 'reader = "rolls"\n[model]')
        pipeline = resolved(text)
        assert pipeline.reader is not None
        assert pipeline.reader.table() == {"type": "rolls", "step": "1 beat"}
        pipeline = resolved(text, "corpus.reader.step=1/4 beat")
        assert pipeline.reader is not None
        assert pipeline.reader.config.step == GridStep(Fraction(1, 4), "beat")  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("reader", "message"),
        [
            (
                '"rols"',
                "[corpus.reader] type: no reader 'rols' is installed; did you mean 'rolls'?",
            ),
            ("5", "[corpus] reader: expected a reader's name or a table, got 5"),
            ("{type = 'rolls', stp = 1}", "[corpus.reader] stp: unknown key; did you mean 'step'?"),
            ("{}", "[corpus.reader] type: missing; name a reader: {readers}"),
        ],
    )
    def test_what_is_wrong_with_one(self, resolved: Resolver, reader: str, message: str) -> None:
        text = NEEDED.replace("[model]", f"reader = {reader}\n[model]")
        message = message.replace("{readers}", ", ".join(resolved.registry.names("reader")))
        assert resolved.problems(text) == [f"pipe.toml: {message}"]


class TestWiring:
    def test_a_token_model_on_a_grid(self, resolved: Resolver) -> None:
        text = '[corpus]\npath = "x"\n[encoder]\ntype = "piano-roll"\n[model]\ntype = "parrot"'
        # The model's wish for a greedy sampler fits both layouts. The encoder that raises and
        # the one whose layout cannot be known without its settings are passed over.
        assert resolved.problems(text) == [
            "pipe.toml: [model] type: 'parrot' works on tokens, but encoder 'piano-roll' makes "
            "grid; encoders that fit: words"
        ]

    def test_a_grid_model_on_tokens(self, resolved: Resolver) -> None:
        assert resolved.problems(NEEDED + '[encoder]\ntype = "words"') == [
            "pipe.toml: [model] type: 'frequencies' works on grid, but encoder 'words' makes "
            "tokens; encoders that fit: piano-roll"
        ]

    def test_a_model_that_no_encoder_fits(self, resolved: Resolver) -> None:
        # The one encoder of runes has a key that must be given, so it cannot be tried out.
        assert resolved.problems(NEEDED, "model.type=skald") == [
            "--set: [model] type: 'skald' works on runes, but encoder 'piano-roll' makes grid; "
            "encoders that fit: none installed"
        ]

    def test_what_a_model_says_of_the_layout(self, resolved: Resolver) -> None:
        assert resolved.problems(NEEDED, "model.type=parrot", "encoder.size=101") == [
            "--set: [model] type: a parrot learns 100 words, not 101"
        ]

    def test_samplers_losses_and_writers_of_another_kind(self, resolved: Resolver) -> None:
        text = NEEDED + (
            '[[sampler]]\ntype = "greedy"\n[[sampler]]\ntype = "categorical"\n'
            '[[output]]\ntype = "text"\n[[output]]\ntype = "midi"\n[loss]\ntype = "hinge"'
        )
        assert resolved.problems(text) == [
            "pipe.toml: [sampler.1] type: 'categorical' draws for tokens, not for grid",
            "pipe.toml: [loss] type: 'hinge' is a loss for runes, not for grid",
            "pipe.toml: [output.0] type: 'text' writes a text, but this pipeline makes a score "
            "and probabilities",
        ]

    def test_a_chain_for_a_layout_of_a_plugins_own(self, resolved: Resolver) -> None:
        text = (
            '[corpus]\npath = "x"\n[encoder]\ntype = "runes"\nalphabet = "f"\n'
            '[model]\ntype = "skald"\n[[sampler]]\ntype = "staves"\n[[sampler]]\ntype = "staves"'
        )
        assert resolved.problems(text) == [
            "pipe.toml: [sampler.1] type: a chain cannot draw for 'runes'"
        ]

    def test_a_layout_without_a_sampler_and_with_several(self, resolved: Resolver) -> None:
        registry = manager.load_from([]).registry
        for declaration in DECLARED[1:]:
            if declaration.name not in ("staves", "words"):
                registry.add(RegistryEntry(declaration, Distribution("test-plugin", "1.0")))
        text = (
            '[corpus]\npath = "x"\n[encoder]\ntype = "runes"\nalphabet = "f"\n'
            '[model]\ntype = "skald"'
        )
        assert Resolver(registry).problems(text) == [
            "pipe.toml: [sampler] type: missing for the layout 'runes'; none is installed"
        ]
        for name in ("staves", "bones"):
            declaration = SamplerDeclaration(
                name=name, summary="", target="a:B", layouts=("runes",)
            )
            registry.add(RegistryEntry(declaration, Distribution("test-plugin", "1.0")))
        assert Resolver(registry).problems(text) == [
            "pipe.toml: [sampler] type: missing for the layout 'runes'; choose one of bones, staves"
        ]

    def test_a_model_without_its_sampler(self, resolved: Resolver) -> None:
        assert resolved.problems("sampler = []\n" + NEEDED) == [
            "pipe.toml: [sampler]: 'frequencies' needs a sampler"
        ]
        # A sampler misspelt is one mistake, not two.
        (problem,) = resolved.problems(NEEDED + '[[sampler]]\ntype = "gredy"')
        assert "no sampler 'gredy' is installed" in problem

    def test_stateful_batching_of_a_model_that_cannot(self, resolved: Resolver) -> None:
        assert resolved.problems(NEEDED + '[training]\nbatching = "stateful"') == [
            "pipe.toml: [training] batching: model 'frequencies' cannot carry its state from batch "
            "to batch"
        ]
        assert resolved(NEEDED, "model.type=parrot", "training.batching=stateful")

    def test_filling_up_to_no_length(self, resolved: Resolver) -> None:
        text = NEEDED + '[training]\nbatching = "pieces"\nfill = "repeat"'
        assert resolved.problems(text) == [
            'pipe.toml: [training] sequence_length: fill = "repeat" needs a length to fill up to'
        ]
        assert resolved(text, "training.sequence_length=64")

    def test_libraries_that_are_not_installed(self, resolved: Resolver) -> None:
        text = NEEDED + '[[output]]\ntype = "harp"\n[evaluate]\nmetrics = ["plucks"]'
        needs = "needs a library that is not installed: pip install harp"
        assert resolved.problems(text, "model.type=harpist") == [
            f"--set: [model] type: model 'harpist' {needs}",
            f"pipe.toml: [output.0] type: writer 'harp' {needs}",
            f"pipe.toml: [evaluate] metrics: metric 'plucks' {needs}",
        ]

    def test_one_table_in_the_wrong_does_not_hide_the_wiring(self, resolved: Resolver) -> None:
        text = '[corpus]\npath = 5\n[encoder]\ntype = "piano-roll"\n[model]\ntype = "parrot"'
        assert [line.split(":")[1] for line in resolved.problems(text)] == [
            " [corpus] path",
            " [model] type",
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
        NEEDED + '[evaluate]\nmetrics = ["wing-beats", "nll", "similarity"]\n'
        'wing-beats.per = 3\nsimilarity.step = "1/3 beat"',
    )

    @pytest.mark.parametrize("text", TEXTS)
    def test_a_resolved_pipeline_resolves_to_itself(
        self, resolved: Resolver, registry: Registry, tmp_path: Path, text: str
    ) -> None:
        pipeline = resolved(text)
        path = tmp_path / "pipe.toml"
        path.write_text(tomli_w.dumps(pipeline.tables()), encoding="utf-8")
        again = load(path, registry)
        assert again == pipeline
        assert again.tables() == pipeline.tables()
        assert list(pipeline.tables()) == [name for name in ORDER if name in pipeline.tables()]

    def test_every_key_is_written_out(self, resolved: Resolver) -> None:
        training = resolved(NEEDED, "training.steps=5").tables()["training"]
        unset = {
            field.name
            for field in dataclasses.fields(TrainingConfig)
            if field.default is None and field.name != "steps"
        }
        assert set(training) == {field.name for field in dataclasses.fields(TrainingConfig)} - unset

    def test_components_names_every_one(self, resolved: Resolver) -> None:
        text = NEEDED.replace("[model]", 'reader = "rolls"\n[model]')
        text += '[loss]\ntype = "squared-error"'
        names = {part.name for part in resolved(text).components()}
        assert names == {
            *("rolls", "piano-roll", "frequencies", "squared-error"),
            *("bernoulli", "nll", "midi", "console"),
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
        *("type", "preset", "reader", "path", "steps", "metrics", "length", "size", "0"),
        *("frequencies", "parrot", "words", "piano-roll", "wise", "greedy", "rolls", "nll"),
        *("1/4 beat", "30 seconds", "music21:bach", "corpus", "stateful"),
        *("similarity", "wing-beats", "window", "per"),
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
        | st.tuples(words, words, words).map(lambda w: f"evaluate.{w[0]}.{w[1]}={w[2]}")
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
        pipeline = resolve(made, registry)
        assert isinstance(pipeline.generate.length, Length)


class TestFormerNames:
    def test_every_former_key_is_refused_with_the_new_one(self, resolved: Resolver) -> None:
        text = (
            '[training]\nfeed = "pieces"\n[generate]\nprime = "none"\nprime_text = "x"\n'
            'prime_length = "1 bar"\nprime_offset = 0\ninclude_prime = true\n'
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
        }
        assert "'batching'" in new["training", "feed"]
        assert "'callback'" in new["", "callbacks"]
        assert "'prompt_length'" in new["generate", "prime_length"]
