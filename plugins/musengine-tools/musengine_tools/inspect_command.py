"""The command that looks at music files: inspect."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from musengine.api import CommandContext, ExitStatus, add_jobs, tempo, value_of
from musengine.errors import on_one_line

if TYPE_CHECKING:
    from musengine.api import Component, Meter, Registry
    from musengine_tools.inspect import FileReport, Inspection

logger = logging.getLogger(__name__)


def add_inspect_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `musengine inspect`."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a music file, a folder, a built-in corpus"
    )
    parser.add_argument(
        "--expect-bpm", type=tempo, metavar="BPM", help="the tempo there should be throughout"
    )
    parser.add_argument(
        "--expect-range",
        type=_pitches,
        metavar="LOW-HIGH",
        help="the pitches there may be, drums apart, as 21-108 or A0-C8",
    )
    parser.add_argument(
        "--expect-meter", type=_meter, metavar="N/D", help="the meter there should be throughout"
    )
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="say what the arrays of this encoder would not hold (a pipeline's default)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit status 1 if anything is amiss anywhere"
    )
    parser.add_argument("--json", action="store_true", help="everything as JSON on stdout")
    add_jobs(parser)


def _pitches(text: str) -> tuple[int, int]:
    from musengine.api import parse_pitches

    return value_of(parse_pitches, text)


def _meter(text: str) -> Meter:
    from musengine.api import Meter

    return value_of(lambda text: Meter.from_toml(text, Path()), text)


def inspect(parsed: argparse.Namespace, context: CommandContext) -> int:
    """Carry out `musengine inspect`."""
    registry = context.registry
    from musengine.api import Source
    from musengine_tools.inspect import Expectations, inspect

    expected = Expectations(
        bpm=parsed.expect_bpm, pitches=parsed.expect_range, meter=parsed.expect_meter
    )
    sources = [Source(path) for path in parsed.paths]
    inspection = inspect(
        sources,
        registry,
        expected,
        encoder=_encoder(parsed.encoder, registry),
        jobs=parsed.jobs,
        timeout=parsed.timeout,
        reporter=context.reporter,
    )
    for notice in inspection.found.notices:
        logger.info(notice)
    if parsed.json:
        print(json.dumps(inspection.as_json(), indent=1))
    else:
        _show(inspection)
    return ExitStatus.FAULT if parsed.strict and not inspection.faultless else ExitStatus.DONE


def _encoder(name: str | None, registry: Registry) -> Component | None:
    """Return the encoder of that name, or what a pipeline takes that names none."""
    if name is not None:
        return registry.get("encoder", name).configured({})
    default = registry.defaults_for("encoder", "score")
    return default[0].configured({}) if default else None


def _show(inspection: Inspection) -> None:
    """Print a table, then every problem on a line of its own, then the totals."""
    _print_table(inspection)
    for file in inspection.files:
        for line in _problems(file):
            print(on_one_line(f"{file.path}: {line}"))
    for line in _totals(inspection):
        print(line)


def _print_table(inspection: Inspection) -> None:
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("file", "notes", "pitches", "bars", "length", "tempo", "meter", "tracks"):
        right = name in ("notes", "bars", "length")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for file in inspection.files:
        if file.error is None:
            table.add_row(*(Text(cell) for cell in _row(file)))
    if not table.row_count:
        return
    people = sys.stdout.isatty()
    # Without a terminal nothing may be wrapped: a program reads it, or a person with grep.
    console = RichConsole(file=sys.stdout, width=None if people else 10_000, highlight=False)
    if people:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _row(file: FileReport) -> tuple[str, ...]:
    from musengine.api import duration, pitch_name, shown_number

    pitches = "-".join(pitch_name(pitch) for pitch in file.pitch_range or ())
    tempo = shown_number(file.tempi[0]) if len(file.tempi) == 1 else ""
    if len(file.tempi) > 1:
        tempo = (
            f"{shown_number(min(file.tempi))}-{shown_number(max(file.tempi))} ({len(file.tempi)})"
        )
    return (
        on_one_line(file.path),
        f"{file.notes:,}",
        pitches,
        f"{file.bars:,}",
        duration(file.seconds),
        tempo,
        " ".join(file.meters),
        _instruments(file),
    )


def _instruments(file: FileReport) -> str:
    """Say which instruments there are, with the number of tracks of those of several."""
    counts: dict[str, int] = {}
    for track in file.tracks:
        counts[track.instrument] = counts.get(track.instrument, 0) + 1
    names = (f"{count} x {name}" if count > 1 else name for name, count in counts.items())
    mono = f" (monophonic: {len(file.monophonic)})" if file.monophonic else ""
    return f"{len(file.tracks)}: {', '.join(names)}{mono}" if file.tracks else ""


def _problems(file: FileReport) -> Iterator[str]:
    if file.error is not None:
        yield f"refused: {file.error}"
    for warning in file.warnings:
        yield f"warning: {warning}"
    for finding in file.findings:
        yield f"finding: {finding}"
    if file.duplicate_of is not None:
        yield f"has the same notes as {file.duplicate_of}"


def _totals(inspection: Inspection) -> Iterator[str]:
    from musengine.api import counted, duration, told_left_out

    totals = inspection.totals()
    if told := told_left_out(inspection.left_out):
        yield f"what the encoder {inspection.encoder} leaves out: {told}"
    refused = f", {totals['refused']:,} refused" if totals["refused"] else ""
    pieces = f", {counted(totals['pieces'], 'piece')}" * (totals["pieces"] > totals["readable"])
    yield (
        f"{counted(totals['files'], 'file')}{refused}{pieces}, {counted(totals['notes'], 'note')}, "
        f"{duration(totals['seconds'])}, {counted(totals['duplicates'], 'duplicate')}, "
        f"{counted(totals['warnings'], 'warning')}, "
        f"{counted(totals['findings'], 'finding')}"
    )
    for name in ("formats", "instruments", "ignored"):
        if totals[name]:
            counts = (f"{count:,} {what}" for what, count in totals[name].items())
            yield f"{_HEADS[name]}: {', '.join(counts)}"


_HEADS = {
    "formats": "files by format",
    "instruments": "notes by instrument",
    "ignored": "no music files",
}
