"""Listening tests: pairs of pieces of two sets in an order that nobody sees, and their votes."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from musengine.api import (
    CommandContext,
    ExitStatus,
    Score,
    counted,
    read_json,
    read_scores,
    whole_file,
)
from musengine.errors import UserError
from musengine_media.music_named import music_named
from musengine_media.page.document import document
from musengine_media.page.instruments import sounds_for
from musengine_media.page.markup import Child, Markup, element, joined
from musengine_media.page.pieces import PagePiece, Shelf

logger = logging.getLogger(__name__)

MOST_PAIRS = 20
CHOICES = ("first", "second", "none")
"""What a vote may be: for one of a pair, or for neither."""
_Z = 1.959963984540054
"""Standard deviations on both sides of the mean that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Pair:
    """Two pieces to be compared.

    Attributes:
        first: which set the first is of, 0 or 1.
        names: of the first and of the second.
        scores: their music.
    """

    first: int
    names: tuple[str, str]
    scores: tuple[Score, Score]


def write_test(paths: Sequence[str], out: Path, seed: int, context: CommandContext) -> None:
    """Write a page with pairs of two sets, and beside it the key that says which is which.

    Raises:
        UserError: not two sets, or one of them has no music.
    """
    if len(paths) != 2:
        raise UserError(
            f"--blind compares two sets of pieces, got {counted(len(paths), 'path')}",
            code="sets-not-two",
        )
    sets = [
        read_scores(
            music_named(path, context.registry),
            registry=context.registry,
            reporter=context.reporter,
        )
        for path in paths
    ]
    pairs = paired(sets, seed)
    pairs, sections, shelf = _shown(pairs)
    key = out.with_name(f"{out.stem}.key.json")
    told = [{"first": pair.first, "pieces": list(pair.names)} for pair in pairs]
    # Votes name the test they are of, so that they are not counted with another's key.
    test = hashlib.sha256(json.dumps([told, list(paths), seed]).encode()).hexdigest()[:16]
    with whole_file(key, "--out") as aside:
        aside.write_text(
            json.dumps({"test": test, "sets": list(paths), "pairs": told}, indent=1) + "\n",
            encoding="utf-8",
        )
    with whole_file(out, "--out") as aside:
        aside.write_text(_page(sections, shelf, test), encoding="utf-8")
    logger.info(f"page: {out}; which piece is of which set is in {key}")


def paired(sets: Sequence[Mapping[str, Score]], seed: int) -> list[Pair]:
    """Return pairs of a piece of each set, in a drawn order, and either of them first."""
    random = np.random.default_rng(seed)
    count = min(*(len(each) for each in sets), MOST_PAIRS)
    drawn = [random.permutation(len(each))[:count].tolist() for each in sets]
    named = [[*each.items()] for each in sets]
    pairs = []
    for places in zip(*drawn, strict=True):
        # Drawn for each pair, since what is heard first may be liked a little better or worse.
        first = int(random.integers(2))
        both = [named[which][place] for which, place in enumerate(places)]
        (one, score), (other, other_score) = both[first], both[1 - first]
        pairs.append(Pair(first, (one, other), (score, other_score)))
    return pairs


def _shown(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Markup], Shelf]:
    """Return the pairs for which one page has room, their sections and their music."""
    shelf = Shelf()
    shown, sections = [], []
    for number, pair in enumerate(pairs, 1):
        before = len(shelf.data)
        section = _pair_section(pair, number, shelf)
        # The shelf leaves out what does not fit: a pair of which one is missing is none.
        if len(shelf.data) < before + 2:
            logger.warning(f"one page has room for {counted(number - 1, 'pair')} of these pieces")
            break
        shown.append(pair)
        sections.append(section)
    return shown, sections, shelf


