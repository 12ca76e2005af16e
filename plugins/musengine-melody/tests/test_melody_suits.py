"""For which music the model proposes itself, and that what it proposes is a pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from musengine.testing import SURVEYS, suggested_pipelines
from musengine_melody.config import MelodyModelConfig


@pytest.mark.parametrize("music", ["tunes"])
def test_what_is_proposed_is_a_pipeline(music: str, tmp_path: Path) -> None:
    suggested = suggested_pipelines(MelodyModelConfig, SURVEYS[music], tmp_path)
    assert len(suggested) > 1
    for size, pipeline in suggested:
        assert pipeline.model.name == "melody"
        assert 0 < size.fit <= 1
        assert size.steps > 0


@pytest.mark.parametrize("music", ["chords", "drums", "text"])
def test_it_is_not_made_for_everything(music: str) -> None:
    assert MelodyModelConfig.suits(SURVEYS[music]) is None
