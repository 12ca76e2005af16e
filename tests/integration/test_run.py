"""The core alone, from a corpus to generated pieces, with the model that counts."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import miditoolkit
import pytest

from musengine.plugins import manager

Call = Callable[..., tuple[int, str, str]]


def test_a_run_leaves_what_it_promises(folder: Path, musengine: Call) -> None:
    status, out, err = musengine("run", "pipe.toml")
    assert status == 0, err
    assert out == ""
    run = folder / "runs" / "pipe"
    present = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    present.discard("report.html")  # which an installed plugin writes
    evaluation = json.loads((run / "evaluation.json").read_text())
    figure = evaluation["valid"]["nll"]
    assert present == {
        *("pipeline.toml", "versions.json", "split.json", "metrics.jsonl", "state.json"),
        "corpus.json",
        *(
            "evaluation.json",
            "run.lock",
            f"checkpoints/step-000000001_epoch-0001_valid-{figure:.4f}.safetensors",
        ),
        "prompts.safetensors",
        *("samples/piece-001.mid", "samples/piece-002.mid", "samples/generated.jsonl"),
    }
    libraries = json.loads((run / "versions.json").read_text())["distributions"]
    assert libraries["pluggy"] == importlib.metadata.version("pluggy")
    split = json.loads((run / "split.json").read_text())
    assert [len(split["parts"][part]) for part in ("train", "valid", "test")] == [7, 2, 1]
    for path in sorted((run / "samples").glob("*.mid")):
        midi = miditoolkit.MidiFile(path)
        assert max((note.end for note in midi.instruments[0].notes), default=0) <= 16 * 480


def test_a_profile_says_where_the_time_went(folder: Path, musengine: Call) -> None:
    status, out, err = musengine("run", "pipe.toml", "--profile")
    assert (status, out) == (0, "")
    lines = err.splitlines()
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("where the time")) :]
    assert len(table) > 8
    assert table[-1].endswith("100.0%")
    profile = json.loads((folder / "runs/pipe/profile.json").read_text())
    stages = profile["stages"]
    assert {"setting up", "encoding", "validation", "evaluation", "report"} < set(stages)
    assert [stages[name]["times"] for name in ("reading", "fitting", "generation")] == [1, 1, 1]
    parts = sum(stage["seconds"] for stage in stages.values()) + profile["rest"]
    assert parts == pytest.approx(profile["seconds"], abs=1e-4)
    assert profile["rest"] >= 0
    # What is not asked for is not measured, and what a profile slows down is only the run itself.
    assert musengine("run", "pipe.toml", "--run-dir", "plain")[0] == 0
    assert not (folder / "plain/profile.json").exists()
    for name in ("evaluation.json", "samples/piece-001.mid"):
        assert (folder / "plain" / name).read_bytes() == (folder / "runs/pipe" / name).read_bytes()
    # A run that is refused keeps the profile that it has.
    before = (folder / "runs/pipe/profile.json").read_bytes()
    refused = ("run", "pipe.toml", "--profile", "--set", "encoder.lowest=50")
    assert musengine(*refused)[0] == 1
    assert (folder / "runs/pipe/profile.json").read_bytes() == before


def test_figures_of_the_baseline_by_hand(folder: Path, musengine: Call) -> None:
    # Two pitches, one training tune of 3 steps: pitch 60 sounds in all, 61 in none.
    # "pitch": p(60) = 3.5/4, p(61) = 0.5/4. A test step with both notes costs -ln(7/8) - ln(1/8).
    tunes = {"train": [[[60], [60], [60]]], "test": [[[60, 61], [60, 61]]]}
    (folder / "tunes.json").write_text(json.dumps(tunes))
    settings = ("--set", "encoder.highest=61", "--set", "model.given=pitch")
    assert musengine("train", "pipe.toml", *settings)[0] == 0
    status, out, _ = musengine("evaluate", "--split", "test", "--json")
    assert status == 0
    figures = json.loads(out)["test"]
    assert figures["nll"] == pytest.approx(-math.log(7 / 8) - math.log(1 / 8), abs=1e-12)
    assert (figures["steps"], figures["pieces"]) == (2, 1)


ROWS = {
    "jsb_chorales": [("nothing", 15.93, None), ("pitch", 11.06, None), ("last", 10.47, 10.49)],
    "nottingham": [("nothing", 16.24, None), ("pitch", 10.25, None), ("last", 5.16, 5.15)],
}
"""By set: what the model is given, nats per step, and those without each piece's first step."""


