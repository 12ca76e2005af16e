"""Surveys of music of each kind, and the pipelines that a model proposes for one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from musengine.plugins.configs import ModelConfig
from musengine.plugins.suggestions import CorpusSurvey, SuggestedSize

if TYPE_CHECKING:
    from musengine.pipeline.resolve import Pipeline

SURVEYS = {
    "chords": CorpusSurvey(files=9, pieces=9, notes=900, polyphony=3.2, usual=60.0, shortest=20.0),
    "tunes": CorpusSurvey(
        files=9, pieces=9, notes=900, polyphony=1.0, single_lines=1.0, melodies=1.0, usual=60.0
    ),
    "drums": CorpusSurvey(files=9, pieces=9, notes=900, polyphony=2.0, drums=1.0),
    "performances": CorpusSurvey(
        files=9, pieces=9, notes=900, polyphony=3.2, on_beat=False, step="0.1 seconds", shortest=9.0
    ),
    "text": CorpusSurvey(files=9, contents=("text",), notation="plain", characters=9000),
}
"""What a look through nine files of a kind finds."""


def suggested_pipelines(
    config: type[ModelConfig], survey: CorpusSurvey, folder: Path
) -> list[tuple[SuggestedSize, Pipeline]]:
    """Return each size that a model proposes, and its pipeline without the proposed samplers.

    Those may be another distribution's, and not be installed.

    Args:
        config: the model's settings.
        survey: of the music.
        folder: stands for the corpus.

    Raises:
        AssertionError: the model proposes nothing.
        ConfigError: what it proposes is no pipeline.
    """
    from musengine.runs.pipelines import build_pipeline

    suggestion = config.suits(survey)
    assert suggestion is not None, f"{config.__name__} proposes nothing"
    found = []
    for size in suggestion.sizes:
        tables = dict(size.tables)
        tables.pop("sampler", None)
        tables["corpus"] = {**tables.get("corpus", {}), "path": str(folder)}
        found.append((size, build_pipeline(tables)))
    return found
