"""New pieces from a run: openings found, pieces generated, files written and noted."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musengine import generation, outputs, reading
from musengine.components.encoders import DecodeSettings, Encoded, EncodedPiece, Encoder
from musengine.components.writers import Probabilities
from musengine.console import Console, counted
from musengine.corpus import cache_of
from musengine.declarations import WriterDeclaration
from musengine.errors import UserError
from musengine.pipeline import Pipeline
from musengine.quantities import Source
from musengine.registry import Registry
from musengine.runfolder import RunFolder
from musengine.tables import GenerateConfig
from musengine.trained import Trained, load_trained


def generate(
    pipeline: Pipeline,
    run: RunFolder,
    registry: Registry,
    *,
    seed: int,
    folder: Path | None = None,
    name: str = "piece",
) -> list[outputs.Written]:
    """Generate the pieces a pipeline asks for from its run's weights, and write them.

    Raises:
        UserError: what the user can mend.
    """
    config, console = pipeline.generate, Console.current()
    trained = load_trained(pipeline, run)
    settings = DecodeSettings(tempo=config.tempo, meter=config.meter)
    names, primes, first = _primes(pipeline, run, registry, trained.encoder, settings)
    plan = generation.Plan(
        primes=primes,
        first=first,
        seeds=generation.piece_seeds(seed, config.count),
        length=config.length,
        settings=settings,
    )
    samplers = [sampler.create(trained.encoder.layout) for sampler in pipeline.samplers]
    wants_probabilities = any(
        "probabilities" in output.declared(WriterDeclaration).content for output in pipeline.outputs
    )
    with console.meter("generating") as meter:
        made = generation.generate(
            trained.model,
            trained.encoder,
            samplers,
            plan,
            device=trained.device,
            own=pipeline.model_declaration.generation == "own",
            keep_logits=wants_probabilities,
            beat=lambda share: meter.show(share, counted(config.count, "piece")),
        )
    pieces = [
        _product(piece, prime, trained.encoder, config, settings)
        for piece, prime in zip(made, primes, strict=True)
    ]
    target = folder if folder is not None else run.samples
    option = "--out" if folder is not None else "--run-dir"
    written = outputs.write_pieces(pieces, pipeline.outputs, target, name, option)
    outputs.note_origin(target, _origins(written, names, seed, trained, pipeline))
    _tell_written(written, seed, target)
    return written


def _product(
    made: generation.Made,
    prime: Encoded,
    encoder: Encoder[Any],
    config: GenerateConfig,
    settings: DecodeSettings,
) -> outputs.Product:
    steps = made.steps
    if config.include_prime:
        steps = np.concatenate([prime.steps.astype(steps.dtype), steps])
    content = outputs.decode(steps, encoder, config, settings)
    if made.logits is None:
        return outputs.Product(content)
    layout = encoder.layout
    shares = generation.probabilities(made.logits, layout)
    return outputs.Product(content, Probabilities(layout, prime.steps, made.steps, shares))


def _origins(
    written: Sequence[outputs.Written],
    primes: Sequence[str],
    seed: int,
    trained: Trained,
    pipeline: Pipeline,
) -> list[dict[str, Any]]:
    tables = pipeline.tables()
    settings = {name: tables[name] for name in ("generate", "sampler")}
    return [
        {
            "piece": piece.stem,
            "index": index,
            "seed": seed,
            "prime": prime,
            "checkpoint": trained.checkpoint.name,
            "settings": settings,
        }
        for index, (piece, prime) in enumerate(zip(written, primes, strict=True))
    ]


def _tell_written(written: Sequence[outputs.Written], seed: int, folder: Path) -> None:
    console = Console.current()
    for piece in written:
        if not piece.notes:
            console.warn(f"{piece.stem} holds no notes: train longer, or choose another sampler")
    kinds = sorted({path.suffix for piece in written for path in piece.files})
    console.say(f"{counted(len(written), 'piece')} ({', '.join(kinds)}) in {folder}, seed {seed}")


def _primes(
    pipeline: Pipeline,
    run: RunFolder,
    registry: Registry,
    encoder: Encoder[Any],
    settings: DecodeSettings,
) -> tuple[list[str], list[Encoded], list[int]]:
    """Return, for each piece, the opening's name, its steps and where in its piece it begins."""
    config = pipeline.generate
    if config.prime.kind == "none" or not config.prime_length.number:
        nothing = Encoded(steps=encoder.empty())
        return ["none"] * config.count, [nothing] * config.count, [0] * config.count
    if config.prime.kind == "corpus":
        pieces = run.read_primes()
        if not pieces:
            raise UserError(f'{run.path} holds no openings; use generate.prime = "none"')
    else:
        pieces = _read_primes(pipeline, registry, encoder)
    cuts = [
        (piece.id, *_cut(pipeline, piece, encoder, settings)) for piece in pieces[: config.count]
    ]
    chosen = [cuts[index % len(cuts)] for index in range(config.count)]
    names, primes, first = zip(*chosen, strict=True) if chosen else ((), (), ())
    return list(names), list(primes), list(first)


def _cut(
    pipeline: Pipeline, piece: EncodedPiece, encoder: Encoder[Any], settings: DecodeSettings
) -> tuple[Encoded, int]:
    config = pipeline.generate
    return generation.cut_prime(
        piece.encoded, config.prime_offset, config.prime_length, encoder, settings, piece.id
    )


def _read_primes(
    pipeline: Pipeline, registry: Registry, encoder: Encoder[Any]
) -> list[EncodedPiece]:
    path = pipeline.generate.prime.path
    found = reading.read_sources(
        [Source(str(path))], registry, accepts=pipeline.accepts(), cache=cache_of(pipeline.corpus)
    )
    pieces, reasons = [], [f"{entry.path}: {entry.reason}" for entry in found.skipped]
    for piece in found.pieces:
        try:
            pieces.append(EncodedPiece(piece.id, encoder.encode(piece.content), ""))
        except UserError as error:
            reasons.append(f"{piece.id}: {error}")
    if not pieces:
        why = "; ".join(reasons[:10]) or "no music files found"
        raise UserError(f"generate.prime: nothing in {path} can be used: {why}")
    return pieces


def run_seed(pipeline: Pipeline) -> int:
    """Return the seed of a run's own pieces: the pipeline's, or the training's."""
    seed = pipeline.generate.seed
    return pipeline.training.seed if seed is None else seed


def fresh_seed(pipeline: Pipeline) -> int:
    """Return the seed for more pieces: the pipeline's, or a new one each time."""
    seed = pipeline.generate.seed
    return secrets.randbelow(2**32) if seed is None else seed
