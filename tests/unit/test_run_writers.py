"""Writers of whole runs: which are called, what they are told, and that they hinder nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from musengine.config.fields import Config, setting
from musengine.config.toml import SettingsSource
from musengine.errors import UserError
from musengine.interfaces.writer import RunContent, Writable, Writer
from musengine.pipeline.resolve import Pipeline, resolve_pipeline
from musengine.plugins import manager
from musengine.plugins.declarations import Requirement, WriterDeclaration
from musengine.plugins.registry import Distribution, Registry, RegistryEntry
from musengine.runs.folder import RunFolder
from musengine.runs.presentation.run_writers import write_run
from musengine.testing import run_command

TABLES = {"corpus": {"path": "nowhere"}, "model": {"type": "frequencies"}}


@dataclass(frozen=True, kw_only=True)
class DiaryConfig(Config):
    """A diary."""

    fails: str = setting("", doc="How it fails.")


class Diary(Writer[DiaryConfig]):
    """Writes down what it is told."""

    @property
    def suffix(self) -> str:
        return ".txt"

    def write(self, content: Writable, path: Path) -> None:
        assert isinstance(content, RunContent)
        if self.config.fails == "by the user":
            raise UserError("it is full", code="cannot-write")
        if self.config.fails:
            raise RuntimeError("ink\nspilt")
        path.write_text(f"{content.folder.name}|{content.problem}|{content.underway}")


@pytest.fixture
def registry() -> Registry:
    """The core with a diary by default, one for those who ask, and one that lacks a library."""
    registry = manager.load_from([]).registry
    target = f"{__name__}:Diary"
    common = {"summary": "", "target": target, "config": DiaryConfig, "content": ("run",)}
    missing = Requirement(module="no_such_module_anywhere", install="pip install it")
    for declaration in (
        WriterDeclaration(name="diary", default_for=("run",), **common),
        WriterDeclaration(name="memoirs", **common),
        WriterDeclaration(name="lost", default_for=("run",), requires=(missing,), **common),
    ):
        registry.add(RegistryEntry(declaration, Distribution("shelf", "1.0")))
    return registry


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A folder that counts as a run."""
    (tmp_path / "pipeline.toml").touch()
    return RunFolder(tmp_path)


def pipeline(registry: Registry, **tables: object) -> Pipeline:
    source = SettingsSource(Path("pipe.toml"), "pipe.toml", {**TABLES, **tables}, Path.cwd())
    return resolve_pipeline(source, registry)


def test_the_default_is_called_and_said(
    run: RunFolder, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    write_run(run, pipeline(registry), registry, problem="no disk")
    assert (run.path / "diary.txt").read_text() == f"{run.path.name}|no disk|False"
    assert sorted(path.name for path in run.path.iterdir()) == ["diary.txt", "pipeline.toml"]
    assert caplog.messages == [f"diary: {run.path / 'diary.txt'}"]


def test_one_among_the_outputs_is_called_with_its_settings(
    run: RunFolder, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = [{"type": "memoirs"}, {"type": "diary", "fails": "by the user"}]
    write_run(run, pipeline(registry, output=outputs), registry)
    assert (run.path / "memoirs.txt").is_file()
    assert not (run.path / "diary.txt").exists()
    assert caplog.messages == ["no diary: it is full"]


def test_nothing_is_said_on_the_way(
    run: RunFolder, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    write_run(run, pipeline(registry), registry, underway=True)
    assert (run.path / "diary.txt").read_text().endswith("|True")
    assert caplog.messages == []


def test_nothing_is_written_where_it_is_not_wanted_or_there_is_no_run(
    run: RunFolder, registry: Registry
) -> None:
    write_run(run, pipeline(registry, report={"enabled": False}), registry)
    write_run(RunFolder(run.path / "none"), pipeline(registry), registry)
    assert [path.name for path in run.path.iterdir()] == ["pipeline.toml"]


def test_a_fault_of_a_writer_is_a_warning_and_in_strict_mode_an_error(
    run: RunFolder,
    registry: Registry,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing = pipeline(registry, output=[{"type": "diary", "fails": "somehow"}])
    (run.path / "diary.txt").write_text("of before")
    write_run(run, failing, registry)
    assert caplog.messages == ["no diary: RuntimeError: ink spilt"]
    assert (run.path / "diary.txt").read_text() == "of before"
    monkeypatch.setenv("MUSENGINE_STRICT", "1")
    with pytest.raises(RuntimeError):
        write_run(run, failing, registry)


def test_where_no_plugin_has_one_a_line_says_what_to_install(
    run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    registry = manager.load_from([]).registry
    caplog.set_level("INFO")
    write_run(run, pipeline(registry), registry)
    (line,) = caplog.messages
    assert "pip install musengine-media" in line


def test_settings_of_a_report_may_change_when_a_run_goes_on(workplace: Path) -> None:
    (workplace / "tunes.json").write_text(json.dumps({"train": [[[60]] * 40]}))
    (workplace / "pipe.toml").write_text(
        '[corpus]\npath = "tunes.json"\nvalid = 0.0\n[encoder]\nstep = "1 beat"\n'
        '[model]\ntype = "frequencies"\n[generate]\ncount = 0\n'
    )
    assert run_command("run", "pipe.toml", "--quiet").status == 0
    again = run_command("run", "pipe.toml", "--quiet", settings=["report.enabled=false"])
    assert again.status == 0
