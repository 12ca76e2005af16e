"""What our own models say to tiny folders of each kind, and one such folder to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musengine.api import load_registry
from musengine.data.survey import survey_corpus
from musengine.music.score import Score, Track
from musengine.pipeline.values import Source
from musengine.runs.choice.candidates import Candidate, Search, candidates_for
from musengine.runs.choice.timing import Timing
from musengine.testing import read_midi, run_command, score_of, write_midi

for _name in ("biaxial", "charrnn", "melody", "notation", "notes", "samplers"):
    pytest.importorskip(f"musengine_{_name}")


def tune(number: int) -> str:
    """A tune in ABC of eight bars, another for each number."""
    bars = "|".join("".join("CDEFGABc"[(number + i * k) % 8] for i in range(8)) for k in range(8))
    return f"X:{number}\nT:Tune {number}\nM:4/4\nL:1/8\nK:C\n{bars}|\n"


def chords(number: int) -> Score:
    pitches = (48, 60, 64, 67)
    notes = [(4 * i, 4, p + (number + i) % 5) for i in range(64) for p in pitches]
    return score_of([*notes, *((4 * i + 3, 1, 74) for i in range(64))])


def performance(seed: int) -> Score:
    drawn = np.random.default_rng(seed)
    onset = np.cumsum(drawn.integers(20, 300, 300))
    return Score.from_notes(
        onset, drawn.integers(300, 700, 300), drawn.integers(40, 80, 300), ticks_per_beat=480
    )


def drums(number: int) -> Score:
    notes = [(2 * i, 1, (36, 42, 38, 42)[(i * number) % 4]) for i in range(1, 128)]
    return score_of(notes, tracks=[Track("kit", is_drum=True, channel=9)])


def write(folder: Path, kind: str) -> Path:
    """Write a folder of one kind of music."""
    folder.mkdir()
    if kind == "tunes":
        (folder / "book.abc").write_text("\n".join(tune(number) for number in range(1, 13)))
    elif kind == "text":
        (folder / "words.txt").write_text("all that is written " * 50)
    else:
        make = {"chords": chords, "performance": performance, "drums": drums}[kind]
        for number in range(5):
            write_midi(make(number), folder / f"{number}.mid")
    return folder


def timing(step: float) -> Timing:
    """What is timed of a model of which a training step takes so many seconds."""
    return Timing(
        sequence_length=None,
        threads=1,
        step=step,
        scoring=0.0,
        generating=0.0,
        preparing=0.0,
        steps=64.0,
    )


def fittest(folder: Path) -> Candidate:
    registry = load_registry()
    corpus = survey_corpus(Source(str(folder)), registry)
    return max(candidates_for(corpus, registry, 60.0, ()), key=lambda each: each.size.fit)


@pytest.mark.parametrize(
    ("kind", "model", "encoder"),
    [
        ("tunes", "notes", {"type": "notes", "step": "1/4 beat"}),
        ("chords", "notes", {"type": "notes", "step": "1/4 beat"}),
        ("performance", "notes", {"type": "notes", "step": "0.01 seconds"}),
        ("drums", "notes", {"type": "notes", "step": "1/4 beat"}),
        ("text", "charrnn", {"type": "chars", "texts": "plain"}),
    ],
)
def test_each_kind_has_its_model(
    tmp_path: Path, kind: str, model: str, encoder: dict[str, Any]
) -> None:
    found = fittest(write(tmp_path / kind, kind))
    assert found.model == model
    assert {key: found.tables["encoder"][key] for key in encoder} == encoder


@pytest.mark.parametrize(
    ("seconds", "model"), [(30.0, "melody"), (45.0, "notes"), (120.0, "notes")]
)
def test_tunes_have_the_quicker_model_where_time_is_short(
    tmp_path: Path, seconds: float, model: str
) -> None:
    corpus = survey_corpus(Source(str(write(tmp_path / "tunes", "tunes"))), load_registry())
    search = Search(candidates_for(corpus, load_registry(), 60.0, ()))
    while (candidate := search.next()) is not None:
        # As measured of the smallest sizes, on one thread; larger ones take longer.
        step = {"melody": 0.03, "notes": 0.14}.get(candidate.model, 0.1)
        larger = 1 if candidate.size.steps <= 500 else 3
        search.add(candidate, timing(step * larger), seconds)
    assert search.best is not None
    assert search.best[0].model == model


def test_of_mixed_kinds_the_one_with_most_music(tmp_path: Path) -> None:
    folder = write(tmp_path / "mixed", "chords")
    (folder / "book.abc").write_text(tune(1))
    (folder / "read me.txt").write_text("songs of my youth")
    found = fittest(folder)
    assert found.model == "notes"
    assert found.tables["corpus"]["exclude"] == ["*.abc"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tunes", "drums"])
def test_from_a_folder_to_pieces(workplace: Path, kind: str) -> None:
    write(workplace / kind, kind)
    done = run_command("run", kind, "--minutes", "0.5")
    assert done.status == 0, done.err
    pieces = sorted((workplace / "runs" / kind / "samples").glob("*.mid"))
    assert len(pieces) == 4
    assert all(len(read_midi(path)) for path in pieces)
    again = run_command("run", kind, "--minutes", "0.5")
    assert again.status == 0
    assert "trained already" in again.err
