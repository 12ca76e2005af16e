from __future__ import annotations

import pytest

from helpers import refused
from musengine.data.filters import Patterns, filter_items


@pytest.mark.parametrize(
    ("pattern", "names", "fits"),
    [
        ("bach", ("bach",), True),
        ("bach", ("bach/cantatas/1.mid",), True),
        ("bach/", ("bach/cantatas/1.mid",), True),
        ("bach", ("bachelor/1.mid",), False),
        ("bach", ("js/bach/1.mid",), False),
        ("*/bach", ("js/bach/1.mid",), True),
        ("b*", ("bach/cantatas/1.mid",), True),
        ("*.mid", ("bach/1.mid",), True),
        ("?.mid", ("1.mid",), True),
        ("?.mid", ("12.mid",), False),
        ("Bach", ("bach/1.mid",), False),
        ("style", ("1.mid", "style"), True),
        # A name with brackets is found by itself, though brackets mean a choice in a pattern.
        ("[live].mid", ("[live].mid",), True),
        ("[ab].mid", ("a.mid",), True),
    ],
)
def test_what_a_pattern_stands_for(pattern, names, fits):
    assert Patterns([pattern]).matching(*names) == ([pattern.strip("/")] if fits else [])


def test_all_fitting_patterns_are_told():
    patterns = Patterns(["b*", "bach/1.mid", "a", "bach", "b*"])
    assert patterns.matching("bach/1.mid") == ["b*", "bach", "bach/1.mid"]


NAMES = [("jigs", "jigs/a"), ("reels", "reels/b"), ("reels/slow", "reels/slow/c")]


def test_things_are_chosen_in_their_order():
    things = ["a", "b", "c"]
    assert filter_items(things, NAMES, [], []) == things
    assert filter_items(things, NAMES, ["reels", "jigs"], []) == things
    assert filter_items(things, NAMES, ["reels"], ["reels/slow"]) == ["b"]
    assert filter_items(things, NAMES, [], ["*b"]) == ["a", "c"]
    # What is left out by another pattern was still there to stand for.
    assert filter_items(things, NAMES, ["reels", "reels/slow"], ["reels"]) == []


@pytest.mark.parametrize(
    ("wanted", "unwanted", "values"),
    [
        (["reel"], [], ["corpus.styles", "'reel'", "'reels'"]),
        ([], ["waltzes"], ["corpus.exclude", "'waltzes'"]),
    ],
)
def test_a_pattern_that_stands_for_nothing_is_told_with_what_there_is(wanted, unwanted, values):
    with refused("pattern-unused", *values, "jigs, reels, reels/slow"):
        filter_items(["a", "b", "c"], NAMES, wanted, unwanted)
    with refused("pattern-unused", "'x'"):
        filter_items([], [], ["x"], [])
