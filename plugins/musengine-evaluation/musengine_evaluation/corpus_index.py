"""Pieces held against a corpus: how like it they are, and how much of them is in it already."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from musengine.api import GridStep, Reference, Score, excerpt
from musengine.errors import UnreadableError
from musengine_evaluation import note_sets, similarity
from musengine_evaluation.interval import Interval, mean_and_interval
from musengine_evaluation.interval_lines import IntervalLine, LineIndex, MatchedRun, line_of
from musengine_evaluation.note_sets import STEP, WINDOW, Notes, Overlap, notes_of
from musengine_evaluation.settings import OriginalityConfig, SimilarityConfig

HUMAN = 20
"""How many pieces by people are looked for: it takes as long for each as for a generated one."""

FIGURES = ("ngram_share", "longest_run", "overlap", "closest_passage")
"""The figures of originality, by name."""


@dataclass(frozen=True)
class PieceOriginality:
    """What of a piece is in a corpus.

    Attributes:
        ngram_share: of its n-grams, 0 to 1; NaN for a piece too short to have one.
        run: the longest stretch of its line, in notes, and where it is.
        overlap: how far its notes lie over the corpus's, and where the most.
    """

    ngram_share: float
    run: MatchedRun
    overlap: Overlap

    def figures(self) -> dict[str, float]:
        """Return the numbers by the names of `FIGURES`."""
        return {
            "ngram_share": self.ngram_share,
            "longest_run": float(self.run.notes),
            "overlap": self.overlap.mean,
            "closest_passage": self.overlap.best,
        }


class Index:
    """A corpus made ready for finding what of a piece is in it.

    Only lines and onsets are kept of its pieces; those of which a grid cannot be made are left
    out.

    Args:
        pieces: name and score of each.
        settings: how it is looked through.
    """

    def __init__(self, pieces: Iterable[tuple[str, Score]], settings: OriginalityConfig) -> None:
        self.settings = settings
        self.ids: list[str] = []
        self.labels: list[str] = []
        self._notes: list[Notes] = []
        lines: list[IntervalLine] = []
        for name, score in pieces:
            try:
                notes = notes_of(score, settings.step)
            except UnreadableError:
                continue
            self.ids.append(name)
            # Copies have one label, so that a piece can be left out together with its copies.
            self.labels.append(score.notes_fingerprint())
            self._notes.append(notes)
            lines.append(line_of(score, settings.step))
        self._corpus = LineIndex(lines, self.labels)

    def find(self, score: Score) -> PieceOriginality:
        """Return what of a score is in the corpus.

        Raises:
            UnreadableError: the score has more steps than a grid may have.
        """
        step = self.settings.step
        line, notes = line_of(score, step), notes_of(score, step)
        return self._found(line, notes, None)

    def of_humans(self, held_out: Iterable[tuple[str, Score]]) -> list[PieceOriginality]:
        """Return what of held-out pieces is in the corpus: of `HUMAN` of them, always the same.

        Without held-out pieces the corpus's own are taken, each held against the others.
        """
        scores = [score for _, score in held_out]
        chosen = [scores[index] for index in _drawn(len(scores))]
        return [self.find(score) for score in chosen] or self.leave_one_out()

    def leave_one_out(self) -> list[PieceOriginality]:
        """Return what of its own pieces is in the others: of `HUMAN` of them, always the same.

        Copies of a piece, pieces with equal notes, are left out with it.
        """
        return [
            self._found(self._corpus.lines[i], self._notes[i], self.labels[i])
            for i in _drawn(len(self.ids))
        ]

    def _found(self, line: IntervalLine, notes: Notes, without: str | None) -> PieceOriginality:
        share = self._corpus.found(line, self.settings.ngram, without)
        skip = None if without is None else [label == without for label in self.labels]
        return PieceOriginality(
            ngram_share=float(share.mean()) if len(share) else math.nan,
            run=self._corpus.longest_run(line, without),
            overlap=note_sets.overlap(notes, self._notes, skip, self.settings.window),
        )


def _drawn(count: int, wanted: int | None = None) -> list[int]:
    """Return so many numbers below a count, always the same, in order; all where they are fewer."""
    number = min(HUMAN if wanted is None else wanted, count)
    # A fixed seed: the figures of music by people are the same in every run on one corpus.
    return sorted(np.random.default_rng(0).choice(count, number, replace=False).tolist())


def summary(found: Sequence[PieceOriginality]) -> dict[str, Interval]:
    """Return for each figure of `FIGURES` its mean over some pieces and the interval of that."""
    figures = [each.figures() for each in found]
    return {name: mean_and_interval(each[name] for each in figures) for name in FIGURES}


def passages(
    piece: Score, corpus_piece: Score, overlap: Overlap, step: GridStep = STEP
) -> tuple[Score, Score]:
    """Return the window of a piece that is closest to the corpus, and the corpus's own there."""
    end = (overlap.start + WINDOW) * float(step.size)
    first, there = (place * float(step.size) for place in overlap.both_from)
    return excerpt(piece, first, end), excerpt(corpus_piece, there, there + end - first)


def human_similarities(
    reference: Reference,
    settings: SimilarityConfig,
    count: int,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> list[float]:
    """Return how like the training music pieces by people are, in percent.

    Held-out ones; where there are none, pieces of the training music, each beside the others.

    Args:
        reference: the music.
        settings: how they are compared.
        count: how many are wanted; never more than `HUMAN`.
        progress: called with the number of pieces done.
    """
    held_out = [score for _, score in reference.held_out()]
    pieces = held_out or [score for _, score in reference.train()]
    chosen = [pieces[index] for index in _drawn(len(pieces), min(count, HUMAN))]
    if held_out:
        return similarities(chosen, lambda: _scores(reference), settings, progress=progress)
    results = []
    for done, piece in enumerate(chosen, 1):
        own = piece.notes_fingerprint()
        others = functools.partial(_scores, reference, own)
        results += similarities([piece], others, settings)
        progress(done)
    return results


def _scores(reference: Reference, without: str | None = None) -> Iterator[Score]:
    """Yield the training music, without the piece of these notes and its copies."""
    for _, score in reference.train():
        if without is None or score.notes_fingerprint() != without:
            yield score


def similarities(
    pieces: Sequence[Score],
    corpus: Callable[[], Iterable[Score]],
    settings: SimilarityConfig,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> list[float]:
    """Return for each piece its similarity to a corpus, in percent; NaN without any step.

    Args:
        pieces: what is compared.
        corpus: gives the corpus's pieces, once for each piece that is compared.
        settings: how they are compared.
        progress: called with the number of pieces done.
    """
    results = []
    for done, piece in enumerate(pieces, 1):
        states = similarity.states(piece, settings.step)
        # Anew for each piece: what is drawn of one does not depend on those before it.
        random = np.random.default_rng(settings.seed)
        first = similarity.windows_of(
            len(states), settings.window, settings.stride, settings.sample, random
        )
        others = (similarity.states(score, settings.step) for score in corpus())
        found = similarity.nearest(states, others, first, settings.window)
        results.append(found.percent if len(first) else math.nan)
        progress(done)
    return results
