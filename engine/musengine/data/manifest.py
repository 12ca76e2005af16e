"""The manifest of a corpus: its files and pieces without their music, which stays on disk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from musengine.data.discovery import DiscoveryNotes
from musengine.music.piece import Piece, SplitName, Text
from musengine.music.prevailing import Prevailing
from musengine.music.score import CONTROLS, MAPS

if TYPE_CHECKING:
    from musengine.data.files.loader import PieceLoader
    from musengine.data.storage.cache import Scratch
    from musengine.interfaces.reader import Item


@dataclass(frozen=True)
class Skipped:
    """A file or piece that is left out.

    Attributes:
        path: the file's path, or the piece's id.
        reason: one line that says why.
    """

    path: str
    reason: str


_NAMED = 3
"""How many files with one reason are named one by one."""
_LINES = 20
"""How many lines are said about what was left out."""


def told_skipped(skipped: Sequence[Skipped], listed: str = "") -> list[str]:
    """Return lines about what was left out, one for all that have the same reason.

    Args:
        skipped: what was left out.
        listed: where all of it can be read, if anywhere.
    """
    by_reason: dict[str, list[str]] = {}
    for entry in skipped:
        by_reason.setdefault(entry.reason, []).append(entry.path)
    lines = []
    for reason, paths in by_reason.items():
        if len(paths) > _NAMED:
            lines.append(f"skipped {len(paths):,} pieces, such as {paths[0]}: {reason}")
        else:
            lines += [f"skipped {path}: {reason}" for path in paths]
    hidden = len(lines) < len(skipped)
    if len(lines) > _LINES:
        lines[_LINES:] = [f"skipped more for {len(lines) - _LINES} other reasons"]
    if listed and hidden | (len(lines) > _LINES):
        lines.append(f"all that was skipped is listed in {listed}")
    return lines


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a corpus.

    Attributes:
        reader: index of its reader.
        item: where it is, and what its pieces are named after.
        key: what its pieces are cached under.
    """

    reader: int
    item: Item
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceInfo:
    """A piece without its music: its id, where it is, and what splitting and encoding need of it.

    Attributes:
        id: unique in the corpus.
        index: index among the pieces of its file.
        style: a word for the kind of music.
        part: the official part, if its source has one.
        warnings: what was odd about it, a line each.
        kind: whether it is a Score or a Text.
        size: roughly its length in sixteenths or characters.
        fingerprint: hash of what sounds.
        notes_hash: hash of the written notes alone, by which copies are recognised.
        content_hash: hash of everything, by which what is derived from it is found again.
        source_id: id of the piece that an encoder extracted it from; its own where none did.
        prevailing: what holds for most of it.
        file: index of its file in the manifest; -1 as long as it is in none.
    """

    id: str
    index: int
    style: str
    part: SplitName | None
    warnings: tuple[str, ...]
    kind: Literal["score", "text"]
    size: int
    fingerprint: str
    notes_hash: str
    content_hash: str
    source_id: str
    prevailing: Prevailing = field(default_factory=Prevailing)
    file: int = -1

    @classmethod
    def of(
        cls,
        piece: Piece,
        index: int,
        *,
        notes_hash: str | None = None,
        source_id: str | None = None,
    ) -> PieceInfo:
        """Return the info of a piece.

        Args:
            piece: the piece.
            index: index among the pieces of its file.
            notes_hash: the hash by which copies are recognised, if not that of the bare notes.
            source_id: id of the piece it was extracted from, if not its own.
        """
        content = piece.content
        fingerprint = content_hash = content.fingerprint()
        kind: Literal["score", "text"] = "text"
        if isinstance(content, Text):
            size = len(content.text)
        else:
            # In sixteenths.
            kind, size = "score", 4 * content.length // content.ticks_per_beat
            digest = hashlib.sha256(fingerprint.encode())
            # `fingerprint` covers the notes and what they sound like; encoders may also use tempo,
            # meter and controllers, so that what is derived from a piece depends on these too.
            for name in (*MAPS, *CONTROLS):
                # The shape too: else the end of one array could pass for the beginning of the next.
                digest.update(repr(getattr(content, name).shape).encode())
                digest.update(getattr(content, name).tobytes())
            digest.update(repr(content.tracks).encode())
            content_hash = digest.hexdigest()
        return cls(
            id=piece.id,
            index=index,
            style=piece.style,
            part=piece.part,
            warnings=piece.warnings,
            kind=kind,
            size=size,
            fingerprint=fingerprint,
            notes_hash=content.notes_fingerprint() if notes_hash is None else notes_hash,
            content_hash=content_hash,
            source_id=piece.id if source_id is None else source_id,
            prevailing=Prevailing.of(content),
        )


@dataclass
class Manifest:
    """What a corpus holds.

    Attributes:
        loader: gives the pieces of its files.
        taken: ids of its files, whether they could be read or not.
        files: those that could be read.
        pieces: theirs, in order.
        warnings: for a piece's id what was odd about it.
        skipped: what is left out, and why.
        discovery: what was found beside the files.
        libraries: for each reader that read, the library it reads through.
        started: time in seconds at which reading began.
        scratch: keeps the folder of the music alive where it is a temporary one.
    """

    loader: PieceLoader
    taken: Sequence[str] = ()
    files: Sequence[SourceFile] = ()
    pieces: Sequence[PieceInfo] = ()
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    discovery: DiscoveryNotes = field(default_factory=DiscoveryNotes)
    libraries: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    scratch: Scratch | None = None
