"""Pieces of a run that are a file's but for a passage: read, drawn among its notes, put in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from musengine.data.reading import read_sources
from musengine.data.storage.cache import corpus_cache
from musengine.errors import UserError
from musengine.generation.attempts import Kept, Verdict
from musengine.generation.engine import GeneratedPiece, piece_seeds
from musengine.generation.infill import infill_of, with_passage
from musengine.generation.passages import draw_passages, suiting
from musengine.generation.written import Known, settings_of
from musengine.interfaces.encoder import DecodeSettings, Encoded
from musengine.interfaces.sampler import Sampler
from musengine.interfaces.steering import Infill, Passage
from musengine.music.piece import Piece
from musengine.music.prevailing import Prevailing
from musengine.music.score import Score
from musengine.pipeline.resolve import Pipeline
from musengine.pipeline.values import Source
from musengine.plugins.registry import Registry
from musengine.runs.pieces.prompts import Prompt
from musengine.runs.trained import Trained
from musengine.utils.format import counted
from musengine.utils.progress import ProgressReporter

logger = logging.getLogger(__name__)

_AT_ONCE = 32
"""So many passages are drawn side by side, where one piece does not need more."""


@dataclass(frozen=True)
class InfilledPiece:
    """A file's piece with a passage made anew.

    Attributes:
        score: the piece.
        prompt: of no steps, under the piece's name.
        kept: the steps up to some bars after it, and what is thought of it.
    """

    score: Score
    prompt: Prompt
    kept: Kept


def infilled_pieces(
    pipeline: Pipeline,
    registry: Registry,
    trained: Trained,
    samplers: Sequence[Sampler[Any]],
    seed: int,
    reporter: ProgressReporter,
) -> list[InfilledPiece]:
    """Return the pieces that `generate.infill` asks for.

    Raises:
        UserError: the file is not one piece, or has no such bars or part.
    """
    config = pipeline.generate
    assert config.infill is not None
    piece = _read(config.infill, pipeline, registry)
    assert isinstance(piece.content, Score)
    steering = config.steering(pipeline.model_declaration.steering)
    infill = infill_of(piece.content, config, steering)
    # The file's own tempo, meter and key hold, not those that new pieces would get.
    own = replace(config, tempo=None, meter=None, key=None)
    known = Known(own, Prevailing.of(piece.content))
    nothing = Encoded(trained.encoder.empty())
    seeds = piece_seeds(seed, config.count)
    # All passages of one piece are in one call, as the best of them is kept.
    together = max(1, _AT_ONCE // config.passages)
    pieces: list[InfilledPiece] = []
    with reporter.bar("generating") as bar:
        for start in range(0, config.count, together):
            chunk = seeds[start : start + together]
            what = f"{counted(len(chunk), 'piece')}, {config.passages} passages each"
            share = start / config.count

            # As defaults, or every call would see the values of the last turn of the loop.
            def beat(share: float = share, what: str = what) -> None:
                bar.update(share, what)

            chosen = _drawn(pipeline, trained, samplers, infill, chunk, settings_of(known), beat)
            for passage, measures in chosen:
                prompt = Prompt(piece.id, nothing, 0, known)
                score = with_passage(infill, passage.score)
                new = len(score) - len(infill.score)
                faults = () if new else ("without new notes",)
                verdict = Verdict(faults, measures={"new_notes": float(new), **measures})
                kept = Kept(GeneratedPiece(passage.whole.steps), verdict)
                pieces.append(InfilledPiece(score, prompt, kept))
    return pieces


def _drawn(
    pipeline: Pipeline,
    trained: Trained,
    samplers: Sequence[Sampler[Any]],
    infill: Infill,
    seeds: Sequence[int],
    settings: DecodeSettings,
    beat: Callable[[], None],
) -> list[tuple[Passage, dict[str, float]]]:
    """Return a passage for each seed, the best of so many, and what was measured of it."""
    each = pipeline.generate.passages
    drawn = draw_passages(
        trained.model,
        trained.encoder,
        samplers,
        infill,
        seeds=[one for seed in seeds for one in piece_seeds(seed, each)],
        settings=settings,
        device=trained.device,
        beat=beat,
    )
    if not pipeline.model_declaration.likelihood:
        return [(drawn[start], {}) for start in range(0, len(drawn), each)]
    # Of several draws the one is kept after which the given notes are likeliest.
    nll = suiting(trained.model, drawn)
    best = [min(range(k, k + each), key=nll.__getitem__) for k in range(0, len(drawn), each)]
    return [(drawn[k], {"given_nll": nll[k], "passage": float(k % each)}) for k in best]


def _read(path: Path, pipeline: Pipeline, registry: Registry) -> Piece:
    """Return the piece of a file.

    Raises:
        UserError: there is none, or more than one.
    """
    cache = corpus_cache(pipeline.corpus)
    found = read_sources([Source(str(path))], registry, accepts=("score",), jobs=1, cache=cache)
    if len(found.pieces) == 1:
        return found.pieces[0]
    why = "; ".join(entry.reason for entry in found.skipped[:10])
    if found.pieces:
        why = f"it holds {len(found.pieces)} pieces; name a file of one"
    raise UserError(
        f"generate.infill: {path} is not a piece: {why or 'no music in it'}", code="not-one-piece"
    )
