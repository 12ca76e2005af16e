"""`schema` and `init` as a person meets them, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli
from jsonschema import Draft7Validator

from musengine.testing import SitePackages

Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLUGIN = """
from musengine.builtin.configs import FrequenciesConfig
from musengine.plugins.declarations import ModelDeclaration
from musengine.plugins.hookspecs import hookimpl

@hookimpl
def musengine_models():
    return [
        ModelDeclaration(
            name="counts",
            summary="Counts notes",
            target="musengine.builtin.models.frequencies:Frequencies",
            config=FrequenciesConfig,
            layouts=("grid",),
            training="fit",
            defaults={"training": {"batching": "pieces"}},
            templates={"counts": "counting_plugin:templates/counts.toml"},
        )
    ]
"""
TEMPLATE = """\
# How often each note sounds
[corpus]
path = "my-midi-files"   # your music
[encoder]
step = "1 beat"
[model]
type = "counts"
[generate]
count = 1
length = "16 steps"
prompt_length = "4 steps"
"""


@pytest.fixture
def musengine(site_packages: SitePackages, tmp_path: Path) -> Command:
    """Run the command line beside a plugin with a template; output is not a terminal."""
    package = site_packages.folder / "counting_plugin"
    (package / "templates").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(PLUGIN)
    (package / "templates" / "counts.toml").write_text(TEMPLATE)
    site_packages.add("musengine-counting", {"counting": "counting_plugin.plugin"}, "0.3")
    work = tmp_path / "work"
    work.mkdir()

    def run(*arguments: str, python: tuple[str, ...] = (), **variables: str) -> Any:
        chosen = {"MUSENGINE_PLUGINS": "counting", "COLUMNS": "40", **variables}
        return subprocess.run(
            [sys.executable, *python, "-m", "musengine", *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=work,
            env=site_packages.environment(**chosen),
            timeout=120,
        )

    return run


def imported(done: subprocess.CompletedProcess[str]) -> set[str]:
    """Return the top-level names of what a run with `-X importtime` imported."""
    times = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip().split(".")[0] for line in times}


class TestSchema:
    def test_on_stdout_nothing_else_and_without_torch(self, musengine: Command) -> None:
        done = musengine("schema", python=("-X", "importtime"))
        assert done.returncode == 0
        schema = json.loads(done.stdout)
        Draft7Validator.check_schema(schema)
        assert {"musengine_lstm3", "torch", "argparse"} & imported(done) == {"argparse"}
        # Exactly what is installed and chosen: the core's models and the plugin's.
        names = {name for name in schema["definitions"] if name.startswith("model.")}
        assert names == {"model.frequencies", "model.counts"}
        assert "musengine-counting 0.3" in schema["description"]
        pipeline = {"corpus": {"path": "x"}, "model": {"type": "counts", "given": "pitch"}}
        validator = Draft7Validator(schema)
        assert validator.is_valid(pipeline)
        assert not validator.is_valid(pipeline | {"model": {"type": "lstm3"}})

    def test_to_a_file_that_is_brought_up_to_date(self, musengine: Command, tmp_path: Path) -> None:
        file = tmp_path / "work" / "pipelines" / "musengine.schema.json"
        done = musengine("schema", "--out", "pipelines/musengine.schema.json")
        said = f"wrote {Path('pipelines/musengine.schema.json')}\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, "", said)
        assert "model.counts" in json.loads(file.read_text("utf-8"))["definitions"]
        musengine("schema", "--out", str(file), MUSENGINE_PLUGINS="")
        assert "model.counts" not in json.loads(file.read_text("utf-8"))["definitions"]

    def test_where_it_cannot_be_written(self, musengine: Command, tmp_path: Path) -> None:
        (tmp_path / "work" / "file").touch()
        done = musengine("schema", "--out", "file/x.json")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: cannot write {Path('file/x.json')}: ")
        assert line.endswith("; make room or choose another folder with --out")

    def test_a_broken_plugin_is_a_warning(
        self, musengine: Command, site_packages: SitePackages
    ) -> None:
        site_packages.add(
            "musengine-sad",
            {"sad": "sad_plugin"},
            sad_plugin=PLUGIN.replace("config=FrequenciesConfig", "config=Sad")
            .replace('"counts"', '"sad"')
            .replace(
                "@hookimpl",
                "class Sad(FrequenciesConfig):\n    size: 'Nowhere' = 1\n\n\n@hookimpl",
            ),
        )
        done = musengine("schema", MUSENGINE_PLUGINS="counting,sad")
        assert done.returncode == 0
        assert "model.counts" in json.loads(done.stdout)["definitions"]
        assert done.stderr == (
            "warning: model 'sad' of musengine-sad 1.0: its settings cannot be described: "
            "NameError: name 'Nowhere' is not defined\n"
        )


class TestInit:
    @pytest.mark.slow
    def test_from_nothing_to_a_run(self, musengine: Command, tmp_path: Path) -> None:
        music = tmp_path / 'my "songs"'
        music.mkdir()
        tune = [[60 + step % 5, 67] for step in range(24)]
        for number in range(3):
            rolls = {"train": [tune] * 2, "valid": [tune]}
            (music / f"{number}.json").write_text(json.dumps(rolls))
        named = ("init", "counts", "--corpus", str(music))
        done = musengine(*named, python=("-X", "importtime"))
        assert done.returncode == 0
        assert done.stdout == ""
        assert "torch" not in imported(done)
        lines = done.stderr.splitlines()
        said = [line.strip() for line in lines if not line.startswith("import time:")]
        assert said == [
            "wrote counts.toml, from the template counts of musengine-counting 0.3",
            f"music: 3 files in {music.resolve()}",
            "next:",
            "musengine check counts.toml",
            "musengine run counts.toml",
        ]
        text = (tmp_path / "work" / "counts.toml").read_text("utf-8")
        assert tomli.loads(text)["corpus"] == {"path": str(music)}
        assert text.endswith(TEMPLATE.partition('"my-midi-files"')[2])
        # Just what was said to do next.
        assert musengine("check", "counts.toml").returncode == 0
        done = musengine("run", "counts.toml")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "work" / "runs/counts/samples/piece-001.mid").is_file()

    def test_a_file_of_that_name_stays(self, musengine: Command, tmp_path: Path) -> None:
        (tmp_path / "work" / "counts.toml").write_text("mine")
        done = musengine("init", "counts")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "error: counts.toml is there already and stays as it is; name another file with --out\n"
        )
        assert (tmp_path / "work" / "counts.toml").read_text() == "mine"

    def test_which_templates_there_are(self, musengine: Command) -> None:
        done = musengine("init", "--list")
        listed = "counts  How often each note sounds (musengine-counting 0.3)\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, listed, "")
        done = musengine("init", "cuonts")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: no template 'cuonts' is installed; ")
        assert "did you mean 'counts'?" in line

    def test_where_there_are_none(self, musengine: Command) -> None:
        done = musengine("init", "--list", MUSENGINE_PLUGINS="")
        assert (done.returncode, done.stdout) == (0, "")
        done = musengine("init", MUSENGINE_PLUGINS="")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: no installed model brings a template; not loaded: ")
        assert "counting (musengine-counting 0.3) disabled" in line

    def test_music_that_is_not_there(self, musengine: Command, tmp_path: Path) -> None:
        done = musengine("init", "counts", "--corpus", "nowhere")
        assert done.returncode == 1
        missing = (tmp_path / "work" / "nowhere").resolve()
        assert done.stderr.startswith(f"error: --corpus: {missing} ")
        assert done.stderr.count("\n") == 1
        assert list((tmp_path / "work").iterdir()) == []
