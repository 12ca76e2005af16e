"""A corpus made ready for a model: divided by piece, moved to a key, encoded, cached."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from musengine.cache import Cache, default_folder, key_of
from musengine.components.encoders import Encoded, EncodedPiece, Encoder
from musengine.config import to_table
from musengine.console import Console, counted
from musengine.errors import UnreadableError, UserError
from musengine.keys import tonic_shift
from musengine.pipeline import Pipeline
from musengine.reading import Reading, Skipped, read_sources
from musengine.registry import Component, Registry
from musengine.score import Part, Piece, Score, Text
from musengine.tables import CorpusConfig

PARTS: tuple[Part, ...] = get_args(Part)


@dataclass
class Dataset:
    """The encoded pieces of each part, and what was left out on the way."""

    parts: dict[Part, list[EncodedPiece]]
    skipped: list[Skipped] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)

    def fingerprints(self) -> dict[str, dict[str, str]]:
        """Return, for each part, the ids of its pieces and hashes of their content."""
        return {
            part: {piece.id: piece.fingerprint for piece in pieces}
            for part, pieces in self.parts.items()
        }


def cache_of(config: CorpusConfig) -> Cache:
    """Return the disk cache a corpus's settings ask for."""
    if config.cache is False:
        return Cache(None)
    return Cache(config.cache if isinstance(config.cache, Path) else default_folder())


def read_corpus(pipeline: Pipeline, registry: Registry) -> Reading:
    """Read the pieces of a pipeline's corpus.

    Raises:
        UserError: there is nothing usable; says what was found and why each was dropped.
    """
    config = pipeline.corpus
    reading = read_sources(
        config.path,
        registry,
        reader=pipeline.reader,
        accepts=pipeline.accepts(),
        jobs=config.jobs,
        cache=cache_of(config),
    )
    if not reading.pieces:
        raise UserError(_nothing(config, reading.skipped, reading.found.ignored))
    return reading


def prepare(
    pipeline: Pipeline, reading: Reading, encoder: Encoder[Any], *, learned: bool = False
) -> Dataset:
    """Divide, transpose and encode the pieces; the encoder learns from the training part first.

    Args:
        pipeline: what is wanted.
        reading: the pieces.
        encoder: what encodes them.
        learned: the encoder has learned already, and stays as it is.

    Raises:
        UserError: nothing is left to train on.
    """
    config = pipeline.corpus
    pieces = reading.pieces
    if config.key == "common":
        pieces = [_in_common_key(piece) for piece in pieces]
    parts = divide(pieces, config)
    parts["train"] = [*parts["train"], *_transposed(parts["train"], config.transpose)]
    if not learned:
        encoder.fit(parts["train"])
    dataset = Dataset({part: [] for part in PARTS}, list(reading.skipped), reading.found.notices)
    dataset.ignored = reading.found.ignored
    cache = cache_of(config)
    total, done = sum(len(parts[part]) for part in PARTS), 0
    with Console.current().meter("encoding") as meter:
        for part in PARTS:
            for piece in parts[part]:
                _encode_into(dataset, part, piece, pipeline.encoder, encoder, cache)
                done += 1
                meter.show(done / total, f"{done} of {counted(total, 'piece')}")
    if not dataset.parts["train"]:
        raise UserError(_nothing(config, dataset.skipped, reading.found.ignored))
    return dataset


def _encode_into(
    dataset: Dataset,
    part: Part,
    piece: Piece,
    component: Component,
    encoder: Encoder[Any],
    cache: Cache,
) -> None:
    try:
        encoded, fingerprint = encode_cached(piece, component, encoder, cache)
    except UnreadableError as error:
        dataset.skipped.append(Skipped(piece.id, error.lines[0]))
        return
    dataset.lost.update(encoded.lost)
    dataset.parts[part].append(EncodedPiece(piece.id, encoded, fingerprint))


