"""What a run's new pieces go on from: stored beginnings, a file or folder, a text, or nothing."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from musengine.config.quantities import Length
from musengine.data.cache import corpus_cache
from musengine.data.reading import read_sources
from musengine.errors import UnreadableError, UserError
from musengine.generation.prompts import cut_prompt, draw_prompts, read_prompts
from musengine.interfaces.encoder import DecodeSettings, Encoded, EncodedPiece, Encoder
from musengine.pipeline.resolve import Pipeline
from musengine.pipeline.sections import GenerateConfig
from musengine.pipeline.values import Source
from musengine.plugins.registry import Registry
from musengine.runs.folder import RunFolder

logger = logging.getLogger(__name__)


def prompts_for(
    pipeline: Pipeline,
    run: RunFolder,
    registry: Registry,
    encoder: Encoder[Any],
    settings: DecodeSettings,
    seed: int,
) -> tuple[list[str], list[Encoded], list[int]]:
    """Return, for each piece, the prompt's name, its steps and where in its piece it begins."""
    config = pipeline.generate
    if config.prompt_text is not None:
        prompt = _prompt_of_text(config.prompt_text, encoder)
        return ["text"] * config.count, [prompt] * config.count, [0] * config.count
    if config.prompt.kind == "none" or not config.prompt_length.number:
        nothing = Encoded(steps=encoder.empty())
        return ["none"] * config.count, [nothing] * config.count, [0] * config.count
    if config.prompt.kind == "corpus":
        chosen = _stored_prompts(config, run, encoder, settings, seed)
    else:
        pieces = _prompts_of_files(pipeline, registry, encoder)
        chosen = [pieces[index % len(pieces)] for index in range(config.count)]
    cuts = [
        cut_prompt(piece.encoded, offset, config.prompt_length, encoder, settings, piece.id)
        for piece, offset in zip(chosen, _offsets(config, seed), strict=True)
    ]
    return [piece.id for piece in chosen], [cut for cut, _ in cuts], [first for _, first in cuts]


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
                EncodedPiece(part.id, encoder.encode(part.content), "")
                for part in encoder.pieces(piece)
            ]
        except UserError as error:
            reasons.append(f"{piece.id}: {error}")
    if not pieces:
        why = "; ".join(reasons[:10]) or "no music files found"
        raise UserError(f"generate.prompt: nothing in {path} can be used: {why}", code="no-prompts")
    return pieces
