"""The figures of real pieces against those of muspy, as benchmarks/muspy_values.py stored them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from musengine.api import Score, Track
from musengine.testing import read_midi, score_of
from musengine_evaluation.features.summary import statistics

RESULTS = Path(__file__).resolve().parents[3] / "benchmarks" / "results"
AGREEING = {
    "pitch_range": "pitch_range",
    "pitches_used": "n_pitches_used",
    "pitch_classes_used": "n_pitch_classes_used",
    "pitch_entropy": "pitch_entropy",
    "pitch_class_entropy": "pitch_class_entropy",
    "scale_consistency": "scale_consistency",
    "polyphony": "polyphony",
    "polyphony_rate": "polyphony_rate, threshold 1",
    "empty_beat_rate": "empty_beat_rate, notes a tick shorter",
    "empty_bar_rate": "empty_measure_rate, notes a tick shorter",
    "groove_consistency": "groove_consistency, on the grid, notes a step shorter",
}
"""Our figures, and those of muspy's that have the same definition."""


def stored(name: str) -> dict[str, dict[str, Any]]:
    figures: dict[str, dict[str, Any]] = json.loads(
        (RESULTS / f"{name}.json").read_text(encoding="utf-8")
    )["figures"]
    return figures


def files(archive: Path, names: list[str], folder: Path) -> Iterator[tuple[str, Path]]:
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    with tarfile.open(archive) as tar:
        for name in names:
            tar.extract(name, folder, filter="data")
            yield name, folder / name


def until_the_last_note(path: Path) -> Score:
    """What muspy takes for a piece's length; ours includes silence to the end of the file."""
    score = read_midi(path)
    return replace(score, length=int(score.end.max()))


ARCHIVES = sorted({key.partition(":")[0] for key in stored("muspy_values")})


@pytest.mark.parametrize("archive", ARCHIVES)
def test_figures_agree_where_definitions_do(
    archive: str, data_folder: Path, tmp_path: Path
) -> None:
    figures = stored("muspy_values")
    names = [key.partition(":")[2] for key in figures if key.startswith(archive)]
    compared = 0
    for name, path in files(data_folder / archive, names, tmp_path):
        ours, theirs = statistics(until_the_last_note(path)), figures[f"{archive}:{name}"]
        for own, other in AGREEING.items():
            if theirs[other] is not None:  # a piece of several meters
                assert ours[own] == pytest.approx(theirs[other], abs=1e-9), (name, own)
                compared += 1
    assert compared > 60


DRUMS = (Track("drums", 0, True),)
BEAT = (0, 4, 60)
SMALL = {
    # No notes: no pitch range, and nothing that has a length.
    "no tracks": (score_of([]), "nan", "nan", "nan", "nan"),
    "no notes": (score_of([]), "nan", "nan", "nan", "nan"),
    # A drum sounds, but has no pitch.
    "one drum, a beat long": (score_of([BEAT], tracks=DRUMS), "nan", "0", "0", "nan"),
    # Two pitches are several.
    "a fifth, a beat long": (score_of([BEAT, (0, 4, 67)]), "7", "1", "0", "nan"),
    # The second of three beats is silent.
    "a note, a rest, a note, a beat each": (
        score_of([BEAT, (8, 4, 60)]),
        *("0", "0", "0.333333", "nan"),
    ),
    # One bar is no two: it has no neighbour that is empty.
    "one note, a 4/4 bar long": (score_of([(0, 16, 60)]), "0", "0", "0", "nan"),
}
"""Small pieces, 4 ticks to a beat: pitch range, polyphony and empty-beat rate, groove."""


@pytest.mark.parametrize("name", list(stored("muspy_edge_cases")))
def test_small_pieces_have_the_values_that_the_page_gives(name: str) -> None:
    score, *wanted = SMALL[name]
    found = statistics(score)
    columns = ("pitch_range", "polyphony_rate", "empty_beat_rate", "groove_consistency")
    assert [f"{found[column]:g}" for column in columns] == wanted
    page = (RESULTS.parents[1] / "docs/reference/statistics.md").read_text(encoding="utf-8")
    assert f"| {name} | {' | '.join(wanted)} |" in page
