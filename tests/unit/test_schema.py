"""The JSON Schema of pipelines takes what `check` takes, and says where the rest is wrong."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
import tomli
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from musengine.config.fields import Config, build, setting, to_table
from musengine.config.general_midi import GENERAL_MIDI
from musengine.config.quantities import GridStep, Instrument, Key, Length, Meter, Period
from musengine.config.setting_types import Quantity, setting_type
from musengine.config.toml import SettingsSource
from musengine.errors import ConfigError
from musengine.pipeline.json_schema import pipeline_schema, table_schema
from musengine.pipeline.resolve import resolve_pipeline
from musengine.pipeline.sections import INSIDE, LISTS, SECTIONS, SINGLE
from musengine.pipeline.values import Prompt, Source
from musengine.plugins import manager
from musengine.plugins.configs import ModelConfig
from musengine.plugins.declarations import (
    EncoderDeclaration,
    ModelDeclaration,
    Requirement,
    SamplerDeclaration,
)
from musengine.plugins.registry import Distribution, Registry, RegistryEntry
from musengine.testing.strategies import few

ROOT = Path(__file__).resolve().parents[2]
BASE = Path("/music/here").resolve()
ORIGIN = Distribution("test-plugin", "1.0")


def accepts(schema: dict[str, Any], value: object) -> bool:
    return bool(Draft7Validator(schema).is_valid(value))


def converts(value: object, hint: Any) -> bool:
    try:
        setting_type(hint).read(value, BASE)
    except ValueError:
        return False
    return True


# What JSON Schema cannot tell apart or TOML's paths alone refuse is left out of every draw: 4.0 is
# a whole number to a schema, `~name` needs a user of that name, and no path holds a NUL.
floats = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
texts = st.text(max_size=12).filter(lambda text: "\0" not in text and not text.startswith("~"))
scalars = st.one_of(st.booleans(), st.integers(-3, 200), floats, texts)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


def quantity_texts() -> st.SearchStrategy[str]:
    """Numbers with units, right and nearly right."""
    number = st.from_regex(r"0{0,2}[0-9]{0,4}(\.[0-9]{0,4})?(/[0-9]{1,3})?", fullmatch=True)
    units = ("step", "steps", "BEATS", "beat", "Bars", "second", "seconds", "tokens", "minute")
    unit = st.sampled_from([*units, "minutes", "Epoch", "epochs", "weeks", "", "s", "beatss"])
    blank = st.sampled_from(["", " ", "\t ", "\n"])
    return st.tuples(blank, number, blank, unit, blank).map("".join)


def instrument_texts() -> st.SearchStrategy[str]:
    name = st.sampled_from(GENERAL_MIDI)
    changes = (str, str.upper, str.lower, str.swapcase, lambda name: f" {name}\n", lambda x: x[1:])
    return st.tuples(name, st.sampled_from(changes)).map(lambda pair: pair[1](pair[0]))


QUANTITIES: list[type[Quantity]] = [
    Length,
    Period,
    GridStep,
    Meter,
    Key,
    Instrument,
    Source,
    Prompt,
]


class TestQuantities:
    @pytest.mark.parametrize("kind", QUANTITIES, ids=lambda kind: kind.__name__)
    @few(100)
    @given(value=st.one_of(quantity_texts(), instrument_texts(), texts, values))
    def test_the_schema_takes_what_is_read(self, kind: type[Quantity], value: object) -> None:
        if kind is GridStep and isinstance(value, str) and "/" in value:
            # A pattern cannot compare numbers: that a fraction lies between 1/1000 and 1000, and
            # its denominator is a million at most, is left to the reading.
            match = re.search(r"([0-9]+)/([0-9]+)", value)
            assume(match and int(match[2]) and Fraction(1, 1000) <= Fraction(match[0]) <= 1000)
        assert accepts(kind.schema(), value) == converts(value, kind)

    @pytest.mark.parametrize(
        ("kind", "good", "bad"),
        [
            (Length, ["64 steps", "7.0 tokens", "2.5Bars"], ["1.5 steps", "3", 3, "-1 bar"]),
            (Period, [1, "1 epoch", "0.5 minutes"], [0, True, "0 steps", "0.0 minutes"]),
            (Period, ["01 Steps"], ["2.5 epochs", "1 beat", -1, 1.5]),
            (GridStep, ["1/4 beat", "0.001 beats"], ["0.0009 beat", "0 beat", "1/0 beat"]),
            (GridStep, ["1000.0 seconds", "01second"], ["1000.1 beat", "1001 beat", "1 Beat"]),
            (Meter, ["3/4", " 12/8 ", "04/04"], ["0/4", "4/3", "4/0", "100/4", "3/128"]),
            (Key, ["G", "Bb major", "C#", "Cb", "F# minor", "A#m "], ["g", "Fb", "G#", "Dbm"]),
            (Instrument, [0, 127, "Church Organ"], [-1, 128, True, "Organ", "Church Organs"]),
            (Instrument, ["CHURCH organ ", "LEAD 8 (bass + lead)"], ["LEAD 8 bass + lead"]),
            (Source, ["a", "music21:x"], ["", "  ", 3]),
            (Prompt, ["corpus", "none", "a.mid"], ["", 0]),
        ],
    )
    def test_examples(self, kind: type[Quantity], good: list[Any], bad: list[Any]) -> None:
        assert [value for value in good if not accepts(kind.schema(), value)] == []
        assert [value for value in bad if accepts(kind.schema(), value)] == []

    @pytest.mark.parametrize("kind", QUANTITIES, ids=lambda kind: kind.__name__)
    def test_its_examples_are_right(self, kind: type[Quantity]) -> None:
        schema = kind.schema()
        parts = [schema, *schema.get("anyOf", [])]
        examples = [example for part in parts for example in part.get("examples", [])]
        assert [example for example in examples if not converts(example, kind)] == []

    def test_a_quantity_without_a_schema_takes_anything(self) -> None:
        class Mood(Quantity):
            pass

        assert accepts(setting_type(Mood).schema, "gloomy")
        assert accepts(setting_type(tuple[Mood, ...]).schema, [3])


class TestTypes:
    @pytest.mark.parametrize(
        "hint",
        [
            *(bool, int, float, str, Path, Period, int | None, bool | Path, float | str),
            *(Literal["a", "b"], Literal[1, 2], Literal["a"] | int | None),
            *(tuple[int, ...], tuple[float | str, ...], tuple[tuple[int, ...], ...] | bool),
            tuple[Literal["a", "b"], ...] | None,
        ],
        ids=str,
    )
    @few(100)
    @given(value=values | st.sampled_from(["a", "b", ["a"], [1], [[1, 2]], [], "1 epoch"]))
    def test_a_type_takes_what_is_converted(self, hint: Any, value: object) -> None:
        assert accepts(setting_type(hint).schema, value) == converts(value, hint)


@dataclass(frozen=True, kw_only=True)
class EverythingConfig(Config):
    """Keys of every kind."""

    needed: int = setting(doc="Must be given.", low=1, high=5)
    share: float = setting(0.5, doc="A share.", above=0.0, below=1.0)
    sizes: tuple[int, ...] = setting((4,), doc="Sizes.", low=2, one_or_many=True)
    where: tuple[Path, ...] | None = setting(None, doc="Places.", one_or_many=True)
    how: Literal["so", "otherwise"] = setting("so", doc="A choice.")
    limit: int | str | None = setting(None, doc="A number from 0, or a word.", low=0)
    every: Period = setting(Period(5, "steps"), doc="How often.", low=3)


@cache
def config_classes() -> list[type[Config]]:
    """The core's tables and the settings of every component that is installed."""
    entries = manager.load().registry.entries.values()
    found = [EverythingConfig, *SECTIONS.values(), *(entry.declaration.config for entry in entries)]
    return list(dict.fromkeys(found))


