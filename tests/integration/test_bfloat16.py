"""Runs that ask for bfloat16 on machines that do not compute in it, or only some of the time."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tomli
import torch

from musengine.nn import compiled
from musengine.training import checkpoint
from musengine.training.device import supports_bfloat16
from warm import Warm

Call = Callable[..., tuple[int, str, str]]

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
"""What makes an x86 processor compute as one that has AVX2 and nothing newer."""
MODELS = {
    "biaxial": '[model]\ntype = "biaxial"\ntime_layers = [4]\nnote_layers = [3]',
    "charrnn": '[encoder]\ntype = "text-roll"\n[model]\ntype = "charrnn"\nunits = 4\nembedding = 3',
    "lstm3": '[model]\ntype = "lstm3"\nlayers = [4]',
    "melody": '[encoder]\nskyline = true\n[model]\ntype = "melody"\nlayers = [4]',
}
PIPELINE = """
[corpus]
path = "tunes.json"

[training]
precision = "bfloat16"
steps = 2
batch_size = 2
sequence_length = 8
threads = 1

[generate]
count = 1
length = "8 steps"

"""

x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64") or sys.platform == "win32",
    reason="no x86 processor, or no fork",
)


def write_pipeline(folder: Path, model: str) -> None:
    pytest.importorskip(f"musengine_{model}")
    (folder / "pipe.toml").write_text(PIPELINE + MODELS[model])


@pytest.fixture(scope="module")
def on_avx2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Call the command line in a process of its own that sees AVX2 and nothing newer."""
    process = Warm(tmp_path_factory.mktemp("cache"), AVX2)
    yield process
    process.close()


def told(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("training.precision: ")]


def stored_precision(run: Path) -> str:
    return tomli.loads((run / "pipeline.toml").read_text())["training"]["precision"]


def last_weights(run: Path) -> dict[str, list[float]]:
    weights = checkpoint.load(max((run / "checkpoints").glob("*.safetensors"))).model
    return {name: tensor.flatten().tolist() for name, tensor in weights.items()}


@x86
@pytest.mark.parametrize("model", ["biaxial", "charrnn", "melody"])
def test_bfloat16_on_avx2_is_float32_and_said_once(folder: Path, on_avx2: Warm, model: str) -> None:
    write_pipeline(folder, model)
    done = on_avx2(folder, "run", "pipe.toml")
    assert done.status == 0, done.err
    (line,) = told(done.err)
    assert "float32" in line
    assert stored_precision(folder / "runs/pipe") == "float32"
    assert (folder / "runs/pipe/samples/piece-001.mid").is_file()


@x86
@pytest.mark.parametrize("model", ["charrnn", "melody"])
def test_a_run_begun_here_goes_on_on_avx2(
    folder: Path, musengine: Call, on_avx2: Warm, model: str
) -> None:
    write_pipeline(folder, model)
    carried = ("--set", "training.batching=stateful")
    assert musengine("train", "pipe.toml", *carried)[0] == 0
    able = supports_bfloat16(torch.device("cpu"))
    assert stored_precision(folder / "runs/pipe") == ("bfloat16" if able else "float32")
    done = on_avx2(folder, "run", "pipe.toml", *carried, "--set", "training.steps=4")
    assert done.status == 0, done.err
    assert len(told(done.err)) == 1
    assert stored_precision(folder / "runs/pipe") == "float32"
    assert json.loads((folder / "runs/pipe/state.json").read_text())["best"]["step"] == 4


