"""What `musengine.testing` offers to the tests of plugins."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from musengine.api import (
    Batch,
    DecodeSettings,
    Encoded,
    EncodedPiece,
    Grid,
    GridStep,
    Model,
    ModelConfig,
    Output,
    Tokens,
)
from musengine.data.batching import Batches
from musengine.errors import ConfigError, UserError
from musengine.interfaces.training import TrainingConfig
from musengine.testing import (
    SitePackages,
    batch_of,
    batches_of,
    create,
    declarations,
    generate_steps,
    only_plugins,
    read_midi,
    rows_of,
    run_command,
    score_of,
    train_steps,
    write_midi,
)


def test_importing_it_asks_for_neither_pytest_nor_hypothesis_nor_torch() -> None:
    program = (
        "import sys; from musengine.testing import *;"
        "print([name for name in ('pytest', 'hypothesis', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_rows_and_files_of_a_score(tmp_path: Path) -> None:
    score = score_of([(4, 2, 64), (0, 4, 60, 50)], tempos=[(0, 90.0)])
    rows = [(0, 4, 60, 50, 0), (4, 2, 64, 80, 0)]
    assert rows_of(score) == rows
    assert score.ticks_per_beat == 4
    again = read_midi(write_midi(score, tmp_path / "new" / "a.mid"))
    assert rows_of(again) == rows
    assert again.tempo_bpm.tolist() == pytest.approx([90.0], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("--version",), 0), (("check", "nowhere.toml"), 1), (("check",), 2), (("plugins", "-x"), 2)],
)
def test_commands_end_with_a_status(
    workplace: Path, arguments: tuple[str, ...], status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    done = run_command(*arguments)
    assert done.status == status
    assert bool(done.out) == (status == 0)
    assert bool(done.err) == (status > 0)
    assert capfd.readouterr() == ("", "")


def test_a_command_leaves_the_garbage_collector_as_it_was(workplace: Path) -> None:
    usual = gc.get_threshold()
    try:
        gc.set_threshold(300, 7, 8)
        assert run_command("plugins").status == 0
        assert gc.get_threshold() == (300, 7, 8)
    finally:
        gc.set_threshold(*usual)


def test_settings_of_a_command(workplace: Path) -> None:
    (workplace / "p.toml").write_text('[corpus]\npath = "."\n[model]\ntype = "frequencies"\n')
    done = run_command("check", "p.toml", settings=["training.batch_size=0", "run.massage=x"])
    assert done.status == 1
    keys = ("batch_size", "massage")
    told = {key for key in keys for line in done.err.splitlines() if key in line}
    assert told == set(keys)


def test_components_are_built_from_settings_as_toml_has_them() -> None:
    encoder = create("encoder", "piano-roll", step="1/8 beat", lowest=40, highest=60)
    assert isinstance(encoder.layout, Grid)
    assert (encoder.layout.lowest, encoder.layout.pitches) == (40, 21)
    with pytest.raises(ConfigError) as caught:
        create("encoder", "piano-roll", step="often", lower=3)
    assert {problem.key for problem in caught.value.problems} == {"step", "lower"}
    with pytest.raises(UserError, match="trumpet"):
        create("encoder", "trumpet")


def test_declarations_by_name() -> None:
    own = declarations("encoder", "musengine")
    assert own["piano-roll"].kind == "encoder"
    assert own.items() <= declarations("encoder").items()
    assert declarations("encoder", "musengine-nowhere") == {}


def test_choosing_plugins_ends_with_the_block(site_packages: SitePackages) -> None:
    source = """
        from musengine.api import MetricDeclaration, NoSettings, hookimpl

        @hookimpl
        def musengine_metrics():
            return [MetricDeclaration(name="moon", summary="", target="m:M", config=NoSettings)]
    """
    site_packages.add("moon", {"moon": "moon_module"}, moon_module=source)
    core = declarations("metric", "musengine")
    with only_plugins("moon"):
        assert declarations("metric").keys() == {*core, "moon"}
    with only_plugins():
        assert declarations("metric") == core
    assert "moon" in declarations("metric")
    assert "MUSENGINE_PLUGINS" not in os.environ


CONFTEST = 'pytest_plugins = ["musengine.testing.fixtures"]\n'
TEST = """
import os
from pathlib import Path
from musengine.testing import run_command

