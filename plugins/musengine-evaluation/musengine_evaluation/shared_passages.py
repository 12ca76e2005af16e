"""The longest passage that a piece shares with the music it was learned from, as notes of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from musengine.api import Score, excerpt
from musengine_evaluation.corpus_index import Index, PieceOriginality
from musengine_evaluation.interval_lines import MatchedRun, line_of

MOST_NOTES = 1000
"""Notes of a passage that are kept."""


def shared_passages(
    generated: Sequence[tuple[str, Score]],
    found: Sequence[PieceOriginality],
    index: Index,
    corpus: Mapping[str, Score],
) -> dict[str, Any]:
    """Return for each piece the longest stretch of its line that is in the corpus, and the other's.

    Args:
        generated: name and score of each piece.
        found: what of each is in the corpus.
        index: of the corpus.
        corpus: the scores that `sources` names.
    """
    passages = {}
    for (name, score), each in zip(generated, found, strict=True):
        if each.run.piece >= 0:
            source = index.ids[each.run.piece]
            passages[name] = _shared(score, corpus[source], source, each.run, index)
    return passages


def sources(found: Sequence[PieceOriginality], index: Index) -> set[str]:
    """Return the names of the corpus's pieces in which stretches of others were found."""
    return {index.ids[each.run.piece] for each in found if each.run.piece >= 0}


def _shared(
    score: Score, source: Score, name: str, run: MatchedRun, index: Index
) -> dict[str, Any]:
    return {
        "source": name,
        "notes": run.notes,
        "shift": run.shift,
        "passage": _notes(score, run.start, run.notes, index),
        "source_passage": _notes(source, run.there, run.notes, index),
    }


def _notes(score: Score, start: int, count: int, index: Index) -> list[list[float]]:
    """Return what sounds during a stretch of the line: seconds, seconds of length, pitch."""
    step = index.settings.step
    line = line_of(score, step)
    place = int(line.step.searchsorted(start))
    # The last note of a run has the time of the other's, but need not have its pitch.
    after = place + count - 1
    last = int(line.step[after]) if after < len(line.step) else int(line.step[-1]) + 4
    size = float(step.size)
    if step.unit == "beat":
        cut = excerpt(score, start * size, last * size)
    else:
        cut = excerpt(score, start * size, last * size, "seconds")
    onset, end = cut.seconds(cut.onset), cut.seconds(cut.end)
    rows = zip(
        onset.round(3).tolist(), (end - onset).round(3).tolist(), cut.pitch.tolist(), strict=True
    )
    kept = [list(row) for row, drum in zip(rows, cut.is_drum.tolist(), strict=True) if not drum]
    return kept[:MOST_NOTES]
