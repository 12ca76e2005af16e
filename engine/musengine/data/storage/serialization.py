"""Pieces as arrays and JSON, as the cache keeps them, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from musengine.data.manifest import PieceInfo, Skipped
from musengine.music.note_tables import COLUMNS
from musengine.music.piece import Piece, Text
from musengine.music.prevailing import Prevailing
from musengine.music.score import CONTROLS, MAPS, Score, Track
from musengine.music.texts import TextEvent
from musengine.utils.arrays import Array

JSONObject = dict[str, Any]


def pack_pieces(
    pieces: Sequence[Piece], infos: Sequence[PieceInfo] | None = None
) -> tuple[dict[str, Array], list[JSONObject]]:
    """Return pieces as arrays and a JSON list.

    Args:
        pieces: those of one file.
        infos: the info of each; by default what follows from the piece alone.
    """
    if infos is None:
        infos = [PieceInfo.of(piece, index) for index, piece in enumerate(pieces)]
    arrays: dict[str, Array] = {}
    entries = []
    for index, (piece, info) in enumerate(zip(pieces, infos, strict=True)):
        entry: JSONObject = {"info": asdict(info), "format": piece.format}
        content = piece.content
        if isinstance(content, Text):
            entry["text"] = [content.text, content.notation]
        else:
            for name in (*COLUMNS, *MAPS, *CONTROLS):
                arrays[f"{index}.{name}"] = getattr(content, name)
            entry["score"] = [content.ticks_per_beat, content.length]
            entry["tracks"] = [asdict(track) for track in content.tracks]
            entry["texts"] = [[*each] for each in content.texts]
        entries.append(entry)
    return arrays, entries


def pack_skipped(skipped: Skipped) -> JSONObject:
    """Return the JSON of a piece of which nothing is kept."""
    return {"skipped": asdict(skipped)}


def unpack_pieces(arrays: Mapping[str, Array], entries: Iterable[JSONObject]) -> list[Piece]:
    """Return the pieces that `pack_pieces` packed."""
    return [
        Piece(
            info.id,
            _content(arrays, index, entry),
            info.style,
            info.part,
            info.warnings,
            entry["format"],
        )
        for index, entry in enumerate(entries)
        if isinstance(info := _unpack_info(entry), PieceInfo)
    ]


def _content(arrays: Mapping[str, Array], index: int, entry: JSONObject) -> Score | Text:
    if "text" in entry:
        return Text(*entry["text"])
    ticks_per_beat, length = entry["score"]
    return Score(
        **{name: arrays[f"{index}.{name}"] for name in (*COLUMNS, *MAPS, *CONTROLS)},
        ticks_per_beat=ticks_per_beat,
        length=length,
        tracks=tuple(Track(**track) for track in entry["tracks"]),
        texts=tuple(TextEvent(*each) for each in entry["texts"]),
    )


def unpack_infos(entries: Iterable[JSONObject]) -> list[PieceInfo | Skipped]:
    """Return the infos of the packed pieces, and the pieces of which nothing was kept."""
    return [_unpack_info(entry) for entry in entries]


def _unpack_info(entry: JSONObject) -> PieceInfo | Skipped:
    if "skipped" in entry:
        return Skipped(**entry["skipped"])
    info = entry["info"]
    own = {
        "warnings": tuple(info["warnings"]),
        "prevailing": Prevailing.from_json(info["prevailing"]),
    }
    return PieceInfo(**{**info, **own})
