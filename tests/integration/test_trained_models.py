"""Trained models in packages: declared, found by name, read like run folders, never written to."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers import no_model_but, refused
from musengine.testing import CommandResult, SitePackages, load_checkpoint, read_midi

pytest.importorskip("torch")
from musengine.plugins.manager import load_registry
from musengine.runs.named import find_run
from musengine.runs.run import Run

PLUGIN = """
from musengine.api import TrainedDeclaration, hookimpl

@hookimpl
def musengine_trained():
    return [TrainedDeclaration(**(dict(
        name="tiny", summary="A tiny one", target="musengine_tiny:tiny", licence="MIT",
        size=1000, trained_on="six tunes",
    ) | dict({})))]
"""
PIPELINE = """
[corpus]
path = "tunes.json"
[encoder]
step = "1 beat"
lowest = 60
highest = 72
[model]
type = "frequencies"
[generate]
count = 1
length = "8 steps"
prompt_length = "4 steps"
seed = 3
"""

Command = Callable[..., CommandResult]


@pytest.fixture
def run(workplace: Path) -> Path:
    """A working directory with a finished run in `runs/pipe`."""
    tune = [[60 + t % 5, 67] for t in range(40)]
    (workplace / "tunes.json").write_text(json.dumps({"train": [tune] * 5, "valid": [tune]}))
    (workplace / "pipe.toml").write_text(PIPELINE)
    from musengine.testing import run_command

    assert run_command("run", "pipe.toml", "-q").status == 0
    return workplace / "runs" / "pipe"


def install(site_packages: SitePackages, changes: str = "") -> None:
    package = site_packages.folder / "musengine_tiny"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(PLUGIN.format(changes))
    site_packages.add("musengine-tiny", {"tiny": "musengine_tiny.plugin"})


@pytest.fixture
def tiny(run: Path, site_packages: SitePackages) -> Iterator[Path]:
    """The folder of the run's model in an installed package."""
    install(site_packages)
    folder = site_packages.folder / "musengine_tiny" / "tiny"
    folder.mkdir()
    Run(run).pack(folder, name="tiny", settings=['output=[{type="midi"}]'])
    with no_model_but("tiny"):
        yield folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


class TestPacked:
    def test_it_holds_no_path_of_its_maker_and_no_optimizer(self, tiny: Path, run: Path) -> None:
        files = contents(tiny)
        assert set(files) == {
            *("pipeline.toml", "corpus.json", "evaluation.json", "versions.json"),
            *(f"samples/piece-00{number}.mid" for number in range(1, 5)),
            "samples/generated.jsonl",
            f"checkpoints/{next((run / 'checkpoints').iterdir()).name}",
        }
        assert not any(str(run.parents[1]).encode() in data for data in files.values())
        stored = load_checkpoint(tiny)
        assert stored.extra == {}
        assert set(stored.meta) == {"encoder", "model", "state"}

    def test_its_weights_are_the_nearest_in_16_bits(self, tiny: Path, run: Path) -> None:
        own, packed = load_checkpoint(run).model, load_checkpoint(tiny).model
        assert own.keys() == packed.keys()
        for name, weight in own.items():
            expected = weight.numpy().astype(np.float16)
            assert np.array_equal(packed[name].numpy(), expected), name

    def test_weights_too_large_for_float16_are_kept(self) -> None:
        import torch

        from musengine.runs.packing import _in_16_bits

        assert _in_16_bits(torch.tensor([1e6, 1.0])).tolist() == [999424.0, 1.0]
        assert _in_16_bits(torch.tensor([3])).dtype == torch.int64

    def test_prompts_come_only_where_they_are_asked_for(self, run: Path, tmp_path: Path) -> None:
        folder = tmp_path / "packed"
        Run(run).pack(folder, name="tiny", prompts=1)
        assert (folder / "prompts.safetensors").is_file()
        assert Run(folder).pipeline().generate.prompt.kind == "corpus"
        Run(run).pack(tmp_path / "without", name="tiny")
        assert Run(tmp_path / "without").pipeline().generate.prompt.kind == "none"


class TestListed:
    def test_plugins_lists_it_with_its_licence(self, tiny: Path, musengine: Command) -> None:
        assert "  trained: tiny (six tunes; MIT, 0.0 MB)" in musengine("plugins").out
        listed = json.loads(musengine("plugins", "--json").out)
        (own,) = [each for each in listed if each["name"] == "tiny"]
        assert own["components"] == [
            {
                "kind": "trained",
                "name": "tiny",
                "summary": "A tiny one",
                "missing": [],
                "licence": "MIT",
                "size": 1000,
                "trained_on": "six tunes",
            }
        ]

    def test_listing_imports_no_torch(self, tiny: Path, site_packages: SitePackages) -> None:
        code = (
            "import sys; from musengine.cli.main import main; main(['plugins'])\n"
            "print('torch' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=site_packages.environment(),
            capture_output=True,
            text=True,
        )
        assert "trained: tiny" in done.stdout
        assert done.stdout.splitlines()[-1] == "False"

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ("target='musengine_tiny:../secrets'", "target of trained 'tiny'"),
            ("target='musengine_tiny:a/../../b'", "target of trained 'tiny'"),
            ("target='musengine_tiny:/etc'", "target of trained 'tiny'"),
            ("target='musengine_tiny:.'", "target of trained 'tiny'"),
            ("target='musengine_tiny.plugin'", "target of trained 'tiny'"),
            ("size=-5", "size of trained 'tiny' must be its bytes"),
            ("size='8 MB'", "size of trained 'tiny' must be a int"),
            ("licence=' '", "licence of trained 'tiny' must be said"),
            ("trained_on='a\\nb'", "trained_on of trained 'tiny' must be one line"),
        ],
    )
    def test_a_declaration_that_may_not_be(
        self, site_packages: SitePackages, changes: str, fault: str
    ) -> None:
        install(site_packages, changes)
        (plugin,) = site_packages.load().broken
        assert fault in str(plugin)