def without_checks(cls: type[Config]) -> type[Config]:
    """The same keys; what must fit together is not looked at, as no schema does."""
    return type(cls.__name__, (cls,), {"problems": lambda self: ()})


@st.composite
def tables(draw: st.DrawFn) -> tuple[type[Config], dict[str, Any]]:
    """A table of some Config, each key right or wrong by chance."""
    cls = draw(st.sampled_from(config_classes()))
    properties = table_schema(cls)["properties"]
    likely = [value for key in properties.values() for value in near(key)]
    pool = st.sampled_from([*likely, "4 steps", "1/4 beat", 0, 1, 2, -1, 0.25, 3.5, True, [2], []])
    names = st.sampled_from([*properties, "unknown"])
    table = draw(st.dictionaries(names, pool | values, max_size=4))
    required = [key for key in table_schema(cls).get("required", []) if draw(st.booleans())]
    return cls, dict.fromkeys(required, 1 if cls is EverythingConfig else "x") | table


def near(key: dict[str, Any]) -> Iterator[Any]:
    """Yield values at the edges of what a key takes."""
    for part in (key, *key.get("anyOf", ())):
        yield from part.get("enum", ())
        for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if word in part:
                yield from (int(part[word]) + step for step in (-1, 0, 1))
                yield part[word] + 0.25
    if "default" in key and not (isinstance(key["default"], float) and key["default"] % 1 == 0):
        yield key["default"]


