"""The distributions of this repository go together: one version, one set of metadata."""

from __future__ import annotations

import datetime
import re
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli

ROOT = Path(__file__).resolve().parents[2]
FILES = ["pyproject.toml", *(path.relative_to(ROOT) for path in ROOT.glob("plugins/*/*.toml"))]
bump = runpy.run_path(str(ROOT / ".ci" / "bump.py"))


def project(file: str | Path, root: Path = ROOT) -> dict[str, Any]:
    return tomli.loads((root / file).read_text("utf-8"))["project"]


def versions(root: Path) -> set[str]:
    """Every version that a distribution of ours has, by metadata and by `__version__`."""
    modules = [
        root / "engine/musengine/__init__.py",
        *root.glob("plugins/*/musengine_*/__init__.py"),
    ]
    written = [re.findall('^__version__ = "(.*)"$', each.read_text(), re.M) for each in modules]
    assert len(written) == len(FILES)
    return {*(project(file, root)["version"] for file in FILES), *(each for (each,) in written)}


def needed(root: Path) -> set[str]:
    """The versions of each other that our distributions take."""
    lists = []
    for file in FILES:
        extras = project(file, root).get("optional-dependencies", {})
        lists += [project(file, root)["dependencies"], *extras.values()]
    ours = [
        re.match(r"musengine[\w-]*(?:\[[\w,]+\])?(.*)", each) for some in lists for each in some
    ]
    return {match[1] for match in ours if match} - {""}


def test_one_version() -> None:
    version = project("pyproject.toml")["version"]
    assert versions(ROOT) == {version}
    assert needed(ROOT) == {bump["compatible"](version)}
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert bump["changes"](ROOT, version) == {}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_the_metadata_are_of_one_kind(file: str | Path) -> None:
    folder, own, core = (ROOT / file).parent, project(file), project("pyproject.toml")
    for key in ("requires-python", "authors"):
        assert own[key] == core[key], key
    # A trained model has the licence that its music allows, beside the code's, and with its text.
    first, *others = own["license"].split(" AND ")
    assert first == core["license"]
    texts = {path.stem for path in folder.glob("LICENSES/*.txt")}
    assert texts == {*others}
    assert own["license-files"] == [*core["license-files"], *(["LICENSES/*.txt"] if others else [])]
    assert "Typing :: Typed" in own["classifiers"]
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (folder / own["readme"]).is_file()
    package = own["name"].replace("-", "_")
    parent = ROOT / "engine" if file == "pyproject.toml" else folder
    assert (parent / package / "py.typed").is_file()
    requires_core = [each.startswith("musengine>") for each in own["dependencies"]]
    assert sum(requires_core) == (0 if file == "pyproject.toml" else 1)


def test_bump_leaves_one_version(tmp_path: Path) -> None:
    now = project("pyproject.toml")["version"]
    places = bump["changes"](ROOT, "1.2.3")
    for path in (ROOT / file for file in (*FILES, *places)):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for path, text in bump["changes"](tmp_path, "1.2.3").items():
        path.write_text(text, "utf-8")
    assert versions(tmp_path) == {"1.2.3"}
    assert needed(tmp_path) == {">=1.2,<2"}
    tutorial = (tmp_path / "docs/tutorial/first-music.md").read_text("utf-8")
    assert f" {now}  [" not in tutorial
    assert tutorial.count(" 1.2.3  [ok]") > 1
    guide = (tmp_path / "docs/how-to/write-a-plugin.md").read_text("utf-8")
    assert 'dependencies = ["musengine>=1.2,<2"]' in guide


@pytest.mark.parametrize(
    ("version", "taken"), [("0.1.0", ">=0.1,<0.2"), ("0.9.3", ">=0.9,<0.10"), ("2.4.1", ">=2.4,<3")]
)
def test_which_versions_go_together(version: str, taken: str) -> None:
    assert bump["compatible"](version) == taken


def test_a_release_dates_what_was_unreleased() -> None:
    day = datetime.date(2031, 2, 3)
    changelog = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n"
    released = bump["release"](changelog, "0.2.0", day)
    assert released == (
        "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2031-02-03\n\n### Added\n\n- A thing.\n"
    )
    assert bump["release"](released, "0.2.0", day) is None
