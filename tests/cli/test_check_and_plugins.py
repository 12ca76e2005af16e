"""The command line as a person meets it: `--help`, `plugins`, `check`, each in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli

from helpers import declaring
from musengine.testing import SitePackages

Command = Callable[..., "subprocess.CompletedProcess[str]"]
PIPELINE = '[corpus]\npath = "tunes"\n[model]\ntype = "frequencies"\n'


PLACE = ("file", "table", "key", "code")


def places(done: subprocess.CompletedProcess[str]) -> list[tuple[str, ...]]:
    """Where each problem lies and its code, of a command's `--json`."""
    problems = json.loads(done.stdout)["problems"]
    return [tuple(problem[key] for key in PLACE) for problem in problems]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a pipeline and the folder it names, in which a file is."""
    (tmp_path / "tunes").mkdir()
    (tmp_path / "tunes" / "a.mid").touch()
    (tmp_path / "pipe.toml").write_text(PIPELINE)
    return tmp_path


@pytest.fixture
def musengine(folder: Path) -> Command:
    """Run the command line in the folder, output not a terminal, as from a script."""

    def run(*arguments: str, python: tuple[str, ...] = (), **more: Any) -> Any:
        environment = {**more.pop("env", os.environ), "PYTHONUTF8": "1", "COLUMNS": "40"}
        return subprocess.run(
            [sys.executable, *python, "-m", "musengine", *arguments],
            **{"capture_output": True, "text": True, "encoding": "utf-8", "cwd": folder, **more},
            env=environment,
            timeout=60,
        )

    return run


class TestQuickAnswers:
    @pytest.mark.parametrize(
        ("arguments", "status", "needless"),
        [
            (["--help"], 0, {"torch", "numpy", "rich", "asyncio", "unittest"}),
            (["plugins", "--json"], 0, {"torch", "numpy", "rich", "asyncio", "unittest"}),
            (["check", "pipe.toml"], 0, {"torch", "numpy"}),
            (["check", "pipe.toml", "--set", "model.type=nonsense"], 1, {"torch", "numpy"}),
            (["run", "pipe.toml", "--set", "model.type=nonsense"], 1, {"torch"}),
        ],
    )
    def test_import_nothing_needless(
        self, musengine: Command, arguments: list[str], status: int, needless: set[str]
    ) -> None:
        done = musengine(*arguments, python=("-X", "importtime"))
        assert done.returncode == status
        imported = {
            line.rpartition("|")[2].strip().split(".")[0]
            for line in done.stderr.splitlines()
            if line.startswith("import time:")
        }
        # `argparse` shows that the list of imports was read aright.
        assert imported & {"argparse", *needless} == {"argparse"}


class TestCheck:
    def test_a_folder_without_music(self, musengine: Command, folder: Path) -> None:
        (folder / "tunes" / "a.mid").rename(folder / "tunes" / "a.doc")
        done = musengine("check", "pipe.toml", "--json")
        assert (done.returncode, places(done)) == (1, [("", "", "", "no-music")])
        assert "1 .doc" in done.stderr

    def test_a_fine_pipeline(self, musengine: Command) -> None:
        done = musengine("check", "pipe.toml")
        assert (done.returncode, done.stdout) == (0, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("pipe.toml: ")
        assert all(name in line for name in ("piano-roll", "frequencies", "bernoulli"))

    def test_a_fine_pipeline_as_json(self, musengine: Command) -> None:
        done = musengine("check", "pipe.toml", "--json")
        assert (done.returncode, json.loads(done.stdout)) == (0, {"problems": []})

    def test_every_mistake_on_a_line_of_its_own(self, musengine: Command, folder: Path) -> None:
        (folder / "pipe.toml").write_text(PIPELINE + 'gven = 1\n[training]\nsteps = "x"\n')
        done = musengine("check", "pipe.toml", "--json", "--set", "generate.count=-1")
        assert done.returncode == 1
        problems = json.loads(done.stdout)["problems"]
        assert [tuple(problem.pop(key) for key in PLACE) for problem in problems] == [
            ("pipe.toml", "training", "steps", "invalid-value"),
            ("--set", "generate", "count", "out-of-range"),
            ("pipe.toml", "model", "gven", "unknown-key"),
        ]
        lines = done.stderr.splitlines()
        assert len(lines) == 3
        for line, problem, place in zip(
            lines,
            problems,
            ["pipe.toml: [training] steps", "--set: [generate] count", "pipe.toml: [model] gven"],
            strict=True,
        ):
            assert line == f"error: {place}: {problem['message']}"
        assert "'given'" in lines[2]  # the nearest right name

    def test_a_path_that_is_not_there(self, musengine: Command, folder: Path) -> None:
        done = musengine("check", "pipe.toml", "--json", "--set", "corpus.path=tuns")
        assert done.returncode == 1
        assert places(done) == [("--set", "corpus", "path", "path-missing")]
        assert str(folder.resolve() / "tuns") in done.stderr
        assert "'tunes'" in done.stderr

    def test_a_path_longer_than_any_can_be(self, musengine: Command, folder: Path) -> None:
        done = musengine("check", "pipe.toml", "--json", "--set", f"corpus.path={'x' * 5000}")
        assert places(done) == [("--set", "corpus", "path", "path-missing")]
        assert done.stderr.count("\n") == 1

    def test_a_corpus_that_is_not_there(self, musengine: Command) -> None:
        done = musengine("check", "pipe.toml", "--json", "--set", "corpus.path=sonatas:all")
        assert done.returncode == 1
        assert places(done) == [("--set", "corpus", "path", "no-reader")]
        assert "'sonatas'" in done.stderr

    def test_a_mistake_in_the_toml(self, musengine: Command, folder: Path) -> None:
        (folder / "pipe.toml").write_text("[corpus]\npath = tunes\n")
        done = musengine("check", "pipe.toml", "--json")
        assert done.returncode == 1
        assert places(done) == [("", "", "", "not-toml")]
        assert done.stderr.startswith("error: pipe.toml: line 2, column 8: ")

    def test_no_such_file(self, musengine: Command) -> None:
        done = musengine("check", "pip.toml", "--json")
        assert done.returncode == 1
        assert places(done) == [("", "", "", "cannot-read")]
        assert "pip.toml" in done.stderr


class TestResolved:
    SETTINGS = ("--set", "training.optimizer=adadelta", "--set", "training.seed=7")

    def test_it_is_the_pipeline_as_it_will_run(self, folder: Path, musengine: Command) -> None:
        done = musengine("check", "pipe.toml", *self.SETTINGS, "--resolved")
        assert done.returncode == 0, done.stderr
        training = tomli.loads(done.stdout)["training"]
        assert (training["optimizer"], training["learning_rate"]) == ("adadelta", 1.0)
        comments = {
            line.partition(" = ")[0]: line.rpartition("  # ")[2]
            for line in done.stdout.splitlines()
            if " = " in line
        }
        assert (comments["seed"], comments["given"]) == ("--set", "default")
        assert comments["learning_rate"].startswith("optimizer 'adadelta' of musengine")
        # As a file it stands for the same.
        (folder / "whole.toml").write_text(done.stdout)
        again = musengine("check", "whole.toml", "--resolved", "--json")
        assert json.loads(again.stdout)["pipeline"] == tomli.loads(done.stdout)

    def test_as_data(self, musengine: Command) -> None:
        done = musengine("check", "pipe.toml", *self.SETTINGS, "--resolved", "--json")
        data = json.loads(done.stdout)
        assert data["problems"] == []
        assert data["pipeline"]["training"]["smoothing"] == 0.9
        assert data["origins"]["training.seed"] == "--set"
        assert data["origins"]["corpus.path"] == "pipe.toml"

    def test_what_is_wrong_is_told_instead(self, musengine: Command) -> None:
        wrong = ("--set", "training.optimizer=adadelt")
        done = musengine("check", "pipe.toml", *wrong, "--resolved", "--json")
        assert done.returncode == 1
        assert places(done) == [("--set", "training.optimizer", "type", "unknown-component")]


class TestMessages:
    def test_are_one_line_however_long_and_harm_no_terminal(
        self, musengine: Command, folder: Path
    ) -> None:
        key = ":smile: [bold] \x1b[31m" + "long " * 200 + "end"
        (folder / "pipe.toml").write_text(f"{PIPELINE}{json.dumps(key)} = 1\n")
        done = musengine("check", "pipe.toml", "--json")
        assert done.returncode == 1
        assert places(done) == [("pipe.toml", "model", key, "unknown-key")]
        # What a terminal would obey is spelt out.
        shown = key.replace("\x1b", "\\x1b")
        assert done.stderr.startswith(f"error: pipe.toml: [model] {shown}: ")
        assert done.stderr.count("\n") == 1


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (["chek", "pipe.toml"], "chek"),
            (["check"], "PIPELINE.toml"),
            (["check", "pipe.toml", "--set"], "--set"),
        ],
    )
    def test_mistakes_exit_with_2(
        self, musengine: Command, arguments: list[str], word: str
    ) -> None:
        done = musengine(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert word in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_reader_that_has_seen_enough(self, musengine: Command) -> None:
        # What `musengine plugins | head -0` does: nobody reads the other end.
        reading, writing = os.pipe()
        os.close(reading)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
        pipes = {"capture_output": False, "stdout": writing, "stderr": subprocess.PIPE}
        done = musengine("plugins", env=environment, **pipes)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, "")


class TestBrokenPlugins:
    @pytest.fixture(autouse=True)
    def _plugins(self, site_packages: SitePackages) -> None:
        source = declaring("good-model", target="good_module:hookimpl")
        site_packages.add("good-plugin", {"good": "good_module"}, "3.1", good_module=source)
        site_packages.add(
            "bad-plugin", {"bad": "bad_module"}, "0.2", bad_module="raise SystemExit('moon')"
        )

    def test_are_listed_with_distribution_version_and_reason(
        self, musengine: Command, site_packages: SitePackages
    ) -> None:
        done = musengine("plugins", "--json", env=site_packages.environment())
        assert (done.returncode, done.stderr) == (0, "")
        listed = {plugin["name"]: plugin for plugin in json.loads(done.stdout)}
        assert listed["bad"] == {
            "name": "bad",
            "distribution": "bad-plugin",
            "version": "0.2",
            "api": "",
            "status": "failed",
            "reasons": ["SystemExit: moon"],
            "components": [],
        }
        assert (listed["good"]["version"], listed["good"]["status"]) == ("3.1", "ok")
        assert listed["good"]["components"] == [
            {"kind": "model", "name": "good-model", "summary": "", "missing": []}
        ]
        done = musengine("plugins", env=site_packages.environment())
        assert "bad: bad-plugin 0.2  [failed: SystemExit: moon]\n" in done.stdout
        assert "good: good-plugin 3.1  [ok]\n  model: good-model\n" in done.stdout

    def test_stop_nothing_that_does_not_need_them(
        self, musengine: Command, site_packages: SitePackages
    ) -> None:
        warning = "warning: plugin bad (bad-plugin 0.2) failed: SystemExit: moon"
        good = ("check", "pipe.toml", "--set", "model.type=good-model")
        done = musengine(*good, env=site_packages.environment())
        assert done.returncode == 0
        told, answer = done.stderr.splitlines()
        assert told == warning
        assert "model good-model" in answer
        done = musengine(
            *("check", "pipe.toml", "--set", "model.type=bad-model"),
            env=site_packages.environment(),
        )
        assert done.returncode == 1
        assert "not loaded: bad (bad-plugin 0.2) failed: SystemExit: moon" in done.stderr

    def test_can_be_left_out_or_looked_into(
        self, musengine: Command, site_packages: SitePackages
    ) -> None:
        chosen = site_packages.environment(MUSENGINE_PLUGINS="good")
        done = musengine("check", "pipe.toml", "--set", "model.type=good-model", env=chosen)
        assert done.returncode == 0
        assert "warning" not in done.stderr
        done = musengine("check", "pipe.toml", env=site_packages.environment(MUSENGINE_STRICT="1"))
        assert done.returncode != 0
        assert "moon" in done.stderr