class TestTables:
    @few(400)
    @given(case=tables())
    def test_a_table_is_valid_where_it_can_be_built(
        self, case: tuple[type[Config], dict[str, Any]]
    ) -> None:
        cls, table = case
        _, problems = build(
            without_checks(cls), table, file="f", name="t", base_of=lambda key: BASE
        )
        assert accepts(table_schema(cls), table) == (not problems), problems

    def test_every_default_is_valid(self) -> None:
        for cls in config_classes():
            for name, key in table_schema(cls)["properties"].items():
                if "default" in key:
                    assert accepts(key, key["default"]), f"{cls.__name__}.{name}"

    def test_what_a_person_reads(self) -> None:
        schema = table_schema(EverythingConfig)
        assert schema["properties"]["share"] == {
            "description": "A share.",
            "type": "number",
            "exclusiveMinimum": 0.0,
            "exclusiveMaximum": 1.0,
            "default": 0.5,
        }
        assert schema["properties"]["every"]["default"] == 5
        assert schema["properties"]["sizes"]["default"] == [4]
        assert "default" not in schema["properties"]["limit"]
        assert schema["required"] == ["needed"]
        assert "required" not in table_schema(EverythingConfig, supplied=["needed"])


MINIMAL = {"corpus": {"path": "tunes"}, "model": {"type": "frequencies"}}
FULL = """
[corpus]
path = ["tunes", "music21:bach"]
reader = { type = "rolls", step = "1/2 beat" }
cache = "there"
[encoder]
lowest = 40
[model]
type = "frequencies"
[training]
unset = ["steps"]
minutes = 1.5
checkpoint_every = "1 epoch"
[[sampler]]
type = "bernoulli"
[[sampler]]
type = "greedy"
[generate]
instrument = 40
[evaluate]
parts = ["test"]
[[metric]]
type = "nll"
[[output]]
type = "midi"
[[callback]]
type = "console"
every = 2
"""


@pytest.fixture(scope="module")
def installed() -> Registry:
    return manager.load().registry


@cache
def installed_schema() -> dict[str, Any]:
    schema, problems = pipeline_schema(manager.load().registry)
    assert problems == []
    return schema


def resolved(tables: dict[str, Any], registry: Registry) -> dict[str, Any]:
    """Return the tables as a run keeps them, every default filled in."""
    source = SettingsSource(Path("pipe.toml"), "pipe.toml", copy.deepcopy(tables), BASE)
    return resolve_pipeline(source, registry).tables()


