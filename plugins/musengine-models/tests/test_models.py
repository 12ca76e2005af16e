"""Each model by itself: what it says of itself holds, it plays, and no music came along."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import musengine_models
from musengine.api import Run, TrainedDeclaration, load_registry, read_scores
from musengine.testing import run_command

pytest.importorskip("torch")

HOME = Path(musengine_models.__file__).parent
NAMES = ("pop", "chorales", "tunes")
WITH_PROMPTS = {"chorales"}


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_they_are_what_is_declared() -> None:
    entries = [each for each in load_registry().of_kind("trained") if each.folder().parent == HOME]
    assert {each.name for each in entries} == set(NAMES)


def test_they_are_small() -> None:
    sizes = [size(HOME / name) for name in NAMES]
    assert max(sizes) <= 8_000_000
    assert sum(sizes) <= 25_000_000


@pytest.mark.parametrize("name", NAMES)
class TestEach:
    def test_nothing_of_the_music_is_in_it_but_beginnings_by_bach(self, name: str) -> None:
        files = {path.relative_to(HOME / name).parts[0] for path in (HOME / name).rglob("*.*")}
        known = {
            *("checkpoints", "samples", "samplers.safetensors", "pipeline.toml", "model-card.md"),
            *("corpus.json", "evaluation.json", "versions.json", "choice.json"),
        }
        prompts = {"prompts.safetensors"} if name in WITH_PROMPTS else set()
        assert prompts <= files <= known | prompts

    def test_its_pieces_are_whole(self, name: str) -> None:
        scores = read_scores(HOME / name / "samples")
        assert len(scores) == 4
        for score in scores.values():
            # Chorales end by themselves, the shortest after seven bars.
            least = 19 if name == "chorales" else 20
            assert float(score.seconds(score.length)) >= least
            assert len(np.unique(score.pitch)) > 6
        lines = (HOME / name / "samples" / "generated.jsonl").read_text("utf-8").splitlines()
        assert [json.loads(line)["faults"] for line in lines] == [[]] * 4

    def test_it_plays(self, name: str) -> None:
        (score,) = Run(HOME / name).generate(count=1, length="4 bars", seed=1)
        assert len(score) > 8


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_contract(name: str) -> None:
    from musengine.testing.conformance import check_trained

    (entry,) = [each for each in load_registry().of_kind("trained") if each.name == name]
    declared = entry.declared(TrainedDeclaration)
    assert check_trained(entry.folder(), declared.size) == []


def test_a_name_is_all_that_is_needed(workplace: Path) -> None:
    done = run_command("generate", "tunes", "--count", "2", "--length", "4 bars", "--seed", "1")
    assert done.status == 0, done.err
    assert len(read_scores(workplace / "tunes")) == 2
