"""Reports of whole runs: written by themselves, on failure too, and only where they are wanted."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_pages import HOSTILE, Page

from musengine.api import Run, read_scores
from musengine.testing import CommandResult, only_plugins, run_command

pytest.importorskip("torch")

PIPELINE = """
[run]
message = "with a <b>note</b>"

[corpus]
path = "tunes.json"

[encoder]
step = "1 beat"
lowest = 60
highest = 72

[model]
type = "frequencies"

[generate]
count = 2
length = "16 steps"
prompt_length = "4 steps"
include_prompt = true
tempo = 60

[[output]]
type = "midi"
"""


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    """A working directory with a pipeline and a corpus of scales."""
    scale = [[60 + step % 12] for step in range(40)]
    (workplace / "tunes.json").write_text(json.dumps({"train": [scale] * 3, "valid": [scale]}))
    (workplace / "pipe.toml").write_text(PIPELINE)
    return workplace


def run(*settings: str, command: str = "run") -> CommandResult:
    return run_command(command, "pipe.toml", settings=settings)


def report(folder: Path, name: str = "runs/pipe/report.html") -> Page:
    return Page((folder / name).read_text(encoding="utf-8"))


def headings(page: Page) -> list[str]:
    return page.texts["h2"]


def test_a_run_ends_with_its_report_and_says_where(folder: Path) -> None:
    done = run()
    assert done.status == 0
    assert done.err.strip().splitlines()[-1] == f"report: {Path('runs/pipe/report.html')}"
    page = report(folder)
    assert headings(page) == ["Pieces", "Figures", "Corpus", "Pipeline", "Once more"]
    assert [piece["title"] for piece in page.data["pieces"].values()] == ["piece-001", "piece-002"]
    assert page.all("b") == []
    figures = json.loads((folder / "runs/pipe/evaluation.json").read_text("utf-8"))["valid"]
    assert figures["notes"] == 40
    assert "nats_per_note" in (folder / "runs/pipe/report.html").read_text("utf-8")
    assert page.texts["pre"][0] == (folder / "runs/pipe/pipeline.toml").read_text("utf-8")


def test_the_download_is_the_sample_byte_for_byte(folder: Path) -> None:
    run()
    import base64

    links = [each for each in report(folder).all("a") if "download" in each]
    saved = [base64.b64decode(str(each["href"]).partition("base64,")[2]) for each in links]
    samples = folder / "runs/pipe/samples"
    assert saved == [(samples / f"piece-00{n}.mid").read_bytes() for n in (1, 2)]


def test_the_prompt_is_marked_apart(folder: Path) -> None:
    run()
    # Four steps of a beat each, at one beat to the second.
    assert {piece["prompt"] for piece in report(folder).data["pieces"].values()} == {4000}
    run("generate.include_prompt=false")
    titles = {piece["title"]: piece["prompt"] for piece in report(folder).data["pieces"].values()}
    assert titles["piece-004"] == 0


def test_it_can_be_switched_off(folder: Path) -> None:
    assert run("report.enabled=false").status == 0
    assert not (folder / "runs/pipe/report.html").exists()


def test_a_run_without_the_plugin_says_what_is_missing(folder: Path) -> None:
    with only_plugins():
        done = run()
    assert done.status == 0
    assert "musengine-media" in done.err.strip().splitlines()[-1]
    assert not (folder / "runs/pipe/report.html").exists()


def test_a_run_that_fails_says_so_in_its_report(folder: Path) -> None:
    done = run('generate.prompt="nowhere"')
    assert done.status == 1
    page = report(folder)
    assert "The run did not come to its end" in "".join(page.texts["p"])
    assert headings(page) == ["Corpus", "Pipeline", "Once more"]


def test_a_run_that_is_refused_keeps_its_report(folder: Path) -> None:
    run()
    before = (folder / "runs/pipe/report.html").read_bytes()
    assert run("training.seed=5").status == 1
    assert (folder / "runs/pipe/report.html").read_bytes() == before


def test_more_pieces_come_into_the_report(folder: Path) -> None:
    run()
    assert run_command("generate", "--quiet").status == 0
    titles = [piece["title"] for piece in report(folder).data["pieces"].values()]
    assert titles == [f"piece-00{n}" for n in (1, 2, 3, 4)]


def test_pieces_elsewhere_leave_the_report_alone(folder: Path) -> None:
    run()
    before = (folder / "runs/pipe/report.html").read_bytes()
    assert run_command("generate", "--quiet", "--out", "made").status == 0
    assert (folder / "runs/pipe/report.html").read_bytes() == before


def test_a_damaged_sample_is_named_and_the_others_are_there(folder: Path) -> None:
    run()
    (folder / "runs/pipe/samples/piece-001.mid").write_bytes(b"no music")
    assert run_command("report", "runs/pipe").status == 0
    page = report(folder)
    assert [piece["title"] for piece in page.data["pieces"].values()] == ["piece-002"]
    assert any("piece-001.mid" in line for line in page.texts["p"])


def test_a_half_written_line_of_the_history_is_passed_over(folder: Path) -> None:
    run()
    lines = [{"step": step, "loss": 4.0 / step, "epoch": 0} for step in (1, 2, 4)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "runs/pipe/metrics.jsonl").write_text(text + '{"step": 8, "lo')
    assert run_command("report", "runs/pipe").status == 0
    (chart,) = report(folder).data["charts"].values()
    assert chart["curves"][0] == {"name": "training", "x": [1, 2, 4], "y": [4.0, 2.0, 1.0]}


def test_a_piece_stands_beside_the_range_of_the_training_music(folder: Path) -> None:
    run()
    samples = folder / "runs/pipe/samples/generated.jsonl"
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    lines[0] |= {"measures": {"loop": 9.0}, "faults": ["stuck"], "attempts": 3}
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "runs/pipe/corpus.json").write_text('{"range": {"loop": {"low": 1, "high": 4}}}')
    statistics = {"notes": {"value_per_piece": {"piece-001.mid": 2}, "reference_range": [1, 3]}}
    passage = {"source": HOSTILE, "notes": 4, "shift": -2, "passage": [[0, 0.5, 60], [0.5, 1, 62]]}
    shared = {"piece-001.mid": {**passage, "source_passage": [[0, 1.0, 58]]}}
    figures = {"generated": {"statistics": statistics, "shared_passage_per_piece": shared}}
    (folder / "runs/pipe/evaluation.json").write_text(json.dumps(figures))
    assert run_command("report", "runs/pipe").status == 0
    page = report(folder)
    cells = page.texts["td"]
    assert cells[:2] == ["9 (above)", "1 to 4"]
    assert cells[2:4] == ["2", "1 to 3"]
    assert any("drawn 3 times" in line for line in page.texts["p"])
    assert "Amiss: stuck" in page.texts["p"]
    beside = page.data["pieces"]["piece-1-1"]
    assert beside["title"] == f"In {HOSTILE}"
    assert beside["parts"][0]["pitch"] == [58]
    assert page.data["pieces"]["piece-1-0"]["parts"][0]["len"] == [500, 1000]


def test_what_a_run_is_at_is_told_where_it_is_known(folder: Path) -> None:
    assert run(command="train").status == 0
    state = folder / "runs" / "pipe" / "state.json"

    def told() -> str:
        assert run_command("report", "pipe").status == 0
        return " ".join(report(folder).texts["p"])

    assert "still in training" not in told()
    # As a run is that was stopped, and a trained model in a package, which has no such file.
    state.write_text(json.dumps(json.loads(state.read_text()) | {"trained": ""}))
    assert "still in training" in told()
    state.unlink()
    assert "still in training" not in told()


def test_several_runs_stand_side_by_side(folder: Path) -> None:
    run()
    other = run_command("run", "pipe.toml", "--run-dir", "other", settings=["generate.tempo=90"])
    assert other.status == 0
    assert run_command("report", "runs/pipe", "other").status == 0
    page = report(folder, "report.html")
    assert headings(page) == ["Figures", "Settings", "Pieces of pipe", "Pieces of other"]
    assert len(page.data["pieces"]) == 4
    assert "generate.tempo" in page.texts["th"]
    assert "generate.count" not in page.texts["th"]


def test_a_folder_that_is_no_run_is_one_line(folder: Path) -> None:
    done = run_command("report", ".")
    assert done.status == 1
    assert "pipeline.toml" in done.err


def test_scores_and_runs_play_themselves_in_a_notebook(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    told: list[str] = []
    formatters: dict[str, Any] = {}

    class Formatter:
        def for_type(self, kind: type, function: Any) -> None:
            formatters[kind.__name__] = function
            told.append(kind.__name__)

        def for_type_by_name(self, module: str, name: str, function: Any) -> None:
            assert getattr(importlib.import_module(module), name) is Run
            formatters[name] = function
            told.append(name)

    class Shell:
        class display_formatter:  # noqa: N801  as IPython has it
            formatters = {"text/html": Formatter()}  # noqa: RUF012

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: Shell))
    public = importlib.import_module("musengine.api")
    for _ in range(2):  # as the first use of a public name does
        public.__getattr__("Score")
    assert told == ["Score", "Run"]
    shown = Page(formatters["Run"](Run(Path("runs/pipe")))).all("iframe")
    assert Page(str(shown[0]["srcdoc"])).data["pieces"].keys() == {"piece-1", "piece-2"}
    (score,) = read_scores("runs/pipe/samples/piece-001.mid").values()
    shown = Page(formatters["Score"](score)).all("iframe")
    assert Page(str(shown[0]["srcdoc"])).data["pieces"]["piece-1"]["title"] == "Score"