def test_here(workplace, site_packages):
    assert Path.cwd() == workplace
    assert os.environ["MUSENGINE_CACHE"] == str(workplace / "cache")
    assert "MUSENGINE_PLUGINS" not in os.environ
    assert site_packages.folder.is_dir()
    Path("a.mid").touch()
    Path("p.toml").write_text('[corpus]\\npath = "."\\n[model]\\ntype = "frequencies"\\n')
    assert run_command("check", "p.toml").status == 0

def test_without_data(data_folder):
    raise AssertionError
"""


@pytest.mark.slow
def test_a_strangers_tests_use_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_mine.py").write_text(TEST)
    environment = {**os.environ, "MUSENGINE_DATA": "", "MUSENGINE_PLUGINS": "none"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "1 passed, 1 skipped" in done.stdout, done.stdout + done.stderr


def test_a_batch_holds_whole_pieces_in_order() -> None:
    batch = batch_of([3, 1, 2], [5])
    assert batch.targets.tolist() == [[3, 1, 2], [5, 0, 0]]
    assert batch.inputs.tolist() == [[0, 3, 1], [0, 5, 0]]
    assert batch.mask.tolist() == [[True, True, True], [True, False, False]]
    assert batch.begins.tolist() == [True, True]


def test_batches_of_an_epoch() -> None:
    batches = batches_of([range(10)], batching="windows", sequence_length=4, batch_size=2)
    # A window of four and the token after it: six of them, two to a batch.
    rows = [row for batch in batches for row in batch.steps.tolist()]
    assert sorted(rows) == [list(range(k, k + 5)) for k in range(6)]
    assert [len(batch.steps) for batch in batches] == [2, 2, 2]
    # The segments of an epoch follow from the seed and the epoch's number.
    keys = {"sequence_length": 4, "batch_size": 8, "seed": 3}
    piece = EncodedPiece("", Encoded(steps=np.arange(99)), "")
    plan = Batches([piece], create("batching", "segments", TrainingConfig(**keys), [99]), seed=3)
    for epoch in (0, 1):
        places = [batch.position.tolist() for batch in batches_of([range(99)], epoch=epoch, **keys)]
        assert places == [batch.position.tolist() for batch in plan.epoch(epoch)]
    with pytest.raises(ConfigError):
        batches_of([range(10)], batchsize=2)


def test_pieces_go_on_from_their_prompts_and_depend_on_their_seeds() -> None:
    layout = Grid(lowest=60, pitches=1, step=GridStep(Fraction(1), "beat"))
    model = create("model", "frequencies", layout)
    # A note that sounds in every second step.
    model.fit([batch_of(np.array([1, 0] * 500, np.uint8)[:, None, None])])
    greedy = create("sampler", "greedy", layout)
    prompts = [[[[0]]], [[[1]]]]
    made = generate_steps(model, [greedy], length="1 bar", seeds=[0, 1], prompts=prompts)
    # Without an encoder a step is a quarter of a beat: 16 of them make a bar.
    assert [steps.ravel().tolist() for steps in made] == [[1, 0] * 8, [0, 1] * 8]
    slow = DecodeSettings(tempo=30.0)
    (steps,) = generate_steps(model, [greedy], length="3 seconds", settings=slow)
    assert len(steps) == 6
    even = create("model", "frequencies", layout, given="nothing")
    even.fit([batch_of(np.array([0, 1], np.uint8)[:, None, None])])
    draw = create("sampler", "bernoulli", layout)
    a, b, c = generate_steps(even, [draw], length="32 steps", seeds=[7, 8, 7])
    assert a.tolist() == c.tolist() != b.tolist()


def test_training_lowers_the_loss() -> None:
    class Biased(Model[ModelConfig]):
        def __init__(self) -> None:
            super().__init__(ModelConfig(), Tokens(size=4))
            self.bias = torch.nn.Parameter(torch.zeros(4))

        def forward(self, batch: Batch) -> Output:
            logits = self.bias.expand(*batch.targets.shape, 4)
            return Output(logits, batch.targets, batch.mask, state=None)

    model = Biased()
    optimizer = torch.optim.SGD(model.parameter_groups(), lr=1.0)
    losses = train_steps(model, [batch_of([2, 2])] * 3, optimizer=optimizer)
    # ln 4 at first; then the bias moved by the gradient, softmax less target: -1/4, and 3/4.
    expected = torch.tensor([-0.25, -0.25, 0.75, -0.25])
    second = -torch.log_softmax(expected, 0)[2]
    assert losses[:2] == pytest.approx([1.386294, float(second)], rel=1e-5)
    assert losses[2] < losses[1]
    assert not model.training
