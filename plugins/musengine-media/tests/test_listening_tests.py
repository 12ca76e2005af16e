"""Listening tests: what the page hides, what the key tells, how votes are counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_pages import Page

from musengine.api import Score, Track, midi_bytes
from musengine.testing import CommandResult, run_command
from musengine_media.blind import paired, wilson


def tune(pitch: int, name: str = "") -> Score:
    return Score.from_notes([0, 1], 1, [pitch, pitch + 2], ticks_per_beat=1, tracks=(Track(name),))


@pytest.fixture
def key(workplace: Path) -> dict[str, Any]:
    """A test of pieces around 40 beside pieces around 80, and its key."""
    for name, low in (("low", 40), ("high", 80)):
        (workplace / name).mkdir()
        for number in range(4):
            score = tune(low + number, f"by {name}")
            (workplace / name / f"{name}-{number}.mid").write_bytes(midi_bytes(score))
    assert run_command("listen", "--blind", "low", "high", "--quiet").status == 0
    return dict(json.loads((workplace / "listen.key.json").read_text()))


def vote(key: dict[str, Any], choices: list[str], test: str = "") -> None:
    """Save votes of one listener."""
    votes = {str(number): choice for number, choice in enumerate(choices, 1)}
    told = {"test": test or key["test"], "votes": votes}
    Path("votes.json").write_text(json.dumps(told))


def counted_votes(*options: str) -> CommandResult:
    return run_command("votes", "listen.key.json", "votes.json", *options)


def test_every_pair_has_a_piece_of_each_set_as_the_key_says(key: dict[str, Any]) -> None:
    pieces = [*Page(Path("listen.html").read_text("utf-8")).data["pieces"].values()]
    assert len(pieces) == 2 * len(key["pairs"]) == 8
    for pair, first, second in zip(key["pairs"], pieces[::2], pieces[1::2], strict=True):
        sets = [int(piece["parts"][0]["pitch"][0] >= 80) for piece in (first, second)]
        assert sets == [pair["first"], 1 - pair["first"]]
    names = [name for pair in key["pairs"] for name in pair["pieces"]]
    assert len(set(names)) == 8


def test_the_page_tells_no_name(key: dict[str, Any]) -> None:
    page = Path("listen.html").read_text("utf-8")
    for name in ("by low", "by high", "low-0", "high-0", "audio/midi"):
        assert name not in page


def test_either_comes_first_and_the_seed_decides() -> None:
    sets = [{str(n): tune(low + n) for n in range(20)} for low in (30, 80)]
    firsts = [pair.first for pair in paired(sets, 0)]
    assert 4 < sum(firsts) < 16
    assert [pair.names for pair in paired(sets, 0)] == [pair.names for pair in paired(sets, 0)]
    assert [pair.names for pair in paired(sets, 0)] != [pair.names for pair in paired(sets, 1)]


def test_votes_are_counted_for_the_sets(key: dict[str, Any]) -> None:
    # For the low ones wherever they are, but for the last pair, which is left undecided.
    vote(key, ["second" if pair["first"] else "first" for pair in key["pairs"][:3]] + ["none"])
    done = counted_votes("--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert (told["votes"], told["none"], told["share"]) == ([3, 0], 1, 1.0)
    assert told["low"] == pytest.approx(0.43850, abs=1e-5)
    assert counted_votes().status == 0


# By the formula of Wilson (1927), and its limits where all or nothing is chosen.
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 0, 0, 1), (5, 10, 0.236593, 0.763407), (0, 10, 0, 0.277533), (12, 20, 0.386582, 0.781194)],
)
def test_wilsons_interval(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_what_is_amiss_is_one_line(key: dict[str, Any]) -> None:
    vote(key, ["first"], test="another")
    assert counted_votes().status == 1
    vote(key, ["third"])
    assert counted_votes().status == 1
    vote(key, ["first"] * 5)
    assert counted_votes().status == 1
    Path("votes.json").write_text('{"test": 1}')
    assert counted_votes().status == 1
    assert run_command("votes", "votes.json", "votes.json").status == 1
    for paths in (["low"], ["low", "high", "low"], ["low", "nowhere"]):
        done = run_command("listen", "--blind", *paths, "--out", "other.html")
        assert done.status == 1
        assert len(done.err.strip().splitlines()) == 1
    assert not Path("other.html").exists()
