"""For which music the model proposes itself, and that what it proposes is a pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from musengine.api import CorpusSurvey, build_pipeline
from musengine_lstm3.config import Lstm3Config

CHORDS = CorpusSurvey(files=9, pieces=9, notes=900, polyphony=3.2, usual=60.0, shortest=20.0)
TUNES = CorpusSurvey(
    files=9, pieces=9, notes=900, polyphony=1.0, single_lines=1.0, melodies=1.0, usual=60.0
)
DRUMS = CorpusSurvey(files=9, pieces=9, notes=900, polyphony=2.0, drums=1.0)
PLAYED = CorpusSurvey(
    files=9, pieces=9, notes=900, polyphony=3.2, on_beat=False, step="0.1 seconds", shortest=9.0
)
TEXT = CorpusSurvey(files=9, contents=("text",), notation="plain", characters=9000)


@pytest.mark.parametrize("survey", [CHORDS, TUNES, DRUMS, PLAYED])
def test_what_is_proposed_is_a_pipeline(survey: CorpusSurvey, tmp_path: Path) -> None:
    suggestion = Lstm3Config.suits(survey)
    assert suggestion is not None
    assert len(suggestion.sizes) > 1
    for size in suggestion.sizes:
        tables = dict(size.tables)
        # Guards of another distribution may not be there.
        tables.pop("sampler")
        tables["corpus"] = {**tables.get("corpus", {}), "path": str(tmp_path)}
        pipeline = build_pipeline(tables)
        assert pipeline.model.name == "lstm3"
        assert 0 < size.fit <= 1
        assert size.steps > 0


@pytest.mark.parametrize("survey", [TEXT])
def test_it_is_not_made_for_everything(survey: CorpusSurvey) -> None:
    assert Lstm3Config.suits(survey) is None


def test_drums_are_read_in_their_own_key() -> None:
    suggestion = Lstm3Config.suits(DRUMS)
    assert suggestion is not None
    for size in suggestion.sizes:
        assert size.tables["encoder"]["drums"]
        assert size.tables["corpus"] == {}