def _page(sections: Sequence[Markup], shelf: Shelf, test: str) -> str:
    sounds = sounds_for(shelf.scores)
    body = joined(
        element("header", element("h1", "Which do you like better?")),
        element(
            "main",
            element("p", "Listen to both pieces of each pair, choose one, and save your votes."),
            element("noscript", element("p", "The votes need JavaScript.", class_="problem")),
            sections,
            element("div", id="votes"),
        ),
        element("footer", element("p", sounds.remark, class_="soft")),
    )
    data = {"pieces": shelf.data, "sounds": sounds.data, "test": test}
    return document("A listening test", body, data)


def _pair_section(pair: Pair, number: int, shelf: Shelf) -> Markup:
    pieces = [
        PagePiece(f"Pair {number}, {which}", _anonymous(score), hidden=True)
        for which, score in zip(CHOICES, pair.scores, strict=False)
    ]
    sections: list[Child] = [*shelf.sections(pieces)]
    return element(
        "section",
        element("h2", f"Pair {number}"),
        sections,
        class_="pair",
        data_pair=number,
    )


def _anonymous(score: Score) -> Score:
    """Return a score whose parts have no names, which might tell where it is from."""
    tracks = tuple(dataclasses.replace(track, name="") for track in score.tracks)
    return dataclasses.replace(score, tracks=tracks)


def add_votes_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine votes`."""
    parser.add_argument("key", type=Path, metavar="KEY", help="the test's .key.json")
    parser.add_argument("files", nargs="+", type=Path, metavar="VOTES", help="saved votes")
    parser.add_argument("--json", action="store_true", help="the counts as JSON on stdout")


def votes(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine votes`."""
    key = _key(parsed.key)
    counts: Counter[int | None] = Counter()
    for path in parsed.files:
        counts.update(_votes(path, key))
    decided = counts[0] + counts[1]
    low, high = wilson(counts[0], decided)
    share = counts[0] / decided if decided else None
    if parsed.json:
        told = {"sets": key["sets"], "votes": [counts[0], counts[1]], "none": counts[None]}
        told |= {"share": share, "low": low, "high": high}
        print(json.dumps(told, indent=1))
        return ExitStatus.DONE
    for which, name in enumerate(key["sets"]):
        logger.info(f"{name}: {counted(counts[which], 'vote')}")
    logger.info(f"no difference: {counted(counts[None], 'vote')}")
    if share is not None:
        logger.info(
            f"{key['sets'][0]} is liked better in {share:.0%} of {counted(decided, 'choice')} "
            f"(95 %: {low:.0%} to {high:.0%})"
        )
    return ExitStatus.DONE


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share; 0 to 1 where nothing was tried."""
    if not trials:
        return 0.0, 1.0
    share, z2 = successes / trials, _Z**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _key(path: Path) -> dict[str, Any]:
    """Return a test's key.

    Raises:
        UserError: it is none.
    """
    key = read_json(path)
    try:
        firsts = [int(pair["first"]) for pair in key["pairs"]]
        names = [str(name) for name in key["sets"]]
        if len(names) == 2 and set(firsts) <= {0, 1}:
            return {"test": str(key["test"]), "sets": names, "firsts": firsts}
    except (KeyError, TypeError, ValueError):
        pass
    raise UserError(f"{path} is no key of a listening test", code="file-damaged")


def _votes(path: Path, key: Mapping[str, Any]) -> list[int | None]:
    """Return which set each vote of a file is for, None for neither.

    Raises:
        UserError: it holds no votes, or those of another test.
    """
    told = read_json(path)
    if not isinstance(told, dict) or not isinstance(told.get("votes"), dict):
        raise UserError(f"{path} holds no votes of a listening test", code="file-damaged")
    if told.get("test") != key["test"]:
        raise UserError(f"{path} has votes of another listening test", code="votes-of-another-test")
    found: list[int | None] = []
    for number, choice in told["votes"].items():
        known = str(number).isdecimal() and 1 <= int(number) <= len(key["firsts"])
        if not known or choice not in CHOICES:
            raise UserError(
                f"{path} has a vote {choice!r} on pair {number!r}, which there is not",
                code="file-damaged",
            )
        first = key["firsts"][int(number) - 1]
        found.append({"first": first, "second": 1 - first}.get(choice))
    return found
