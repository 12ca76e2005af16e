"""Runs from Python: the same as the command line's, and silent."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import tomli

from musengine.api import (
    Callback,
    NoSettings,
    Progress,
    Run,
    Score,
    build_pipeline,
    load_pipeline,
    read_dataset,
    read_scores,
    run_pipeline,
)
from musengine.errors import ConfigError
from musengine.testing import load_checkpoint, problem, run_command, score_of, write_midi

LSTM = {
    "corpus": {"path": "tunes.json"},
    "encoder": {"step": "1 beat", "lowest": 60, "highest": 72},
    "model": {"type": "lstm3", "layers": [4]},
    "training": {"steps": 6, "sequence_length": 8, "batch_size": 4},
}


def test_the_same_run_as_the_command_lines_without_a_word(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = run_pipeline(load_pipeline("pipe.toml"), "a")
    assert capfd.readouterr() == ("", "")
    assert run_command("run", "pipe.toml", "--run-dir", "b").status == 0
    assert {path.name for path in folder.glob("a/samples/*.mid")} == {
        path.name for path in run.samples if path.suffix == ".mid"
    }
    for path in folder.glob("b/samples/*.mid"):
        assert (folder / "a/samples" / path.name).read_bytes() == path.read_bytes()
    assert run.figures == json.loads((folder / "b/evaluation.json").read_text())
    assert [record["valid"]["nll"] for record in run.history] == [
        json.loads(line)["valid"]["nll"]
        for line in (folder / "b/metrics.jsonl").read_text().splitlines()
    ]


def test_a_run_is_gone_on_with_or_begun_anew(folder: Path) -> None:
    first = run_pipeline(load_pipeline("pipe.toml"), train_only=True)
    assert first.path == Path("runs/pipe")
    assert (first.samples, first.figures) == ([], {})
    again = run_pipeline(load_pipeline("pipe.toml"))
    assert again == first
    assert len(again.history) == 1
    assert again.figures["valid"]["steps"] == 80  # two tunes of 40 steps
    assert run_pipeline(load_pipeline("pipe.toml"), new=True).path == Path("runs/pipe-2")


def test_a_pipeline_from_tables_is_that_of_the_file(folder: Path) -> None:
    tables = tomli.loads(Path("pipe.toml").read_text("utf-8"))
    before = json.dumps(tables)
    settings = ["generate.count=3", "sampler.0.type=greedy"]
    built = build_pipeline(tables, settings, name="pipe")
    assert built == load_pipeline(folder / "pipe.toml", settings)
    assert json.dumps(tables) == before
    with pytest.raises(ConfigError) as caught:
        build_pipeline({**tables, "model": {"type": "frequencys"}, "corpus": {"path": "nowhere"}})
    places = {(problem.table, problem.key) for problem in caught.value.problems}
    assert places == {("model", "type"), ("corpus", "path")}


def test_more_pieces_as_scores_and_as_files(folder: Path) -> None:
    run = run_pipeline(load_pipeline("pipe.toml"))
    pieces = run.generate(count=3, length="8 steps", seed=5)
    assert [type(piece) for piece in pieces] == [Score] * 3
    assert {path.stem for path in run.samples} == {"piece-001", "piece-002"}  # nothing was added
    again = run.generate(["generate.seed=5"], count=3, length="8 steps", folder="more", name="x")
    assert [piece.pitch.tolist() for piece in again] == [piece.pitch.tolist() for piece in pieces]
    # 8 steps of a beat; the prompt is not part of a piece.
    assert {piece.length for piece in pieces} == {8 * pieces[0].ticks_per_beat}
    written = read_scores("more")
    assert list(written) == ["x-001.mid", "x-002.mid", "x-003.mid"]
    for piece, score in zip(pieces, written.values(), strict=True):
        assert score.pitch.tolist() == piece.pitch.tolist()
    with problem("settings-changed"):
        run.generate(["corpus.path=elsewhere.json"])


def test_figures_are_measured_anew_and_kept(folder: Path) -> None:
    run = run_pipeline(load_pipeline("pipe.toml"), train_only=True)
    figures = run.evaluate(["test"])
    assert list(figures) == ["test"]
    assert run.figures == figures
    assert run.evaluate()["test"] == figures["test"]
    assert set(run.figures) == {"valid", "test"}


def test_the_trained_model_is_loaded(folder: Path) -> None:
    run = run_pipeline(load_pipeline("pipe.toml"), train_only=True)
    trained = run.load()
    assert not trained.model.training
    assert trained.model.layout == trained.encoder.layout
    assert trained.checkpoint.parent == run.path / "checkpoints"
    assert run.pipeline(["generate.count=9"]).generate.count == 9


class Listener(Callback[NoSettings]):
    def __init__(self) -> None:
        super().__init__(NoSettings())
        self.heard: list[str] = []

    def on_validation(self, progress: Progress, figures: Mapping[str, float]) -> None:
        self.heard += sorted(figures)

    def on_end(self, progress: Progress, reason: str) -> None:
        self.heard.append("end")


def test_callbacks_are_told(folder: Path) -> None:
    listener = Listener()
    run_pipeline(load_pipeline("pipe.toml"), train_only=True, callbacks=[listener])
    assert listener.heard == ["frame_accuracy", "nll", "end"]


class Content(Listener):
    """Ends the training after a step, once."""

    def should_stop(self, progress: Progress) -> str | None:
        return "enough" if progress.step == 1 else None


def test_a_callback_that_ends_the_training_is_not_there_when_it_goes_on(folder: Path) -> None:
    pytest.importorskip("musengine_lstm3")
    pipeline = build_pipeline(LSTM)
    run = run_pipeline(pipeline, train_only=True, callbacks=[Content()])
    assert load_checkpoint(run.path).meta["state"]["step"] == 1
    run_pipeline(pipeline, train_only=True)
    assert load_checkpoint(run.path).meta["state"]["step"] == 6


def test_the_dataset_as_training_sees_it(folder: Path) -> None:
    dataset = read_dataset(load_pipeline("pipe.toml"))
    assert {part: len(pieces) for part, pieces in dataset.parts.items()} == {
        "train": 7,
        "valid": 2,
        "test": 1,
    }
    # 40 + k steps of 13 pitches and a channel.
    shapes = [piece.encoded.steps.shape for piece in dataset.parts["train"]]
    assert sorted(shapes) == [(40 + k, 13, 1) for k in range(7)]


def test_a_folder_as_scores(workplace: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_midi(score_of([(0, 4, 60), (4, 4, 62)]), workplace / "music/a.mid")
    write_midi(score_of([(0, 4, 70)]), workplace / "music/old/b.mid")
    (workplace / "music/broken.mid").write_bytes(b"no music")
    scores = read_scores("music")
    pitches = {name: score.pitch.tolist() for name, score in scores.items()}
    assert pitches == {"a.mid": [60, 62], "old/b.mid": [70]}
    (record,) = caplog.records
    assert (record.levelno, "broken.mid" in record.getMessage()) == (logging.WARNING, True)
    (workplace / "empty").mkdir()
    with problem("no-music"):
        read_scores("empty")


def test_a_folder_that_is_no_run(workplace: Path) -> None:
    with problem("not-a-run-folder"):
        Run(workplace)


def test_ctrl_c_ends_the_call_and_the_next_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("musengine_lstm3")

    class Stopping(Listener):
        def on_step(self, progress: Progress) -> None:
            import signal

            if progress.step == 3:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(build_pipeline(LSTM), callbacks=[Stopping()])
    listener = Listener()
    run = run_pipeline(build_pipeline(LSTM), train_only=True, callbacks=[listener])
    assert listener.heard[-1] == "end"
    assert json.loads((run.path / "state.json").read_text())["trained"]


def test_reading_and_loading_need_no_torch(folder: Path) -> None:
    program = (
        "import sys; from musengine.api import load_pipeline, read_scores;"
        "load_pipeline('pipe.toml'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
