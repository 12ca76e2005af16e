"""Metrics of generated pieces beside the music that was learned from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from musengine.api import Evidence, FloatArray, Metric, NoSettings, Score
from musengine_evaluation import corpus_index
from musengine_evaluation.features import form, set_distance, summary
from musengine_evaluation.interval import Interval, mean_and_interval
from musengine_evaluation.settings import OriginalityConfig, SimilarityConfig
from musengine_evaluation.shared_passages import shared_passages, sources


class Similarity(Metric[SimilarityConfig]):
    """How like the training music generated pieces are, by the cosine of windows."""

    def measure(self, evidence: Evidence) -> Mapping[str, Any]:
        """Return `similarity`, the mean over the pieces in percent, with each piece's.

        `similarity_human` is that of held-out pieces, as many as were generated, `HUMAN` at most.
        """
        names = [name for name, _ in evidence.generated]
        percents = corpus_index.similarities(
            [score for _, score in evidence.generated],
            lambda: (score for _, score in evidence.reference.train()),
            self.config,
            progress=lambda done: evidence.reporter.alive("measuring similarity"),
        )
        human = corpus_index.human_similarities(
            evidence.reference,
            self.config,
            len(percents),
            progress=lambda done: evidence.reporter.alive("measuring human music"),
        )
        return {
            **_bounded("similarity", mean_and_interval(percents)),
            "similarity_human": mean_and_interval(human).mean,
            "similarity_per_piece": dict(zip(names, percents, strict=True)),
        }


class Originality(Metric[OriginalityConfig]):
    """How much of generated pieces is in the training music, beside held-out human pieces."""

    def measure(self, evidence: Evidence) -> Mapping[str, Any]:
        """Return the figures of originality, and human music's under `human`."""
        evidence.reporter.alive("measuring originality")
        index = corpus_index.Index(evidence.reference.train(), self.config)
        found = []
        for _, score in evidence.generated:
            found.append(index.find(score))
            evidence.reporter.alive("measuring originality")
        # Music by people shares passages with other music too: only beside theirs do the figures
        # tell anything.
        human = index.of_humans(evidence.reference.held_out())
        figures: dict[str, Any] = {}
        for name, estimate in corpus_index.summary(found).items():
            figures |= _bounded(name, estimate)
        beside = corpus_index.summary(human)
        figures |= {f"{name}_human": each.mean for name, each in beside.items()}
        details = {name: asdict(each) for name, each in beside.items()}
        # Of the pieces that are shown alone: the scores of a whole corpus may not fit into memory.
        wanted = sources(found, index)
        corpus = {name: each for name, each in evidence.reference.train() if name in wanted}
        shared = shared_passages(evidence.generated, found, index, corpus)
        return {
            **figures,
            "originality": {"human": details},
            "shared_passage_per_piece": shared,
        }


class Statistics(Metric[NoSettings]):
    """What generated pieces are like, beside the training music (Yang and Lerch 2020)."""

    def measure(self, evidence: Evidence) -> Mapping[str, Any]:
        """Return the mean `overlap_area` and `divergence` of all figures, and each in detail."""
        evidence.reporter.alive("measuring statistics")
        generated = summary.table(score for _, score in evidence.generated)
        reference = summary.table(score for _, score in evidence.reference.train())
        compared = set_distance.compare_tables(generated, reference)
        areas = np.array([each.overlap for each in compared.values()])
        divergences = np.array([each.divergence for each in compared.values()])
        names = [name for name, _ in evidence.generated]
        details = {
            name: _detail(names, generated[name], reference[name], each)
            for name, each in compared.items()
        }
        return {
            "overlap_area": _mean(areas),
            "divergence": _mean(divergences),
            "statistics": details,
        }


class Form(Metric[NoSettings]):
    """How much comes back in generated pieces, beside held-out human pieces of the same length."""

    def measure(self, evidence: Evidence) -> Mapping[str, Any]:
        """Return `bar_similarity_N` for pieces N bars apart and `bars_heard_before`.

        With `_human` added that of held-out pieces, cut to as many bars as the generated ones have
        in the middle; `_human_low` and `_human_high` are the 95 % interval of the mean over as many
        of them as were generated, by the bootstrap. `form` has the training music's beside them.
        """
        evidence.reporter.alive("measuring form")
        generated = [form.form(score) for _, score in evidence.generated]
        if not generated:
            return {}
        counts = [form.whole_bars(score).n_bars for _, score in evidence.generated]
        bars = max(int(np.median(counts)), 1)

        def measured(pieces: Iterable[tuple[str, Score]]) -> list[dict[str, float]]:
            found = []
            for _, score in pieces:
                found.append(form.form(form.first_bars(score, bars)))
                evidence.reporter.alive("measuring form")
            return found

        human = measured(evidence.reference.held_out())
        corpus = measured(evidence.reference.train())
        figures: dict[str, Any] = {}
        for name in generated[0]:
            figures[name] = _mean(np.array([each[name] for each in generated]))
            values = [each[name] for each in human]
            low, high = form.bootstrap(values, len(generated))
            figures |= {f"{name}_human": _mean(np.array(values))} if values else {}
            figures |= {f"{name}_human_low": low, f"{name}_human_high": high} if values else {}
        train = {name: _mean(np.array([each[name] for each in corpus])) for name in generated[0]}
        per_piece = dict(zip([name for name, _ in evidence.generated], generated, strict=True))
        return {**figures, "form": {"bars": bars, "train": train, "per_piece": per_piece}}


def _detail(
    names: Sequence[str],
    generated: FloatArray,
    reference: FloatArray,
    compared: set_distance.Comparison,
) -> Any:
    figures = compared.figures()
    detail: dict[str, Any] = {name: figures.pop(name) for name in ("overlap", "divergence")}
    detail["distances"] = figures
    if generated.shape[1] == 1:
        detail |= asdict(mean_and_interval(generated[:, 0]))
        detail["reference"] = asdict(mean_and_interval(reference[:, 0]))
        detail["value_per_piece"] = dict(zip(names, generated[:, 0].tolist(), strict=True))
        known = reference[~np.isnan(reference[:, 0]), 0]
        if len(known):
            detail["reference_range"] = np.percentile(known, (5, 95)).tolist()
    return detail


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _bounded(name: str, estimate: Interval) -> dict[str, float]:
    return {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