@pytest.fixture
def device_can(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Say whether devices compute in bfloat16."""

    def can(able: bool) -> None:
        monkeypatch.setattr("musengine.runs.assembly.supports_bfloat16", lambda device: able)

    return can


@pytest.mark.skipif(
    not supports_bfloat16(torch.device("cpu")), reason="this processor has no bfloat16"
)
def test_a_state_carried_in_bfloat16_goes_on_in_float32(
    folder: Path,
    musengine: Call,
    device_can: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_pipeline(folder, "charrnn")
    from musengine_charrnn.model import CharRnn

    # Through PyTorch, on every processor: states of the compiled code are in float32.
    monkeypatch.setattr(compiled, "low_kernels", 0)
    forward = CharRnn.forward
    carried = []

    def watched(model, batch):
        if model.training and batch.carried is not None:
            carried.append({tensor.dtype for layer in batch.carried for tensor in layer})
        return forward(model, batch)

    monkeypatch.setattr(CharRnn, "forward", watched)
    stateful = ("--set", "training.batching=stateful")
    assert musengine("train", "pipe.toml", *stateful)[0] == 0
    device_can(False)
    assert musengine("train", "pipe.toml", *stateful, "--set", "training.steps=3")[0] == 0
    assert carried == [{torch.bfloat16}, {torch.float32}]


def test_without_bfloat16_the_weights_are_those_of_float32(
    folder: Path, musengine: Call, device_can: Callable[[bool], None]
) -> None:
    write_pipeline(folder, "lstm3")
    device_can(False)
    assert len(told(musengine("train", "pipe.toml", "--run-dir", "low")[2])) == 1
    plain = ("--run-dir", "plain", "--set", "training.precision=float32")
    assert told(musengine("train", "pipe.toml", *plain)[2]) == []
    assert last_weights(folder / "low") == last_weights(folder / "plain")
    # With peepholes, layers compute in bfloat16 on any processor.
    device_can(True)
    assert told(musengine("train", "pipe.toml", "--run-dir", "able")[2]) == []
    assert stored_precision(folder / "able") == "bfloat16"
    assert last_weights(folder / "able") != last_weights(folder / "plain")


@pytest.mark.slow
def test_a_run_stays_in_the_precision_it_was_trained_in_last(
    folder: Path, musengine: Call, device_can: Callable[[bool], None]
) -> None:
    write_pipeline(folder, "lstm3")
    run = folder / "runs/pipe"
    for steps, able, precision, lines in (
        (2, True, "bfloat16", 0),
        (3, True, "bfloat16", 0),
        (4, False, "float32", 1),
        (5, True, "float32", 1),
        (6, False, "float32", 1),
    ):
        device_can(able)
        status, _, err = musengine("train", "pipe.toml", "--set", f"training.steps={steps}")
        assert (status, len(told(err))) == (0, lines), err
        assert stored_precision(run) == precision
    changed = [
        record["changed"]
        for line in (run / "metrics.jsonl").read_text().splitlines()
        if "changed" in (record := json.loads(line))
    ]
    # The steps change each time, the precision once.
    assert changed.count(["training.precision"]) == 1
    for other in ("float64", "bfloat16"):
        status, _, err = musengine("train", "pipe.toml", "--set", f"training.precision={other}")
        assert status == (1 if other == "float64" else 0)
        assert ("training.precision (was 'float32', now 'float64')" in err) is (status == 1)


@pytest.mark.parametrize("has", [False, True])
def test_auto_takes_what_the_device_has_and_keeps_to_it(
    folder: Path, musengine: Call, monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    write_pipeline(folder, "lstm3")
    auto = ("--set", "training.precision=auto")
    monkeypatch.setattr("musengine.runs.assembly.has_bfloat16", lambda device: has)
    taken = "bfloat16" if has else "float32"
    assert told(musengine("train", "pipe.toml", *auto)[2]) == [
        f"training.precision: {taken}, by what cpu here has"
    ]
    assert stored_precision(folder / "runs/pipe") == taken
    # Going on, a run keeps to what it began in, whatever the device has by then.
    monkeypatch.setattr("musengine.runs.assembly.has_bfloat16", lambda device: not has)
    monkeypatch.setattr("musengine.runs.assembly.supports_bfloat16", lambda device: True)
    status, _, err = musengine("train", "pipe.toml", *auto, "--set", "training.steps=3")
    assert status == 0
    assert told(err) == []
    assert stored_precision(folder / "runs/pipe") == taken
