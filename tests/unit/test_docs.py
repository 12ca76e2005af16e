"""The documentation is complete, and what it shows works."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli

from musengine import cli
from musengine.config.fields import Config, settings_of
from musengine.errors import ConfigError
from musengine.pipeline import sections as tables
from musengine.pipeline.resolve import load_pipeline
from musengine.plugins import hookspecs, manager

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
WHOLE = all(importlib.util.find_spec(path.name) for path in ROOT.glob("plugins/*/musengine_*"))
"""Whether all distributions of this repository are installed: the pages are about all of them."""
WITH_OWN_PLUGIN = ("how-to/write-a-plugin.md", "reference/hooks.md")
"""Pages whose pipelines need the plugin written on them; the runs below check those."""


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def whole_pipelines() -> list[Any]:
    found = []
    for path in PAGES:
        page = path.relative_to(DOCS).as_posix()
        if page in WITH_OWN_PLUGIN:
            continue
        for number, block in enumerate(blocks(page, "toml")):
            if "[model]" in block:
                found.append(pytest.param(block, id=f"{page}-{number}"))
    return found


def test_every_page_is_looked_at() -> None:
    assert {"index.md", *WITH_OWN_PLUGIN} <= {path.relative_to(DOCS).as_posix() for path in PAGES}
    assert len(whole_pipelines()) >= 3


@pytest.mark.parametrize("block", whole_pipelines())
def test_pipelines_in_the_pages_are_right(block: str, tmp_path: Path) -> None:
    registry = manager.load().registry
    kind = tomli.loads(block)["model"]["type"]
    if kind not in registry.names("model") and (ROOT / f"plugins/musengine-{kind}").is_dir():
        pytest.skip(f"musengine-{kind} is not installed")
    file = tmp_path / "pipeline.toml"
    file.write_text(block, encoding="utf-8")
    # Loading resolves every table and checks the wiring; a mistake raises with its message.
    try:
        assert load_pipeline(file, registry).model.name == kind
    except ConfigError as error:
        lacking = ("a library that is not installed", *(() if WHOLE else ("is installed",)))
        if not all(any(words in line for words in lacking) for line in error.lines):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("hook", sorted(manager.DECLARATIONS))
def test_every_hook_has_a_section_with_an_example(hook: str) -> None:
    sections = re.split(r"^## ", (DOCS / "reference/hooks.md").read_text("utf-8"), flags=re.M)
    own = [section for section in sections if section.startswith(f"`{hook}`\n")]
    assert len(own) == 1, f"reference/hooks.md has no section of its own for {hook}"
    declaration = manager.DECLARATIONS[hook].__name__
    assert f"@hookimpl\ndef {hook}()" in own[0]
    assert f"musengine.api:{declaration}" in own[0]


def test_the_hooks_looked_at_are_all_there_are() -> None:
    specified = {name for name in vars(hookspecs) if name.startswith("musengine_")}
    assert specified == set(manager.DECLARATIONS)


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.skipif(not WHOLE, reason="not all commands are installed")
def test_every_command_and_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    text = (DOCS / "reference/command-line.md").read_text("utf-8")
    sections = {
        section.split()[1].strip("`"): section
        for section in re.split(r"^### ", text, flags=re.M)
        if section.startswith("`musengine ")
    }
    commands = re.findall(r"^    ([a-z-]+)(?: |$)", help_of(capsys), re.M)
    assert "run" in commands
    assert set(sections) == set(commands)
    for command, section in sections.items():
        options = set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", help_of(capsys, command)))
        options -= {"--help", "--quiet", "--verbose", "--log-file"}
        missing = {option for option in options if f"`{option}" not in section}
        assert not missing, f"{command}: {missing}"


@pytest.mark.parametrize("cls", tables.SECTIONS.values(), ids=lambda cls: cls.__name__)
def test_every_key_of_the_core_is_documented(cls: type[Config]) -> None:
    undocumented = [
        field.name for field in dataclasses.fields(cls) if not field.metadata.get("doc", "").strip()
    ]
    assert not undocumented
    page = (DOCS / "reference/pipeline.md").read_text("utf-8")
    assert f"```{{config}} {cls.__module__}:{cls.__name__}\n```" in page


@pytest.mark.parametrize(
    "kind", [cls.kind for cls in manager.DECLARATIONS.values() if cls.kind != "command"]
)
def test_every_kind_of_component_is_listed(kind: str) -> None:
    page = (DOCS / "reference/pipeline.md").read_text("utf-8")
    assert f"```{{components}} {kind}\n```" in page


def test_the_table_of_settings_says_what_a_config_declares() -> None:
    pytest.importorskip("sphinx")
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        from config_reference import accepts, settings_table
    finally:
        sys.path.remove(str(DOCS / "_ext"))
    by_key = {setting.key: setting for setting in settings_of(tables.CorpusConfig)}
    # `valid` is a float from 0 to less than 1, 0.1 unless given, or a list of names.
    assert accepts(by_key["valid"]) == "a number or a list (a string each), at least 0, less than 1"
    assert accepts(by_key["key"]) == 'one of `"original"`, `"common"`'
    cells = {
        entries[0]: entries[1:]
        for cls in (tables.CorpusConfig, tables.GenerateConfig)
        for row in settings_table(cls).findall(lambda node: node.tagname == "row")
        for entries in [[entry.astext() for entry in row.children]]
    }
    assert cells["path"][1] == "must be given"
    assert cells["valid"][1] == "0.1"
    assert cells["jobs"][2].endswith(" Changeable.")
    assert not cells["valid"][2].endswith("Changeable.")
    assert cells["length"][1] == '"30 seconds"'
    assert cells["seed"][1] == "none"


# What the pages write, written into a folder and run in one process of its own.

DRIVER = """
import json, runpy, sys
from pathlib import Path
import musengine
from musengine import cli
from musengine.plugins import manager

