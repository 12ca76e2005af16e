"""For which music the model proposes itself, and that what it proposes is a pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from musengine.api import CorpusSurvey
from musengine.testing import SURVEYS, suggested_pipelines
from musengine_charrnn.config import CharRnnConfig


@pytest.mark.parametrize("music", ["chords", "tunes", "performances", "text"])
def test_what_is_proposed_is_a_pipeline(music: str, tmp_path: Path) -> None:
    suggested = suggested_pipelines(CharRnnConfig, SURVEYS[music], tmp_path)
    assert len(suggested) > 1
    for size, pipeline in suggested:
        assert pipeline.model.name == "charrnn"
        assert 0 < size.fit <= 1
        assert size.steps > 0


@pytest.mark.parametrize("music", ["drums"])
def test_it_is_not_made_for_everything(music: str) -> None:
    assert CharRnnConfig.suits(SURVEYS[music]) is None


def test_tunes_in_abc_are_learned_as_they_are_written() -> None:
    tunes = CorpusSurvey(
        files=1, contents=("score", "text"), notation="abc", characters=9000, pieces=50, notes=900
    )
    suggestion = CharRnnConfig.suits(tunes)
    assert suggestion is not None
    encoders = [size.tables["encoder"] for size in suggestion.sizes]
    assert encoders == [{"type": "chars", "texts": "abc"}] * len(suggestion.sizes)
