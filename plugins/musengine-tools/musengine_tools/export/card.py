"""The model card: what a run's folder tells of a trained model, as Markdown."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from musengine.api import Pipeline, read_json

_HUMAN = "_human"
"""What the name of a figure of people's music ends with, beside that of generated music."""


def model_card(run: Path, pipeline: Pipeline, said: Mapping[str, str]) -> str:
    """Return the card of a run's model.

    Args:
        run: the run's folder.
        pipeline: the run's.
        said: what its maker says: `name`, `summary`, `trained_on`, `licence`, `prompts`, and
            `remarks` for a section of their own, if there are any.
    """
    evaluation, split = _table(run / "evaluation.json"), _table(run / "split.json")
    sections = {
        "Use": _use(said["name"]),
        "What it sounds like": [said["remarks"].strip()] if said["remarks"].strip() else [],
        "Trained on": _trained_on(said["trained_on"], split, said["prompts"]),
        "Licence": [f"{said['licence']}, for the weights and everything else in this folder."],
        "Figures": _figures(evaluation),
        "Its pieces beside the music": _beside(run, evaluation),
        "Model": _model(pipeline),
        "Made with": _made_with(_table(run / "versions.json")),
    }
    lines = [f"# {said['name']}", "", said["summary"], ""]
    for title, section in sections.items():
        if shown := [*section]:
            lines += [f"## {title}", "", *shown, ""]
    return "\n".join(lines)


def _table(path: Path) -> Mapping[str, Any]:
    found = read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def _use(name: str) -> Iterator[str]:
    yield "```sh"
    yield f"musengine listen {name}               # four pieces that come with it"
    yield f"musengine generate {name} --count 4   # new ones"
    yield f"musengine run my-midi-files --from {name}"
    yield "```"


def _trained_on(what: str, split: Mapping[str, Any], prompts: str) -> Iterator[str]:
    yield f"{what[:1].upper()}{what[1:]}."
    counts = {part: len(pieces) for part, pieces in split.get("parts", {}).items() if pieces}
    if counts:
        yield ""
        yield "Pieces: " + ", ".join(f"{count:,} {part}" for part, count in counts.items()) + "."
    yield ""
    if prompts == "0":
        yield "None of the music is in this folder."
    else:
        yield f"The beginnings of {prompts} pieces that were held out are in it, as prompts."
    for notice in split.get("notices", []):
        yield ""
        yield f"> {' '.join(str(notice).split())}"


def _figures(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yield nats a note of each part of the music with its 95 % interval."""
    rows = []
    for part, figures in evaluation.items():
        name = next((key for key in ("nats_per_note", "nll") if key in figures), None)
        if name is not None:
            pieces = figures.get("pieces")
            shown = [_number(figures.get(key)) for key in (name, f"{name}_low", f"{name}_high")]
            of = f"{pieces:,.0f}" if isinstance(pieces, (int, float)) else ""
            what = name.replace("_", " ")
            rows.append(f"| {part} | {of} | {what} | {shown[0]} | {shown[1]} to {shown[2]} |")
    if not rows:
        yield "None were measured."
        return
    yield "Pieces that were not learned from; lower is better."
    yield ""
    yield "| part | pieces | figure | value | 95 % interval |"
    yield "| --- | --- | --- | --- | --- |"
    yield from rows


def _number(value: object) -> str:
    known = isinstance(value, (int, float)) and math.isfinite(value)
    return f"{value:.4g}" if known else ""


def _beside(run: Path, evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the run's pieces are like beside the music, and how many are empty or stuck."""
    origins = [*_origins(run / "samples" / "generated.jsonl")]
    if not origins:
        yield "No pieces were made with it before it was packed."
        return
    ranges = _table(run / "corpus.json").get("range", {})
    values: dict[str, list[float]] = defaultdict(list)
    for origin in origins:
        for name, value in origin.get("measures", {}).items():
            values[name].append(value)
    poor = sum(bool(origin.get("faults")) for origin in origins)
    yield f"{len(origins)} pieces; {poor} of them empty or stuck, as they were kept."
    yield ""
    yield "| measure | its pieces, median | the music learned from |"
    yield "| --- | --- | --- |"
    for name, found in values.items():
        span = ranges.get(name, {})
        low, high = _number(span.get("low")), _number(span.get("high"))
        middle = _number(statistics.median(found))
        yield f"| {name.replace('_', ' ')} | {middle} | {low} to {high} |"
    generated = evaluation.get("generated", {})
    for name in (key.removesuffix(_HUMAN) for key in generated if key.endswith(_HUMAN)):
        low, high = (_number(generated.get(f"{name}{_HUMAN}_{end}")) for end in ("low", "high"))
        human = f"{low} to {high}" if low else _number(generated.get(name + _HUMAN))
        yield f"| {name.replace('_', ' ')} | {_number(generated.get(name))} | {human} |"


def _origins(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        origin = json.loads(line)
        if isinstance(origin, dict):
            yield origin


def _model(pipeline: Pipeline) -> Iterator[str]:
    tables = pipeline.tables()
    for name in ("encoder", "model"):
        settings = {key: value for key, value in tables[name].items() if key != "type"}
        shown = ", ".join(f"{key} {value}" for key, value in settings.items())
        yield (
            f"- {name} `{tables[name]['type']}`: {shown}" if shown else f"- {tables[name]['type']}"
        )


def _made_with(versions: Mapping[str, Any]) -> Iterator[str]:
    there = {**versions.get("distributions", {}), "Python": versions.get("python", "")}
    names = [name for name in there if name in ("Python", "torch") or "musengine" in name]
    names += [each["distribution"] for each in versions.get("plugins", ())]
    plugins = {each["distribution"]: each["version"] for each in versions.get("plugins", ())}
    known = {**there, **plugins}
    yield ", ".join(f"{name} {known[name]}" for name in dict.fromkeys(names)) or "musengine"
