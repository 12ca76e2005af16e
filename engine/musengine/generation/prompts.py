"""What pieces go on from: prompts cut from pieces, stored in a run folder, and read again."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import safetensors
from safetensors import numpy as tensors

from musengine.config.quantities import Length
from musengine.encoding.layouts import Grid, Layout, Tokens
from musengine.errors import UserError
from musengine.generation.lengths import steps_in
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece, Encoder
from musengine.music.prevailing import Prevailing
from musengine.utils.arrays import Array
from musengine.utils.files import whole_file
from musengine.utils.safetensors_header import ordered

PROMPT_BYTES = 2_000_000
"""What the beginnings of pieces may take that a run folder keeps."""

FEWEST, MOST = 64, 4096
"""How many pieces' beginnings are kept at the least, where there are so many, and at the most."""

PROMPT_STEPS = 512
"""Steps that are kept of each, where a prompt needs no more, if as many as `FEWEST` fit then."""

_CHANNEL = "conditioning."
_FOREIGN = (ValueError, TypeError, RecursionError)
"""What reading arrays and JSON that `store_prompts` did not write may end in."""


def cut_prompt(
    piece: Encoded,
    offset: Length | np.random.Generator,
    length: Length,
    encoder: Encoder[Any],
    settings: DecodeSettings,
    name: str,
) -> tuple[Encoded, int]:
    """Return the part of a piece that serves as a prompt, and where it begins.

    A piece that ends within the part gives what it has, without the token that ends it. Where the
    arrays tell where bars begin, the part begins with the bar that its place lies in.

    Args:
        piece: what it is cut from.
        offset: where the part begins; from a generator a place is drawn at which it fits.
        length: how long the part is.
        encoder: what made the piece.
        settings: tempo and meter.
        name: the piece's, for messages.

    Raises:
        UserError: the piece ends before the part begins.
    """
    start: int | None
    if isinstance(offset, np.random.Generator):
        whole = steps_in(length, piece.steps, encoder, settings)
        # A stretch as long as that from the beginning fits behind each of these places in steps; in
        # musical time it may end a little early.
        start = 0 if whole is None else int(offset.integers(len(piece.steps) - whole + 1))
    else:
        start = steps_in(offset, piece.steps, encoder, settings)
        if start is None or start >= len(piece.steps):
            raise UserError(
                f"generate.prompt_offset: {name} is shorter than {offset.to_toml()}; "
                "choose a smaller offset",
                code="prompt-too-short",
            )
    bars = encoder.layout.bar_starts(piece.steps)
    if len(bars):
        # The last bar that begins at or before the place.
        start = int(bars[np.searchsorted(bars, start, side="right") - 1])
    count = steps_in(length, piece.steps[start:], encoder, settings)
    stop = len(piece.steps) if count is None else start + count
    layout = encoder.layout
    if isinstance(layout, Tokens) and stop > start and piece.steps[stop - 1] == layout.end:
        stop -= 1  # a prompt is to be gone on from
    conditioning = {name: channel[start:stop] for name, channel in piece.conditioning.items()}
    return Encoded(steps=piece.steps[start:stop], conditioning=conditioning), start


def steps_needed(
    pieces: Sequence[EncodedPiece],
    offset: Length | None,
    length: Length,
    encoder: Encoder[Any],
    settings: Mapping[str, DecodeSettings],
) -> int:
    """Return how many steps of the beginnings of pieces prompts need, `PROMPT_STEPS` at least.

    Args:
        pieces: to choose from.
        offset: where a prompt begins; None for anywhere, for which twice its length is kept.
        length: how long it is.
        encoder: what made the pieces.
        settings: tempo and meter of each piece, by its id.
    """
    most = PROMPT_STEPS
    for piece in pieces:
        steps, own = piece.encoded.steps, settings[piece.id]
        start = 0 if offset is None else steps_in(offset, steps, encoder, own)
        if start is not None:
            count = steps_in(length, steps[start:], encoder, own)
            count = len(steps) if count is None else count
            most = max(most, 2 * count if offset is None else start + count)
    return most


def draw_prompts(
    pieces: Sequence[EncodedPiece],
    count: int,
    seed: int,
    offset: Length | None,
    length: Length,
    encoder: Encoder[Any],
    settings: DecodeSettings,
) -> list[EncodedPiece]:
    """Return pieces for prompts in an order drawn from a seed, each once before any comes again.

    Those are taken that are long enough; where none is, those that reach the offset.

    Args:
        pieces: to choose from, one at least.
        count: how many.
        seed: what the order is drawn from; the k-th is the same however many there are.
        offset: where reading begins; None for anywhere.
        length: how much is read.
        encoder: what made the pieces.
        settings: tempo and meter.
    """

    def reach(piece: EncodedPiece) -> int:
        steps = piece.encoded.steps
        start = 0 if offset is None else steps_in(offset, steps, encoder, settings)
        if start is None or start >= len(steps):
            return 0
        return 1 if steps_in(length, steps[start:], encoder, settings) is None else 2

    reaches = [reach(piece) for piece in pieces]
    usable = [piece for piece, far in zip(pieces, reaches, strict=True) if far == max(reaches)]
    # The constant keeps this apart from other draws with the same seed.
    order = np.random.default_rng([seed, 0x960347]).permutation(len(usable))
    return [usable[order[k % len(usable)]] for k in range(count)]


