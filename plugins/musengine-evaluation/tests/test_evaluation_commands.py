"""similarity, originality, compare and the metrics of pieces, as a user calls them."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import miditoolkit
import numpy as np
import pytest
import tomli

pytest.importorskip("torch")

from musengine.api import Batch, Model, Output, Run, Score, to_table
from musengine.testing import run_command, score_of, write_midi
from musengine_evaluation.corpus_index import similarities
from musengine_evaluation.settings import LONGEST_WINDOW, SimilarityConfig

PIPELINE = """
[corpus]
path = "music"
valid = 0.4
split_seed = 1

[model]
type = "frequencies"

[generate]
count = 2
length = "16 beats"

[[metric]]
type = "nll"

[[metric]]
type = "similarity"

[[metric]]
type = "originality"

[[metric]]
type = "statistics"
"""


def tune(seed: int) -> Score:
    """Sixty-four eighths of a melody over whole notes of a bass."""
    rng = np.random.default_rng(seed)
    pitch = 60 + np.array([0, 2, 4, 5, 7, 9, 11])[rng.integers(0, 7, 64)]
    melody = [(2 * k, 2, int(p)) for k, p in enumerate(pitch)]
    bass = [(16 * k, 16, int(p)) for k, p in enumerate(rng.integers(36, 48, 8))]
    return score_of(melody + bass, ticks_per_beat=4)


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    """A working directory with ten tunes, three others beside them and a pipeline."""
    for seed in range(10):
        write_midi(tune(seed), workplace / "music" / f"tune{seed}.mid")
    write_midi(tune(3), workplace / "new" / "copy.mid")
    write_midi(tune(3).transpose(4), workplace / "new" / "higher.mid")
    write_midi(tune(99), workplace / "new" / "other.mid")
    (workplace / "pipe.toml").write_text(PIPELINE)
    return workplace


def test_similarity_of_files_and_folders() -> None:
    status, out, err = run_command("similarity", "new", "--against", "music", "--json")
    assert status == 0, err
    found = {Path(entry["path"]).name: entry["similarity"] for entry in json.loads(out)}
    assert found["copy.mid"] == pytest.approx(100.0)
    # In another key hardly any note lies on one of the original.
    assert 5 < found["higher.mid"] < 80
    assert 5 < found["other.mid"] < 80
    status, out, _ = run_command(
        "similarity", "new/copy.mid", "--against", "music", "--sample", "5"
    )
    assert (status, out) == (0, "100.00 %  new/copy.mid\n")


def test_originality_tells_copies_and_writes_what_to_hear(tmp_path: Path) -> None:
    status, out, err = run_command(
        "originality", "new", "--against", "music", "--json", "--out", "o"
    )
    assert status == 0, err
    report = json.loads(out)
    copy, higher, other = report["pieces"]
    for piece, semitones in ((copy, 0), (higher, -4)):
        assert piece["ngram_share"] == 1.0
        assert piece["longest_run"] == 64
        assert piece["closest_passage"] == pytest.approx(1.0)
        place = piece["closest_passage_at"]
        assert (place["piece"], place["semitones"]) == ("tune3.mid", semitones)
        assert place["beat"] == place["its_beat"]
    assert other["ngram_share"] == 0.0
    assert other["longest_run"] < 12
    assert other["overlap"] < 0.8
    assert report["human"]["ngram_share"]["mean"] == 0.0
    assert report["human"]["ngram_share"]["pieces"] == 10
    # The passages are the same music, four semitones apart.
    passage, closest = (
        miditoolkit.MidiFile(tmp_path / "o" / f"002-higher-{name}.mid")
        for name in ("passage", "closest")
    )
    rows = [
        sorted((note.start, note.end, note.pitch) for note in midi.instruments[0].notes)
        for midi in (passage, closest)
    ]
    assert [(start, end, pitch - 4) for start, end, pitch in rows[0]] == rows[1]
    assert len(rows[0]) > 30
    status, out, _ = run_command("originality", "new/copy.mid", "--against", "music")
    assert "new/copy.mid: share of n-grams found 1" in out
    assert "held-out human music" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["similarity", "nowhere", "--against", "music"], "nowhere does not exist"),
        (["similarity", "new", "--against", "musik"], "musik does not exist; did you mean 'music'"),
        (["originality", "pipe.toml", "--against", "music"], "pipe.toml: known endings are"),
        (["compare", "music"], "music is not a run folder"),
    ],
)
def test_what_is_not_there_is_one_line(arguments: list[str], said: str) -> None:
    status, _, err = run_command(*arguments)
    assert status == 1
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_run_without_pieces_misses_none() -> None:
    done = run_command("run", "pipe.toml", "--run-dir", "r", "--quiet", "--set", "generate.count=0")
    assert (done.status, done.err) == (0, "")
    assert set(json.loads(Path("r/evaluation.json").read_text())) == {"valid"}


@pytest.mark.slow
def test_a_run_measures_its_pieces_and_runs_are_compared() -> None:
    assert (
        run_command("run", "pipe.toml", "--run-dir", "a", "--set", "run.message=counts").status == 0
    )
    again = ("run", "pipe.toml", "--run-dir", "b", "--set", "model.given=nothing")
    assert run_command(*again).status == 0
    figures = json.loads(Path("a/evaluation.json").read_text())
    assert set(figures) == {"valid", "generated"}
    valid = figures["valid"]
    assert valid["nll_low"] <= valid["nll"] <= valid["nll_high"]
    assert len(valid["nll_per_piece"]) == valid["pieces"] >= 2
    generated = figures["generated"]
    assert 0 < generated["similarity"] < 100
    assert generated["longest_run"] >= 0
    assert 0 <= generated["overlap_area"] <= 1
    # Beside what was made stands music by people.
    assert 0 < generated["similarity_human"] < 100
    assert generated["overlap_human"] > 0
    span = generated["statistics"]["pitch_range"]
    assert span["count"] == 2
    values = span["value_per_piece"]
    assert list(values) == ["piece-001.mid", "piece-002.mid"]
    assert sum(values.values()) / 2 == pytest.approx(span["mean"])
    low, high = span["reference_range"]
    assert low <= span["reference"]["mean"] <= high
    for shared in generated["shared_passage_per_piece"].values():
        assert shared["notes"] <= len(shared["passage"]) + 1
        assert shared["passage"][0][0] == shared["source_passage"][0][0] == 0
    human = generated["originality"]["human"]["ngram_share"]
    assert human["count"] == valid["pieces"]
    status, out, err = run_command("compare", "a", "b", "--json")
    assert status == 0, err
    table = json.loads(out)
    assert table["messages"] == ["counts", ""]
    rows = {(row["part"], row["name"]): row for row in table["figures"]}
    nll = rows["valid", "nll"]
    # One rate for all 88 pitches is far worse than each pitch's own given the last step.
    assert nll["apart"] == [False, True]
    assert nll["values"][1]["value"] > nll["values"][0]["value"] + 1
    assert math.isclose(nll["values"][0]["value"], valid["nll"])
    status, out, _ = run_command("compare", "a", "b")
    (line,) = (line for line in out.splitlines() if line.startswith("valid nll "))
    assert line.endswith("*-")
    assert nll["better"] == [None, False]
    # A run stands for the music it was trained on, and brings its held-out pieces.
    status, out, err = run_command("originality", "new/other.mid", "--against", "a", "--json")
    assert status == 0, err
    assert json.loads(out)["human"]["overlap"]["pieces"] == valid["pieces"]


@pytest.mark.slow
def test_metrics_are_measured_with_their_own_settings() -> None:
    text = PIPELINE.replace('"similarity"', '"similarity"\nwindow = 16\nstride = 4')
    Path("pipe.toml").write_text(text.replace('"originality"', '"originality"\nngram = 2'))
    status, _, err = run_command("run", "pipe.toml", "--run-dir", "a", "--set", "metric.0.n=1")
    assert (status, err) == (1, "error: --set: [metric.0] n: unknown key\n")
    assert run_command("run", "pipe.toml", "--run-dir", "a").status == 0
    similar = {"type": "similarity", "window": 16, "stride": 4, "step": "1/8 beat", "seed": 0}
    original = {"type": "originality", "ngram": 2, "window": 64, "step": "1/4 beat"}
    tables = tomli.loads(Path("a/pipeline.toml").read_text())["metric"]
    assert tables == [{"type": "nll"}, similar, original, {"type": "statistics"}]
    components = json.loads(Path("a/versions.json").read_text())["components"]
    assert components["metric originality"].startswith("musengine-evaluation ")

    def figures() -> dict[str, Any]:
        return dict(json.loads(Path("a/evaluation.json").read_text())["generated"])

    def similarity(*options: str) -> float:
        told = run_command("similarity", "a/samples", "--against", "a", "--json", *options)
        assert told[0] == 0, told
        return float(np.mean([piece["similarity"] for piece in json.loads(told[1])]))

    first = figures()
    as_set = ("--window", "16", "--stride", "4")
    assert first["similarity"] == pytest.approx(similarity(*as_set), abs=1e-9)
    assert first["similarity"] != pytest.approx(similarity(), abs=0.01)
    # Evaluating the run again takes its own settings; another is for that command alone.
    Path("a/evaluation.json").unlink()
    assert run_command("evaluate", "a").status == 0
    assert figures() == first
    longer = ("--set", "metric.2.ngram=6")
    assert run_command("evaluate", "a", *longer).status == 0
    assert figures()["ngram_share"] < first["ngram_share"]
    assert figures()["similarity"] == first["similarity"]
    # Run again with other settings, it measures again and keeps them.
    assert run_command("run", "pipe.toml", "--run-dir", "a", *longer).status == 0
    tables = tomli.loads(Path("a/pipeline.toml").read_text())["metric"]
    assert tables[2]["ngram"] == 6


def test_metrics_of_the_model_read_a_part_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command("train", "pipe.toml", "--run-dir", "a").status == 0
    batches: list[int] = []
    kind = type(Run(Path("a")).load().model)
    forward = kind.forward

    def counted(model: Model[Any], batch: Batch) -> Output:
        batches.extend(batch.pieces.tolist())
        return forward(model, batch)

    monkeypatch.setattr(kind, "forward", counted)
    metrics = 'metric=[{type="nll"}, {type="accuracy"}, {type="perplexity"}]'
    status, out, _ = run_command("evaluate", "a", "--split", "valid", "--json", "--set", metrics)
    assert status == 0
    figures = json.loads(out)["valid"]
    assert 0 < figures["frame_accuracy"] < 1
    assert sorted(batches) == list(range(int(figures["pieces"])))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--window", "0"), "must be at least 1 and at most 1024, got 0"),
        (("--window", "1025"), "must be at least 1 and at most 1024, got 1025"),
        (("--stride", "often"), "expected a whole number, got 'often'"),
        (("--step", "3"), "expected a step such as"),
        (("--seed=-1",), "expected a whole number, got '-1'"),
    ],
)
def test_options_have_the_limits_of_the_metrics_settings(
    option: tuple[str, ...], said: str
) -> None:
    done = run_command("similarity", "new", "--against", "music", *option)
    assert done.status == 2
    assert f"{option[0].partition('=')[0]}: {said}" in " ".join(done.err.split())


def test_the_help_tells_the_defaults() -> None:
    told = " ".join(run_command("similarity", "--help").out.split())
    for key, value in to_table(SimilarityConfig()).items():
        assert re.search(rf"--{key} [A-Z]+ [^-]*\({value}\)", told), key


def test_windows_as_long_as_they_may_be() -> None:
    # 1,100 steps of thirty-second notes; the corpus holds the same music a beat later.
    notes = [(k, 1, 60 + k * k % 23) for k in range(1100)]
    piece, corpus = (
        score_of([(onset + by, *rest) for onset, *rest in notes], ticks_per_beat=8) for by in (0, 8)
    )
    settings = SimilarityConfig(window=LONGEST_WINDOW)
    assert similarities([piece], lambda: [corpus], settings) == [pytest.approx(100.0)]


def test_a_run_without_figures_says_how_to_make_them() -> None:
    assert run_command("train", "pipe.toml", "--run-dir", "a").status == 0
    status, _, err = run_command("compare", "a")
    assert (status, "`musengine evaluate a` makes them" in err) == (1, True)
    only = ("--split", "valid", "--set", 'metric=[{type="nll"}]')
    assert run_command("evaluate", "a", *only).status == 0
    assert run_command("compare", "a").status == 0


def test_runs_are_compared_by_their_names_too(workplace: Path) -> None:
    for name, nats in (("one", 1.5), ("other", 2.5)):
        run = workplace / "runs" / name
        run.mkdir(parents=True)
        (run / "pipeline.toml").touch()
        (run / "evaluation.json").write_text(json.dumps({"valid": {"nll": nats}}))
    told = json.loads(run_command("compare", "one", "runs/other", "--json").out)
    assert told["runs"] == ["one", "runs/other"]
    (row,) = told["figures"]
    assert [value["value"] for value in row["values"]] == [1.5, 2.5]


@pytest.mark.slow
def test_only_what_means_the_same_is_compared() -> None:
    settings = {
        "a": [],
        "encoder": ["encoder.step=1/2 beat", "model.given=nothing"],
        "pieces": ["corpus.split_seed=2"],
        "metric": ["metric.1.window=16"],
    }
    for name, assignments in settings.items():
        words = [part for each in assignments for part in ("--set", each)]
        assert run_command("run", "pipe.toml", "--run-dir", name, *words).status == 0
    told = json.loads(run_command("compare", *settings, "--json").out)
    rows = {(row["part"], row["name"]): row for row in told["figures"]}

    def compared(part: str, name: str) -> list[bool]:
        return [not reason for reason in rows[part, name]["unlike"]]

    assert compared("valid", "nll") == [True, False, False, True]
    # Nats per note do not depend on how long a step is.
    assert compared("valid", "nats_per_note") == [True, True, False, True]
    assert rows["valid", "nats_per_note"]["apart"][1]
    assert rows["valid", "nats_per_note"]["better"][1] is False
    assert compared("generated", "similarity") == [True, False, False, False]
    assert compared("generated", "overlap_area") == [True, False, False, True]
    shown = run_command("compare", *settings).out
    assert "~ encoder is not compared" in shown
    assert not rows["valid", "nll"]["apart"][2]


def test_pieces_made_while_training_are_not_measured(workplace: Path) -> None:
    callback = '[[callback]]\ntype = "samples"\nevery = 1\n'
    (workplace / "pipe.toml").write_text(PIPELINE + callback)
    assert run_command("run", "pipe.toml", "--run-dir", "a").status == 0
    made = workplace / "a" / "samples" / "training"
    write_midi(tune(3), made / "step-000000001-001.mid")
    assert run_command("evaluate", "a").status == 0
    figures = json.loads(Path("a/evaluation.json").read_text())["generated"]
    assert sorted(figures["similarity_per_piece"]) == ["piece-001.mid", "piece-002.mid"]


@pytest.mark.slow
def test_nats_per_note_by_hand() -> None:
    assert run_command("run", "pipe.toml", "--run-dir", "a").status == 0
    figures = json.loads(Path("a/evaluation.json").read_text())["valid"]
    # Every tune has 64 notes and 8 of a bass, of which the roll merges those struck again.
    assert figures["notes"] == 72 * figures["pieces"]
    assert figures["nats_per_note"] == pytest.approx(
        figures["nll"] * figures["steps"] / figures["notes"]
    )
    assert 0 < figures["notes_left_out"] < figures["notes"] / 4
    onsets = ("--set", 'encoder.notes="onsets"')
    assert run_command("run", "pipe.toml", "--run-dir", "b", *onsets).status == 0
    assert json.loads(Path("b/evaluation.json").read_text())["valid"]["notes_left_out"] == 0


@pytest.mark.slow
def test_nats_per_note_where_the_end_of_each_piece_is_held_out() -> None:
    within = ("--set", 'corpus.split="within"')
    for name in ("a", "b"):
        more = ("--set", 'encoder.notes="onsets"') if name == "b" else ()
        assert run_command("run", "pipe.toml", "--run-dir", name, *within, *more).status == 0
    # Of 128 sixteenths those from 77 on: eighths from 78 on, and the bass at 80, 96 and 112.
    told = json.loads(run_command("evaluate", "a", "--json").out)["valid"]
    assert told["notes"] == 10 * (25 + 3)
    assert told["nats_per_note"] == pytest.approx(told["nll"] * told["steps"] / told["notes"])
    assert 0 < told["notes_left_out"] < told["notes"] / 4
    assert json.loads(Path("b/evaluation.json").read_text())["valid"]["notes_left_out"] == 0
    rows = json.loads(run_command("compare", "a", "b", "--json").out)["figures"]
    (row,) = (row for row in rows if row["name"] == "nats_per_note")
    assert row["values"][0]["value"] == told["nats_per_note"]
    assert row["unlike"] == ["", ""]