@pytest.mark.parametrize(
    "name", ["jsb_chorales", pytest.param("nottingham", marks=pytest.mark.slow)]
)
def test_check_rows_of_the_standard_sets(
    folder: Path, musengine: Call, data_folder: Path, name: str
) -> None:
    path = data_folder / "poly-benchmarks" / f"{name}.npz"
    full = ("--set", "encoder.lowest=21", "--set", "encoder.highest=108")
    for given, expected, skip_first in ROWS[name]:
        # A run each; what is read and encoded for the first is there for the others.
        choice = ("--set", f"corpus.path={path}", "--set", f"model.given={given}")
        status, _, err = musengine("train", "pipe.toml", "--run-dir", given, *full, *choice)
        assert status == 0, err
        _, out, _ = musengine("evaluate", given, "--split", "test", "--json")
        figures = json.loads(out)["test"]
        assert figures["nll"] == pytest.approx(expected, abs=0.01), given
        if skip_first is not None:
            assert figures["nll_skip_first"] == pytest.approx(skip_first, abs=0.01)


def test_same_file_and_seed_same_bytes(folder: Path, musengine: Call) -> None:
    for name in ("a", "b"):
        assert musengine("run", "pipe.toml", "--run-dir", name)[0] == 0
    for relative in (
        *("samples/piece-001.mid", "samples/piece-002.mid"),
        *("pipeline.toml", "split.json", "evaluation.json"),
    ):
        assert (folder / "a" / relative).read_bytes() == (folder / "b" / relative).read_bytes()


def test_another_seed_other_music(folder: Path, musengine: Call) -> None:
    musengine("run", "pipe.toml", "--run-dir", "a")
    musengine("run", "pipe.toml", "--run-dir", "b", "--set", "generate.seed=7")
    first = (folder / "a/samples/piece-001.mid").read_bytes()
    assert first != (folder / "b/samples/piece-001.mid").read_bytes()


def test_another_seed_goes_on_from_another_piece(folder: Path, musengine: Call) -> None:
    corpus = json.loads((folder / "tunes.json").read_text())
    corpus["valid"] = corpus["train"][:6]
    (folder / "tunes.json").write_text(json.dumps(corpus))
    assert musengine("train", "pipe.toml")[0] == 0
    found = []
    for seed in (1, 2, 3, 1):
        more = ("--out", f"out{len(found)}", "--set", f"generate.seed={seed}")
        assert musengine("generate", *more)[0] == 0
        lines = (folder / f"out{len(found)}/generated.jsonl").read_text().splitlines()
        found.append([json.loads(line)["prompt"] for line in lines])
    assert found[0] == found[3]
    assert len(set(map(tuple, found))) > 1
    assert all(len(set(names)) == 2 for names in found)
    music = [(folder / f"out{k}/piece-001.mid").read_bytes() for k in (0, 3)]
    assert music[0] == music[1]


def test_a_piece_does_not_depend_on_how_many_are_made(folder: Path, musengine: Call) -> None:
    musengine("train", "pipe.toml")
    for count in (2, 70):
        name = ("--out", f"out{count}", "--set", f"generate.count={count}")
        assert musengine("generate", *name, "--set", "generate.seed=5")[0] == 0
    few, many = folder / "out2", folder / "out70"
    for name in ("piece-001.mid", "piece-002.mid"):
        assert (few / name).read_bytes() == (many / name).read_bytes()


def test_run_again_says_it_is_finished_and_makes_nothing_twice(
    folder: Path, musengine: Call
) -> None:
    musengine("run", "pipe.toml")
    status, _, err = musengine("run", "pipe.toml")
    assert status == 0
    assert "trained already" in err
    assert len(list((folder / "runs/pipe/samples").glob("*.mid"))) == 2


def test_changed_generation_is_taken(folder: Path, musengine: Call) -> None:
    musengine("run", "pipe.toml")
    status, _, err = musengine("run", "pipe.toml", "--set", "generate.tempo=60")
    assert status == 0
    assert "changed settings: generate" in err
    assert len(list((folder / "runs/pipe/samples").glob("*.mid"))) == 4
    assert "tempo = 60.0" in (folder / "runs/pipe/pipeline.toml").read_text()