exec(Path("rolls.py").read_text(encoding="utf-8"), {})
runpy.run_path("test_model.py")["test_reading_at_once_equals_reading_step_by_step"]()
exec(Path("recurrent.py").read_text(encoding="utf-8"), {})
status = [cli.main(json.loads(arguments)) for arguments in sys.argv[1:]]
print(json.dumps({"status": status, "broken": [str(plugin) for plugin in manager.load().broken]}))
"""


def write_files(folder: Path, page: str) -> None:
    """Write every block that begins with a file's name; blocks of one file add up."""
    contents: dict[str, list[str]] = {}
    for language in ("python", "toml"):
        for block in blocks(page, language):
            if match := re.match(r"# (\S+\.(?:py|toml))\n", block):
                contents.setdefault(match[1], []).append(block)
    for name, parts in contents.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n\n".join(parts), encoding="utf-8")


def install(folder: Path, distribution: str, name: str, module: str) -> None:
    """Make a plugin visible as an installed distribution is."""
    info = folder / f"{distribution.replace('-', '_')}-0.1.0.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.1.0\n"
    (info / "METADATA").write_text(metadata)
    (info / "entry_points.txt").write_text(f"[musengine]\n{name} = {module}\n")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """The plugins of both pages, trained and made to generate."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    folder = tmp_path_factory.mktemp("pages")
    for page in WITH_OWN_PLUGIN:
        write_files(folder, page)
    project = tomli.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    ((name, module),) = project["entry-points"]["musengine"].items()
    install(folder, project["name"], name, module)
    install(folder, "musengine-sketch", "sketch", "musengine_sketch.plugin")
    (folder / "musengine_logistic" / "__init__.py").touch()
    (folder / "rolls.py").write_text(blocks("reference/rolls.md", "python")[0], "utf-8")
    (folder / "recurrent.py").write_text(blocks("explanation/recurrent.md", "python")[0], "utf-8")
    for tune in range(8):
        lines = [f"{48 + beat % 7} {60 + (beat * (tune + 2)) % 12}" for beat in range(20)]
        (folder / "tunes").mkdir(exist_ok=True)
        (folder / "tunes" / f"{tune}.chords").write_text("\n".join(lines))
    (logistic,) = (block for block in blocks(WITH_OWN_PLUGIN[0], "toml") if "[model]" in block)
    (folder / "logistic.toml").write_text(logistic)
    (sketch,) = blocks(WITH_OWN_PLUGIN[1], "toml")
    (folder / "sketch.toml").write_text(sketch)
    (folder / "driver.py").write_text(DRIVER)
    few = [
        *("--set", "model.memory=12"),
        *("--set", "corpus.path=arpeggios.npz", "--set", "training.steps=5"),
        *("--set", "training.sequence_length=16", "--set", "generate.length=16 steps"),
    ]
    commands = [
        ["run", "logistic.toml", *few],
        ["check", "logistic.toml", "--set", "model.preset=long", *few],
        ["check", "logistic.toml", "--set", "model.memori=3"],
        ["run", "sketch.toml"],
    ]
    done = subprocess.run(
        [sys.executable, "driver.py", *(json.dumps(command) for command in commands)],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(folder),
            "MUSENGINE_PLUGINS": f"{name},sketch",
            "MUSENGINE_CACHE": str(folder / "cache"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout), done.stderr


def test_the_written_plugin_trains_and_generates(ran: tuple[Path, dict[str, Any], str]) -> None:
    folder, result, said = ran
    assert result["broken"] == []
    assert result["status"] == [0, 0, 1, 0], said
    run = folder / "runs" / "logistic"
    assert len(list((run / "samples").glob("*.mid"))) == 4
    assert list((run / "checkpoints").glob("step-000000005_epoch-*.safetensors"))
    written = tomli.loads((run / "pipeline.toml").read_text("utf-8"))
    assert written["model"] == {"type": "logistic", "memory": 12}
    assert written["training"]["learning_rate"] == 0.01  # the declaration's default
    figures = json.loads((run / "evaluation.json").read_text("utf-8"))
    # Before training every element costs about ln 2, 88 of them 61 nats; it has begun to learn.
    assert 0 < figures["valid"]["nll"] < 61
    # The message on the page is the message.
    shown = "error: --set: [model] memori: unknown key; did you mean 'memory'?"
    assert shown in said
    assert shown in (DOCS / WITH_OWN_PLUGIN[0]).read_text("utf-8")


def test_the_example_components_work(ran: tuple[Path, dict[str, Any], str]) -> None:
    run = ran[0] / "runs" / "sketch"
    written = tomli.loads((run / "pipeline.toml").read_text("utf-8"))
    assert written["encoder"]["type"] == "melody"  # the model's default
    assert written["loss"] == {"type": "smoothed", "share": 0.1}
    assert written["training"]["batching"] == "overlapping"
    assert written["training"]["optimizer"] == {"type": "lion", "interpolation": 0.8}
    assert written["training"]["schedule"] == {"type": "warm-up", "steps": 4}
    assert written["sampler"] == [{"type": "temperature", "temperature": 0.8}]
    assert written["metric"] == [{"type": "nll"}, {"type": "pitch", "quantile": 1.0}]
    # One of eight tunes is held out: a tenth, rounded. Its upper notes, (beat * k) % 12 over C4 in
    # 20 beats, reach up to the largest multiple of gcd(k, 12) below 12, k from 2 to 9.
    figures = json.loads((run / "evaluation.json").read_text("utf-8"))["valid"]
    assert figures["steps"] == 20
    assert figures["pitch"] in {60 + 12 - math.gcd(k, 12) for k in range(2, 10)}
    samples = sorted(path.name for path in (run / "samples").glob("*.csv"))
    assert samples == ["piece-001.csv", "piece-002.csv"]
    curve = (run / "curve.csv").read_text("utf-8").splitlines()
    assert curve[0] == "step,loss"
    assert len(curve) == 21
    assert float(curve[-1].split(",")[1]) < float(curve[1].split(",")[1])
