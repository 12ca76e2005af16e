"""Which trained model's music is like a small folder of music, if one's is."""

from __future__ import annotations

import math

from musengine.errors import UserError
from musengine.plugins.declarations import TrainedDeclaration
from musengine.plugins.registry import Registry, RegistryEntry
from musengine.plugins.suggestions import CorpusSurvey
from musengine.runs.folder import RunFolder

_FEW = 200
"""Pieces of which a model from nothing learns less than one that goes on from a trained one."""
_MEASURE = "notes_per_beat"
"""Of the measures of a piece, the one that a survey tells, too."""


def nearest_model(survey: CorpusSurvey, registry: Registry) -> TrainedDeclaration | None:
    """Return the installed trained model to go on from with some music, if one would help.

    That is where there are few pieces, on the beat, with about as many notes in a beat as the
    pieces that the model was trained on; of several the nearest.
    """
    if not 0 < survey.pieces <= _FEW or not survey.on_beat or survey.only_drums or not survey.beats:
        return None
    density = survey.notes / survey.beats
    found = [
        (distance, entry.name)
        for entry in registry.of_kind(TrainedDeclaration.kind)
        if (distance := _distance(entry, density)) is not None
    ]
    if not found:
        return None
    return registry.get(TrainedDeclaration.kind, min(found)[1]).declared(TrainedDeclaration)


def _distance(entry: RegistryEntry, density: float) -> float | None:
    """Return how far so many notes in a beat are from a model's music; None outside its range."""
    try:
        span = RunFolder(entry.folder()).corpus_range().get(_MEASURE, {})
        low, middle, high = (float(span[name]) for name in ("low", "middle", "high"))
    except (UserError, LookupError, TypeError, ValueError):
        return None  # a damaged model is told of where it is used
    if not 0 < low <= density <= high or middle <= 0:
        return None
    # A ratio: half as many notes are as far as twice as many.
    return abs(math.log(density / middle))
