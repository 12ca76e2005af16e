"""A new plugin is whole: what is written installs, passes its own tests and keeps the contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from musengine.testing import SitePackages, run_command

KINDS = (
    *("model", "encoder", "loss", "sampler", "metric"),
    *("reader", "writer", "callback", "command"),
)
QUICK = ("command", "sampler")
"""The others are made likewise, and take some seconds each."""


@pytest.mark.parametrize(
    "kind",
    [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
)
def test_it_passes_its_own_tests(kind: str, workplace: Path) -> None:
    pytest.importorskip("torch")
    done = run_command("new-plugin", "my-thing", "--kind", kind)
    assert done.status == 0, done.err
    made = workplace / "musengine-my-thing"
    (workplace / "site").mkdir()
    site = SitePackages(workplace / "site")
    site.add("musengine-my-thing", {"my-thing": "musengine_my_thing.plugin"})
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(made)]
    done = subprocess.run(
        tests, env=site.environment(made), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert not list(workplace.glob(".*"))


@pytest.mark.parametrize("name", ["My-Thing", "my_thing", "", "../thing", "1st"])
def test_names_that_no_distribution_should_have(name: str, workplace: Path) -> None:
    done = run_command("new-plugin", "--kind", "metric", "--", name)
    assert done.status == 1
    assert not list(workplace.iterdir())


def test_what_is_there_stays(workplace: Path) -> None:
    (workplace / "musengine-my-thing").mkdir()
    assert run_command("new-plugin", "my-thing").status == 1
    assert not list((workplace / "musengine-my-thing").iterdir())
    assert run_command("new-plugin", "my-thing", "--out", "deep/elsewhere").status == 0
    assert (workplace / "deep/elsewhere/musengine_my_thing/model.py").is_file()
