"""Whatever the user can cause ends in one line, exit status 1, and nothing half-written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from musengine.cli.main import main
from warm import Warm

Fails = Callable[..., str]


def test_a_path_that_does_not_exist(folder: Path, fails: Fails) -> None:
    message = fails("run", "pipe.toml", "--set", "corpus.path=tunez.json")
    assert "tunez.json does not exist; did you mean 'tunes.json'?" in message
    assert not (folder / "runs").exists() or not any((folder / "runs").iterdir())


def test_a_pipeline_that_does_not_exist(fails: Fails) -> None:
    assert "pip.toml: No such file or directory" in fails("run", "pip.toml")


def test_nothing_usable_says_what_was_found_and_why(folder: Path, fails: Fails) -> None:
    music = folder / "music"
    music.mkdir()
    (music / "empty.mid").touch()
    (music / "text.mid").write_text("hello")
    (music / "cover.jpg").touch()
    message = fails("run", "pipe.toml", "--set", "corpus.path=music")
    assert "empty.mid: the file is empty" in message
    assert "text.mid: not a MIDI file" in message
    assert not (folder / "runs" / "pipe").exists()


def write_midi(path: Path, shift: int) -> None:
    import miditoolkit

    midi = miditoolkit.MidiFile(ticks_per_beat=4)
    piano = miditoolkit.Instrument(0)
    piano.notes = [miditoolkit.Note(80, 60 + (t + shift) % 5, t, t + 1) for t in range(200)]
    midi.instruments.append(piano)
    midi.dump(path)


def test_bad_files_are_skipped_counted_and_listed(folder: Path) -> None:
    music = folder / "music"
    music.mkdir()
    for index in range(3):
        write_midi(music / f"good{index}.mid", index)
    (music / "empty.mid").touch()
    # A header and one track that holds its end alone.
    (music / "noteless.mid").write_bytes(b"MThd\0\0\0\6\0\1\0\1\0\4MTrk\0\0\0\4\0\xff\x2f\0")
    assert main(["train", "pipe.toml", "--quiet", "--set", "corpus.path=music"]) == 0
    split = json.loads((folder / "runs/pipe/split.json").read_text())
    assert dict(split["skipped"]) == {
        str(music / "empty.mid"): "the file is empty",
        str(music / "noteless.mid"): "no notes",
    }


def test_three_files_are_enough_and_the_empty_part_is_said(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    music = folder / "music"
    music.mkdir()
    for index in range(3):
        write_midi(music / f"good{index}.mid", index)
    settings = ("--set", "corpus.path=music", "--set", "corpus.valid=0.0")
    assert main(["run", "pipe.toml", *settings]) == 0
    assert "no pieces are held out" in capfd.readouterr().err
    assert (folder / "runs/pipe/samples/piece-001.mid").is_file()


def test_pieces_too_short_for_the_batching_are_listed(folder: Path) -> None:
    tune = [[60 + t % 5] for t in range(40)]
    tunes = {"train": [tune, tune[:5]], "valid": [tune]}
    (folder / "tunes.json").write_text(json.dumps(tunes))
    assert main(["train", "pipe.toml", "--quiet"]) == 0
    split = json.loads((folder / "runs/pipe/split.json").read_text())
    assert split["skipped"] == [["tunes.json#train-1", "too short for training.sequence_length"]]


def test_all_pieces_too_short(folder: Path, fails: Fails) -> None:
    message = fails("train", "pipe.toml", "--set", "training.sequence_length=41")
    assert "the longest has 40 steps; set a smaller training.sequence_length" in message
    assert not (folder / "runs/pipe").exists()


def test_a_checkpoint_cut_short(folder: Path, fails: Fails) -> None:
    main(["train", "pipe.toml", "--quiet"])
    for path in (folder / "runs/pipe/checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:500])
    assert "cannot be read" in fails("generate", "runs/pipe")
    assert "cannot be read" in fails("train", "pipe.toml", "--set", "training.steps=20")
    assert not (folder / "runs/pipe/samples").exists()


def test_weights_of_another_architecture(folder: Path, fails: Fails) -> None:
    main(["train", "pipe.toml", "--quiet"])
    stored = folder / "runs/pipe/pipeline.toml"
    stored.write_text(stored.read_text().replace("    8,\n", "    9,\n"))
    assert "layers = [\n    9,\n]" in stored.read_text()
    message = fails("generate", "runs/pipe")
    assert "belongs to another model" in message
    assert "has shape" in message


def test_a_folder_that_is_no_run(folder: Path, fails: Fails) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "letter.txt").write_text("dear")
    assert "not a run folder (it holds letter.txt)" in fails(
        "run", "pipe.toml", "--run-dir", "mine"
    )
    assert "has no pipeline.toml" in fails("generate", "mine")
    assert [path.name for path in (folder / "mine").iterdir()] == ["letter.txt"]


def test_no_run_yet(fails: Fails) -> None:
    assert "no run in" in fails("generate")


def test_a_run_folder_that_cannot_be_written(folder: Path, fails: Fails) -> None:
    # A file where a folder should be refuses even the superuser.
    (folder / "blocked").write_text("")
    message = fails("run", "pipe.toml", "--run-dir", "blocked/run")
    assert "cannot write" in message
    assert "blocked" in message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs not to be root")
def test_a_read_only_folder(folder: Path, fails: Fails) -> None:
    (folder / "locked").mkdir(mode=0o555)
    assert "cannot write" in fails("run", "pipe.toml", "--run-dir", "locked/run")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk(folder: Path, warm: Warm) -> None:
    # No file may grow past 20 kB: the checkpoint does not fit, all that is smaller does.
    command = ("train", "pipe.toml", "--set", "corpus.cache=false", "--set", "model.layers=[64]")
    ended = warm(folder, *command, largest=20_000)
    assert ended.status == 1, ended.err
    assert "Traceback" not in ended.err
    error = ended.err.splitlines()[-1]
    assert error.startswith("error: cannot write ")
    assert "make room" in error
    assert [path.name for path in (folder / "runs/pipe/checkpoints").iterdir()] == []
    # With room again the same command goes on.
    assert warm(folder, *command).status == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_asked_for_and_absent(folder: Path, fails: Fails) -> None:
    message = fails("train", "pipe.toml", "--set", "training.device=cuda")
    assert "no CUDA device is here" in message
    assert not (folder / "runs/pipe").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_run_from_a_machine_with_a_gpu_generates_without_one(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["train", "pipe.toml", "--quiet"])
    stored = folder / "runs/pipe/pipeline.toml"
    stored.write_text(stored.read_text().replace('device = "cpu"', 'device = "cuda"'))
    assert main(["generate", "runs/pipe"]) == 0
    assert "cuda is not here; using " in capfd.readouterr().err
    # Going on with the training is refused until another device is named.
    more = ["train", "pipe.toml", "--set", "training.steps=14"]
    assert main(more) == 1
    assert main([*more, "--set", "training.device=cpu"]) == 0


def test_a_corpus_that_nothing_reads(folder: Path, fails: Fails) -> None:
    message = fails("run", "pipe.toml", "--set", "corpus.path=sonatas:all")
    assert "no reader for the corpus 'sonatas'" in message


def test_a_loss_that_is_no_number(folder: Path, fails: Fails) -> None:
    settings = ("--set", "training.learning_rate=1e38", "--set", "training.optimizer=sgd")
    message = fails("train", "pipe.toml", *settings, "--set", "training.clip_norm=1e9")
    assert "no finite number any more" in message


def test_a_missing_plugin_is_named_with_what_the_run_was_made_with(
    folder: Path, musengine: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["train", "pipe.toml", "--quiet"])
    monkeypatch.setenv("MUSENGINE_PLUGINS", "")
    done = musengine("generate", "runs/pipe")
    assert done.returncode == 1  # type: ignore[attr-defined]
    error = done.stderr  # type: ignore[attr-defined]
    assert "Traceback" not in error
    assert "musengine-lstm3" in error
    assert "disabled: not named in MUSENGINE_PLUGINS" in error
