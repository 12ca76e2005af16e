"""What a run's new pieces go on from: stored beginnings, a file or folder, a text, or nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from musengine.config.quantities import Length
from musengine.data.reading import read_sources
from musengine.data.storage.cache import corpus_cache
from musengine.errors import UnreadableError, UserError
from musengine.generation.lengths import steps_in
from musengine.generation.prompts import cut_prompt, draw_prompts, read_prompts
from musengine.generation.written import Known, settings_of
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece, Encoder
from musengine.music.prevailing import Prevailing
from musengine.pipeline.resolve import Pipeline
from musengine.pipeline.sections import GenerateConfig
from musengine.pipeline.values import Source
from musengine.plugins.registry import Registry
from musengine.runs.folder import RunFolder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prompt:
    """What one new piece goes on from.

    Attributes:
        name: of the piece that it is of; `text` or `none`.
        encoded: its steps, possibly none.
        first: where in its piece it begins.
        known: what is known of the new piece.
    """

    name: str
    encoded: Encoded
    first: int
    known: Known


def prompts_for(
    pipeline: Pipeline, run: RunFolder, registry: Registry, encoder: Encoder[Any], seed: int
) -> list[Prompt]:
    """Return, for each new piece, what it goes on from."""
    config, corpus = pipeline.generate, run.prevailing()
    general = Known(config, corpus=corpus)
    if config.prompt_text is not None:
        prompt = _prompt_of_text(config.prompt_text, encoder)
        return [Prompt("text", prompt, 0, general)] * config.count
    if config.prompt.kind == "none" or not config.prompt_length.number:
        return [Prompt("none", Encoded(steps=encoder.empty()), 0, general)] * config.count
    if config.prompt.kind == "corpus":
        chosen = _stored_prompts(config, run, encoder, settings_of(general), seed)
    else:
        pieces = _prompts_of_files(pipeline, registry, encoder)
        # Where there are fewer pieces than are asked for, the first ones are prompts again.
        chosen = [pieces[index % len(pieces)] for index in range(config.count)]
    prompts: list[Prompt] = []
    short: list[str] = []
    for piece, offset in zip(chosen, _offsets(config, seed), strict=True):
        known = Known(config, piece.prevailing, corpus)
        length, settings = config.prompt_length, settings_of(known)
        cut, first = cut_prompt(piece.encoded, offset, length, encoder, settings, piece.id)
        prompts.append(Prompt(piece.id, cut, first, known))
        if piece.whole is not None and steps_in(length, cut.steps, encoder, settings) is None:
            short.append(f"{piece.id} ({len(piece)} of {piece.whole} steps)")
    if short:
        logger.warning(
            f"the run keeps no more than the beginning of {', '.join(dict.fromkeys(short))}: "
            f"shorter prompts than {config.prompt_length.to_toml()}; generate.prompt = a file of "
            "yours is read whole"
        )
    return prompts


def _stored_prompts(
    config: GenerateConfig,
    run: RunFolder,
    encoder: Encoder[Any],
    settings: DecodeSettings,
    seed: int,
) -> list[EncodedPiece]:
    pieces = read_prompts(run.prompts, encoder.layout)
    if not pieces:
        raise UserError(
            f'{run.path} holds no prompts; use generate.prompt = "none"', code="no-prompts"
        )
    offset, length = config.prompt_offset.length, config.prompt_length
    return draw_prompts(pieces, config.count, seed, offset, length, encoder, settings)


def _offsets(config: GenerateConfig, seed: int) -> list[Length | np.random.Generator]:
    """Return, for each piece, where in its prompt reading begins, or what draws the place."""
    fixed = config.prompt_offset.length
    return [
        # By the piece's number, so that a piece has the same place whatever the count; the constant
        # keeps these draws apart from others with the same seed.
        np.random.default_rng([seed, 0x0FF5E7, index]) if fixed is None else fixed
        for index in range(config.count)
    ]


def _prompt_of_text(text: str, encoder: Encoder[Any]) -> Encoded:
    try:
        prompt = encoder.encode_prompt(text)
    except UnreadableError as error:
        raise UserError(f"generate.prompt_text: {error.lines[0]}", code=error.code) from error
    for what, count in prompt.dropped.items():
        logger.warning(f"generate.prompt_text: {count} {what}")
    return prompt


def _prompts_of_files(
    pipeline: Pipeline, registry: Registry, encoder: Encoder[Any]
) -> list[EncodedPiece]:
    path = pipeline.generate.prompt.path
    found = read_sources(
        [Source(str(path))],
        registry,
        accepts=pipeline.accepts(),
        cache=corpus_cache(pipeline.corpus),
    )
    pieces, reasons = [], [f"{entry.path}: {entry.reason}" for entry in found.skipped]
    for piece in found.pieces:
        try:
            pieces += [
                EncodedPiece(part.id, encoder.encode(part.content), "", Prevailing.of(part.content))
                for part in encoder.pieces(piece)
            ]
        except UserError as error:
            reasons.append(f"{piece.id}: {error}")
    if not pieces:
        why = "; ".join(reasons[:10]) or "no music files found"
        raise UserError(f"generate.prompt: nothing in {path} can be used: {why}", code="no-prompts")
    return pieces
