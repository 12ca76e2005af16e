"""TOML tables to typed settings: conversion, limits, and every problem of a table at once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pytest
import tomli
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from musengine.config.fields import Config, build, setting, to_table
from musengine.config.quantities import GridStep, Length
from musengine.config.setting_types import hints_of, setting_type
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

    def problems(self) -> Iterable[tuple[str, str] | tuple[str, str, str]]:
        """Yield a depth that does not fit."""
        if self.deep and self.units < 2:
            yield "units", "deep needs at least 2"
            yield "deep", "needs more units", "component-superfluous"


@dataclass(frozen=True, kw_only=True)
class Needs(Config):
    """A key that has no default."""

    path: str = setting(doc="What to read.")
    other: int = setting(doc="How much of it.")


def read(table: dict[str, Any], cls: type[Any] = Example) -> tuple[Any, list[Problem]]:
    return build(cls, table, file="p.toml", name="model", base_of=lambda key: BASE)


def wrong(**table: Any) -> Problem:
    """Return the one problem of a table, which is that of its one key."""
    built, problems = read(table)
    assert built is None
    (problem,) = problems
    assert (problem.file, problem.table, problem.key) == ("p.toml", "model", *table)
    return problem


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
    @pytest.mark.parametrize(
        ("key", "value", "shown"),
        [
            ("units", 1.0, "1.0"),
            ("units", True, "true"),
            ("units", "8", "'8'"),
            ("rate", True, "true"),
            ("rate", float("nan"), "nan"),
            ("rate", float("inf"), "inf"),
            ("deep", 1, "1"),
            ("deep", "yes", "'yes'"),
            ("label", 5, "5"),
            ("label", ["a"], "['a']"),
            ("shape", "rond", "'rond'"),
            ("shape", 7, "7"),
            ("layers", 5, "5"),
            ("layers", [1, "a"], "'a'"),
            ("layers", [[1]], "[1]"),
            ("names", [1], "1"),
            ("limit", "none", "'none'"),
            ("store", 0, "0"),
            ("folder", "", "''"),
            ("folder", "~no-such-user-here", "'~no-such-user-here'"),
            ("step", [], "[]"),
            # A TOML integer has no bound; a float ends near 1.8e308.
            ("rate", 10**400, "1" + "0" * 56 + "..."),
            ("units", "x" * 500, "'" + "x" * 56 + "..."),
        ],
    )
    def test_a_value_of_another_kind_is_shown(self, key: str, value: object, shown: str) -> None:
        problem = wrong(**{key: value})
        assert problem.code == "invalid-value"
        found = problem.message.partition("; did you mean")[0]
        assert found.endswith(f" {shown}")

    @pytest.mark.parametrize(
        ("key", "value", "numbers"),
        [
            ("units", 0, ["1", "100", "0"]),
            ("units", 101, ["1", "100", "101"]),
            ("rate", 0.0, ["0", "1", "0.0"]),
            ("rate", 1, ["0", "1", "1.0"]),
            ("layers", [1, 10], ["1", "9", "10"]),
            ("limit", -1, ["0", "-1"]),
        ],
    )
    def test_a_number_out_of_range_is_told_with_its_bounds(
        self, key: str, value: object, numbers: list[str]
    ) -> None:
        problem = wrong(**{key: value})
        assert problem.code == "out-of-range"
        assert re.findall(r"-?\d+(?:\.\d+)?", problem.message) == numbers

    def test_the_choice_nearest_to_a_wrong_one(self) -> None:
        assert "'round', 'square'" in wrong(shape="rond").message
        assert wrong(shape="rond").message.endswith("'round'?")
        assert not wrong(shape=7).message.endswith("?")

    def test_an_unknown_key_with_the_nearest_known_one(self) -> None:
        assert wrong(unit=8).code == wrong(xyzzy=8).code == "unknown-key"
        assert "'units'" in wrong(unit=8).message
        assert "'" not in wrong(xyzzy=8).message

    def test_missing_keys_say_what_they_are_for(self) -> None:
        built, problems = read({}, Needs)
        assert built is None
        assert [(each.table, each.key, each.code) for each in problems] == [
            ("model", "path", "missing-key"),
            ("model", "other", "missing-key"),
        ]
        assert problems[0].message.endswith("What to read.")
        assert problems[1].message.endswith("How much of it.")

    def test_every_problem_of_a_table_at_once(self) -> None:
        _, problems = read({"units": 0, "hiden": 1, "rate": "fast", "limit": None, "deep": True})
        assert [(problem.key, problem.code) for problem in problems] == [
            ("units", "out-of-range"),
            ("hiden", "unknown-key"),
            ("rate", "invalid-value"),
            ("limit", "invalid-value"),
        ]

    def test_settings_that_do_not_fit_together_are_looked_at_last(self) -> None:
        _, problems = read({"deep": True, "units": 1})
        assert [(problem.key, problem.code) for problem in problems] == [
            ("units", "settings-conflict"),
            ("deep", "component-superfluous"),
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
            limit=st.none() | st.integers(0, 2**53),
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


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Bare(Config):
    """Without methods of its own for comparing and showing."""

    units: int = setting(3, doc="How many units.")
    names: tuple[str, ...] = setting((), doc="Some names.")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class BareToo(Bare):
    """With the same keys."""


def test_a_config_without_methods_of_its_own_is_compared_and_shown_by_its_values() -> None:
    one = Bare(units=4, names=("a",))
    assert one == Bare(units=4, names=("a",))
    assert len({one, Bare(units=4, names=("a",)), Bare(units=4)}) == 2
    assert one != BareToo(units=4, names=("a",))
    assert repr(one) == "Bare(units=4, names=('a',))"


@pytest.mark.parametrize("cls", [Example, BareToo, *SECTIONS.values()])
def test_the_types_of_fields_are_those_that_typing_finds(cls: type[Any]) -> None:
    assert hints_of(cls) == get_type_hints(cls)