def encode_cached(
    piece: Piece, component: Component, encoder: Encoder[Any], cache: Cache
) -> tuple[Encoded, str]:
    """Encode one piece, or find it encoded before; returns it and the piece's fingerprint."""
    fingerprint = piece.content.fingerprint()
    key = key_of(
        "encoded",
        fingerprint,
        _meters(piece.content),
        component.name,
        str(component.entry.origin),
        to_table(component.config),
        encoder.state(),
    )
    stored = cache.get(key)
    if stored is not None:
        arrays, lost = stored
        steps = arrays.pop("steps")
        return Encoded(steps=steps, sides=arrays, lost=lost), fingerprint
    encoded = encoder.encode(piece.content)
    cache.put(key, {**encoded.sides, "steps": encoded.steps}, dict(encoded.lost))
    return encoded, fingerprint


def _meters(content: Score | Text) -> list[Any]:
    """Return the meter map, which is not heard, but which side channels may depend on."""
    if isinstance(content, Text):
        return []
    return [content.meter_tick.tolist(), content.meter.tolist()]


def divide(pieces: Sequence[Piece], config: CorpusConfig) -> dict[Part, list[Piece]]:
    """Divide pieces into train, valid and test.

    Pieces with an official part go there. If no piece has one, shares of `config.valid` and
    `config.test` are held out by a draw from `config.split_seed`; copies of one piece always stay
    together. Where only some have an official part, the others are trained on.
    """
    parts: dict[Part, list[Piece]] = {part: [] for part in PARTS}
    if any(piece.part is not None for piece in pieces):
        for piece in pieces:
            parts[piece.part or "train"].append(piece)
        return parts
    groups: dict[str, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(piece.content.fingerprint(), []).append(piece)
    # By a hash of each piece's content, not by its place in a list: a piece added to the folder
    # moves few others to another part.
    ranked = sorted(groups, key=lambda print_: _rank(print_, config.split_seed))
    n_valid, n_test = round(config.valid * len(groups)), round(config.test * len(groups))
    held_out = max(len(groups) - 1, 0)
    n_valid = min(n_valid, held_out)
    n_test = min(n_test, held_out - n_valid)
    chosen: dict[str, Part] = dict.fromkeys(ranked, "train")
    chosen.update(dict.fromkeys(ranked[:n_valid], "valid"))
    chosen.update(dict.fromkeys(ranked[n_valid : n_valid + n_test], "test"))
    for fingerprint, group in groups.items():
        parts[chosen[fingerprint]].extend(group)
    return parts


def _rank(fingerprint: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{fingerprint}".encode()).hexdigest()


def _in_common_key(piece: Piece) -> Piece:
    if not isinstance(piece.content, Score):
        return piece
    return replace(piece, content=piece.content.transpose(tonic_shift(piece.content)))


def _transposed(pieces: Iterable[Piece], semitones: Sequence[int]) -> list[Piece]:
    """Return each score moved by each of the semitones, 0 left out."""
    return [
        replace(piece, id=f"{piece.id}{shift:+d}", content=piece.content.transpose(shift))
        for shift in semitones
        if shift
        for piece in pieces
        if isinstance(piece.content, Score)
    ]


def _nothing(config: CorpusConfig, skipped: Sequence[Skipped], ignored: Counter[str]) -> str:
    where = ", ".join(source.text for source in config.path)
    reasons = [f"{entry.path}: {entry.reason}" for entry in skipped]
    if len(reasons) > 20:
        reasons = [*reasons[:20], f"and {len(reasons) - 20} more"]
    if not skipped:
        others = ", ".join(f"{count} {suffix}" for suffix, count in ignored.most_common(5))
        reasons = [f"no music files found{f' (there are {others})' if others else ''}"]
    return f"no usable music in {where}: {'; '.join(reasons)}"


def total_steps(pieces: Iterable[EncodedPiece]) -> int:
    """Return how many time steps some pieces have together."""
    return int(np.sum([len(piece) for piece in pieces], dtype=np.int64))