def faults(schema: dict[str, Any], tables: dict[str, Any]) -> set[tuple[str | int, ...]]:
    """Return where a schema finds fault, as paths of keys."""
    return {tuple(error.absolute_path) for error in Draft7Validator(schema).iter_errors(tables)}


class TestPipelines:
    def test_it_is_a_schema(self) -> None:
        Draft7Validator.check_schema(installed_schema())
        assert installed_schema()["$schema"] == "http://json-schema.org/draft-07/schema#"

    @pytest.mark.parametrize(
        "path", sorted((ROOT / "pipelines").rglob("*.toml")), ids=lambda p: p.name
    )
    def test_the_ready_pipelines(self, path: Path, installed: Registry) -> None:
        tables = tomli.loads(path.read_text("utf-8"))
        if tables["model"]["type"] not in installed.names("model"):
            pytest.skip(f"the model {tables['model']['type']!r} is not installed")
        whole = resolved(tables, installed)
        assert faults(installed_schema(), tables) == set()
        assert faults(installed_schema(), whole) == set()

    @pytest.mark.parametrize("tables", [MINIMAL, tomli.loads(FULL)], ids=["minimal", "full"])
    def test_a_pipeline_of_the_core(self, tables: dict[str, Any], installed: Registry) -> None:
        assert faults(installed_schema(), tables) == set()
        assert faults(installed_schema(), resolved(tables, installed)) == set()

    # Each with the place where an editor underlines it; `check` refuses every one too.
    @pytest.mark.parametrize(
        ("change", "place"),
        [
            ("[model]\nhiden = 3", ("model",)),
            ("[corpus]\nkey = 'minor'", ("corpus", "key")),
            ("[corpus]\nvalid = 1.0", ("corpus", "valid")),
            ("[corpus]\nreader = 'midy'", ("corpus", "reader")),
            ("[corpus.reader]\ntype = 'rolls'\nstep = 'often'", ("corpus", "reader", "step")),
            ("[corpus.reader]\nstep = '1 beat'", ("corpus", "reader")),
            ("[encoder]\ntype = 'piano-rolls'", ("encoder", "type")),
            ("[encoder]\ntype = 'piano-roll'\nlowest = 'C4'", ("encoder", "lowest")),
            ("[encoder]\ntype = 'piano-roll'\nstep = 0.25", ("encoder", "step")),
            ("[model]\ngiven = 'last note'", ("model", "given")),
            ("[model]\npreset = 'any'", ("model",)),
            ("[loss]\nweight = 2", ("loss",)),
            ("[loss]\ntype = 'cross-entropy'\npreset = 'any'", ("loss",)),
            ("[training]\nsteps = 2.5", ("training", "steps")),
            ("[training]\nbatch_size = 0", ("training", "batch_size")),
            ("[training]\noptimizer = 'Adam'", ("training", "optimizer")),
            ("[training]\nschedule = 5", ("training", "schedule")),
            ("[training]\nunset = 'steps'", ("training", "unset")),
            ("[training]\nunset = ['stepps']", ("training", "unset", 0)),
            ("[encoder]\ntype = 'piano-roll'\nunset = ['lowermost']", ("encoder", "unset", 0)),
            ("[training.optimizer]\ntype = 'adam'\nheat = 1", ("training", "optimizer")),
            ("[training.batching]\ntype = 'piecess'", ("training", "batching", "type")),
            ("[training.batching]\nlength = 3", ("training", "batching")),
            ("[generate]\nlength = '8 bras'", ("generate", "length")),
            ("[generate]\ninstrument = 'Kazoo'", ("generate", "instrument")),
            ("[evaluate]\nparts = ['valid', 'tests']", ("evaluate", "parts")),
            ("[evaluate]\nmetrics = ['nll']", ("evaluate",)),
            ("[[metric]]\ntype = 'nlll'", ("metric", 0, "type")),
            ("[[metric]]\ntype = 'nll'\nwindow = 3", ("metric", 0)),
            ("[[sampler]]\ntype = 'greedy'\nk = 3", ("sampler", 0)),
            ("[[sampler]]\ntype = 'gredy'", ("sampler", 0, "type")),
            ("[sampler]\ntype = 'gredy'", ("sampler", "type")),
            ("[[callback]]\ntype = 'console'\n[[callback]]\ntype = 'samples'\nevery = 0",
             ("callback", 1, "every")),
            ("[[output]]\nformat = 'png'", ("output", 0)),
            ("[modle]\ntype = 'x'", ()),
        ],
    )  # fmt: skip
    def test_faults_are_found_where_they_are(
        self, change: str, place: tuple[str | int, ...], installed: Registry
    ) -> None:
        tables = copy.deepcopy(MINIMAL)
        for name, table in tomli.loads(change).items():
            tables[name] = {**tables.get(name, {}), **table} if isinstance(table, dict) else table
        assert place in faults(installed_schema(), tables)
        # A key of a table at fault is told of at the table: nothing else is underlined.
        assert all(found[: len(place)] == place for found in faults(installed_schema(), tables))
        with pytest.raises(ConfigError):
            resolved(tables, installed)

    @pytest.mark.parametrize("tables", [{}, {"corpus": {}}, {"corpus": {"path": "x"}}])
    def test_what_must_be_said(self, tables: dict[str, Any], installed: Registry) -> None:
        assert faults(installed_schema(), tables)
        with pytest.raises(ConfigError):
            resolved(tables, installed)

    @few(60)
    @given(data=st.data())
    def test_what_check_takes_is_valid(self, data: st.DataObject) -> None:
        tables = data.draw(st.sampled_from([MINIMAL, tomli.loads(FULL)]).map(copy.deepcopy))
        for _ in range(data.draw(st.integers(1, 3))):
            mutate(tables, data.draw)
        try:
            resolved(tables, manager.load().registry)
        except ConfigError:
            return  # the most are: nothing is said of these here
        assert faults(installed_schema(), tables) == set()


