"""What several tests of the core build: random music, encoders, encoded pieces, plugins."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from musengine.builtin.configs import PianoRollConfig
from musengine.builtin.encoders.piano_roll import PianoRoll
from musengine.config.quantities import GridStep
from musengine.data.files.loader import PieceLoader
from musengine.data.manifest import Manifest, PieceInfo, SourceFile
from musengine.data.storage.cache import Cache, key_of
from musengine.data.storage.serialization import pack_pieces
from musengine.errors import UnreadableError, UserError
from musengine.interfaces.encoder import Encoded, EncodedPiece
from musengine.interfaces.reader import Item, Reader
from musengine.music.piece import Piece
from musengine.music.score import Score
from musengine.testing import only_plugins, write_midi

Thing = TypeVar("Thing")


@contextlib.contextmanager
def no_model_but(*names: str) -> Iterator[None]:
    """Leave out the trained models that come with the engine; `names` are entry points beside."""
    there = {each.name for each in entry_points(group="musengine")} | {*names}
    with only_plugins(*sorted(there - {"models"})):
        yield


@contextlib.contextmanager
def refused(code: str, *values: object) -> Iterator[None]:
    """Expect a problem of this code, told in one line that has these values in it."""
    with pytest.raises(UserError) as caught:
        yield
    assert [problem.code for problem in caught.value.problems] == [code]
    assert len(caught.value.lines) == 1
    assert [value for value in values if str(value) not in str(caught.value)] == []


def write_random_midi(folder: Path, files: int, *, beats: int, notes: int) -> None:
    """Write MIDI files of so many beats and random notes, always the same ones."""
    drawn = np.random.default_rng(5)
    for number in range(files):
        score = Score.from_notes(
            np.sort(drawn.integers(0, beats * 24, notes)),
            drawn.integers(1, 48, notes),
            drawn.integers(30, 90, notes),
            ticks_per_beat=24,
        )
        write_midi(score, folder / f"{number:03}.mid")


def beats(size: str) -> GridStep:
    """A step of so many beats."""
    return GridStep(Fraction(size), "beat")


def seconds(size: str) -> GridStep:
    """A step of so many seconds."""
    return GridStep(Fraction(size), "seconds")


def piano_roll(**options) -> PianoRoll:
    """A piano-roll encoder."""
    return PianoRoll(PianoRollConfig(**options))


def encoded_piece(
    steps: Sequence[int] | np.ndarray, name: str = "piece", *, conditioning: bool = False
) -> EncodedPiece:
    """A piece of tokens or of a grid, with its step numbers as a conditioning channel if wished."""
    array = np.asarray(steps)
    channels = {"place": np.arange(len(array)) * 10} if conditioning else {}
    return EncodedPiece(name, Encoded(steps=array, conditioning=channels), name)


def listed(pieces: Sequence[Piece]) -> list[PieceInfo]:
    """Pieces as a manifest lists them, each in a file of its own."""
    return [replace(PieceInfo.of(piece, 0), file=n) for n, piece in enumerate(pieces)]


def manifest_of(pieces: Sequence[Piece], cache: Cache) -> Manifest:
    """A manifest of pieces that lie in a cache; no music file is behind them."""
    files = []
    for number, piece in enumerate(pieces):
        key = key_of("of a test", number, pack_pieces([piece])[1])
        cache.put(key, *pack_pieces([piece]))
        files.append(SourceFile(0, Item(Path(piece.id), piece.id, piece.style), key))
    odd = {piece.id: piece.warnings for piece in pieces if piece.warnings}
    return Manifest(PieceLoader([], cache), files=files, pieces=listed(pieces), warnings=odd)


def spread(things: Sequence[Thing], count: int) -> list[Thing]:
    """So many of some things, spread evenly over them."""
    return list(things[:: max(1, len(things) // count)][:count])


def sampled(things: Sequence[Thing], count: int) -> list[Thing]:
    """So many of a slow test's things, spread evenly; all of them with `MUSENGINE_ALL_FILES=1`."""
    wanted = os.environ.get("MUSENGINE_ALL_FILES", "0") != "0"
    return list(things) if wanted else spread(things, count)


def pieces_or_refusal(reader: Reader, path: Path) -> list[Piece]:
    """The pieces of a file, or none where it was refused in one line; nothing else is raised."""
    lines = ["read"]
    try:
        return list(reader.read(Item(path, path.name)))
    except UnreadableError as error:
        lines = error.lines
    assert len(lines) == 1
    assert lines[0].strip()
    return []


PLUGIN = """
from musengine.api import ModelConfig, ModelDeclaration, hookimpl

@hookimpl
def musengine_models():
    return [
        ModelDeclaration(
            name=name, summary="", target={target!r}, config=ModelConfig, layouts=("grid",)
        )
        for name in {names!r}
    ]
"""


def declaring(*names: str, target: str = "nowhere:Nothing") -> str:
    """Return the source of a plugin that declares models of these names."""
    return PLUGIN.format(names=names, target=target)