def test_changed_identity_is_refused_with_both_ways_out(folder: Path, musengine: Call) -> None:
    musengine("run", "pipe.toml")
    before = (folder / "runs/pipe/pipeline.toml").read_bytes()
    status, _, err = musengine("run", "pipe.toml", "--set", "model.given=pitch")
    assert status == 1
    assert err.count("\n") == 1
    assert "model.given (was 'last', now 'pitch')" in err
    assert "change them back" in err
    assert "--new" in err
    assert (folder / "runs/pipe/pipeline.toml").read_bytes() == before
    assert musengine("run", "pipe.toml", "--set", "model.given=pitch", "--new")[0] == 0
    assert (folder / "runs/pipe-2/pipeline.toml").is_file()


def test_other_music_is_refused(folder: Path, musengine: Call) -> None:
    musengine("run", "pipe.toml")
    corpus = json.loads((folder / "tunes.json").read_text())
    corpus["train"].append([[60]] * 20)
    (folder / "tunes.json").write_text(json.dumps(corpus))
    (folder / "runs/pipe/state.json").unlink()
    status, _, err = musengine("run", "pipe.toml")
    assert status == 1
    assert "1 piece new, 0 gone" in err


def test_generation_needs_only_the_run_folder(folder: Path, musengine: Call) -> None:
    musengine("train", "pipe.toml")
    shutil.move(folder / "runs/pipe", folder / "elsewhere")
    (folder / "tunes.json").unlink()
    (folder / "pipe.toml").unlink()
    shutil.rmtree(folder / "cache")
    status, _, err = musengine("generate", "elsewhere", "--out", "made", "--name", "song")
    assert status == 0, err
    assert sorted(path.name for path in (folder / "made").glob("*.mid")) == [
        "song-001.mid",
        "song-002.mid",
    ]


def test_generate_never_overwrites(folder: Path, musengine: Call) -> None:
    musengine("run", "pipe.toml")
    before = (folder / "runs/pipe/samples/piece-001.mid").read_bytes()
    musengine("generate")
    names = sorted(path.name for path in (folder / "runs/pipe/samples").glob("*.mid"))
    assert names == [f"piece-{number:03}.mid" for number in (1, 2, 3, 4)]
    assert (folder / "runs/pipe/samples/piece-001.mid").read_bytes() == before


def test_the_prompt_is_written_only_where_asked_for(folder: Path, musengine: Call) -> None:
    tunes = {"train": [[[60], [60], [60], [60]]], "valid": [[[72]] * 8]}
    (folder / "tunes.json").write_text(json.dumps(tunes))
    musengine("train", "pipe.toml")
    musengine("generate", "--out", "with", "--set", "generate.include_prompt=true")
    midi = miditoolkit.MidiFile(folder / "with/piece-001.mid")
    prompt = [note for note in midi.instruments[0].notes if note.pitch == 72 and note.start == 0]
    assert [note.end >= 4 * 480 for note in prompt] == [True]
    origin = json.loads((folder / "with/generated.jsonl").read_text().splitlines()[0])
    assert origin["prompt"] == "tunes.json#valid-0"


def test_prompt_from_a_file_with_offset(folder: Path, musengine: Call) -> None:
    (folder / "prompt.json").write_text(json.dumps({"train": [[[61]] * 4 + [[62]] * 4]}))
    musengine("train", "pipe.toml")
    settings = ("generate.prompt=prompt.json", "generate.prompt_offset=4 steps")
    more = ("generate.prompt_length=2 steps", "generate.include_prompt=true")
    arguments = [word for setting in (*settings, *more) for word in ("--set", setting)]
    status, _, err = musengine("generate", "--out", "made", *arguments)
    assert status == 0, err
    midi = miditoolkit.MidiFile(folder / "made/piece-001.mid")
    assert [note.pitch for note in midi.instruments[0].notes if note.start == 0] == [62]
    status, _, err = musengine("generate", *arguments, "--set", "generate.prompt_offset=9 steps")
    assert status == 1
    assert "shorter than 9 steps" in err