def store_prompts(
    pieces: Sequence[EncodedPiece],
    layout: Layout,
    path: Path,
    prevailing: Mapping[str, Prevailing] = MappingProxyType({}),
    needed: int = PROMPT_STEPS,
) -> None:
    """Store the beginnings of pieces in one file, so that generation needs no corpus.

    As many as fit into `PROMPT_BYTES`, each as long as is needed where that leaves room for
    `FEWEST`, and longer where room is left; of more than fit some are drawn.

    Args:
        pieces: to choose from.
        layout: of their arrays.
        path: the file.
        prevailing: for the ids of pieces what holds for most of them, where it is known.
        needed: steps that shall be kept of each.
    """
    if not pieces:
        return
    drawn = np.random.default_rng(0).permutation(len(pieces))[:MOST].tolist()
    lengths = np.array([len(pieces[index]) for index in drawn])
    # All pieces of an encoder take equally much per step: one tells how many steps there is room
    # for.
    step = _compact(pieces[drawn[0]].encoded, 1, layout)
    room = PROMPT_BYTES // max(sum(array.nbytes for array in step.values()), 1)
    # First how many pieces, then, below, how many steps of each.
    fitting = int((np.cumsum(np.minimum(lengths, needed)) <= room).sum())
    lengths = lengths[: max(fitting, FEWEST)]
    # The largest bound on their lengths with which they fit.
    bounds = range(1, int(lengths.max()) + 1)
    # Their sum grows with the bound, hence bisection. `bounds` begins at 1, so that the number of
    # bounds that fit is the largest of them.
    bound = bisect_right(bounds, room, key=lambda most: int(np.minimum(lengths, most).sum()))
    kept = np.minimum(lengths, bound)
    chosen = [pieces[index] for index in drawn[: len(kept)]]
    parts = [
        _compact(piece.encoded, count, layout)
        for piece, count in zip(chosen, kept.tolist(), strict=True)
    ]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in step}
    own = [prevailing.get(piece.id, Prevailing()).as_json() for piece in chosen]
    metadata = {
        "ids": json.dumps([piece.id for piece in chosen]),
        "prevailing": json.dumps(own),
        "whole": json.dumps([len(piece) for piece in chosen]),
    }
    data = ordered(tensors.save({**arrays, "lengths": kept.astype(np.int64)}, metadata=metadata))
    with whole_file(path) as aside:
        aside.write_bytes(data)


def read_prompts(path: Path, layout: Layout) -> list[EncodedPiece]:
    """Return the stored beginnings of pieces, none where there is no file.

    Raises:
        UserError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        ids = json.loads(metadata["ids"])
        own = json.loads(metadata.get("prevailing", "[]")) or [{}] * len(ids)
        wholes = json.loads(metadata.get("whole", "null")) or [None] * len(ids)
        ends = np.cumsum(arrays.pop("lengths"))[:-1]
        steps = np.split(_loosened(arrays.pop("steps"), layout), ends)
        channels = {
            name.removeprefix(_CHANNEL): np.split(array, ends) for name, array in arrays.items()
        }
        return [
            EncodedPiece(
                str(name),
                Encoded(part, {each: channels[each][k] for each in channels}),
                "",
                Prevailing.from_json(values),
                None if whole is None or int(whole) <= len(part) else int(whole),
            )
            for k, (name, part, values, whole) in enumerate(
                zip(ids, steps, own, wholes, strict=True)
            )
        ]
    except (OSError, LookupError, AttributeError, safetensors.SafetensorError, *_FOREIGN) as error:
        raise UserError(
            f"the stored prompts {path} are damaged: {error}", code="file-damaged"
        ) from error


def beginning(piece: EncodedPiece, steps: int = PROMPT_STEPS) -> EncodedPiece:
    """Return the first steps of a piece."""
    channels = {name: channel[:steps] for name, channel in piece.encoded.conditioning.items()}
    encoded = Encoded(piece.encoded.steps[:steps], channels)
    return EncodedPiece(piece.id, encoded, piece.fingerprint, whole=piece.whole or len(piece))


def _compact(encoded: Encoded, count: int, layout: Layout) -> dict[str, Array]:
    """Return the first steps in as few bytes as they take, a grid's ones and zeros as bits."""
    steps = encoded.steps[:count]
    if isinstance(layout, Grid):
        steps = np.packbits(steps.reshape(len(steps), -1), axis=1)
    elif isinstance(layout, Tokens):
        # Ids of a vocabulary under 257 fit in one byte.
        steps = steps.astype(np.min_scalar_type(max(layout.size - 1, 0)))
    channels = {f"{_CHANNEL}{name}": each[:count] for name, each in encoded.conditioning.items()}
    return {"steps": steps, **channels}


def _loosened(steps: Array, layout: Layout) -> Array:
    """Return the steps that `_compact` was given."""
    if isinstance(layout, Grid):
        shape = layout.step_shape
        return np.unpackbits(steps, axis=1, count=prod(shape)).reshape(-1, *shape)
    return steps.astype(np.int64) if isinstance(layout, Tokens) else steps
