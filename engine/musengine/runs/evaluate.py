"""The figures of a run: of its model on parts of its corpus, and of what it has generated."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from musengine.data.dataset import Dataset, prepare, read_corpus
from musengine.data.decoding import as_score
from musengine.data.manifest import told_skipped
from musengine.data.scores import read_scores
from musengine.distributed.ranks import ALONE, Ranks
from musengine.encoding.left_out import told_left_out
from musengine.errors import MachineError, UserError
from musengine.evaluation.likelihood import predictions
from musengine.evaluation.reference import Named, of_pieces
from musengine.generation.worth import CorpusRange
from musengine.interfaces.contracts.values import check_figures
from musengine.interfaces.encoder import Encoder
from musengine.interfaces.metric import Evidence, Metric, Reference
from musengine.music.piece import SplitName
from musengine.pipeline import compatibility
from musengine.pipeline.resolve import Pipeline
from musengine.pipeline.sections import CorpusConfig
from musengine.pipeline.values import Source
from musengine.plugins.blame import phase
from musengine.plugins.declarations import MetricDeclaration
from musengine.plugins.registry import Registry
from musengine.runs.folder import RunFolder
from musengine.runs.processes.model import predict_together, share_model
from musengine.runs.trained import Trained, load_trained
from musengine.utils.progress import SILENT, ProgressReporter

logger = logging.getLogger(__name__)

GENERATED = "generated"
"""What the figures of generated pieces stand under, beside those of the parts."""

_RANGE_PIECES = 300
"""How many pieces of the training part tell what the corpus is like."""

Figures = dict[str, Any]
"""Numbers by name; nested mappings hold details."""


def evaluate(
    pipeline: Pipeline,
    run: RunFolder,
    registry: Registry,
    parts: Sequence[SplitName],
    reporter: ProgressReporter = SILENT,
    ranks: Ranks = ALONE,
) -> dict[str, Figures]:
    """Measure a run's weights on parts of its corpus; figures by part.

    Raises:
        UserError: what the user can mend.
    """
    for line in compatibility.unmet(pipeline.metrics, pipeline.model).values():
        logger.warning(line)
    trained = load_trained(pipeline, run)
    dataset = _dataset(pipeline, run, registry, trained.encoder, reporter)
    generated = generated_pieces(pipeline, run, registry)
    return measure(pipeline, trained, dataset, parts, generated, reporter, ranks)


def evaluate_on(
    source: Source,
    pipeline: Pipeline,
    run: RunFolder,
    registry: Registry,
    reporter: ProgressReporter = SILENT,
) -> dict[str, Figures]:
    """Measure a run's weights on all pieces of other music than its own.

    Raises:
        UserError: there is no music, or nothing of the pipeline measures it.
    """
    corpus = CorpusConfig(path=(source,), valid=0.0, jobs=pipeline.corpus.jobs)
    pipeline = replace(pipeline, corpus=corpus, reader=None)
    trained = load_trained(pipeline, run)
    manifest = read_corpus(pipeline, registry, reporter)
    dataset = prepare(pipeline, manifest, trained.encoder, learned=True, reporter=reporter)
    for line in told_skipped(dataset.skipped):
        logger.warning(line)
    if told := told_left_out(dataset.left_out):
        logger.info(f"left out: {told}")
    found = measure(pipeline, trained, dataset, ("train",), reporter=reporter)
    if not found:
        message = f"nothing of {run.path} measures {source.text}; see metric in its pipeline.toml"
        raise UserError(message, code="nothing-to-measure")
    return {source.text: found["train"]}


def keep_figures(
    results: Mapping[str, Figures], pipeline: Pipeline, run: RunFolder, registry: Registry
) -> None:
    """Write figures into a run's folder, if they are of the weights that the run itself uses."""
    if pipeline.generate.checkpoint == run.read_pipeline(registry).generate.checkpoint:
        run.write_evaluation(results)


def music_of_run(path: Path, registry: Registry, reporter: ProgressReporter = SILENT) -> Reference:
    """Return what a run was trained on and what it held out, as its encoder gives it back.

    Raises:
        UserError: the folder is no run, or its music is not there any more.
    """
    run = RunFolder(path)
    pipeline = run.read_pipeline(registry)
    encoder = load_trained(pipeline, run).encoder
    return _music(_dataset(pipeline, run, registry, encoder, reporter), encoder)


