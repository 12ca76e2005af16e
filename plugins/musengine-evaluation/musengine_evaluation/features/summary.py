"""All figures by name: numbers and histograms of one piece, and tables of many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from musengine.api import FloatArray, Score
from musengine_evaluation.features import pitch, polyphony, rhythm, structure, transitions

SCALARS: Mapping[str, Callable[[Score], float]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            pitch.pitch_class_entropy,
            pitch.pitch_entropy,
            pitch.pitch_range,
            pitch.pitches_used,
            pitch.pitch_classes_used,
            pitch.scale_consistency,
            transitions.mean_interval,
            polyphony.polyphony,
            polyphony.polyphony_rate,
            polyphony.empty_beat_rate,
            polyphony.empty_bar_rate,
            structure.groove_consistency,
            structure.repetition_rate,
            rhythm.notes,
            rhythm.notes_per_beat,
            rhythm.notes_per_second,
            rhythm.mean_inter_onset_beats,
            polyphony.longest_silence_beats,
            polyphony.longest_silence_seconds,
            polyphony.longest_note_beats,
            polyphony.longest_note_seconds,
        )
    }
)
"""The figures that are one number, NaN where undefined."""

HISTOGRAMS: Mapping[str, Callable[[Score], FloatArray]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            pitch.pitch_class_histogram,
            transitions.pitch_class_transitions,
            rhythm.note_length_histogram,
            transitions.note_length_transitions,
            rhythm.inter_onset_histogram,
        )
    }
)
"""The figures that are shares of 12 or 12 × 12 classes, NaN where undefined."""


def statistics(score: Score) -> dict[str, float]:
    """Return every figure of `SCALARS` for one piece."""
    return {name: function(score) for name, function in SCALARS.items()}


def histograms(score: Score) -> dict[str, FloatArray]:
    """Return every figure of `HISTOGRAMS` for one piece."""
    return {name: function(score) for name, function in HISTOGRAMS.items()}


def table(scores: Iterable[Score]) -> dict[str, FloatArray]:
    """Return every figure for every piece: (P, 1) of a scalar, (P, 12) or (P, 144) of histograms.

    A row that is undefined is NaN. Of no pieces at all the tables are (0, 1).
    """
    rows: list[Mapping[str, npt.ArrayLike]] = [
        {**statistics(score), **histograms(score)} for score in scores
    ]
    return {
        name: np.array([np.ravel(row[name]) for row in rows]) if rows else np.zeros((0, 1))
        for name in (*SCALARS, *HISTOGRAMS)
    }
