"""Numbers as people write them."""

from __future__ import annotations

import math

import pytest

from musengine.data.manifest import Skipped, told_skipped
from musengine.utils.format import shown_number


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (100.0, 2, "100"),
        (99.96, 2, "100"),
        (34_575.0, 2, "34575"),
        (1_234_567.0, 6, "1234567"),
        (0.000012, 2, "0.000012"),
        (6.732191, 6, "6.73219"),
        (-0.5, 3, "-0.5"),
        (9.96, 2, "10"),
        (0.0, 6, "0"),
        (math.nan, 3, "nan"),
        (3.0e-9, 3, "3e-09"),
        (2.5e40, 3, "2.5e+40"),
    ],
)
def test_numbers_are_written_without_an_exponent(value: float, digits: int, shown: str) -> None:
    assert shown_number(value, digits) == shown


class TestSkipped:
    def test_one_reason_is_one_line_with_a_count(self) -> None:
        skipped = [Skipped(f"{number}.mid", "no melody") for number in range(21)]
        skipped.append(Skipped("x.mid", "empty"))
        first, second, where = told_skipped(skipped, "split.json")
        assert all(word in first for word in ("21", "0.mid", "no melody"))
        assert all(word in second for word in ("x.mid", "empty"))
        assert "split.json" in where

    def test_few_are_named_each(self) -> None:
        skipped = [Skipped(f"{number}.mid", "no melody") for number in range(3)]
        assert [line.split(":")[0] for line in told_skipped(skipped, "split.json")] == [
            "skipped 0.mid",
            "skipped 1.mid",
            "skipped 2.mid",
        ]

    def test_many_reasons_end_somewhere(self) -> None:
        skipped = [Skipped(f"{number}.mid", f"reason {number}") for number in range(30)]
        assert len(told_skipped(skipped)) == 21