def mutate(tables: dict[str, Any], draw: Any) -> None:
    """Change one thing of a pipeline, to something right or wrong."""
    registry = manager.load().registry
    kinds = {**SINGLE, **LISTS}
    name = draw(st.sampled_from([*SECTIONS, *kinds]))
    table = tables.setdefault(name, {})
    if isinstance(table, list):
        if draw(st.booleans()):
            table.append({"type": draw(st.sampled_from(registry.names(kinds[name])))})
            return
        table = draw(st.sampled_from(table)) if table else {}
    if name in kinds and draw(st.booleans()):
        table["type"] = draw(st.sampled_from(registry.names(kinds[name])))
    if table and draw(st.booleans()):
        del table[draw(st.sampled_from(sorted(table)))]
        return
    kind = kinds.get(name)
    entry = registry.entries.get((kind or "", str(table.get("type", "piano-roll"))))
    cls = SECTIONS.get(name) or (entry.declaration.config if entry else None)
    if cls is not None and (properties := table_schema(cls)["properties"]):
        key = draw(st.sampled_from(sorted(properties)))
        likely = [*near(properties[key]), True, 1, 2, 0.5, "x", "4 beats", "1 beat", ["x"], []]
        table[key] = draw(st.sampled_from(likely))


# What follows needs components of its own.


@dataclass(frozen=True, kw_only=True)
class SingerConfig(ModelConfig):
    """A model with a key that presets or another's defaults give."""

    voices: int = setting(doc="How many sing.", low=1)


@dataclass(frozen=True, kw_only=True)
class UnreadableConfig(ModelConfig):
    """Its annotation names nothing."""

    size: Nowhere = setting(1, doc="?")  # type: ignore[name-defined]  # noqa: F821


