"""For which music the model proposes itself, and that what it proposes is a pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from musengine.testing import SURVEYS, suggested_pipelines
from musengine_lstm3.config import Lstm3Config


@pytest.mark.parametrize("music", ["chords", "tunes", "drums", "performances"])
def test_what_is_proposed_is_a_pipeline(music: str, tmp_path: Path) -> None:
    suggested = suggested_pipelines(Lstm3Config, SURVEYS[music], tmp_path)
    assert len(suggested) > 1
    for size, pipeline in suggested:
        assert pipeline.model.name == "lstm3"
        assert 0 < size.fit <= 1
        assert size.steps > 0


@pytest.mark.parametrize("music", ["text"])
def test_it_is_not_made_for_everything(music: str) -> None:
    assert Lstm3Config.suits(SURVEYS[music]) is None


def test_drums_are_read_in_their_own_key() -> None:
    suggestion = Lstm3Config.suits(SURVEYS["drums"])
    assert suggestion is not None
    for size in suggestion.sizes:
        assert size.tables["encoder"]["drums"]
        assert size.tables["corpus"] == {}
