"""The page of a run, and that of several side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musengine.api import Registry, Score, Track, counted
from musengine_media.page import run_sections as sections
from musengine_media.page.curves import Charts
from musengine_media.page.document import document
from musengine_media.page.engraving import Engraver
from musengine_media.page.instruments import NO_SOUNDS, sounds_for
from musengine_media.page.markup import Child, Markup, element, joined, table
from musengine_media.page.pieces import PagePiece, Shelf
from musengine_media.page.run_record import RunRecord, Sample, read_run


def run_page(
    folder: Path,
    registry: Registry,
    problem: str = "",
    *,
    pieces: Path | None = None,
    quick: bool = False,
) -> str:
    """Return the page of one run.

    Args:
        folder: the run's.
        registry: what reads its pieces.
        problem: why it ended before its time, if it did.
        pieces: the folder with its pieces, where that is another than its samples.
        quick: leave out what takes its time: sounds of instruments, and notated music.

    Raises:
        UserError: the folder holds none.
    """
    run, charts = read_run(folder, registry, pieces), Charts()
    shelf = Shelf(None if quick else Engraver(registry))
    parts: dict[str, list[Child]] = {
        "Pieces": [*_pieces(run, shelf)],
        "Training": [*sections.training([run], charts)],
        "Made on the way": [*shelf.sections(map(_on_the_way, run.on_the_way))],
        "Figures": [sections.figures_table([run])],
        "Corpus": [*sections.corpus(run)],
        "Pipeline": [sections.pipeline(run), sections.versions(run)],
        "Once more": [sections.repeat(run)],
    }
    header = [element("h1", run.name), sections.summary(run, problem)]
    sounds = NO_SOUNDS if quick else sounds_for(shelf.scores)
    data = {"pieces": shelf.data, "charts": charts.data, "sounds": sounds.data}
    body = _laid_out(header, parts, sounds.remark)
    return document(f"{run.name}: a run of musengine", body, data)


def runs_page(folders: Sequence[Path], registry: Registry) -> str:
    """Return the page of several runs side by side.

    Raises:
        UserError: a folder holds none.
    """
    runs, charts = [read_run(folder, registry) for folder in folders], Charts()
    shelf = Shelf(Engraver(registry))
    parts: dict[str, list[Child]] = {
        "Training": [*sections.training(runs, charts)],
        "Figures": [sections.figures_table(runs)],
        "Settings": [_differences(runs)],
    }
    for run in runs:
        parts[f"Pieces of {run.name}"] = [sections.summary(run), *_pieces(run, shelf)]
    header = [element("h1", f"{len(runs)} runs side by side")]
    sounds = sounds_for(shelf.scores)
    data = {"pieces": shelf.data, "charts": charts.data, "sounds": sounds.data}
    body = _laid_out(header, parts, sounds.remark)
    return document(f"{len(runs)} runs of musengine", body, data)


def _laid_out(header: Sequence[Child], parts: Mapping[str, Sequence[Child]], remark: str) -> Markup:
    """Return a page's body: links to its parts, those that are not empty, and a last line."""
    there = {title: found for title, found in parts.items() if any(found)}
    links = [
        element("li", element("a", title, href=f"#part-{number}"))
        for number, title in enumerate(there, 1)
    ]
    bodies = [
        element("section", element("h2", title, id=f"part-{number}"), found)
        for number, (title, found) in enumerate(there.items(), 1)
    ]
    navigation = element("nav", element("ul", links), aria_label="Parts of this page")
    return joined(
        element("header", header, navigation),
        element("main", bodies),
        element("footer", element("p", remark, class_="soft")),
    )


def _pieces(run: RunRecord, shelf: Shelf) -> Iterator[Markup]:
    yield from shelf.sections(_page_piece(sample, run) for sample in run.samples)
    if run.earlier:
        yield element("p", f"{counted(run.earlier, 'earlier piece')} in {run.folder / 'samples'}")
    for line in run.unreadable:
        yield element("p", f"Not shown: {line}", class_="soft")


def _page_piece(sample: Sample, run: RunRecord) -> PagePiece:
    midi = sample.path.suffix in (".mid", ".midi")
    return PagePiece(
        title=sample.name,
        score=sample.score,
        midi=sample.path.read_bytes() if midi else b"",
        file_name=f"{sample.path.stem}.mid",
        remarks=[*_remarks(sample.origin)],
        prompt_seconds=float(sample.origin.get("prompt_seconds") or 0.0),
        statistics=_statistics(sample, run),
        beside=_shared(sample, run),
    )