def model(name: str, **more: Any) -> ModelDeclaration:
    settings = {"config": ModelConfig, "layouts": ("grid",), **more}
    return ModelDeclaration(name=name, summary=f"The {name}", target="a:B", **settings)


def schema_with(*declarations: Any) -> tuple[Registry, dict[str, Any], list[str]]:
    registry = manager.load_from([]).registry
    for declaration in declarations:
        assert registry.add(RegistryEntry(declaration, ORIGIN)) is None
    return (registry, *pipeline_schema(registry))


def both(registry: Registry, schema: dict[str, Any], tables: dict[str, Any]) -> tuple[bool, bool]:
    """Return whether the schema takes the tables, and whether `check` does."""
    try:
        resolved(tables, registry)
    except ConfigError:
        return not faults(schema, tables), False
    return not faults(schema, tables), True


class TestPlugins:
    def test_presets_are_offered_and_fill_in_what_must_be_given(self) -> None:
        presets = {"choir": {"model": {"voices": 8}}, "solo": {"model": {"voices": 1}}}
        singer = model("singer", config=SingerConfig, presets=presets)
        registry, schema, _ = schema_with(singer)
        corpus = {"path": "x"}
        for table, fine in (
            ({"type": "singer", "preset": "choir"}, True),
            ({"type": "singer", "preset": "solo", "voices": 2}, True),
            ({"type": "singer", "preset": "duet"}, False),
            ({"type": "singer", "preset": "solo", "voices": 0}, False),
            ({"type": "frequencies", "preset": "choir"}, False),
        ):
            assert both(registry, schema, {"corpus": corpus, "model": table}) == (fine, fine)
        offered = schema["definitions"]["model.singer"]["properties"]["preset"]["enum"]
        assert offered == ["choir", "solo"]

    def test_an_encoder_that_a_model_names_needs_no_type(self) -> None:
        piano_roll = manager.load().registry.get("encoder", "piano-roll").declaration
        assert isinstance(piano_roll, EncoderDeclaration)
        from musengine.builtin.configs import PianoRollConfig

        @dataclass(frozen=True, kw_only=True)
        class FinerConfig(PianoRollConfig):
            """A piano-roll with one more key."""

            fineness: int = setting(1, doc="How fine.", low=1)

        finer = EncoderDeclaration(name="finer", summary="", target="a:B", config=FinerConfig)
        unnamed = EncoderDeclaration(name="other", summary="", target="a:B", config=FinerConfig)
        harpist = model("harpist", defaults={"encoder": {"type": "finer"}}, training="fit")
        registry, schema, _ = schema_with(finer, harpist)
        tables = {"corpus": {"path": "x"}, "model": {"type": "harpist"}}
        assert both(registry, schema, {**tables, "encoder": {"fineness": 2}}) == (True, True)
        assert both(registry, schema, {**tables, "encoder": {"fineness": 0}}) == (False, False)
        assert both(registry, schema, {**tables, "encoder": {"fine": 2}}) == (False, False)
        # One that nobody names by default has to be named.
        registry, schema, _ = schema_with(unnamed)
        tables = MINIMAL | {"encoder": {"fineness": 2}}
        assert both(registry, schema, tables) == (False, False)
        tables = MINIMAL | {"encoder": {"fineness": 2, "type": "other"}}
        assert both(registry, schema, tables) == (True, True)

    def test_the_encoder_for_scores_needs_no_type(self) -> None:
        registry, schema, _ = schema_with()
        tables: dict[str, Any] = {"model": {"type": "frequencies"}, "corpus": {"path": "x"}}
        assert both(registry, schema, tables | {"encoder": {"lowest": 30}}) == (True, True)
        default = registry.get("encoder", "piano-roll")
        named = replace(default.declaration, default_for=())
        registry.entries["encoder", "piano-roll"] = replace(default, declaration=named)
        schema, _ = pipeline_schema(registry)
        assert both(registry, schema, tables | {"encoder": {"lowest": 30}}) == (False, False)

    def test_what_another_sets_by_default_need_not_be_said(self) -> None:
        defaults = {"corpus": {"path": "music21:bach"}, "loss": {"type": "cross-entropy"}}
        registry, schema, _ = schema_with(model("curator", defaults=defaults))
        tables: dict[str, Any] = {"model": {"type": "curator"}}
        assert both(registry, schema, tables) == (True, True)
        assert both(registry, schema, tables | {"loss": {}}) == (True, True)
        assert both(registry, schema, tables | {"loss": {"share": 1}}) == (False, False)

    def test_names_that_mean_something_in_a_pointer(self) -> None:
        odd = "a/b ~c%20#d"
        sampler = SamplerDeclaration(name=odd, summary="", target="a:B", layouts=("grid",))
        registry, schema, _ = schema_with(model(odd, training="fit"), sampler)
        tables = {"corpus": {"path": "x"}, "model": {"type": odd}, "sampler": [{"type": odd}]}
        assert both(registry, schema, tables) == (True, True)
        tables["model"] = {"type": odd, "unknown": 1}
        assert both(registry, schema, tables) == (False, False)

    def test_a_name_that_two_plugins_claim_is_no_component(self) -> None:
        registry = manager.load_from([]).registry
        registry.add(RegistryEntry(model("twin"), ORIGIN))
        registry.add(RegistryEntry(model("twin"), Distribution("other-plugin", "2.0")))
        schema, _ = pipeline_schema(registry)
        assert not accepts(schema, {"corpus": {"path": "x"}, "model": {"type": "twin"}})

    def test_a_component_that_cannot_be_described_hides_no_other(self) -> None:
        _, schema, problems = schema_with(model("broken", config=UnreadableConfig), model("whole"))
        assert problems == [
            "model 'broken' of test-plugin 1.0: its settings cannot be described: NameError: "
            "name 'Nowhere' is not defined"
        ]
        corpus = {"path": "x"}
        assert accepts(schema, {"corpus": corpus, "model": {"type": "broken", "size": 3}})
        assert accepts(schema, {"corpus": corpus, "model": {"type": "whole"}})
        assert not accepts(schema, {"corpus": corpus, "model": {"type": "whole", "size": 3}})

    def test_what_an_editor_shows(self) -> None:
        harp = Requirement(module="no_such_module_anywhere", install="pip install harp")
        _, schema, _ = schema_with(model("harpist", requires=(harp,)))
        assert "musengine" in schema["description"]
        assert "test-plugin 1.0" in schema["description"]
        harpist = schema["definitions"]["model.harpist"]
        assert harpist["description"] == "The harpist. Needs: pip install harp"
        assert harpist["properties"]["type"]["description"] == "The harpist"


def offered(schema: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the objects an editor completes from: it follows anyOf and $ref, but not if/then."""
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/definitions/")
        yield from offered(schema, schema["definitions"][name])
        return
    yield part
    for alternative in part.get("anyOf", ()):
        yield from offered(schema, alternative)


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        *(((table,), kind) for table, kind in {**SINGLE, **LISTS}.items()),
        *INSIDE.items(),
    ],
)
def test_editors_find_every_component_and_key(
    place: tuple[str, ...], kind: str, installed: Registry
) -> None:
    schema = installed_schema()
    part = schema
    for name in place:
        part = part["properties"][name]
    found: dict[str, set[str]] = {}
    for thing in offered(schema, part.get("items", part)):
        properties = thing.get("properties", {})
        if "type" in properties:
            found[properties["type"]["const"]] = set(properties) - {"type", "preset", "unset"}
    expected = {
        entry.name: set(to_keys(entry.declaration.config)) for entry in installed.of_kind(kind)
    }
    assert found == expected


def to_keys(cls: type[Config]) -> list[str]:
    schema = table_schema(cls)
    needed = dict.fromkeys(schema.get("required", []))
    return [*needed, *to_table(cls(**needed)), *schema["properties"]]