class TestGenerate:
    def test_pieces_go_into_a_new_folder_and_nothing_into_the_package(
        self, tiny: Path, workplace: Path, musengine: Command
    ) -> None:
        before = contents(tiny)
        assert musengine("generate", "tiny", "--count", "2").status == 0
        assert musengine("generate", "tiny").status == 0
        assert {path.name for path in workplace.glob("tiny*/*.mid")} == {
            "piece-001.mid",
            "piece-002.mid",
        }
        assert len([*workplace.glob("tiny-2/*.mid")]) == 1
        assert len(read_midi(workplace / "tiny" / "piece-001.mid")) > 0
        assert contents(tiny) == before

    def test_out_names_another_folder(
        self, tiny: Path, workplace: Path, musengine: Command
    ) -> None:
        assert musengine("generate", "tiny", "--out", "here").status == 0
        assert len([*workplace.glob("here/*.mid")]) == 1
        assert not (workplace / "tiny").exists()

    def test_a_run_of_that_name_goes_first_and_says_so(
        self, tiny: Path, run: Path, musengine: Command
    ) -> None:
        shutil.copytree(run, run.parent / "tiny")
        result = musengine("generate", "tiny")
        assert "tiny: the run folder runs/tiny, not the trained model of that name" in result.err
        assert (run.parent / "tiny" / "samples" / "piece-002.mid").is_file()

    def test_a_run_is_found_by_its_name_alone(self, run: Path, musengine: Command) -> None:
        assert musengine("generate", "pipe", "-q") == (0, "", "")
        assert (run / "samples" / "piece-002.mid").is_file()

    def test_an_unknown_name_is_told_with_those_that_are_near(
        self, tiny: Path, musengine: Command
    ) -> None:
        with refused("not-a-run-folder", "did you mean 'tiny'?"):
            find_run("tinny", load_registry())
        with refused("not-a-run-folder", "did you mean 'pipe'?"):
            find_run("pipo", load_registry())
        with refused("not-a-run-folder", "there are: pipe, tiny"):
            find_run("quartet", load_registry())


class TestEvaluate:
    def test_other_music_is_measured_as_the_run_itself_would_be(
        self, tiny: Path, run: Path, musengine: Command, workplace: Path
    ) -> None:
        tune = [[60 + t % 5, 67] for t in range(40)]
        (workplace / "other.json").write_text(json.dumps({"train": [tune]}))
        shown = musengine("evaluate", "tiny", "--on", "other.json", "--json").out
        (figures,) = json.loads(shown).values()
        expected = json.loads((run / "evaluation.json").read_text())["valid"]
        assert figures["pieces"] == 1
        assert figures["nats_per_note"] == pytest.approx(expected["nats_per_note"], rel=1e-3)

    def test_its_own_music_is_not_there(self, tiny: Path, musengine: Command) -> None:
        result = musengine("evaluate", "tiny")
        assert result.status == 1
        assert "the music that tiny was trained on is not with it" in result.err


class TestHostile:
    def test_a_folder_that_is_not_there(
        self, tiny: Path, musengine: Command, site_packages: SitePackages
    ) -> None:
        shutil.rmtree(tiny)
        result = musengine("generate", "tiny")
        assert result.status == 1
        assert "there is no folder 'tiny' in musengine_tiny" in result.err
        assert musengine("plugins").status == 0
        checked = musengine("check-plugin", "tiny")
        assert checked.status == 1
        assert "there is no folder 'tiny' in musengine_tiny" in checked.err

    def test_a_folder_that_is_a_link_out_of_the_package(
        self, tiny: Path, run: Path, musengine: Command
    ) -> None:
        shutil.rmtree(tiny)
        tiny.symlink_to(run, target_is_directory=True)
        assert "is a link that leads out of musengine_tiny" in musengine("generate", "tiny").err

    def test_a_link_in_the_folder_that_leads_out(
        self, tiny: Path, run: Path, musengine: Command
    ) -> None:
        (tiny / "corpus.json").unlink()
        (tiny / "corpus.json").symlink_to(run / "corpus.json")
        assert "leads out of the run folder" in musengine("generate", "tiny").err

    def test_weights_of_another_shape(self, tiny: Path, musengine: Command) -> None:
        path = tiny / "pipeline.toml"
        path.write_text(path.read_text().replace("highest = 72", "highest = 73"))
        result = musengine("generate", "tiny")
        assert result.status == 1
        assert "belongs to another model" in result.err

    def test_a_folder_without_a_pipeline(self, tiny: Path, musengine: Command) -> None:
        (tiny / "pipeline.toml").unlink()
        result = musengine("generate", "tiny")
        assert result.status == 1
        assert "it has no pipeline.toml" in result.err
