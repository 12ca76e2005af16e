"""The split of a corpus: no music is in two parts, and a piece more moves no other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from musengine.data.filters import HELD_OUT, PARTS, SplitRules, check_used, part_by_folder
from musengine.data.manifest import PieceInfo, SourceFile
from musengine.errors import UserError
from musengine.music.piece import SplitName
from musengine.pipeline.sections import CorpusConfig


@dataclass(frozen=True)
class Split:
    """The pieces of each part.

    Attributes:
        parts: the pieces of each part, in the order they were read.
        copies: for each piece that has the notes of another, the other's id; of several one is
            no copy, a held-out one where there is one.
        straddling: the copies that are in another part than that one.
    """

    parts: dict[SplitName, list[PieceInfo]]
    copies: dict[str, str]
    straddling: list[str]


def split_pieces(
    pieces: Sequence[PieceInfo],
    files: Sequence[SourceFile],
    config: CorpusConfig,
    rules: SplitRules,
) -> Split:
    """Split pieces into train, valid and test.

    What is named goes where it is named, what has an official part goes there. A piece with the
    notes of such a piece goes with it, and so does what an encoder extracted from one piece with
    the rest of it. If no piece has an official part, the others are drawn: a number between 0 and
    1 follows from a piece's notes and `config.split_seed` alone, and the pieces under the share of
    the validation part are its, those above the share of the rest are the test part's. So another
    piece moves none of the others, except that a part that would stay empty gets the piece that is
    nearest to it.

    Raises:
        UserError: a pattern matches no piece.
    """
    fixed = _fixed(pieces, files, config, rules)
    # Pieces with equal notes are one group and stay together: a copy of a training piece among the
    # held-out ones would be measured as if it were new.
    groups: dict[str, list[int]] = {}
    for index, piece in enumerate(pieces):
        groups.setdefault(piece.notes_hash, []).append(index)
    families = _families(pieces, groups)
    official = any(piece.part is not None for piece in pieces)
    free = [notes for notes, group in families.items() if not any(fixed[i] for i in group)]
    drawn = dict.fromkeys(free, PARTS[0])
    if not official and not rules.complete:
        filled = {part for part in fixed if part is not None}
        drawn = _draw(free, config, filled)
    assigned: list[SplitName] = ["train"] * len(pieces)
    for notes, group in families.items():
        own = {fixed[i] for i in group}
        # Held out wins: it is safe to train on less, not to measure on what was trained on.
        common = next((part for part in (*HELD_OUT, PARTS[0]) if part in own), None)
        for index in group:
            assigned[index] = fixed[index] or common or drawn[notes]
    return _split(pieces, groups, assigned, config)


def _families(
    pieces: Sequence[PieceInfo], groups: Mapping[str, Sequence[int]]
) -> dict[str, list[int]]:
    """Return groups of equal notes joined where they hold parts of one piece, by one's notes.

    What is extracted from one piece may be as alike as two voices of a canon.
    """
    # Union-find: two pieces of one file join the groups of their notes.
    parent = {notes: notes for notes in groups}

    def root(notes: str) -> str:
        while parent[notes] != notes:
            parent[notes] = notes = parent[parent[notes]]  # path halving
        return notes

    first: dict[tuple[int, str], str] = {}
    for piece in pieces:
        one = root(piece.notes_hash)
        other = root(first.setdefault((piece.file, piece.source_id), one))
        # The smallest hash is the root, whatever the order of the pieces.
        parent[max(one, other)] = min(one, other)
    families: dict[str, list[int]] = {}
    for notes, group in groups.items():
        families.setdefault(root(notes), []).extend(group)
    return families


def _fixed(
    pieces: Sequence[PieceInfo],
    files: Sequence[SourceFile],
    config: CorpusConfig,
    rules: SplitRules,
) -> list[SplitName | None]:
    """Return, for each piece, the part it is named for, or its official one."""
    fixed: list[SplitName | None] = [None if rules.complete else piece.part for piece in pieces]
    if config.split == "folders":
        fixed = [part_by_folder(files[piece.file].item) or piece.part for piece in pieces]
    for part, patterns in rules.patterns.items():
        matches = [patterns.matching(piece.id, piece.source_id, piece.style) for piece in pieces]
        if rules.strict:
            key = part if rules.source == "corpus" else f"split: {part}"
            known = {piece.style: None for piece in pieces if piece.style}
            check_used(key, patterns, matches, [*known, *(piece.id for piece in pieces)])
        elif not any(matches):
            raise UserError(
                f"{rules.source}: none of its {part} pieces are here", code="split-part-empty"
            )
        for index, match in enumerate(matches):
            if match and fixed[index] != HELD_OUT[0]:
                fixed[index] = part
    return fixed


def _draw(
    groups: Sequence[str], config: CorpusConfig, filled: Iterable[SplitName]
) -> dict[str, SplitName]:
    """Return the part of each group of pieces with equal notes."""
    # Not a shuffle, in which one piece more would move all others.
    position = {notes: _position(notes, config.split_seed) for notes in groups}
    ranked = sorted(groups, key=lambda notes: (position[notes], notes))
    valid, test = config.share("valid"), config.share("test")
    drawn: dict[str, SplitName] = {
        notes: "valid"
        if position[notes] < valid
        else "test"
        if position[notes] >= 1 - test
        else "train"
        for notes in ranked
    }
    # Small corpora: training comes first, then validation, then test.
    missing = {part for part in PARTS if part not in filled and part not in drawn.values()}
    if "train" in missing and ranked:
        # From validation rather than from test, the one nearest to the border with training.
        drawn[max(ranked, key=lambda notes: (drawn[notes] == "valid", position[notes]))] = "train"
        missing |= {part for part in HELD_OUT if part not in drawn.values()}
    if valid and "valid" in missing and not _move_one(ranked, drawn, "valid", "train"):
        _move_one(ranked, drawn, "valid", "test", least=1)
    if test and "test" in missing and not _move_one(ranked[::-1], drawn, "test", "train"):
        _move_one(ranked[::-1], drawn, "test", "valid")
    return drawn


def _move_one(
    ranked: Sequence[str],
    drawn: dict[str, SplitName],
    to: SplitName,
    source: SplitName,
    least: int = 2,
) -> bool:
    """Give a part the nearest piece of one that has so many; returns whether it did."""
    members = [notes for notes in ranked if drawn[notes] == source]
    if len(members) < least:
        return False
    drawn[members[0]] = to
    return True


def _position(notes: str, seed: int) -> float:
    """Return the number in [0, 1) that follows from a hash of notes and a seed."""
    digest = hashlib.sha256(f"{seed}:{notes}".encode()).digest()
    # 48 bits, which a float holds exactly.
    return int.from_bytes(digest[:6], "big") / 2**48


def _split(
    pieces: Sequence[PieceInfo],
    groups: Mapping[str, Sequence[int]],
    assigned: Sequence[SplitName],
    config: CorpusConfig,
) -> Split:
    copies: dict[str, str] = {}
    straddling: list[str] = []
    kept = set(range(len(pieces)))
    for group in groups.values():
        # What is held out stays so: the copy to be trained on is the one to drop.
        order = [*(part for part in HELD_OUT), PARTS[0]]
        first, *others = sorted(group, key=lambda i: order.index(assigned[i]))
        for index in others:
            copies[pieces[index].id] = pieces[first].id
            if config.duplicates == "drop":
                kept.discard(index)
            elif assigned[index] != assigned[first]:
                straddling.append(pieces[index].id)
    parts: dict[SplitName, list[PieceInfo]] = {part: [] for part in PARTS}
    for index in sorted(kept):
        parts[assigned[index]].append(pieces[index])
    return Split(parts, copies, straddling)
