"""Several processes train, generate and measure as one does, and none of them can spoil a run."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from same_training import EXACT, assert_same_training, weights, write_tunes
from torch.distributed import HashStore

from conftest import PIPELINE
from helpers import refused
from musengine.distributed import meeting
from musengine.distributed.launch import Place, place
from musengine.distributed.meeting import _backend, _own_gpu
from musengine.distributed.ranks import ALONE, ProcessLostError, Ranks
from musengine.plugins import manager
from musengine.runs.folder import find_folder
from musengine.runs.processes.ranks import work_together
from musengine.training import checkpoint

TOGETHER = Path(__file__).with_name("together.py")


def torchrun(
    folder: Path, *lines: list[str], died: tuple[int, int] | None = None, options: Any = ()
) -> subprocess.CompletedProcess[str]:
    """Carry out command lines in two processes; `died`: the rank and step of one that is killed."""
    script = [str(TOGETHER), json.dumps(lines), *([json.dumps(died)] if died else [])]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*launcher, *script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def music(folder: Path) -> Path:
    """A folder with tunes of different length and two pipelines for them."""
    write_tunes(folder)
    (folder / "pipe.toml").write_text(EXACT)
    (folder / "drop.toml").write_text(PIPELINE.replace("layers", "dropout = 0.3\nlayers"))
    model = 'type = "lstm3"\nlayers = [8]\ndropout = 0.0'
    counts = EXACT.partition("[training]")[0].replace(model, 'type = "frequencies"')
    made = '[generate]\ncount = 3\nlength = "8 steps"\n'
    (folder / "counts.toml").write_text(counts + made)
    return folder


@pytest.mark.slow
def test_two_processes_do_what_one_does(music: Path, musengine) -> None:
    wanted = ("batching=stateful", "accumulate=2", "warm_up=10", "average=0.9")
    stateful = [word for each in wanted for word in ("--set", f"training.{each}")]
    assert musengine("run", "pipe.toml", "--run-dir", "one", "-q").returncode == 0
    alone = musengine("train", "pipe.toml", "--run-dir", "one-stateful", "-q", *stateful)
    assert alone.returncode == 0, alone.stderr
    ended = torchrun(
        music,
        ["run", "pipe.toml", "--run-dir", "two", "-q"],
        ["train", "pipe.toml", "--run-dir", "two-stateful", "-q", *stateful],
        ["train", "drop.toml", "--run-dir", "drop", "-q"],
        ["train", "drop.toml", "--run-dir", "drop-again", "-q"],
        ["run", "counts.toml", "-q"],
        # Of one run folder, so that weights are the same to the bit.
        ["generate", "one", "--out", "made/two", "-q", "--set", "generate.seed=3"],
        ["evaluate", "one", "--json", "-q"],
    )
    assert ended.returncode == 0, ended.stderr
    assert_same_training(music / "one", music / "two")
    assert_same_training(music / "one-stateful", music / "two-stateful")
    # Dropout is drawn anew at every process and step, from the seed.
    first, again = weights(music / "drop"), weights(music / "drop-again")
    assert all(first[name].equal(again[name]) for name in first)
    # A checkpoint has no process in it: what one saved the other goes on from.
    more = [*stateful, "--set", "training.steps=60"]
    assert musengine("train", "pipe.toml", "--run-dir", "two-stateful", "-q", *more).returncode == 0
    assert musengine("train", "pipe.toml", "--run-dir", "one-stateful", "-q", *more).returncode == 0
    assert_same_training(music / "one-stateful", music / "two-stateful")

    # A model that learns by itself does so at the first process, and generates at both.
    assert len(list((music / "runs/counts/samples").glob("*.mid"))) == 3

    made = ("generate", "one", "--out", "made/one", "-q", "--set", "generate.seed=3")
    assert musengine(*made).returncode == 0
    names = {path.name for path in (music / "made/one").iterdir()}
    assert names == {path.name for path in (music / "made/two").iterdir()}
    assert len(names) == 7
    for name in names:
        there = (music / "made/two" / name).read_bytes()
        assert there == (music / "made/one" / name).read_bytes(), name
    figures = musengine("evaluate", "one", "--json", "-q").stdout
    assert ended.stdout == figures != ""
    kept = json.loads((music / "one/evaluation.json").read_text())
    assert kept == json.loads(figures)
    left = {path.name for path in music.rglob("*") if path.name.startswith(".")}
    assert left == set()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_after_a_killed_process_any_number_go_on(music: Path, musengine, rank: int) -> None:
    assert musengine("train", "pipe.toml", "--run-dir", "one", "-q").returncode == 0
    line = ["train", "pipe.toml", "--run-dir", "two", "-q"]
    killed = torchrun(music, line, died=(rank, 23))
    assert killed.returncode != 0
    if rank == 1:
        assert killed.stderr.count("error: another process of this job has ended") == 1
        assert "interrupted" not in killed.stderr
    saved = sorted((music / "two/checkpoints").glob("*"))
    # The first process, if it is left, saves what they have learned.
    steps = [checkpoint.load(path).meta["state"]["step"] for path in saved]
    assert steps == ([20] if rank == 0 else [20, 23])
    assert musengine(*line).returncode == 0
    assert_same_training(music / "one", music / "two")


@pytest.mark.slow
def test_a_job_that_is_started_again_goes_on_by_itself(music: Path, musengine) -> None:
    # So long that each process measures one of them, with the averages that it has again.
    tunes = json.loads((music / "tunes.json").read_text())
    tunes["valid"] = [[[60 + t % k, 67] for t in range(4200)] for k in (4, 5)]
    (music / "tunes.json").write_text(json.dumps(tunes))
    average = ["--set", "training.average=0.9"]
    alone = musengine("train", "pipe.toml", "--run-dir", "one", "-q", *average)
    assert alone.returncode == 0, alone.stderr
    line = ["train", "pipe.toml", "--run-dir", "two", *average]
    ended = torchrun(music, line, died=(1, 23), options=["--max-restarts", "1"])
    assert ended.returncode == 0, ended.stderr
    assert "going on after step 23" in ended.stderr
    assert_same_training(music / "one", music / "two")


@pytest.mark.slow
def test_a_mistake_is_told_once(music: Path) -> None:
    ended = torchrun(music, ["run", "pipe.toml", "--set", "model.hiden=3"])
    assert ended.returncode != 0
    assert ended.stderr.count("hiden") == 1
    assert "error: " in ended.stderr
    assert not (music / "runs").exists()


def test_a_process_that_is_told_to_end_says_that_another_was_lost(monkeypatch) -> None:
    monkeypatch.setattr(
        "musengine.runs.processes.ranks.joined", lambda _: contextlib.nullcontext(Ranks(0, 2))
    )
    here, registry = Place(0, 2), manager.load().registry
    lost = ProcessLostError("the other one", code="process-lost")

    def told_while_it_tidies_up(ranks: Ranks) -> int:
        try:
            raise lost
        finally:
            raise KeyboardInterrupt(signal.SIGTERM)

    def told(number: int) -> int:
        raise KeyboardInterrupt(number)

    with pytest.raises(ProcessLostError) as raised:
        work_together(here, registry, told_while_it_tidies_up)
    assert raised.value is lost
    with refused("process-lost", "told to end"):
        work_together(here, registry, lambda _: told(signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        work_together(here, registry, lambda _: told(signal.SIGINT))


def test_alone_nothing_is_sent() -> None:
    assert ALONE.first
    assert ALONE.agreed(3) == 3
    assert ALONE.gathered("here") == ["here"]
    assert ALONE.share(7) == slice(0, 7)


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 5, 16])
def test_every_row_is_one_process_s(size: int, count: int) -> None:
    shares = [range(count)[Ranks(rank, size).share(count)] for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_what_is_started_again_goes_on_with_its_new_folder(tmp_path: Path) -> None:
    for name in ("run", "run-2"):
        (tmp_path / name).mkdir()
    named = {"run_dir": tmp_path / "run", "new": True}
    assert find_folder("run", **named).path.name == "run-3"
    store = HashStore()
    assert find_folder("run", **named, ranks=Ranks(0, 2, store)).path.name == "run-3"
    # It may be started again before there is a folder, or after; and be the only one left.
    assert find_folder("run", **named, ranks=Ranks(0, 2, store)).path.name == "run-3"
    (tmp_path / "run-3").mkdir()
    assert find_folder("run", **named, ranks=Ranks(0, 1, store)).path.name == "run-3"
    assert find_folder("run", **named, ranks=Ranks(0, 2, HashStore())).path.name == "run-4"
    assert find_folder("run", tmp_path / "run", new=False).path.name == "run"


@pytest.mark.parametrize(
    ("local_sizes", "gpus", "nccl", "backend"),
    [
        ((2, 2), 0, True, "gloo"),
        ((2, 2), 2, True, "cpu:gloo,cuda:nccl"),
        ((2, 2), 8, False, "gloo"),
        # NCCL takes no GPU for two processes, and all have to send over the same.
        ((4, 4), 2, True, "gloo"),
        ((4, 2), 2, True, "gloo"),
    ],
)
def test_over_nccl_where_every_process_has_a_gpu(
    monkeypatch: pytest.MonkeyPatch, local_sizes: Any, gpus: int, nccl: bool, backend: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr("torch.distributed.is_nccl_available", lambda: nccl)
    places = [Place(rank, 2, local_size=size) for rank, size in enumerate(local_sizes)]
    store = HashStore()
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda here: _backend(store, here, own_gpu=_own_gpu(here)), places)
        assert list(found) == [backend, backend]


def test_a_pytorch_without_nccl_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([(HashStore(), 0, 2)])
    # A function of the package has the module's name.
    module = importlib.import_module("torch.distributed.rendezvous")
    monkeypatch.setattr(module, "rendezvous", lambda *_, **__: found)
    monkeypatch.setattr(meeting, "_life", lambda *_: "life")
    monkeypatch.setattr(meeting, "_backend", lambda *_, **__: "cpu:gloo,cuda:nccl")

    def refuse(backend: str, **_: Any) -> None:
        raise RuntimeError(f"{backend}: Distributed package doesn't have NCCL built in\nand more")

    monkeypatch.setattr("torch.distributed.init_process_group", refuse)
    with refused("processes-apart", "2 processes", "NCCL"), meeting.joined(Place(0, 2)):
        pass


def test_the_place_in_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert place() is None
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert place() is None  # no address: something else's variable
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    with refused("environment-value", "RANK", "missing"):
        place()
    monkeypatch.setenv("RANK", "3")
    assert place() == Place(3, 4, local_rank=3)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert place() == Place(3, 4, local_rank=1, local_size=2)
    monkeypatch.setenv("WORLD_SIZE", "many")
    with refused("environment-value", "WORLD_SIZE", "'many'"):
        place()
    # The only one that `torchrun` has left may be started again, and others with it.
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    assert place() is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    assert place() == Place(0, 1, local_rank=1, local_size=2)