@pytest.mark.parametrize(
    ("length", "ticks"),
    [("16 steps", 16), ("5 beats", 5), ("2 bars", 6), ("3 seconds", 3), ("3.5 beats", 4)],
)
def test_lengths_in_every_unit(folder: Path, musengine: Call, length: str, ticks: int) -> None:
    # 60 beats a minute, one step a beat, 3/4: a second is a step, a bar three. Pitch 60 always
    # sounds (probability 1 by a model that has seen nothing else), so the piece's end shows.
    tunes = {"train": [[[60]] * 4000], "valid": [[[60]] * 8]}
    (folder / "tunes.json").write_text(json.dumps(tunes))
    musengine("train", "pipe.toml", "--set", "training.batching=pieces")
    settings = (f"generate.length={length}", "generate.tempo=60", "generate.meter=3/4")
    greedy = ("--set", "sampler.0.type=greedy")
    arguments = [word for setting in settings for word in ("--set", setting)]
    status, _, err = musengine("generate", "--out", "made", *greedy, *arguments)
    assert status == 0, err
    (note,) = miditoolkit.MidiFile(folder / "made/piece-001.mid").instruments[0].notes
    assert (note.start, note.end) == (0, ticks * 480)


def test_instrument_velocity_tempo_and_meter_are_written(folder: Path, musengine: Call) -> None:
    settings = ("generate.instrument=flute", "generate.velocity=33", "generate.tempo=90")
    arguments = [word for setting in settings for word in ("--set", setting)]
    musengine("run", "pipe.toml", *arguments, "--set", "generate.meter=6/8")
    midi = miditoolkit.MidiFile(folder / "runs/pipe/samples/piece-001.mid")
    assert midi.instruments[0].program == 73
    assert {note.velocity for note in midi.instruments[0].notes} == {33}
    assert midi.tempo_changes[0].tempo == pytest.approx(90, abs=1e-3)
    meter = midi.time_signature_changes[0]
    assert (meter.numerator, meter.denominator) == (6, 8)


def test_frame_accuracy_by_hand(folder: Path, musengine: Call) -> None:
    # p(60) = 3.5/4 and p(61) = 0.5/4 as above, so 60 alone is held likely at each step. The test
    # steps: {60, 61}, {61}, {}: of 60 said three times and three notes that sounded one agrees.
    tunes = {"train": [[[60], [60], [60]]], "test": [[[60, 61], [61], []]]}
    (folder / "tunes.json").write_text(json.dumps(tunes))
    settings = ("--set", "encoder.highest=61", "--set", "model.given=pitch")
    assert musengine("train", "pipe.toml", *settings)[0] == 0
    status, out, _ = musengine(
        "evaluate", "--split", "test", "--json", "--set", 'metric=[{type="accuracy"}]'
    )
    assert status == 0
    assert json.loads(out)["test"] == {"frame_accuracy": 1 / 5}


def test_the_parts_that_are_measured(folder: Path, musengine: Call) -> None:
    measured = 'metric=[{type="nll"}, {type="accuracy"}]'
    assert musengine("run", "pipe.toml", "--set", "evaluate.parts=train", "--set", measured)[0] == 0
    figures = json.loads((folder / "runs/pipe/evaluation.json").read_text())
    assert list(figures) == ["train"]
    # Seven tunes of 40 to 46 steps.
    assert figures["train"]["steps"] == sum(range(40, 47))
    # Other parts are measured anew, and the figures of those before stay.
    assert musengine("run", "pipe.toml", "--set", "evaluate.parts=test", "--set", measured)[0] == 0
    figures = json.loads((folder / "runs/pipe/evaluation.json").read_text())
    assert sorted(figures) == ["test", "train"]
    status, out, _ = musengine("evaluate", "--json")
    assert (status, list(json.loads(out))) == (0, ["test"])
    # Neither is what was asked for anew where nothing has changed.
    (folder / "runs/pipe/evaluation.json").unlink()
    assert musengine("run", "pipe.toml", "--set", "evaluate.parts=test", "--set", measured)[0] == 0
    assert not (folder / "runs/pipe/evaluation.json").exists()


def test_without_a_likelihood_metrics_that_need_it_are_left_out(
    folder: Path, musengine: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = ("--set", 'metric=[{type="nll"}, {type="accuracy"}]')
    assert musengine("train", "pipe.toml", *measured)[0] == 0
    entries = manager.load().registry.entries
    counting = entries["model", "frequencies"]
    declaration = dataclasses.replace(counting.declaration, likelihood=False)  # type: ignore[call-arg]
    entry = dataclasses.replace(counting, declaration=declaration)
    monkeypatch.setitem(entries, ("model", "frequencies"), entry)
    for command in (("check", "pipe.toml", *measured), ("evaluate", "runs/pipe", "--json")):
        status, out, err = musengine(*command)
        assert status == 0, err
        (line,) = (line for line in err.splitlines() if "metric 'nll'" in line)
        assert line.startswith("warning: ")
    assert set(json.loads(out)["valid"]) == {"frame_accuracy"}
