"""The documentation is complete, and what it shows works."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli

from musengine import api, cli
from musengine.api import Track
from musengine.config.fields import settings_of
from musengine.errors import ConfigError
from musengine.pipeline import sections as tables
from musengine.pipeline.resolve import load_pipeline
from musengine.plugins import hookspecs, manager
from musengine.testing import read_midi, score_of, write_midi

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
WHOLE = all(importlib.util.find_spec(path.name) for path in ROOT.glob("plugins/*/musengine_*"))
"""Whether all distributions of this repository are installed: the pages are about all of them."""
WITH_TOKENS = "how-to/write-a-token-plugin.md"
WITH_OWN_PLUGIN = ("how-to/write-a-plugin.md", "reference/hooks.md", WITH_TOKENS)
"""Pages whose pipelines need the plugin written on them; the runs below check those."""


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    text = re.sub(r"^<!-- generated: .*?^<!-- end -->$", "", text, flags=re.DOTALL | re.MULTILINE)
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
    assert f"<!-- generated: class {declaration} -->" in own[0]


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


@pytest.mark.parametrize("table", tables.SECTIONS)
def test_every_key_of_the_core_is_documented(table: str) -> None:
    assert [each.key for each in settings_of(tables.SECTIONS[table]) if not each.doc.strip()] == []
    page = (DOCS / "reference/pipeline.md").read_text("utf-8")
    assert f"<!-- generated: config {table} -->" in page


@pytest.mark.parametrize(
    "kind",
    [cls.kind for cls in manager.DECLARATIONS.values() if cls.kind not in ("command", "trained")],
)
def test_every_kind_of_component_is_listed(kind: str) -> None:
    page = (DOCS / "reference/pipeline.md").read_text("utf-8")
    assert f"<!-- generated: components {kind} -->" in page


def test_the_table_of_settings_says_what_a_config_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    from _ext.settings import config

    lines = [*config("corpus", 3).splitlines(), *config("generate", 3).splitlines()]
    rows = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
    # `valid` is a float from 0 to less than 1, 0.1 unless given, or a list of names.
    accepted = "a number or a list (a string each), at least 0, less than 1"
    assert rows["valid"].split(" | ")[1:3] == [accepted, "`0.1`"]
    # `key` is in both; that of the corpus says where pieces are transposed to.
    (corpus_key,) = [
        line for line in config("corpus", 3).splitlines() if line.startswith("| `key`")
    ]
    assert corpus_key.split(" | ")[1] == 'one of `"original"`, `"common"`'
    assert rows["path"].split(" | ")[2] == "must be given"
    assert rows["jobs"].endswith(" *Changeable.* |")
    assert not rows["valid"].endswith("*Changeable.* |")
    assert rows["length"].split(" | ")[2] == '`"30 seconds"`'
    assert rows["seed"].split(" | ")[2] == "none"


def test_a_row_of_an_older_programs_page_is_a_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    from _ext import systems

    monkeypatch.setattr(systems, "TESTS", tmp_path)
    file = tmp_path / "test_system_piano.py"
    file.write_text('@row("`--loud`", "`a.b`")\ndef test_loud():\n    """It is\n    loud."""\n')
    assert systems.system("piano", 2).splitlines()[2:] == ["| `--loud` | `a.b` | It is loud. |"]
    for lacking in ('def test_soft():\n    """Soft."""\n', '@row("a", "b")\ndef test_soft(): 0\n'):
        file.write_text(lacking)
        with pytest.raises(ValueError, match="test_soft"):
            systems.system("piano", 2)
    with pytest.raises(ValueError, match="test_system_flute"):
        systems.system("flute", 2)


def installed_plugins() -> set[str]:
    points = importlib.metadata.entry_points(group=manager.GROUP)
    return {point.dist.name for point in points if point.dist is not None}


@pytest.mark.slow
def test_what_the_code_says_of_itself_is_up_to_date() -> None:
    own = {path.name for path in ROOT.glob("plugins/*")}
    if installed_plugins() != own:
        pytest.skip("the pages list the components of all plugins, and not all are installed")
    command = [sys.executable, str(DOCS / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_page_that_is_out_of_date_is_named(tmp_path: Path) -> None:
    shutil.copytree(DOCS / "_ext", tmp_path / "docs" / "_ext")
    shutil.copy(DOCS / "generate.py", tmp_path / "docs")
    page = tmp_path / "docs" / "page.md"
    page.write_text("# Page\n\n<!-- generated: class Item -->\n<!-- end -->\n\nText.\n")
    check = [sys.executable, "docs/generate.py", "--check"]
    run = {"cwd": tmp_path, "capture_output": True, "text": True}
    done = subprocess.run(check, **run)
    assert (done.returncode, "docs/page.md" in done.stderr) == (1, True)
    assert subprocess.run(check[:-1], **run).returncode == 0
    assert "from musengine.api import Item" in page.read_text()
    assert page.read_text().endswith("<!-- end -->\n\nText.\n")
    assert subprocess.run(check, **run).returncode == 0
    for wrong in ("class Trumpet -->\n<!-- end -->", "api music -->"):
        page.write_text(f"<!-- generated: {wrong}")
        done = subprocess.run(check, **run)
        assert (done.returncode, "page.md: " in done.stderr) == (1, True)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", api.__all__)
def test_every_public_name_is_explained(name: str) -> None:
    page = (DOCS / "reference/api.md").read_text("utf-8")
    signature = rf"^### `{name}`\n\n```python\n.*?^```\n"
    (said,) = re.findall(rf"{signature}(.*?)(?=^###? |<!--)", page, re.M | re.S)
    assert said.strip()


def test_every_page_is_in_the_index() -> None:
    listed = re.findall(r"^- \[.*?\]\((.+?)\)", (DOCS / "index.md").read_text("utf-8"), re.M)
    assert sorted(listed) == sorted({p.relative_to(DOCS).as_posix() for p in PAGES} - {"index.md"})


# What the pages write, written into a folder and run in one process of its own.

DRIVER = """
import json, runpy, sys
from pathlib import Path
import musengine
from musengine import api, cli
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
    for page in WITH_OWN_PLUGIN[:2]:
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_written_encoder_trains_and_generates(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    write_files(tmp_path, WITH_TOKENS)
    project = tomli.loads((tmp_path / "pyproject.toml").read_text("utf-8"))["project"]
    ((name, module),) = project["entry-points"]["musengine"].items()
    install(tmp_path, project["name"], name, module)
    (tmp_path / "musengine_events" / "__init__.py").touch()
    (pipeline,) = (block for block in blocks(WITH_TOKENS, "toml") if "[model]" in block)
    (tmp_path / "mine.toml").write_text(pipeline)
    tracks = [Track(program=40), Track(is_drum=True)]
    for number in range(8):
        # Four bars of 6/8 at 90: a violin over a drum, whose lengths, and so tokens, differ.
        tune = [(2 * k, 2, 55 + (number * k) % 12, 100, 0) for k in range(24 - number % 3)]
        beat = [(6 * k, 1, 36, 60, 1) for k in range(8)]
        score = score_of(tune + beat, tracks=tracks, tempos=[(0, 90)], meters=[(0, 6, 8)])
        write_midi(score, tmp_path / "my-midi-files" / f"{number}.mid")
    settings = [
        *("model.units=16", "training.steps=20", "training.sequence_length=32"),
        *("generate.count=3", "generate.length=2 bars", "generate.prompt_length=1 bars"),
    ]
    given = [word for setting in settings for word in ("--set", setting)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "MUSENGINE_PLUGINS": name,
        "MUSENGINE_CACHE": str(tmp_path / "cache"),
    }
    for command in (["musengine", "run", "mine.toml", *given], ["pytest", "-q", "test_events.py"]):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
    samples = sorted((tmp_path / "runs" / "mine" / "samples").glob("*.mid"))
    assert len(samples) == 3
    for path in samples:
        written = read_midi(path)
        assert {(track.program, track.is_drum) for track in written.tracks} <= {
            (40, False),
            (0, True),
        }
        assert len(written.tracks) == 2  # the prompt's at the least
        assert {(2 * k + 1) * 8 for k in range(8)} >= set(written.velocity.tolist())
        assert (written.tempo_bpm[0].round(), written.meter.tolist()) == (90, [[6, 8]])


CHANGES = {
    "model.py": [
        "        self.linear = nn.Linear(config.memory * self.width, self.width)\n",
        "        logits: Tensor = self.linear(windows.flatten(-2))\n",
    ],
    "plugin.py": ["low=1, high=256)\n"],
}
"""What the tutorial has its reader replace, in the order of its blocks."""


@pytest.mark.slow
def test_the_tutorial_of_a_model_of_ones_own(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None or "musengine-tools" not in installed_plugins():
        pytest.skip("PyTorch or musengine-tools is not installed")
    made = tmp_path / "musengine-echo"
    assert cli.main(["new-plugin", "echo", "--kind", "model", "--out", str(made)]) == 0
    install(made, "musengine-echo", "echo", "musengine_echo.plugin")
    shown = iter(blocks("tutorial/your-own-model.md", "python"))
    for name, old in ((name, old) for name, lines in CHANGES.items() for old in lines):
        path = made / "musengine_echo" / name
        code = path.read_text("utf-8")
        assert code.count(old) == 1
        kept = old if name == "plugin.py" else ""
        path.write_text(code.replace(old, kept + next(shown)), "utf-8")
    assert next(shown, None) is None

    def checked(*command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(made), "MUSENGINE_CACHE": str(tmp_path)}
        run = {"cwd": made, "env": environment, "capture_output": True, "text": True}
        return subprocess.run([sys.executable, "-m", *command], check=False, **run)

    tested = checked("pytest", "-q", "tests")
    assert tested.returncode == 0, tested.stdout
    right = checked("musengine", "check-plugin", "echo")
    assert right.returncode == 0, right.stderr
    model = made / "musengine_echo" / "model.py"
    model.write_text(model.read_text("utf-8").replace("batch.inputs", "batch.targets"), "utf-8")
    wrong = checked("musengine", "check-plugin", "echo")
    assert wrong.returncode == 1
    page = " ".join((DOCS / "tutorial/your-own-model.md").read_text("utf-8").split())
    errors = [" ".join(line.split()) for line in wrong.stderr.splitlines() if "error" in line]
    assert errors
    assert all(line in page for line in errors)


# The page for scripts and notebooks, run from its first block to its last.

SCRIPT = """
import json
from pathlib import Path

names = {"__name__": "page"}
for number, block in enumerate(json.loads(Path("blocks.json").read_text(encoding="utf-8"))):
    exec(compile(block, f"block {number}", "exec"), names)
score, again = names["score"], names["again"]
print(json.dumps({
    "pieces": [[type(one).__name__, one.length / one.ticks_per_beat] for one in names["pieces"]],
    "figures": sorted(names["figures"]),
    "test": sorted(names["test_figures"]),
    "losses": names["losses"],
    "files": names["files"],
    "parameters": names["parameters"],
    "highest": names["highest"],
    "score": [len(score), names["seconds"]],
    "svg": score._repr_svg_()[:4],
    "parts": {part: len(pieces) for part, pieces in names["dataset"].parts.items()},
    "again": len(again),
    "curve": names["curve"].points,
}))
"""


@pytest.mark.slow
def test_the_page_for_scripts_and_notebooks(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None or "musengine-lstm3" not in installed_plugins():
        pytest.skip("PyTorch or musengine-lstm3 is not installed")
    page = "how-to/from-python.md"
    for number in range(8):
        # Scales of 64 sixteenths, up from a note of their own; a tick is a sixteenth.
        notes = [(k, 1, 50 + number + [0, 2, 4, 5, 7, 9, 11][k % 7]) for k in range(64)]
        write_midi(score_of(notes), tmp_path / "my-midi-files" / "scales" / f"{number}.mid")
    (tmp_path / "mine.toml").write_text(PIPELINE)
    (tmp_path / "blocks.json").write_text(json.dumps(blocks(page, "python")))
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "MUSENGINE_CACHE": str(tmp_path / "cache")}
    run = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "script.py"], **run)
    assert done.returncode == 0, done.stderr
    *printed, last = done.stdout.splitlines()
    found = json.loads(last)
    assert found["pieces"] == [["Score", 16.0]] * 2  # 4 bars of 4/4
    assert found["figures"] == [0.001, 0.01]
    assert found["test"] == ["train", "valid"]
    assert len(found["losses"]) == 10  # of 100 steps, the mean of every ten
    assert found["losses"][-1] < found["losses"][0]
    assert [name for name in found["files"] if name.endswith(".mid")] == [
        f"piece-{number:03}.mid" for number in (1, 2, 3, 4)
    ]
    assert (tmp_path / "greedy" / "sure-001.mid").is_file()
    assert found["parameters"] > 0
    assert found["highest"] == {f"scales/{number}.mid": 61 + number for number in range(8)}
    assert found["score"] == [64, 8.0]  # 16 beats at 120 to the minute
    assert found["svg"] == "<svg"
    assert found["parts"] == {"train": 7, "valid": 1, "test": 0}
    assert found["again"] > 0
    assert [step for step, _ in found["curve"]] == [20]
    # A figure, then the two mistakes; all else is silent until logging is asked for.
    assert float(printed[0]) > 0
    places = [line.split()[:2] for line in printed[1:]]
    assert sorted(places) == [["model", "layers"], ["training", "stepps"]]
    assert "INFO:musengine." in done.stderr


PIPELINE = """
[corpus]
path = "my-midi-files"
[encoder]
step = "1/4 beat"
lowest = 48
highest = 84
[model]
type = "lstm3"
layers = [8]
[training]
steps = 20
sequence_length = 16
[generate]
count = 1
length = "2 bars"
"""


@pytest.mark.slow
def test_the_example_of_a_test_passes(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None or "musengine-lstm3" not in installed_plugins():
        pytest.skip("PyTorch or musengine-lstm3 is not installed")
    example = blocks("reference/testing.md", "python")[0]
    (tmp_path / "test_example.py").write_text(example)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout
