"""TOML tables to typed settings: conversion, limits, and every problem of a table at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest
import tomli
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from musengine.config.fields import Config, build, setting, to_table
from musengine.config.quantities import GridStep, Length
from musengine.config.setting_types import setting_type
from musengine.errors import Problem, did_you_mean
from musengine.pipeline.sections import SECTIONS

BASE = Path("/music/here").resolve()


@dataclass(frozen=True, kw_only=True)
class Example(Config):
    """One key of every type."""

    units: int = setting(8, doc="How many units.", low=1, high=100)
    rate: float = setting(0.5, doc="How fast.", above=0.0, below=1.0)
    tempo: float = setting(90.5, doc="Without limits.")
    deep: bool = setting(False, doc="Whether deep.")
    label: str = setting("", doc="A label.")
    shape: Literal["round", "square"] = setting("round", doc="Which shape.")
    layers: tuple[int, ...] = setting((1, 2), doc="Sizes.", low=1, high=9)
    names: tuple[str, ...] = setting((), doc="One name or many.", one_or_many=True)
    limit: int | None = setting(None, doc="A limit, or none.", low=0)
    store: bool | Path = setting(True, doc="Whether to store, or where.")
    folder: Path = setting(Path("/"), doc="A folder.")
    length: Length = setting(Length(1, "bars"), doc="A length.")
    step: GridStep | int = setting(1, doc="A step, or a number of them.")

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield a depth that does not fit."""
        if self.deep and self.units < 2:
            yield "units", "deep needs at least 2"
            yield "deep", "needs more units"


@dataclass(frozen=True, kw_only=True)
class Needs(Config):
    """A key that has no default."""

    path: str = setting(doc="What to read.")
    other: int = setting(doc="How much of it.")


def read(table: dict[str, Any], cls: type[Any] = Example) -> tuple[Any, list[Problem]]:
    return build(cls, table, file="p.toml", name="model", base_of=lambda key: BASE)


def wrong(**table: Any) -> str:
    """Return the one problem of a table."""
    built, problems = read(table)
    assert built is None
    (problem,) = problems
    return str(problem).removeprefix("p.toml: [model] ")


class TestConversion:
    def test_an_empty_table_gives_the_defaults(self) -> None:
        assert read({}) == (Example(), [])

    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            ("units", 100, 100),
            ("rate", 0.25, 0.25),
            ("tempo", 90, 90.0),
            ("deep", True, True),
            ("label", "true", "true"),
            ("shape", "square", "square"),
            ("layers", [3], (3,)),
            ("layers", [], ()),
            ("names", "one", ("one",)),
            ("names", ["one", "two"], ("one", "two")),
            ("limit", 0, 0),
            ("store", False, False),
            ("store", "kept", BASE / "kept"),
            ("folder", "../there", BASE.parent / "there"),
            ("folder", "~/x", (Path.home() / "x").resolve()),
            ("length", "3 bars", Length(3, "bars")),
            ("step", 4, 4),
            ("step", "1/4 beat", GridStep(Fraction(1, 4), "beat")),
        ],
    )
    def test_each_type(self, key: str, value: object, expected: object) -> None:
        built, problems = read({key: value})
        assert problems == []
        assert getattr(built, key) == expected
        assert type(getattr(built, key)) is type(expected)


class TestRefusals:
    """The messages word for word: people grep for them."""

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("units", 1.0, "expected a whole number, got 1.0"),
            ("units", True, "expected a whole number, got true"),
            ("units", "8", "expected a whole number, got '8'"),
            ("units", 0, "must be at least 1 and at most 100, got 0"),
            ("units", 101, "must be at least 1 and at most 100, got 101"),
            ("rate", True, "expected a number, got true"),
            ("rate", 0.0, "must be more than 0 and less than 1, got 0.0"),
            ("rate", 1, "must be more than 0 and less than 1, got 1.0"),
            ("rate", float("nan"), "expected a finite number, got nan"),
            ("rate", float("inf"), "expected a finite number, got inf"),
            ("deep", 1, "expected true or false, got 1"),
            ("deep", "yes", "expected true or false, got 'yes'"),
            ("label", 5, "expected a string, got 5"),
            ("label", ["a"], "expected a string, got ['a']"),
            (
                "shape",
                "rond",
                "expected one of 'round', 'square', got 'rond'; did you mean 'round'?",
            ),
            ("shape", 7, "expected one of 'round', 'square', got 7"),
            ("layers", 5, "expected a list (a whole number each), got 5"),
            ("layers", [1, "a"], "expected a whole number, got 'a'"),
            ("layers", [1, 10], "must be at least 1 and at most 9, got 10"),
            ("layers", [[1]], "expected a whole number, got [1]"),
            ("names", [1], "expected a string, got 1"),
            ("limit", "none", "expected a whole number, got 'none'"),
            ("limit", -1, "must be at least 0, got -1"),
            ("store", 0, "expected true or false or a path, got 0"),
            ("folder", "", "expected a path, got ''"),
            ("folder", "~no-such-user-here", "no home folder for '~no-such-user-here'"),
            (
                "step",
                [],
                'expected a step such as "1/4 beat" or "0.3 seconds" or a whole number, got []',
            ),
        ],
    )
    def test_the_message(self, key: str, value: object, message: str) -> None:
        assert wrong(**{key: value}) == f"{key}: {message}"

    def test_a_number_too_large_for_its_type(self) -> None:
        # A TOML integer has no bound; a float ends near 1.8e308.
        shown = "1" + "0" * 56 + "..."
        assert wrong(rate=10**400) == f"rate: expected a finite number, got {shown}"

    def test_a_long_value_is_shown_cut(self) -> None:
        shown = "'" + "x" * 56 + "..."
        assert wrong(units="x" * 500) == f"units: expected a whole number, got {shown}"

    def test_an_unknown_key_with_the_nearest_known_one(self) -> None:
        assert wrong(unit=8) == "unit: unknown key; did you mean 'units'?"
        assert wrong(xyzzy=8) == "xyzzy: unknown key"

    def test_missing_keys_say_what_they_are_for(self) -> None:
        built, problems = read({}, Needs)
        assert built is None
        assert [str(problem) for problem in problems] == [
            "p.toml: [model] path: missing; What to read.",
            "p.toml: [model] other: missing; How much of it.",
        ]

    def test_every_problem_of_a_table_at_once(self) -> None:
        _, problems = read({"units": 0, "hiden": 1, "rate": "fast", "limit": None, "deep": True})
        assert [(problem.key, problem.message) for problem in problems] == [
            ("units", "must be at least 1 and at most 100, got 0"),
            ("hiden", "unknown key"),
            ("rate", "expected a number, got 'fast'"),
            ("limit", "expected a whole number, got None"),
        ]

    def test_settings_that_do_not_fit_together_are_looked_at_last(self) -> None:
        _, problems = read({"deep": True, "units": 1})
        assert [(problem.key, problem.message) for problem in problems] == [
            ("units", "deep needs at least 2"),
            ("deep", "needs more units"),
        ]
        # Where a single value is wrong already, they are not looked at.
        _, problems = read({"deep": True, "units": 1, "rate": 7.0})
        assert [problem.key for problem in problems] == ["rate"]

    def test_the_base_of_each_key_is_its_own(self) -> None:
        folders = {"store": Path("/one").resolve(), "folder": Path("/two").resolve()}
        built, _ = build(
            Example,
            {"store": "x", "folder": "x"},
            file="",
            name="",
            base_of=lambda key: folders[key],
        )
        assert (built.store, built.folder) == (folders["store"] / "x", folders["folder"] / "x")


def test_describe_says_a_type_in_words() -> None:
    assert setting_type(int | None).words == "a whole number"
    assert setting_type(bool | Path).words == "true or false or a path"
    assert setting_type(tuple[str, ...]).words == "a list (a string each)"
    assert setting_type(Literal["a", "b"]).words == "one of 'a', 'b'"
    assert setting_type(Length | float).words == f"{Length.notation} or a number"


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("hiden", ["hidden", "layers"], "; did you mean 'hidden'?"),
        ("zzz", ["hidden", "layers"], ""),
        ("hidden", [], ""),
    ],
)
def test_did_you_mean(name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(name, known) == hint


class TestWritingBack:
    def test_every_key_is_written_and_none_is_left_out(self) -> None:
        assert to_table(Example(layers=(3, 4), step=GridStep(Fraction(1, 3), "beat"))) == {
            "units": 8,
            "rate": 0.5,
            "tempo": 90.5,
            "deep": False,
            "label": "",
            "shape": "round",
            "layers": [3, 4],
            "names": [],
            "store": True,
            "folder": str(Path("/")),
            "length": "1 bars",
            "step": "1/3 beat",
        }

    @given(
        st.builds(
            Example,
            units=st.integers(1, 100),
            rate=st.floats(0, 1, exclude_min=True, exclude_max=True),
            tempo=st.floats(allow_nan=False, allow_infinity=False),
            deep=st.just(False),
            label=st.text(st.characters(codec="utf-8")),
            shape=st.sampled_from(["round", "square"]),
            layers=st.lists(st.integers(1, 9)).map(tuple),
            names=st.lists(st.text(st.characters(codec="utf-8"))).map(tuple),
            limit=st.none() | st.integers(0),
            store=st.booleans() | st.just(BASE),
            folder=st.just(BASE / "x"),
            length=st.builds(Length, st.integers(0, 9).map(float), st.just("beats")),
            step=st.integers(-5, 5) | st.builds(GridStep, st.just(Fraction(1, 7)), st.just("beat")),
        )
    )
    def test_through_toml_and_back(self, config: Example) -> None:
        table = tomli.loads(tomli_w.dumps(to_table(config)))
        assert read(table) == (config, [])

    def test_the_core_tables_defaults(self) -> None:
        for cls in SECTIONS.values():
            needed = {"path": ["music21:bach"]} if cls.__name__ == "CorpusConfig" else {}
            built, problems = read(needed, cls)
            assert problems == []
            assert read(to_table(built), cls) == (built, [])
            assert all(field.metadata["doc"].strip() for field in dataclasses.fields(cls))


keys = st.sampled_from([field.name for field in dataclasses.fields(Example)]) | st.text(max_size=5)
scalars = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.text(max_size=8), st.dates(), st.datetimes()
)
toml_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.dictionaries(keys, toml_values, max_size=4))
def test_whatever_a_table_holds_it_is_read_or_its_problems_are_told(table: dict[str, Any]) -> None:
    built, problems = read(table)
    assert (built is None) == bool(problems)
    assert {problem.key for problem in problems} <= {*table, "units", "deep"}
