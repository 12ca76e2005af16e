"""Faults planted in a plugin, at load and at run time: each is one line that names the place."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.catalogue import AT_LOAD, AT_RUN, Fault
from faults.plugin import DECLARATIONS, PARTS, PIPELINE

from musengine.plugins import manager
from musengine.testing import SitePackages
from musengine.testing.commands import CommandResult, run_command


@pytest.fixture
def workplace(
    site_packages: SitePackages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder with music and a pipeline in which the plugin alone is installed."""
    folder = tmp_path / "work"
    (folder / "music").mkdir(parents=True)
    for number in range(12):
        pitches = [60 + (number * beat) % 12 for beat in range(16)]
        (folder / "music" / f"{number}.own").write_text(" ".join(map(str, pitches)))
    (folder / "own.toml").write_text(PIPELINE)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MUSENGINE_PLUGINS", "own")
    monkeypatch.setenv("MUSENGINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MUSENGINE_STRICT", raising=False)
    yield folder
    manager.load.cache_clear()


def planted(site_packages: SitePackages, fault: Fault | None) -> None:
    """Install the plugin with a fault in it."""
    sources = {"own": DECLARATIONS, "own_parts": PARTS}
    if fault is not None:
        (module,) = [name for name, source in sources.items() if fault.old in source]
        assert sources[module].count(fault.old) == 1
        sources[module] = sources[module].replace(fault.old, fault.new)
    site_packages.add("own-plugin", {"own": "own"}, **sources)
    manager.load.cache_clear()


def carried_out(fault: Fault) -> CommandResult:
    words = {"plugins": ["plugins"], "own": ["own"]}
    return run_command(*words.get(fault.when, [fault.when, "own.toml"]))


def test_without_a_fault_it_trains_generates_and_measures(
    site_packages: SitePackages, workplace: Path
) -> None:
    planted(site_packages, None)
    done = run_command("run", "own.toml")
    assert done.status == 0, done.err
    assert len(list((workplace / "runs" / "own" / "samples").glob("*.own"))) == 2
    assert run_command("own").status == 0


@pytest.mark.parametrize("fault", AT_LOAD, ids=[fault.what for fault in AT_LOAD])
def test_a_fault_at_load(fault: Fault, site_packages: SitePackages, workplace: Path) -> None:
    planted(site_packages, fault)
    done = carried_out(fault)
    said = " ".join((done.out + done.err).split())
    assert fault.says in said
    assert "Traceback" not in said
    if fault.when != "plugins":
        assert done.status == 1


@pytest.mark.parametrize("fault", AT_RUN, ids=[fault.what for fault in AT_RUN])
def test_a_fault_at_run_time(fault: Fault, site_packages: SitePackages, workplace: Path) -> None:
    planted(site_packages, fault)
    done = carried_out(fault)
    said = " ".join(done.err.split())
    assert fault.says in said
    assert "Traceback" not in said
    # What the other writers write stands.
    assert done.status == (0 if fault.what.startswith("a writer ") else 1)


def test_a_fault_in_validation_loses_no_training(
    site_packages: SitePackages, workplace: Path
) -> None:
    (fault,) = [each for each in AT_RUN if each.what.endswith("where validation is measured")]
    planted(site_packages, fault)
    assert run_command("run", "own.toml").status == 1
    run = workplace / "runs" / "own"
    assert [path.name[:14] for path in (run / "checkpoints").iterdir()] == ["step-000000002"]
    # Mended, the same command goes on from there.
    module = site_packages.folder / "own_parts.py"
    module.write_text(PARTS)
    importlib.reload(sys.modules["own_parts"])
    manager.load.cache_clear()
    done = run_command("run", "own.toml")
    assert done.status == 0, done.err
    assert "going on after step 2" in done.err


def test_in_strict_mode_the_plugins_own_traceback_is_seen(
    site_packages: SitePackages, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fault,) = [each for each in AT_RUN if each.what == "step raises"]
    planted(site_packages, fault)
    monkeypatch.setenv("MUSENGINE_STRICT", "1")
    with pytest.raises((IndexError, TypeError)):
        run_command("run", "own.toml")
