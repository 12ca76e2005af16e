"""New pieces from a run: prompts found, pieces generated, files written and noted."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from musengine.distributed.ranks import ALONE, Ranks
from musengine.errors import UserError
from musengine.generation import activations, engine
from musengine.generation import output as outputs
from musengine.generation.attempts import Kept, Verdict, kept_pieces
from musengine.generation.likeness import Likeness
from musengine.generation.prompts import beginning, read_prompts
from musengine.generation.worth import CorpusRange, judged
from musengine.generation.written import settings_of
from musengine.interfaces.encoder import Encoder
from musengine.interfaces.sampler import Sampler
from musengine.interfaces.writer import Probabilities
from musengine.music.score import Score
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.blame import phase
from musengine.plugins.registry import Registry
from musengine.runs.folder import RunFolder
from musengine.runs.pieces import samplers
from musengine.runs.pieces.infill import InfilledPiece, infilled_pieces
from musengine.runs.pieces.prompts import Prompt, prompts_for
from musengine.runs.processes.model import pieces_together, share_model
from musengine.runs.trained import Trained, load_trained
from musengine.utils.format import counted
from musengine.utils.progress import SILENT, ProgressReporter

logger = logging.getLogger(__name__)

_TOLD = 10
"""So many pieces get a line each that says why only their text was written."""

_COMPARED = 16
"""Beginnings of pieces by people whose likelihood that of new ones is compared with."""


@dataclass(frozen=True)
class NewPieces:
    """New pieces and what they came from, each list in their order.

    Attributes:
        trained: what made them.
        samplers: which of it drew their steps.
        pieces: decoded.
        kept: as the model chose them, prompts not included, and how often they were drawn.
        prompts: what they go on from.
    """

    trained: Trained
    samplers: list[Sampler[Any]]
    pieces: list[outputs.DecodedPiece]
    kept: list[Kept]
    prompts: list[Prompt]


def make_pieces(
    pipeline: Pipeline,
    run: RunFolder,
    registry: Registry,
    *,
    seed: int,
    reporter: ProgressReporter = SILENT,
    ranks: Ranks = ALONE,
) -> NewPieces:
    """Generate the pieces a pipeline asks for from its run's weights; nothing is written.

    Raises:
        UserError: what the user can mend.
    """
    with phase("generating"):
        return _make_pieces(pipeline, run, registry, seed, reporter, ranks)


def _make_pieces(
    pipeline: Pipeline,
    run: RunFolder,
    registry: Registry,
    seed: int,
    reporter: ProgressReporter,
    ranks: Ranks,
) -> NewPieces:
    config = pipeline.generate
    trained = load_trained(pipeline, run)
    chain = samplers.samplers_of(pipeline, trained.encoder.layout, run.samplers)
    if config.infill is not None:
        filled = infilled_pieces(pipeline, registry, trained, chain, seed, reporter)
        return _infilled(filled, trained, chain)
    prompts = prompts_for(pipeline, run, registry, trained.encoder, seed)
    plan = engine.GenerationPlan(
        prompts=[prompt.encoded for prompt in prompts],
        first=[prompt.first for prompt in prompts],
        seeds=engine.piece_seeds(seed, config.count),
        length=config.length,
        settings=[settings_of(prompt.known) for prompt in prompts],
        steering=config.steering(pipeline.model_declaration.steering),
    )
    # Once, before all draws: pieces that are drawn again use the weights that were sent.
    # Before other processes get the chain, so that what takes long is found once.
    engine.tune(chain, trained.model, trained.encoder, plan, trained.device)
    share_model(pipeline, trained, ranks)
    kept = _kept(pipeline, run, trained, chain, plan, seed, reporter, ranks)
    pieces = [
        _product(each.piece, prompt, trained.encoder)
        for each, prompt in zip(kept, prompts, strict=True)
    ]
    return NewPieces(trained, chain, pieces, kept, prompts)


def _infilled(
    made: Sequence[InfilledPiece], trained: Trained, chain: list[Sampler[Any]]
) -> NewPieces:
    return NewPieces(
        trained,
        chain,
        [outputs.DecodedPiece(each.score) for each in made],
        [each.kept for each in made],
        [each.prompt for each in made],
    )


def generate(
    pipeline: Pipeline,
    run: RunFolder,
    registry: Registry,
    *,
    seed: int,
    folder: Path | None = None,
    name: str = "piece",
    record: Path | None = None,
    keep_found: bool = True,
    reporter: ProgressReporter = SILENT,
    ranks: Ranks = ALONE,
) -> list[outputs.WrittenPiece]:
    """Generate the pieces a pipeline asks for from its run's weights, and write them.

    What went on inside the model while it made the first piece goes into the file `record`; what
    samplers found out of the weights is kept with the run, unless these change still.

    Raises:
        UserError: what the user can mend.
    """
    recorder = None
    if record is not None and pipeline.generate.infill is not None:
        raise UserError(
            "--record is of a piece that a model makes; leave it or --infill out",
            code="option-conflict",
        )
    if record is not None:
        model_records = pipeline.model_declaration.records
        recorder = activations.check_record(record, pipeline.model.name, model_records, registry)
    made = make_pieces(pipeline, run, registry, seed=seed, reporter=reporter, ranks=ranks)
    written = write_pieces(made, pipeline, run, seed=seed, folder=folder, name=name)
    if keep_found:
        samplers.keep_found(pipeline, made.samplers, run)
    if record is not None and recorder is not None and made.kept:
        model, encoder, device = made.trained.model, made.trained.encoder, made.trained.device
        prompt, steps = made.prompts[0], made.kept[0].piece.steps
        settings = settings_of(prompt.known)
        inside = activations.record_piece(
            model, encoder, prompt.encoded, prompt.first, steps, settings, device
        )
        activations.write(inside, recorder, record, "--record")
    return written


def write_pieces(
    made: NewPieces,
    pipeline: Pipeline,
    run: RunFolder,
    *,
    seed: int,
    folder: Path | None = None,
    name: str = "piece",
) -> list[outputs.WrittenPiece]:
    """Write new pieces with the pipeline's writers, and how each came to be.

    Raises:
        UserError: the folder, the run's samples unless given, cannot be written.
    """
    target = folder if folder is not None else run.samples
    option = "--out" if folder is not None else "--run-dir"
    written = outputs.write_pieces(made.pieces, pipeline.outputs, target, name, option)
    outputs.note_origin(target, _origins(written, made, seed, pipeline))
    _tell_kept(written, made.kept, pipeline.generate.best_of)
    _tell_written(written, seed, target)
    return written


def _kept(
    pipeline: Pipeline,
    run: RunFolder,
    trained: Trained,
    chain: Sequence[Sampler[Any]],
    plan: engine.GenerationPlan,
    seed: int,
    reporter: ProgressReporter,
    ranks: Ranks,
) -> list[Kept]:
    """Return the new pieces, drawn again where they are not worth keeping."""
    config, judge = pipeline.generate, _judge(pipeline, run, trained, plan)
    with reporter.bar("generating") as bar:

        def make(numbers: Sequence[int], attempt: int) -> list[engine.GeneratedPiece]:
            # Seeds of all pieces and then a selection of them: the seed of a piece depends on its
            # number and attempt alone, not on which others were drawn again.
            seeds = engine.piece_seeds(seed, config.count, attempt)
            part = replace(plan, seeds=seeds).only(numbers)
            again = f", draw {attempt + 1}" if attempt else ""
            what = counted(len(numbers), "piece") + again
            return pieces_together(
                pipeline, trained, chain, part, ranks, lambda share: bar.update(share, what)
            )

        return kept_pieces(make, judge, config.count, redraw=config.redraw, best_of=config.best_of)


def _judge(
    pipeline: Pipeline, run: RunFolder, trained: Trained, plan: engine.GenerationPlan
) -> Callable[[int, engine.GeneratedPiece], Verdict]:
    """Return what says what is thought of a piece, given its number."""
    config, corpus = pipeline.generate, CorpusRange.from_json(run.corpus_range())
    likely: Likeness | None = None
    if pipeline.generate.best_of > 1 and pipeline.model_declaration.likelihood:
        pieces = read_prompts(run.prompts, trained.encoder.layout)[:_COMPARED]
        likely = Likeness.of(trained.model, [beginning(piece) for piece in pieces])

    # Music is judged without its prompt, but the rest of a text may be none without its beginning.
    in_text = "text" in trained.encoder.config.produces()
    text_goes_on = in_text and (config.include_prompt or config.prompt_text is not None)

    def judge(number: int, piece: engine.GeneratedPiece) -> Verdict:
        steps = piece.steps
        if text_goes_on:
            steps = np.concatenate([plan.prompts[number].steps.astype(steps.dtype), steps])
        faults, measures = judged(steps, trained.encoder, corpus)
        if config.best_of == 1:
            return Verdict(tuple(faults), measures=dict(measures))
        # The lower the better: how far outside the corpus's range its figures are, plus how far its
        # likelihood is from that of music by people.
        distance = corpus.distance(measures)
        if likely is not None:
            prompt, first = plan.prompts[number], plan.first[number]
            settings = plan.settings[number]
            distance += likely.distance(piece.steps, prompt, first, trained.encoder, settings)
        return Verdict(tuple(faults), distance, dict(measures))

    return judge


def _product(
    made: engine.GeneratedPiece, prompt: Prompt, encoder: Encoder[Any]
) -> outputs.DecodedPiece:
    steps, before, config = made.steps, prompt.encoded.steps, prompt.known.config
    if config.include_prompt or config.prompt_text is not None:
        whole = np.concatenate([before.astype(steps.dtype), steps])
        product = outputs.decode(whole, encoder, prompt.known)
    else:
        product = outputs.decode(steps, encoder, prompt.known, before)
    if made.logits is None:
        return product
    layout = encoder.layout
    shares = engine.probabilities(made.logits, layout)
    probabilities = Probabilities(layout, before, made.steps, shares)
    return replace(product, probabilities=probabilities)


def _origins(
    written: Sequence[outputs.WrittenPiece], made: NewPieces, seed: int, pipeline: Pipeline
) -> list[dict[str, Any]]:
    tables = pipeline.tables()
    settings = {name: tables[name] for name in ("generate", "sampler")}
    return [
        {
            "piece": piece.stem,
            "index": index,
            "seed": seed,
            "prompt": prompt.name,
            "prompt_seconds": _seconds_of_prompt(prompt, made.trained.encoder),
            "checkpoint": made.trained.checkpoint.name,
            "settings": settings,
            **kept.as_json(),
            **_noted(made, kept, prompt),
        }
        for index, (piece, prompt, kept) in enumerate(
            zip(written, made.prompts, made.kept, strict=True)
        )
    ]


def _noted(made: NewPieces, kept: Kept, prompt: Prompt) -> dict[str, Any]:
    """Return what the samplers have to say of a piece, where they do."""
    figures = samplers.figures_of(made.samplers, kept.piece.steps, prompt.encoded.steps)
    return {"figures": figures} if figures else {}


def _seconds_of_prompt(prompt: Prompt, encoder: Encoder[Any]) -> float:
    """Return how long the beginning of a piece is its prompt; 0 where it is not written."""
    steps = prompt.encoded.steps
    if not prompt.known.config.include_prompt or not len(steps):
        return 0.0
    content = encoder.decode(steps, settings_of(prompt.known))
    return float(content.seconds(content.length)) if isinstance(content, Score) else 0.0


def _tell_kept(written: Sequence[outputs.WrittenPiece], kept: Sequence[Kept], best_of: int) -> None:
    """Say how many pieces were drawn again, and which are empty or stuck still."""
    again = sum(each.attempts > best_of for each in kept)
    if again:
        logger.info(
            f"{again} of {counted(len(kept), 'piece')} drawn again, being empty or stuck "
            "(generate.redraw)"
        )
    poor = [(piece, each) for piece, each in zip(written, kept, strict=True) if each.verdict.faults]
    for piece, each in poor[:_TOLD]:
        draws = f" in each of {each.attempts} draws" if each.attempts > 1 else ""
        logger.warning(
            f"{piece.stem}: {', '.join(each.verdict.faults)}{draws}: train longer, or choose "
            "another sampler"
        )
    if len(poor) > _TOLD:
        logger.warning(f"and {counted(len(poor) - _TOLD, 'more piece')} like that")


def _tell_written(written: Sequence[outputs.WrittenPiece], seed: int, folder: Path) -> None:
    unheard = [piece for piece in written if piece.no_score]
    for piece in unheard[:_TOLD]:
        logger.warning(f"{piece.stem}: only the text is written: {piece.no_score}")
    if len(unheard) > _TOLD:
        logger.warning(f"and of {counted(len(unheard) - _TOLD, 'more piece')} only the text")
    kinds = sorted({path.suffix for piece in written for path in piece.files})
    if written:
        logger.info(
            f"{counted(len(written), 'piece')} ({', '.join(kinds)}) in {folder}, seed {seed}"
        )


def run_seed(pipeline: Pipeline) -> int:
    """Return the seed of a run's own pieces: the pipeline's, or the training's."""
    seed = pipeline.generate.seed
    return pipeline.training.seed if seed is None else seed


def fresh_seed(pipeline: Pipeline) -> int:
    """Return the seed for more pieces: the pipeline's, or a new one each time."""
    seed = pipeline.generate.seed
    # Not from `random` or torch, whose state a notebook may have set.
    return secrets.randbelow(2**32) if seed is None else seed