def _on_the_way(sample: Sample) -> PagePiece:
    return PagePiece(sample.name, sample.score, file_name=f"{sample.name}.mid")


def _remarks(origin: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a piece came from, and what is amiss with it."""
    if not origin:
        return
    prompt, settings = origin.get("prompt"), origin.get("settings", {}).get("generate", {})
    told = [f"seed {origin.get('seed')}", f"weights {origin.get('checkpoint')}"]
    if prompt not in (None, "none", "text"):
        told.insert(0, f"goes on from {settings.get('prompt_length')} of {prompt}")
    if prompt == "text":
        told.insert(0, f"goes on from {settings.get('prompt_text')!r}")
    if isinstance(drawn := origin.get("attempts"), int) and drawn > 1:
        told.append(f"drawn {drawn} times")
    yield "; ".join(told)
    if faults := origin.get("faults"):
        yield f"Amiss: {', '.join(map(str, faults))}"


def _statistics(sample: Sample, run: RunRecord) -> list[tuple[str, str, str]]:
    """Return what was measured of a single piece, and the range of the training music."""
    rows = []
    ranges = run.corpus.get("range", {})
    for name, value in sample.origin.get("measures", {}).items():
        span = ranges.get(name, {})
        rows.append(_row(name, value, span.get("low"), span.get("high")))
    figures, file = run.figures.get("generated", {}), sample.path.name
    for name, detail in figures.get("statistics", {}).items():
        low, high = detail.get("reference_range") or (None, None)
        rows.append(_row(name, detail.get("value_per_piece", {}).get(file), low, high))
    for name, each in figures.items():
        if name.endswith("_per_piece") and isinstance(each, Mapping):
            rows.append(_row(name.removesuffix("_per_piece"), each.get(file), None, None))
    return [row for row in rows if row[1]]


def _row(name: str, value: object, low: object, high: object) -> tuple[str, str, str]:
    """Return a line of the table, its value empty where it is no number."""
    if not isinstance(value, (int, float)):
        return (name, "", "")
    told = f"{value:.4g}"
    if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        return (_spaced(name), told, "")
    if not low <= value <= high:
        told += " (below)" if value < low else " (above)"
    return (_spaced(name), told, f"{low:.4g} to {high:.4g}")


def _shared(sample: Sample, run: RunRecord) -> tuple[str, list[PagePiece]]:
    """Return the longest passage that a piece shares with the training music, and the other's.

    The metric that looked for it has left both as notes: seconds, seconds of length and pitch.
    """
    passages = run.figures.get("generated", {}).get("shared_passage_per_piece", {})
    shared = passages.get(sample.path.name)
    if not isinstance(shared, Mapping):
        return "", []
    title = f"Longest passage shared with the training music: {shared.get('notes')} notes"
    if shift := shared.get("shift"):
        title += f", there {counted(abs(shift), 'semitone')} {'higher' if shift > 0 else 'lower'}"
    program = sample.score.tracks[0].program if sample.score.tracks else 0
    return title, [
        PagePiece(name, _score_of(shared.get(key, ()), program), file_name=f"{key}.mid")
        for name, key in (
            (f"In {sample.name}", "passage"),
            (f"In {shared.get('source')}", "source_passage"),
        )
    ]


def _score_of(notes: Iterable[Sequence[float]], program: int) -> Score:
    """Return notes as a score of a thousand ticks to the second."""
    columns = [*zip(*notes, strict=True)] or [(), (), ()]
    onset, duration = (np.rint(np.array(each) * 1000).astype(int) for each in columns[:2])
    track = Track(program=program)
    return Score.from_notes(onset, duration, columns[2], ticks_per_beat=500, tracks=(track,))


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _differences(runs: Sequence[RunRecord]) -> Markup:
    """Return the settings in which runs differ."""
    flat = [dict(_flattened(run.pipeline)) for run in runs]
    keys = dict.fromkeys(key for each in flat for key in each)
    rows = [
        (key, *(each.get(key, "") for each in flat))
        for key in keys
        if len({each.get(key) for each in flat}) > 1
    ]
    if not rows:
        return element("p", "The runs have the same settings.")
    return table(("key", *(run.name for run in runs)), rows, "Settings in which the runs differ")


def _flattened(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flattened(each, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        for index, each in enumerate(value):
            yield from _flattened(each, f"{key}.{index}")
    else:
        yield key, str(value)
