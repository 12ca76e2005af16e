"""The split of a corpus: no music is in two parts, and a piece more moves no other."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musengine.data.filters import PARTS, SplitRules, check_used, part_by_folder
from musengine.data.manifest import PieceInfo, SourceFile
from musengine.errors import UserError
from musengine.music.piece import SplitName
from musengine.pipeline.sections import CorpusConfig
from musengine.utils.arrays import Array, FloatArray, Int32Array, distinct

PartArray = npt.NDArray[np.int8]

TRAIN, VALID, TEST = range(3)
"""The parts as numbers, their indices in `PARTS`: of several the highest counts, since it is safe
to train on less, not to measure on what was trained on."""

_NONE = -1
_TEXT = 64
"""Bytes of a hash of notes; longer ones are hashed."""
_DIGEST = 16
"""Bytes that are kept of one in hexadecimal digits: 128 bits suffice against chance."""
_HEXADECIMAL = re.compile(b"[0-9a-f]{64}")


@dataclass(frozen=True)
class Split:
    """The pieces of each part.

    Attributes:
        parts: the indices of the pieces of each part, in the order they were read.
        copies: for each piece that has the notes of another, the other's id; of several one is
            no copy, a held-out one where there is one.
        straddling: the copies that are in another part than that one.
    """

    parts: Mapping[SplitName, Int32Array]
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
    alike = _Alike.of(pieces, config.split_seed)
    fixed_P = _fixed(pieces, files, config, rules, alike.official)
    # A family has the highest of its pieces' parts, if any has one; else it is drawn.
    family_F = np.full(alike.families, _NONE, dtype=np.int8)
    np.maximum.at(family_F, alike.family, fixed_P)
    free_F = family_F == _NONE
    family_F[free_F] = TRAIN
    if (alike.official == _NONE).all() and not rules.complete:
        family_F[free_F] = _draw(alike.position[free_F], config, _present(fixed_P))
    part_P = np.where(fixed_P == _NONE, family_F[alike.family], fixed_P)
    return _split(pieces, alike, part_P, config)


@dataclass(frozen=True)
class _Alike:
    """Which pieces have equal notes, and which are of one family.

    Pieces with equal notes are one group and stay together: a copy of a training piece among the
    held-out ones would be measured as if it were new. Groups that hold parts of one piece, which
    may be as alike as two voices of a canon, are one family.

    Attributes:
        official: (P,) the official part of each piece, `_NONE` for none.
        group: (P,) the number of its group.
        family: (P,) the number of its family.
        position: (F,) the number in [0, 1) that follows from one hash of a family's notes.
    """

    official: PartArray
    group: Int32Array
    family: Int32Array
    position: FloatArray

    @property
    def families(self) -> int:
        """How many families there are."""
        return len(self.position)

    @classmethod
    def of(cls, pieces: Sequence[PieceInfo], seed: int) -> _Alike:
        """Look at each piece once, and keep some numbers of it."""
        notes, position_P = _NoteHashes(), np.zeros(len(pieces))
        official_P = np.full(len(pieces), _NONE, dtype=np.int8)
        first_P = np.arange(len(pieces), dtype=np.int32)
        first: dict[str, int] = {}
        file = _NONE
        for index, piece in enumerate(pieces):
            notes.add(piece.notes_hash)
            position_P[index] = _position(piece.notes_hash, seed)
            if piece.part is not None:
                official_P[index] = PARTS.index(piece.part)
            if piece.file != file:  # a file's pieces follow one another
                first, file = {}, piece.file
            first_P[index] = first.setdefault(piece.source_id, index)
        # Sorted: the lowest number stands for the smallest hash, whatever the order of the pieces.
        sample_G, group_P = distinct(notes.column())
        del notes
        root_G = _joined(len(sample_G), group_P, first_P)
        root_F, family_G = distinct(root_G)
        # The lowest group of each family is its root.
        return cls(official_P, group_P, family_G[group_P], position_P[sample_G[root_F]])

    def copies(self) -> Iterator[list[int]]:
        """Yield the indices of the pieces of each group of several, by the first of them."""
        order = np.argsort(self.group, kind="stable")
        count_G = np.bincount(self.group)
        start_G = np.cumsum(count_G) - count_G
        several = np.flatnonzero(count_G > 1)
        for group in several[np.argsort(order[start_G[several]])].tolist():
            yield order[start_G[group] : start_G[group] + count_G[group]].tolist()


class _NoteHashes:
    """The hashes of pieces' notes in a column that sorts as they do."""

    def __init__(self) -> None:
        self._digests, self._texts = bytearray(), dict[int, bytes]()

    def add(self, notes: str) -> None:
        """Add the hash of the next piece."""
        text = notes.encode("utf-8", "surrogateescape")
        if len(text) > _TEXT:
            text = hashlib.sha256(text).hexdigest().encode()
        if _HEXADECIMAL.fullmatch(text):
            self._digests += bytes.fromhex(text[: 2 * _DIGEST].decode())
        else:  # a plugin's own, which may be any text
            self._texts[len(self._digests) // _DIGEST] = text
            self._digests += bytes(_DIGEST)

    def column(self) -> Array:
        """Return (P,): the hash of each piece, as bytes."""
        digest_P = np.frombuffer(self._digests, f"S{_DIGEST}")
        if not self._texts:
            return digest_P
        text_P = np.array([bytes(each).hex() for each in digest_P.view(f"V{_DIGEST}")], f"S{_TEXT}")
        text_P[list(self._texts)] = list(self._texts.values())
        return text_P


def _joined(groups: int, group_P: Int32Array, first_P: Int32Array) -> Int32Array:
    """Return (G,): for each group the lowest one that it is of a family with.

    Args:
        groups: G, how many there are.
        group_P: (P,) the group of each piece.
        first_P: (P,) the first piece that is a part of the same one.
    """
    # Union-find: two parts of one piece join their groups.
    parent = array("i", range(groups))

    def root(group: int) -> int:
        while parent[group] != group:
            parent[group] = group = parent[parent[group]]  # path halving
        return group

    for index in np.flatnonzero(first_P != np.arange(len(first_P))).tolist():
        one, other = root(int(group_P[index])), root(int(group_P[first_P[index]]))
        parent[max(one, other)] = min(one, other)
    root_G = np.frombuffer(parent, np.int32)
    while (root_G[root_G] != root_G).any():
        root_G = root_G[root_G]
    return root_G


def _fixed(
    pieces: Sequence[PieceInfo],
    files: Sequence[SourceFile],
    config: CorpusConfig,
    rules: SplitRules,
    official_P: PartArray,
) -> PartArray:
    """Return (P,): for each piece, the part it is named for, or its official one."""
    fixed_P = np.full_like(official_P, _NONE) if rules.complete else official_P.copy()
    if config.split == "folders":
        for index, piece in enumerate(pieces):
            if (part := part_by_folder(files[piece.file].item)) is not None:
                fixed_P[index] = PARTS.index(part)
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
        matching_P = np.array([bool(match) for match in matches], dtype=bool)
        fixed_P[matching_P & (fixed_P != TEST)] = PARTS.index(part)
    return fixed_P


def _draw(position_F: FloatArray, config: CorpusConfig, filled: Collection[int]) -> PartArray:
    """Return (F,): the part of each family of pieces by its number in [0, 1).

    Args:
        position_F: (F,) the numbers.
        config: the shares.
        filled: parts that have pieces already.
    """
    # Not a shuffle, in which one piece more would move all others.
    valid, test = config.share("valid"), config.share("test")
    drawn_F = np.full(len(position_F), TRAIN, dtype=np.int8)
    drawn_F[position_F >= 1 - test] = TEST
    drawn_F[position_F < valid] = VALID
    ranked = np.argsort(position_F, kind="stable")
    # Small corpora: training comes first, then validation, then test.
    missing = {TRAIN, VALID, TEST} - set(filled) - _present(drawn_F)
    if TRAIN in missing and len(ranked):
        # From validation rather than from test, the one nearest to the border with training.
        held_out = ranked[drawn_F[ranked] == VALID]
        drawn_F[held_out[-1] if len(held_out) else ranked[-1]] = TRAIN
        missing |= {VALID, TEST} - _present(drawn_F)
    if valid and VALID in missing and not _move_one(ranked, drawn_F, VALID, TRAIN):
        _move_one(ranked, drawn_F, VALID, TEST, least=1)
    if test and TEST in missing and not _move_one(ranked[::-1], drawn_F, TEST, TRAIN):
        _move_one(ranked[::-1], drawn_F, TEST, VALID)
    return drawn_F


def _present(part_N: PartArray) -> set[int]:
    return {part for part in (TRAIN, VALID, TEST) if (part_N == part).any()}


def _move_one(
    ranked: npt.NDArray[np.intp], drawn_F: PartArray, to: int, source: int, least: int = 2
) -> bool:
    """Give a part the nearest family of one that has so many; returns whether it did."""
    members = ranked[drawn_F[ranked] == source]
    if len(members) < least:
        return False
    drawn_F[members[0]] = to
    return True


def _position(notes: str, seed: int) -> float:
    """Return the number in [0, 1) that follows from a hash of notes and a seed."""
    digest = hashlib.sha256(f"{seed}:{notes}".encode()).digest()
    # 48 bits, which a float holds exactly.
    return int.from_bytes(digest[:6], "big") / 2**48


def _split(
    pieces: Sequence[PieceInfo], alike: _Alike, part_P: PartArray, config: CorpusConfig
) -> Split:
    copies: dict[str, str] = {}
    straddling: list[str] = []
    kept_P = np.ones(len(pieces), dtype=bool)
    for group in alike.copies():
        # What is held out stays so: the copy to be trained on is the one to drop.
        first, *others = sorted(group, key=lambda i: -part_P[i])
        for index in others:
            name = pieces[index].id
            copies[name] = pieces[first].id
            if config.duplicates == "drop":
                kept_P[index] = False
            elif part_P[index] != part_P[first]:
                straddling.append(name)
    parts = {
        name: np.flatnonzero(kept_P & (part_P == number)).astype(np.int32)
        for number, name in enumerate(PARTS)
    }
    return Split(parts, copies, straddling)
