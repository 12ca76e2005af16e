"""What pieces go on from: prompts cut from pieces, stored in a run folder, and read again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors import numpy as tensors

from musengine.config.quantities import Length
from musengine.encoding.layouts import Tokens
from musengine.errors import UserError
from musengine.generation.lengths import steps_in
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece, Encoder
from musengine.utils.files import whole_file

PROMPTS = 8
"""Pieces of which a run folder keeps the beginning."""

PROMPT_STEPS = 512
"""Steps that are kept of each."""


def cut_prompt(
    piece: Encoded,
    offset: Length | np.random.Generator,
    length: Length,
    encoder: Encoder[Any],
    settings: DecodeSettings,
    name: str,
) -> tuple[Encoded, int]:
    """Return the part of a piece that serves as a prompt, and where it begins.

    A piece that ends within the part gives what it has, without the token that ends it.

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
        start = 0 if whole is None else int(offset.integers(len(piece.steps) - whole + 1))
    else:
        start = steps_in(offset, piece.steps, encoder, settings)
        if start is None or start >= len(piece.steps):
            raise UserError(
                f"generate.prompt_offset: {name} is shorter than {offset.to_toml()}; "
                "choose a smaller offset",
                code="prompt-too-short",
            )
    count = steps_in(length, piece.steps[start:], encoder, settings)
    stop = len(piece.steps) if count is None else start + count
    layout = encoder.layout
    if isinstance(layout, Tokens) and stop > start and piece.steps[stop - 1] == layout.end:
        stop -= 1  # a prompt is to be gone on from
    conditioning = {name: channel[start:stop] for name, channel in piece.conditioning.items()}
    return Encoded(steps=piece.steps[start:stop], conditioning=conditioning), start


def store_prompts(pieces: Sequence[EncodedPiece], folder: Path) -> None:
    """Store the beginnings of a few pieces, so that generation needs no corpus."""
    for index, piece in enumerate(pieces[:PROMPTS]):
        arrays = {"steps": piece.encoded.steps[:PROMPT_STEPS]}
        arrays |= {
            f"conditioning.{name}": channel[:PROMPT_STEPS]
            for name, channel in piece.encoded.conditioning.items()
        }
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        data = tensors.save(contiguous, metadata={"id": piece.id})
        with whole_file(folder / f"{index:02}.safetensors") as aside:
            aside.write_bytes(data)


def read_prompts(folder: Path) -> list[EncodedPiece]:
    """Return the stored prompts.

    Raises:
        UserError: one of them is damaged.
    """
    pieces = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                name = (file.metadata() or {}).get("id", path.stem)
            steps = arrays.pop("steps")
        except (OSError, KeyError, safetensors.SafetensorError) as error:
            raise UserError(
                f"the stored prompt {path} is damaged: {error}", code="file-damaged"
            ) from error
        conditioning = {
            key.removeprefix("conditioning."): channel for key, channel in arrays.items()
        }
        pieces.append(EncodedPiece(name, Encoded(steps=steps, conditioning=conditioning), ""))
    return pieces