def _dataset(
    pipeline: Pipeline,
    run: RunFolder,
    registry: Registry,
    encoder: Encoder[Any],
    reporter: ProgressReporter,
) -> Dataset:
    """Return a run's corpus as its encoder, which has learned, encodes it.

    Raises:
        UserError: it is not there any more, or is not the same.
    """
    # Only files that the run began with: those added to the folder since must not move the split.
    manifest = read_corpus(pipeline, registry, reporter, run.known_files())
    dataset = prepare(pipeline, manifest, encoder, learned=True, reporter=reporter)
    run.check_split(dataset)
    return dataset


def _music(dataset: Dataset, encoder: Encoder[Any]) -> Reference:
    held_out = [*dataset.parts["valid"], *dataset.parts["test"]]
    return of_pieces(dataset.parts["train"], held_out, encoder)


def corpus_range(dataset: Dataset, encoder: Encoder[Any]) -> dict[str, Any]:
    """Return what pieces of the training part are like; nothing where they are no music."""
    if "score" not in encoder.config.produces():
        return {}
    pieces = dataset.parts["train"]
    # Enough for a range; the largest corpora would take minutes.
    # A fixed seed: the same corpus has the same range whatever the run's seed. Sorted when read, so
    # that shards are read front to back.
    chosen = np.random.default_rng(0).permutation(len(pieces))[:_RANGE_PIECES]
    scores = (as_score(pieces[index].encoded.steps, encoder) for index in sorted(chosen.tolist()))
    return CorpusRange.of(score for score in scores if score is not None).as_json()


def measure(
    pipeline: Pipeline,
    trained: Trained,
    dataset: Dataset,
    parts: Sequence[SplitName],
    generated: Sequence[Named] = (),
    reporter: ProgressReporter = SILENT,
    ranks: Ranks = ALONE,
) -> dict[str, Figures]:
    """Return the pipeline's metrics of a trained model on some parts, and of generated pieces."""
    wanted: dict[str, list[Metric[Any]]] = {"model": [], "pieces": []}
    unmet = compatibility.unmet(pipeline.metrics, pipeline.model)
    for metric in pipeline.metrics:
        if metric.name not in unmet:
            wanted[metric.declared(MetricDeclaration).of].append(metric.create())
    model, encoder = trained.model, trained.encoder
    results: dict[str, Figures] = {}
    share_model(pipeline, trained, ranks)
    for part in parts:
        evidence = Evidence(model, encoder, dataset.parts[part], part, reporter=reporter)
        if wanted["model"] and not ranks.alone:
            # Metrics ask for it anyway, and then not every process would know.
            found = predict_together(pipeline, trained, dataset, part, ranks)
            evidence.know(predictions, found)
        results[part] = _measured(wanted["model"], evidence)
    if wanted["pieces"] and generated:
        reference = _music(dataset, encoder)
        evidence = Evidence(model, encoder, (), GENERATED, tuple(generated), reference, reporter)
        results[GENERATED] = _measured(wanted["pieces"], evidence)
    return {part: figures for part, figures in results.items() if figures}


def _measured(metrics: Sequence[Metric[Any]], evidence: Evidence) -> Figures:
    figures: Figures = {}
    for metric in metrics:
        with phase(f"measuring {evidence.part_name}"):
            figures.update(check_figures(metric, metric.measure(evidence)))
    return figures


def generated_pieces(pipeline: Pipeline, run: RunFolder, registry: Registry) -> list[Named]:
    """Return the scores among a run's samples, where a metric of the pipeline looks at them."""
    if all(metric.declared(MetricDeclaration).of != "pieces" for metric in pipeline.metrics):
        return []
    if not pipeline.generate.count and not run.samples.exists():
        return []
    try:
        found = read_scores(run.samples, registry=registry)
    except MachineError:
        raise
    except UserError as error:
        logger.warning(f"no generated pieces are measured: {error}")
        return []
    # In folders within it is what was made while the run was trained.
    return [(name, score) for name, score in found.items() if "/" not in name]
